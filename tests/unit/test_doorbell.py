"""The doorbell's rules, one test a rule."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.doorbell import FLOOR_SECONDS, RETRY_SECONDS, SWEEP_SECONDS, Doorbell


class Worker:
    """Notes when it is called; answers, waits or raises as the test says."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.called_at: list[float] = []
        self.runs = 0  # under way
        self.most_runs = 0

    def __call__(self, now: float) -> Any:
        self.called_at.append(now)
        answer = self.answer(now) if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return self._wait(answer) if isinstance(answer, Deferred) else answer

    async def _wait(self, answer: Awaitable[Any]) -> Any:
        self.runs += 1
        self.most_runs = max(self.most_runs, self.runs)
        try:
            return await answer
        finally:
            self.runs -= 1


class DoorbellCase(SynchronousTestCase):
    START = 1_000_000.0

    def setUp(self) -> None:
        self.clock = Clock()
        self.bell = Doorbell(self.clock, lambda: self.START + self.clock.seconds())

    def add(self, answer: Any = None, name: str = "worker", group: str | None = None) -> Worker:
        worker = Worker(answer)
        self.bell.add(name, worker, group)
        return worker

    def turns(self, seconds: float = 0.0) -> None:
        """Let this time pass, and the reactor take as many turns as it likes at the end of it."""
        self.clock.advance(seconds)
        for _ in range(10):
            self.clock.advance(0)

    def calls(self, worker: Worker) -> list[float]:
        """When it was called, in seconds since the test began."""
        return [round(at - self.START, 6) for at in worker.called_at]


class TestRinging(DoorbellCase):
    def test_a_worker_is_told_the_time(self) -> None:
        worker = self.add()
        self.bell.start()
        self.turns()
        self.assertEqual(worker.called_at, [self.START])

    def test_nobody_is_called_before_the_start(self) -> None:
        worker = self.add()
        self.turns(SWEEP_SECONDS * 2)
        self.assertEqual(worker.called_at, [])

    def test_nobody_is_called_within_the_ring(self) -> None:
        worker = self.add()
        self.bell.start()
        self.bell.ring()
        self.assertEqual(worker.called_at, [])

    def test_rings_coalesce(self) -> None:
        worker = self.add()
        self.bell.start()
        for _ in range(5):
            self.bell.ring("worker")
            self.bell.ring()
        self.turns()
        self.assertEqual(self.calls(worker), [0])

    def test_only_who_is_named_is_called(self) -> None:
        one, two = self.add(name="one"), self.add(name="two")
        self.bell.start()
        self.turns()
        self.bell.ring("two")
        self.turns()
        self.assertEqual((len(one.called_at), len(two.called_at)), (1, 2))

    def test_a_group_is_called_by_its_name(self) -> None:
        one, two = self.add(name="one", group="both"), self.add(name="two", group="both")
        three = self.add(name="three")
        self.bell.start()
        self.turns()
        self.bell.ring("both", "nobody has this name")
        self.turns()
        self.assertEqual([len(worker.called_at) for worker in (one, two, three)], [2, 2, 1])

    def test_two_workers_cannot_have_one_name(self) -> None:
        self.add(name="one")
        self.assertRaises(ValueError, self.add, name="one")

    def test_each_run_is_a_turn_of_its_own(self) -> None:
        order: list[str] = []

        def one(now: float) -> None:
            order.append("one")
            self.clock.callLater(0, order.append, "somebody else")

        self.bell.add("one", one)
        self.bell.add("two", lambda now: order.append("two"))
        self.bell.start()
        self.turns()
        self.assertEqual(order, ["one", "somebody else", "two"])


class TestFullRuns(DoorbellCase):
    def test_a_ring_during_a_run_makes_another_run_after_it(self) -> None:
        first: Deferred[None] = Deferred()
        answers = [first, None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns()
        self.bell.ring("worker")
        self.bell.ring("worker")
        self.turns()
        self.assertEqual(len(worker.called_at), 1)
        first.callback(None)
        self.turns()
        self.assertEqual(len(worker.called_at), 2)

    def test_a_ring_of_its_own_within_a_run_does_too(self) -> None:
        rings = [True, False, False]

        def ring_once(now: float) -> None:
            if rings.pop(0):
                self.bell.ring("worker")

        worker = self.add(ring_once)
        self.bell.start()
        self.turns()
        self.assertEqual(len(worker.called_at), 2)

    def test_a_worker_never_runs_twice_at_once(self) -> None:
        waiting: list[Deferred[None]] = []

        def wait(now: float) -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        worker = self.add(wait)
        self.bell.start()
        for _ in range(3):
            self.bell.ring()
            self.turns(SWEEP_SECONDS)
        self.assertEqual((worker.most_runs, len(waiting)), (1, 1))
        waiting[0].callback(None)
        self.turns()
        self.assertEqual((worker.most_runs, len(waiting)), (1, 2))
        waiting[1].callback(None)

    def test_one_that_waits_does_not_hold_up_the_others(self) -> None:
        self.add(Deferred(), name="slow")
        other = self.add(name="other")
        self.bell.start()
        self.turns()
        self.bell.ring()
        self.turns()
        self.assertEqual(len(other.called_at), 2)


class TestWakeTimes(DoorbellCase):
    def test_the_answer_is_an_absolute_time(self) -> None:
        answers = [self.START + 30, None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns()
        self.turns(29)
        self.assertEqual(self.calls(worker), [0])
        self.turns(1)
        self.assertEqual(self.calls(worker), [0, 30])

    def test_so_is_the_answer_of_a_coroutine(self) -> None:
        answer: Deferred[float] = Deferred()
        answers: list[Any] = [answer, None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns(5)
        answer.callback(self.START + 30)
        self.turns(25)
        self.assertEqual(self.calls(worker), [5, 30])

    def test_a_time_in_the_past_is_not_at_once(self) -> None:
        answers = [self.START - 1000, None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns()
        self.assertEqual(self.calls(worker), [0])
        self.turns(FLOOR_SECONDS)
        self.assertEqual(self.calls(worker), [0, FLOOR_SECONDS])

    def test_a_later_answer_replaces_an_earlier_one(self) -> None:
        answers = [self.START + 10, self.START + 20, None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns()
        self.bell.ring()
        self.turns()
        self.turns(10)
        self.assertEqual(self.calls(worker), [0, 0])
        self.turns(10)
        self.assertEqual(self.calls(worker), [0, 0, 20])

    def test_a_lost_ring_heals_within_the_sweep(self) -> None:
        worker = self.add()
        self.bell.start()
        self.turns()
        for _ in range(2):
            self.turns(SWEEP_SECONDS)
        self.assertEqual(self.calls(worker), [0, SWEEP_SECONDS, 2 * SWEEP_SECONDS])


class TestFailures(DoorbellCase):
    def fails(self, answer: Any) -> None:
        """A worker that fails is logged, the others run, and it is called again later."""
        answers = [answer, None]
        worker = self.add(lambda now: answers.pop(0), name="broken")
        other = self.add(name="other")
        self.bell.start()
        self.turns()
        self.assertEqual(len(other.called_at), 1)
        self.turns(RETRY_SECONDS)
        self.assertEqual(self.calls(worker), [0, RETRY_SECONDS])

    def test_an_exception(self) -> None:
        self.fails(RuntimeError("broken"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_exception_of_a_coroutine(self) -> None:
        failed: Deferred[None] = Deferred()
        failed.errback(RuntimeError("broken"))
        self.fails(failed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_an_answer_that_is_no_time(self) -> None:
        self.fails("soon")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_cancellation_that_is_not_ours(self) -> None:
        cancelled: Deferred[None] = Deferred()
        cancelled.cancel()
        self.fails(cancelled)
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_a_ring_calls_it_again_at_once(self) -> None:
        answers = [RuntimeError("broken"), None]
        worker = self.add(lambda now: answers.pop(0))
        self.bell.start()
        self.turns()
        self.bell.ring()
        self.turns()
        self.assertEqual(self.calls(worker), [0, 0])
        self.flushLoggedErrors(RuntimeError)


class TestRemoving(DoorbellCase):
    def test_it_is_not_called_any_more(self) -> None:
        worker = self.add(self.START + 10, group="group")
        self.bell.start()
        self.turns()
        self.bell.ring()
        self.bell.remove("worker")
        self.bell.ring("worker", "group")
        self.turns(SWEEP_SECONDS)
        self.assertEqual(self.calls(worker), [0])
        self.assertEqual(self.bell.names(), [])

    def test_a_run_that_is_under_way_goes_on_and_a_new_one_of_the_name_waits_for_it(self) -> None:
        answer: Deferred[float] = Deferred()
        old = self.add(answer)
        self.bell.start()
        self.turns()
        self.bell.remove("worker")
        new = self.add()
        self.turns()
        self.assertEqual((old.runs, new.called_at), (1, []))
        answer.callback(None)
        self.turns()
        self.assertEqual((old.runs, len(new.called_at)), (0, 1))


class TestStopping(DoorbellCase):
    def test_nobody_is_called_any_more_and_no_timer_is_left(self) -> None:
        worker = self.add(self.START + 10)
        self.bell.start()
        self.turns()
        self.bell.ring()
        self.successResultOf(ensureDeferred(self.bell.stop()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.bell.ring()
        self.turns(SWEEP_SECONDS)
        self.assertEqual(self.calls(worker), [0])

    def test_who_waits_is_cancelled(self) -> None:
        cancelled: list[object] = []
        worker = self.add(Deferred(cancelled.append))
        self.bell.start()
        self.turns()
        self.successResultOf(ensureDeferred(self.bell.stop()))
        self.assertEqual((worker.runs, len(cancelled)), (0, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_waits_for_who_must_tidy_up_first(self) -> None:
        tidied: Deferred[None] = Deferred()

        async def careful(now: float) -> float | None:
            try:
                await Deferred()
            except CancelledError:
                await tidied
            return now + 5

        self.bell.add("careful", careful)
        self.bell.start()
        self.turns()
        stopping = ensureDeferred(self.bell.stop())
        self.assertNoResult(stopping)
        tidied.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.clock.getDelayedCalls(), [])
