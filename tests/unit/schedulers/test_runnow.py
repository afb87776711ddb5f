"""Schedulers that a person runs by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from buildbot.model import BuildID, Property, Result
from buildbot.process.properties import renderer
from buildbot.schedulers.base import Parent
from buildbot.schedulers.basic import AnyBranchScheduler, SingleBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.forcesched import ForceScheduler
from buildbot.schedulers.runnow import CannotRun, run_now
from buildbot.schedulers.stamps import Stamp
from buildbot.schedulers.timed import Nightly, NightlyTriggerable, Periodic
from buildbot.schedulers.triggerable import Triggerable
from buildbot.store import actions, buildsets
from tests.unit.schedulers.cases import SchedulerCase


class TestRunNow(SchedulerCase):
    def run_it(self, scheduler: Any, may: Any = None) -> Any:
        self.configure(scheduler)
        return self.value_of(run_now(self.store, scheduler, "ada", "look", self.now, may))

    def refused(self, scheduler: Any, may: Any = None) -> str:
        self.configure(scheduler)
        running = ensureDeferred(run_now(self.store, scheduler, "ada", "look", self.now, may))
        return str(self.failureResultOf(running, CannotRun).value)

    def sources(self) -> list[tuple[str | None, str | None]]:
        return [(stamp.branch, stamp.revision) for buildset in self.buildsets() for stamp in self.stamps(buildset)]

    def test_the_newest_source_of_each_kind(self) -> None:
        for scheduler, branch in (
            (SingleBranchScheduler("s", "stable", builderNames=["full"]), "stable"),
            (AnyBranchScheduler("s", builderNames=["full"]), None),
            (Periodic("s", ["full"], 60, branch="b"), "b"),
            (Nightly("s", ["full"], hour=3, onlyIfChanged=True), None),
            (Triggerable("s", ["full"], codebases={"": {"branch": "c"}}), "c"),
            (NightlyTriggerable("s", ["full"], hour=3), None),
        ):
            with self.subTest(type(scheduler).__name__):
                self.assertEqual(self.run_it(scheduler), self.buildsets()[-1].id)
                self.assertEqual(self.sources()[-1], (branch, None))
                self.assertEqual(self.buildsets()[-1].reason, "scheduler s was run by ada: look")

    def test_it_is_written_down(self) -> None:
        self.run_it(Periodic("s", ["full"], 60))
        (action,) = actions.about(self.store, "scheduler s")
        self.assertEqual((action.who, action.what, action.why), ("ada", "run scheduler", "look"))

    def test_what_waits_for_its_timer_is_built_each_tree_by_itself(self) -> None:
        scheduler = AnyBranchScheduler("s", None, 600, ["full"])
        self.configure(scheduler)
        ids = [self.change(branch=branch, revision=branch) for branch in ("a", "b")]
        self.drive(scheduler)
        self.run_it(scheduler)
        self.assertEqual(self.built(), [[ids[0]], [ids[1]]])
        self.now += 1000
        self.assertIsNone(self.drive(scheduler))
        self.assertEqual(len(self.buildsets()), 2)

    def test_a_nightly_takes_its_changes_and_keeps_its_times(self) -> None:
        scheduler = Nightly("s", ["full"], hour=3, onlyIfChanged=True)
        self.configure(scheduler)
        wake_at = self.drive(scheduler)
        change = self.change()
        self.drive(scheduler)
        self.run_it(scheduler)
        self.assertEqual(self.built(), [[change]])
        self.assertEqual(self.drive(scheduler), wake_at)

    def test_a_nightly_triggerable_builds_what_it_was_given(self) -> None:
        scheduler = NightlyTriggerable("s", ["full"], hour=3)
        settled: Any = self.value_of(scheduler.prepare([Property("x", 1, "Trigger")], 0))
        parent = Parent(BuildID(9), "", False)
        self.store.transact(scheduler.trigger, settled, [Stamp(revision="7")], parent, self.now)
        self.run_it(scheduler)
        self.run_it(scheduler)
        self.assertEqual(self.sources(), [(None, "7"), (None, None)])

    def test_a_dependent_builds_what_ended_well_last(self) -> None:
        scheduler = Dependent("s", "up", ["full"])
        self.assertEqual(self.refused(scheduler), "there is nothing to build yet")
        for revision, result in (("1", Result.SUCCESS), ("2", Result.FAILURE)):
            upstream = AnyBranchScheduler("up", builderNames=["full"])
            self.configure(upstream, scheduler)
            self.change(revision=revision)
            self.drive(upstream)
            buildset = self.buildsets()[-1].id
            self.store.execute("UPDATE build_requests SET complete_at = 1, result = ?", result)
            self.store.transact(buildsets.complete_if_done, buildset, self.now)
        self.run_it(scheduler)
        self.assertEqual(self.sources()[-1], ("main", "1"))

    def test_who_may_not_force_one_of_its_builders_may_not_run_it(self) -> None:
        scheduler = Periodic("s", ["full", "quick"], 60)
        self.assertIn("ada may not force quick", self.refused(scheduler, lambda builder: builder == "full"))
        self.assertEqual(self.buildsets(), [])

    def test_one_that_builds_only_what_it_is_given(self) -> None:
        self.assertEqual(self.refused(ForceScheduler("s", ["full"])), "a ForceScheduler builds only what it is given")

    def test_a_function_that_fails(self) -> None:
        @renderer
        def fails(props: Any) -> list[str]:
            raise ValueError("no idea")

        self.assertIn("no idea", self.refused(Periodic("s", fails, 60)))
        self.flushLoggedErrors(ValueError)
