"""Output by position, and the window that sends it: rules without a wire."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.spread.pb import PBConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from buildslave.spool import CHUNK, Spool
from buildslave.window import CALLS_IN_FLIGHT, LINGER_SECONDS, Window

WRITES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr", "log:x"]), st.binary(max_size=40)), max_size=30)


def flat(pieces: list[Any]) -> list[tuple[str, int]]:
    """Each byte with its stream."""
    return [(stream, byte) for stream, data in pieces for byte in data]


class SpoolKeeps(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(WRITES, st.integers(0, 1000), st.integers(1, 100), st.randoms(use_true_random=False))
    def test_any_part_is_what_was_written(
        self, writes: list[Any], start: int, limit: int, chance: random.Random
    ) -> None:
        spool = Spool(start)
        for stream, data in writes:
            spool.write(stream, data)
        written = flat(writes)
        self.assertEqual(spool.end, start + len(written))
        acknowledged = chance.randint(start, spool.end)
        spool.acknowledge(acknowledged)
        position = chance.randint(acknowledged, spool.end)
        pieces, length = spool.take(position, limit)
        self.assertEqual(length, min(limit, spool.end - position))
        self.assertEqual(flat(pieces), written[position - start : position - start + length])

    def test_acknowledged_bytes_are_forgotten(self) -> None:
        spool = Spool(0)
        for _ in range(100):
            spool.write("stdout", bytes(CHUNK))
        spool.acknowledge(spool.end)
        self.assertEqual(spool.cost_from(spool.end), 0)

    def test_many_tiny_blocks_cost_more_than_their_bytes(self) -> None:
        spool = Spool(0)
        for index in range(1000):
            spool.write("stdout" if index % 2 else "stderr", b"x")
        self.assertGreater(spool.cost_from(0), 50_000)


class Master:
    """Records the calls of a window; they are answered when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, Deferred[Any]]] = []

    def send(self, position: int, pieces: list[Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.calls.append((position, sum(len(data) for _, data in pieces), answer))
        return answer

    @property
    def sent(self) -> list[tuple[int, int]]:
        return [(position, length) for position, length, _ in self.calls]


class WindowSends(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.spool = Spool(0)
        self.steps = 0
        self.lost: list[int] = []
        self.window = Window(clock=self.clock, source=self.spool, acknowledged=self.step, lost=self.lost.append)
        self.master = Master()

    def step(self) -> None:
        self.steps += 1

    def write(self, size: int) -> None:
        self.spool.write("stdout", bytes(size))
        self.window.pump()

    def attach(self, held: int = 0) -> None:
        self.window.attach(self.master.send, held)

    def test_little_output_waits_a_moment_for_more(self) -> None:
        self.attach()
        self.write(10)
        self.assertEqual(self.master.sent, [])
        self.write(10)
        self.clock.advance(LINGER_SECONDS)
        self.assertEqual(self.master.sent, [(0, 20)])

    def test_the_end_does_not_wait(self) -> None:
        self.attach()
        self.write(10)
        self.spool.close()
        self.window.pump()
        self.assertEqual(self.master.sent, [(0, 10)])

    def test_a_full_chunk_does_not_wait(self) -> None:
        self.attach()
        self.write(CHUNK + 5)
        self.assertEqual(self.master.sent, [(0, CHUNK)])

    def test_no_more_than_eight_calls_are_unanswered(self) -> None:
        self.attach()
        self.write(20 * CHUNK)
        self.assertEqual(len(self.master.calls), CALLS_IN_FLIGHT)
        self.master.calls[0][2].callback(CHUNK)
        self.assertEqual(len(self.master.calls), CALLS_IN_FLIGHT + 1)

    def test_a_new_connection_sends_from_what_the_master_holds(self) -> None:
        self.attach()
        self.write(3 * CHUNK)
        self.master.calls[0][2].callback(CHUNK)
        self.window.detach()
        again = Master()
        self.window.attach(again.send, CHUNK + 7)
        self.assertEqual(again.sent[0], (CHUNK + 7, CHUNK))

    def test_answers_of_a_lost_connection_change_nothing(self) -> None:
        self.attach()
        self.write(2 * CHUNK)
        self.window.detach()
        self.master.calls[0][2].callback(CHUNK)
        self.assertEqual(self.window.acknowledged, 0)

    def test_a_smaller_answer_sends_again_from_there_once(self) -> None:
        self.attach()
        self.write(3 * CHUNK)
        first, second, third = self.master.calls
        first[2].callback(100)
        second[2].callback(100)
        third[2].callback(100)
        self.clock.advance(0)
        self.assertEqual(self.master.sent[3:], [(100, CHUNK), (100 + CHUNK, CHUNK), (100 + 2 * CHUNK, CHUNK - 100)])

    def test_a_master_that_never_takes_more_is_asked_ever_more_seldom(self) -> None:
        self.attach()
        self.write(CHUNK)
        for _ in range(1000):
            if self.master.calls[-1][2].called is False:
                self.master.calls[-1][2].callback(0)
            self.clock.advance(1)
        self.assertLess(len(self.master.calls), 40)
        self.assertGreater(len(self.master.calls), 10)

    def test_an_error_of_the_master_is_tried_again(self) -> None:
        self.attach()
        self.write(CHUNK)
        self.master.calls[0][2].errback(Failure(RuntimeError("disk full")))
        self.clock.advance(0)
        self.assertEqual(self.master.sent, [(0, CHUNK), (0, CHUNK)])

    def test_a_lost_connection_is_not_tried_again_by_itself(self) -> None:
        self.attach()
        self.write(CHUNK)
        self.master.calls[0][2].errback(Failure(PBConnectionLost()))
        self.clock.advance(100)
        self.assertEqual(len(self.master.calls), 1)

    def test_nonsense_is_no_acknowledgement(self) -> None:
        for nonsense in (None, "x", -1, 10**9, True, 1.5):
            self.attach()
            self.write(CHUNK)
            self.master.calls[-1][2].callback(nonsense)
            self.assertEqual(self.window.acknowledged, 0)
            self.window.detach()

    def test_what_was_acknowledged_and_is_gone_is_reported(self) -> None:
        self.attach()
        self.write(2 * CHUNK)
        self.master.calls[0][2].callback(CHUNK)
        self.master.calls[1][2].callback(5)
        self.assertEqual(self.lost, [5])

    def test_drained_only_when_complete_and_held(self) -> None:
        self.attach()
        self.write(CHUNK)
        self.assertFalse(self.window.drained)
        self.spool.close()
        self.master.calls[0][2].callback(CHUNK)
        self.assertTrue(self.window.drained)
