"""The worker that drives a scheduler: users' callables that wait and fail, crashes, configurations that change."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure

from buildbot.model import EventKind, NewChange, Verdict
from buildbot.schedulers import base
from buildbot.schedulers.base import drive
from buildbot.schedulers.basic import AnyBranchScheduler
from buildbot.store import changes, events
from tests.unit.schedulers.cases import SchedulerCase


class Crash(BaseException):
    """The process dies here."""


class TestUsersCallables(SchedulerCase):
    def any_branch(self, **kwargs: Any) -> AnyBranchScheduler:
        scheduler = AnyBranchScheduler("any", builderNames=["full"], **kwargs)
        self.configure(scheduler)
        return scheduler

    def test_a_failure_marks_that_one_change(self) -> None:
        def picky(change: Any) -> bool:
            if change.branch == "odd":
                raise ValueError("cannot  read\nthis")
            return True

        scheduler = self.any_branch(fileIsImportant=picky)
        odd, good = self.change(branch="odd"), self.change(branch="good")
        self.drive(scheduler)
        self.assertEqual(self.verdicts([odd, good]), [Verdict.FAILED, Verdict.IMPORTANT])
        self.assertEqual(self.verdict(odd).reason, "fileIsImportant failed: ValueError: cannot read this")
        self.assertEqual(self.built(), [[good]])
        self.assertEqual(len(self.flushLoggedErrors(base.UserCodeFailed)), 1)

    def test_a_filter_that_fails_does_too(self) -> None:
        class Broken:
            def filter_change(self, change: Any) -> bool:
                return bool(change.no_such_attribute)

        scheduler = self.any_branch(change_filter=Broken())
        change = self.change()
        self.drive(scheduler)
        self.assertIn("change_filter failed: AttributeError", self.verdict(change).reason)
        self.flushLoggedErrors(base.UserCodeFailed)

    def test_a_coroutine_may_answer(self) -> None:
        async def important(change: Any) -> bool:
            return bool(change.branch == "good")

        scheduler = self.any_branch(fileIsImportant=important)
        ids = [self.change(branch="good"), self.change(branch="bad")]
        self.drive(scheduler)
        self.assertEqual(self.verdicts(ids), [Verdict.IMPORTANT, Verdict.UNIMPORTANT])

    def test_a_deferred_may_answer_later_and_holds_no_transaction(self) -> None:
        answer: Deferred[bool] = Deferred()
        scheduler = self.any_branch(fileIsImportant=lambda change: answer)
        change = self.change()
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        self.assertNoResult(running)
        self.assertFalse(self.store.in_transaction())
        answer.callback(True)
        self.assertIsNone(self.successResultOf(running))
        self.assertEqual(self.built(), [[change]])

    def test_a_change_that_comes_meanwhile_is_not_lost(self) -> None:
        answers: list[Deferred[bool]] = []

        def later(change: Any) -> Deferred[bool]:
            answers.append(Deferred())
            return answers[-1]

        scheduler = self.any_branch(fileIsImportant=later, treeStableTimer=60)
        first = self.change()
        self.now += 100
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        second = self.change()
        answers[0].callback(True)
        self.assertEqual(self.successResultOf(running), self.now)
        self.assertEqual(self.built(), [])  # the second change may restart the timer
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        answers[1].callback(True)
        self.assertEqual(self.successResultOf(running), self.now + 60)
        self.now += 60
        self.drive(scheduler)
        self.assertEqual(self.built(), [[first, second]])

    def test_a_scheduler_that_is_dropped_meanwhile_leaves_no_trace(self) -> None:
        answer: Deferred[bool] = Deferred()
        scheduler = self.any_branch(fileIsImportant=lambda change: answer)
        self.change()
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        self.configure()
        answer.callback(True)
        self.assertIsNone(self.successResultOf(running))
        self.assertEqual(self.buildsets(), [])
        self.assertEqual(self.store.value("SELECT count(*) FROM classifications"), 0)

    def test_being_stopped_is_not_the_users_failure(self) -> None:
        answer: Deferred[bool] = Deferred()
        scheduler = self.any_branch(fileIsImportant=lambda change: answer)
        self.change()
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(self.store.value("SELECT count(*) FROM classifications"), 0)

    def test_a_cancellation_of_the_users_own_is(self) -> None:
        answer: Deferred[bool] = Deferred()
        scheduler = self.any_branch(fileIsImportant=lambda change: answer)
        change = self.change()
        running = ensureDeferred(drive(scheduler, self.store, self.now))
        answer.cancel()
        self.assertIsNone(self.successResultOf(running))
        self.assertEqual(self.verdict(change).verdict, Verdict.FAILED)
        self.assertIn("was cancelled", self.verdict(change).reason)
        self.flushLoggedErrors(base.UserCodeFailed)

    def test_slow_callables_share_the_reactor(self) -> None:
        self.patch(base, "JUDGING_SECONDS", 0.0)
        scheduler = self.any_branch(fileIsImportant=lambda change: True)
        ids = [self.change() for _ in range(3)]
        self.assertEqual(self.drive(scheduler), self.now)
        self.assertEqual(self.built(), [[ids[0]]])
        self.drive_until_idle(scheduler)
        self.assertEqual(self.built(), [[id] for id in ids])

    def test_a_priority_that_fails_is_told_at_the_change(self) -> None:
        def priority(builder_names: Any, by_codebase: Any) -> int:
            if by_codebase[""][0].branch == "odd":
                raise RuntimeError("no idea")
            return 1

        scheduler = self.any_branch(priority=priority)
        odd, good = self.change(branch="odd"), self.change(branch="good")
        self.assertIsNone(self.drive(scheduler))
        self.assertEqual(self.built(), [[good]])
        self.assertEqual(self.verdict(odd).verdict, Verdict.FAILED)
        self.assertEqual(self.verdict(odd).reason, "priority failed: RuntimeError: no idea")
        self.flushLoggedErrors(base.UserCodeFailed)

    def test_a_change_has_the_attributes_of_every_era(self) -> None:
        seen: list[Any] = []
        scheduler = self.any_branch(fileIsImportant=lambda change: seen.append(change) or True)
        self.change(
            author="Alice <a@example.org>",
            files=("a", "b/c"),
            comments="why & <how>",
            committed_at=12.5,
            revision="r1",
            category="cat",
            repository="repo",
            properties=(("p", 1),),
        )
        self.drive(scheduler)
        (change,) = seen
        self.assertEqual((change.who, change.author), ("Alice <a@example.org>",) * 2)
        self.assertEqual((change.number, change.changeid, change.when, change.isdir), (1, 1, 12.5, 0))
        self.assertEqual((change["branch"], change["files"]), ("main", ["a", "b/c"]))
        self.assertRaises(KeyError, lambda: change["nothing"])
        self.assertEqual(change.properties.getProperty("p"), 1)
        self.assertEqual(change.getShortAuthor(), "Alice")
        self.assertEqual(change.getFileContents(), "a\nb/c\n")
        for part in ("Alice", "repo", "main", "r1", "b/c", "why & <how>", change.getTime()):
            self.assertIn(part, change.asText())
        self.assertIn("why &amp; &lt;how&gt;", change.asHTML())
        self.assertEqual(change.asDict()["properties"], [("p", 1, "Change")])
        self.assertEqual(change.asDict()["who"], "Alice <a@example.org>")


class TestCrashes(SchedulerCase):
    """The process dies before each statement in turn; a new one goes on from the file."""

    def crash_everywhere(self, timer: float | None) -> None:
        crashes = 0
        while self.die_at(crashes, timer):
            crashes += 1
        self.assertGreater(crashes, 5)

    def die_at(self, statement: int, timer: float | None) -> bool:
        self.tearDown()
        self.setUp()
        scheduler = AnyBranchScheduler("any", None, timer, ["full", "quick"])
        self.configure(scheduler)
        ids = [self.change(revision=str(number)) for number in range(3)]
        self.now += 100
        store, left = self.store, statement
        execute, insert = store.execute, store.insert

        def counted(call: Any) -> Any:
            def maybe(*args: Any) -> Any:
                nonlocal left
                if left == 0:
                    raise Crash
                left -= 1
                return call(*args)

            return maybe

        store.execute, store.insert = counted(execute), counted(insert)  # type: ignore[method-assign]
        outcomes: list[object] = []
        ensureDeferred(drive(scheduler, store, self.now)).addBoth(outcomes.append)
        died = isinstance(outcomes[0], Failure) and outcomes[0].check(Crash) is not None
        self.reopen()
        self.configure(scheduler)
        self.drive_until_idle(scheduler)
        self.assertEqual(self.built(), [ids] if timer else [[id] for id in ids])
        self.assertEqual([len(self.requests(buildset)) for buildset in self.buildsets()], [2] * len(self.buildsets()))
        return died

    def test_at_once(self) -> None:
        self.crash_everywhere(None)

    def test_with_a_timer(self) -> None:
        self.crash_everywhere(60)


class TestEvents(SchedulerCase):
    def test_a_buildset_is_told_only_after_its_commit(self) -> None:
        scheduler = AnyBranchScheduler("any", builderNames=["full"])
        self.configure(scheduler)
        self.change()
        heard: list[tuple[str, bool]] = []
        self.store.event_listeners.append(lambda event: heard.append((event.kind, self.store.in_transaction())))
        self.drive(scheduler)
        self.assertEqual(heard, [(EventKind.BUILDSET_SUBMITTED, False)])

    def test_a_duplicate_from_a_second_source_is_not_built_again(self) -> None:
        scheduler = AnyBranchScheduler("any", builderNames=["full"])
        self.configure(scheduler)
        for source in ("hook", "poller"):
            self.store.transact(changes.add, NewChange("alice", branch="main", revision="1", source=source), self.now)
            self.drive(scheduler)
        self.assertEqual(len(self.buildsets()), 1)
        self.assertEqual(len(events.newest(self.store)), 2)
