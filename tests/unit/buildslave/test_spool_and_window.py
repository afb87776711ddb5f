"""Output by position, and the window that sends it: rules without a wire."""

import errno
import itertools
import random
import shutil
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.spread.pb import PBConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from buildslave import segment as segment_module
from buildslave import spool as spool_module
from buildslave.blocks import CHUNK
from buildslave.segment import Segment
from buildslave.spool import MEMORY_BYTES, Spool
from buildslave.spooldir import LOCK, SpoolDirectory
from buildslave.window import CALLS_IN_FLIGHT, LINGER_SECONDS, Window

from .cases import temporary_directory

WRITES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr", "log:x"]), st.binary(max_size=40)), max_size=30)


STEPS = st.one_of(
    st.tuples(st.sampled_from(["stdout", "stderr", "log:x"]), st.binary(min_size=1, max_size=400)),
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(min_size=1, max_size=1)),
    st.sampled_from(["relieve", "relieve", "relieve", "acknowledge", "take", "take", "persist"]),
)


def flat(pieces: list[Any]) -> list[tuple[str, int]]:
    """Each byte with its stream."""
    return [(stream, byte) for stream, data in pieces for byte in data]


class SpoolKeeps(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = SpoolDirectory(temporary_directory(self))
        self.directory.open()
        self.addCleanup(self.directory.close)
        self.names = itertools.count()

    def spool(self, start: int = 0) -> Spool:
        return Spool(start, self.directory.of(str(next(self.names))))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.path.iterdir() if path.name != LOCK)

    def small(self) -> None:
        """Everything happens with few bytes."""
        for module, name, value in (
            (spool_module, "MEMORY_BYTES", 700), (spool_module, "CHUNK", 300), (spool_module, "SEGMENT_BYTES", 500),
            (segment_module, "REGION_BYTES", 100),
        ):  # fmt: skip
            self.patch(module, name, value)

    @settings(max_examples=200, deadline=None)
    @given(WRITES, st.integers(0, 1000), st.integers(1, 100), st.randoms(use_true_random=False))
    def test_any_part_is_what_was_written(
        self, writes: list[Any], start: int, limit: int, chance: random.Random
    ) -> None:
        spool = self.spool(start)
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

    @settings(max_examples=150, deadline=None)
    @given(st.lists(STEPS, max_size=60), st.integers(0, 1000), st.integers(0, 2**32))
    def test_in_memory_and_on_disk_it_is_the_same(self, steps: list[Any], start: int, seed: int) -> None:
        self.small()
        chance, spool, written = random.Random(seed), self.spool(start), list[tuple[str, int]]()
        for step in steps:
            match step:
                case "relieve":
                    self.assertTrue(spool.relieve())
                case "acknowledge":
                    spool.acknowledge(chance.randint(spool.base, spool.end))
                case "persist":
                    spool.persist()
                case "take":
                    position = chance.randint(spool.base, spool.end)
                    pieces, length = spool.take(position, chance.randint(1, 500))
                    self.assertEqual(length > 0, position < spool.end)
                    self.assertEqual(flat(pieces), written[position - start : position - start + length])
                case (stream, data):
                    spool.write(stream, data)
                    written += flat([(stream, data)])
        self.assertEqual(self.all_of(spool, 100), written[spool.base - start :])
        spool.discard()
        self.assertEqual((self.files(), self.directory.used_bytes), ([], 0))

    def all_of(self, spool: Spool, limit: int) -> list[tuple[str, int]]:
        """All that is there, as a window takes it."""
        found, position = list[tuple[str, int]](), spool.base
        while position < spool.end:
            pieces, length = spool.take(position, limit)
            position += length
            found += flat(pieces)
        return found

    def test_acknowledged_bytes_are_forgotten(self) -> None:
        spool = self.spool()
        for _ in range(100):
            spool.write("stdout", bytes(CHUNK))
        spool.acknowledge(spool.end)
        self.assertEqual(spool.cost_from(0), 0)

    def test_many_tiny_blocks_cost_more_than_their_bytes(self) -> None:
        spool = self.spool()
        for index in range(1000):
            spool.write("stdout" if index % 2 else "stderr", b"x")
        self.assertGreater(spool.cost_from(0), 50_000)

    def test_the_first_mebibyte_stays_in_memory(self) -> None:
        spool = self.spool()
        for _ in range(MEMORY_BYTES // CHUNK):
            spool.write("stdout", bytes(CHUNK - 1000))
            spool.relieve()
        self.assertEqual(self.files(), [])
        for _ in range(100):
            spool.write("stdout", bytes(CHUNK))
            spool.relieve()
            self.assertLess(spool.cost_from(0), MEMORY_BYTES + 2 * CHUNK)
        self.assertEqual(len(self.files()), 1)
        self.assertEqual((self.directory.path / self.files()[0]).stat().st_mode & 0o777, 0o600)

    def test_files_are_removed_as_they_are_acknowledged(self) -> None:
        self.small()
        spool = self.spool()
        for _ in range(50):
            spool.write("stdout", bytes(300))
            spool.relieve()
        self.assertGreater(len(self.files()), 10)
        for position in range(0, spool.end, 100):
            spool.acknowledge(position)
            self.assertLess(self.directory.used_bytes, spool.end - position + 2000)
        spool.acknowledge(spool.end)
        self.assertEqual((self.files(), spool.on_disk, self.directory.used_bytes), ([], False, 0))

    def test_a_full_spool_takes_no_more_and_loses_nothing(self) -> None:
        self.directory = SpoolDirectory(temporary_directory(self), most_bytes=1000)
        self.directory.open()
        self.addCleanup(self.directory.close)
        self.small()
        spool, took = self.spool(), []
        for number in range(20):
            spool.write("stdout", bytes([number]) * 100)
            took.append(spool.relieve())
        self.assertIn(True, took)
        self.assertFalse(took[-1])
        self.assertLessEqual(self.directory.used_bytes, 1000)
        self.assertEqual(self.all_of(spool, 50), flat([("stdout", bytes([number]) * 100) for number in range(20)]))
        spool.acknowledge(1200)
        self.assertTrue(spool.relieve())
        spool.persist()
        self.assertEqual(spool.cost_from(0), 0)

    def test_a_disk_that_fails_changes_nothing(self) -> None:
        self.small()
        spool = self.spool()
        for _ in range(10):
            spool.write("stdout", b"a" * 100)
            spool.relieve()
        (segment,) = spool.segments
        before, segment._writer = segment._writer, FullDisk()  # type: ignore[assignment]
        spool.write("stdout", b"b" * 1000)
        self.assertFalse(spool.relieve())
        segment._writer = before
        self.assertTrue(spool.relieve())
        self.assertEqual(self.all_of(spool, 64), flat([("stdout", b"a" * 1000 + b"b" * 1000)]))

    def test_a_directory_that_was_removed_is_made_again(self) -> None:
        spool = self.spool()
        spool.write("stdout", b"hello")
        shutil.rmtree(self.directory.path)
        spool.persist()
        self.assertEqual(spool.take(0, 5)[0], [["stdout", b"hello"]])

    def test_damage_is_an_error_and_no_output(self) -> None:
        spool = self.spool()
        spool.write("stdout", b"hello" * 100)
        spool.persist()
        (segment,) = spool.segments
        sound = segment.path.read_bytes()
        for damaged in (sound[:-1], sound[:10], b"", sound.replace(b"hello", b"jello", 1)):
            segment.path.write_bytes(damaged)
            segment._region = None
            self.assertRaises(OSError, spool.take, 0, 100)
        segment.path.write_bytes(sound)
        self.assertEqual(spool.take(0, 5)[0], [["stdout", b"hello"]])

    def test_what_says_wrongly_where_the_parts_are_is_not_believed(self) -> None:
        spool = self.spool()
        spool.write("stdout", b"hello" * 100)
        spool.persist()
        (segment,) = spool.segments
        known = segment.to_json()
        where = segment.path.parent
        self.assertEqual(Segment.from_json(known, where, segment._space).take(0, 5)[1], 5)
        for places in ([], [[1, 0]], [[0, 3]], [[0, 0], [0, 9]], [[0, 0], [9, 0]], [[0, 0], [100, segment.size]]):
            self.assertRaises(ValueError, Segment.from_json, {**known, "places": places}, where, segment._space)
        shorter = Segment.from_json({**known, "end": 700}, where, segment._space)
        self.assertRaises(OSError, shorter.take, 0, 100)


class FullDisk:
    """A file of which the first bytes still find room."""

    def write(self, data: memoryview) -> int:
        if len(data) > 500:
            return 500
        raise OSError(errno.ENOSPC, "No space left on device")

    def truncate(self, size: int) -> None: ...

    def seek(self, size: int) -> None: ...


def no_take(position: int, limit: int) -> Any:
    raise OSError("bad sector")


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
        self.spool = Spool(0, SpoolDirectory(temporary_directory(self)).of("1"))
        self.steps = 0
        self.lost: list[tuple[int, str]] = []
        self.window = Window(clock=self.clock, source=self.spool, acknowledged=self.step, lost=self.lose)
        self.master = Master()

    def step(self) -> None:
        self.steps += 1

    def lose(self, held: int, why: str) -> None:
        self.lost.append((held, why))

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
        self.assertEqual([held for held, _ in self.lost], [5])

    def test_what_cannot_be_read_is_reported(self) -> None:
        self.attach()
        self.write(CHUNK)
        self.master.calls[0][2].callback(CHUNK)
        self.spool.take = no_take  # type: ignore[method-assign]
        self.write(CHUNK)
        self.assertEqual([held for held, _ in self.lost], [CHUNK])
        self.assertIn("bad sector", self.lost[0][1])

    def test_drained_only_when_complete_and_held(self) -> None:
        self.attach()
        self.write(CHUNK)
        self.assertFalse(self.window.drained)
        self.spool.close()
        self.master.calls[0][2].callback(CHUNK)
        self.assertTrue(self.window.drained)
