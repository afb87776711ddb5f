"""Dependent: what another scheduler's builds came to decides, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import Buildset, Result
from buildbot.process.properties import Interpolate, renderer
from buildbot.schedulers import dependent
from buildbot.schedulers.basic import AnyBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.store import builds, changes, pauses, requests, slaves
from tests.unit.schedulers.cases import SchedulerCase


class DependentCase(SchedulerCase):
    def setUp(self) -> None:
        super().setUp()
        self.slave = self.store.transact(slaves.sync, ["bot"], self.now)["bot"]
        self.upstream = AnyBranchScheduler("up", builderNames=["full", "quick"])
        self.set_up()

    def set_up(self, **kwargs: Any) -> None:
        self.kwargs = {"name": "down", "upstream": self.upstream, "builderNames": ["quick"]} | kwargs
        self.configure(self.upstream, Dependent(**self.kwargs))
        self.decide()

    def decide(self) -> None:
        """As a process of its own, with a new object, would."""
        self.reopen()
        self.drive_until_idle(Dependent(**self.kwargs))

    def submit(self, **fields: Any) -> Buildset:
        self.change(**fields)
        self.drive(self.upstream)
        return [buildset for buildset in self.buildsets() if buildset.scheduler == "up"][-1]

    def end(self, buildset: Buildset, first: Result = Result.SUCCESS) -> None:
        """Build its requests; all but the first one are a success."""
        for request in self.requests(buildset):
            result, first = first, Result.SUCCESS
            builder = request.builder_id
            build = self.store.transact(
                builds.start, builder=builder, slave=self.slave, claimed=[request.id], reason="", now=self.now
            )
            self.store.transact(builds.finish, build.id, result, "", self.now)

    def down(self) -> list[Buildset]:
        return [buildset for buildset in self.buildsets() if buildset.scheduler == "down"]


class TestDependent(DependentCase):
    def test_the_same_source_once_all_went_well(self) -> None:
        up = self.submit(revision="7", repository="r")
        self.end(up, Result.SUCCESS)
        self.decide()
        self.decide()
        (buildset,) = self.down()
        self.assertEqual(self.stamps(buildset), self.stamps(up))
        self.assertEqual(changes.of_buildset(self.store, buildset.id), changes.of_buildset(self.store, up.id))
        self.assertEqual(buildset.reason, "The Dependent scheduler named 'down' triggered this build")

    def test_results(self) -> None:
        for result in Result:
            if result is not Result.RETRY:
                with self.subTest(result.name):
                    before = len(self.down())
                    self.end(self.submit(), result)
                    self.decide()
                    wanted = result in (Result.SUCCESS, Result.WARNINGS, Result.SKIPPED)  # beside a success
                    self.assertEqual(len(self.down()) - before, int(wanted))

    def test_not_before_the_last_builder(self) -> None:
        up = self.submit()
        first, second = self.requests(up)
        build = self.store.transact(
            builds.start, builder=first.builder_id, slave=self.slave, claimed=[first.id], reason="", now=self.now
        )
        self.store.transact(builds.finish, build.id, Result.SUCCESS, "", self.now)
        self.decide()
        self.assertEqual(self.down(), [])
        self.assertIsNotNone(requests.get(self.store, second.id))

    def test_ends_while_the_master_is_down_are_not_lost(self) -> None:
        ups = [self.submit(revision=str(number)) for number in range(3)]
        for up in reversed(ups):
            self.end(up)
        self.decide()
        self.assertEqual([self.stamps(b)[0].revision for b in self.down()], ["2", "1", "0"])

    def test_more_than_one_pass_takes(self) -> None:
        self.patch(dependent, "MOST_ENDED", 2)
        for number in range(5):
            self.end(self.submit(revision=str(number)))
        self.decide()
        self.assertEqual([self.stamps(b)[0].revision for b in self.down()], ["0", "1", "2", "3", "4"])

    def test_other_schedulers_do_not_count(self) -> None:
        self.end(self.submit())
        self.decide()
        self.end(self.down()[0])
        self.decide()
        self.assertEqual(len(self.down()), 1)

    def test_what_ended_before_it_was_configured_does_not_count(self) -> None:
        self.configure(self.upstream)
        self.end(self.submit())
        self.set_up()
        self.assertEqual(self.down(), [])
        self.end(self.submit())
        self.decide()
        self.assertEqual(len(self.down()), 1)

    def test_a_reconfiguration_loses_nothing(self) -> None:
        self.end(self.submit())
        self.configure(self.upstream, Dependent(**self.kwargs))
        self.decide()
        self.assertEqual(len(self.down()), 1)

    def test_what_ends_while_it_is_paused_is_built_afterwards(self) -> None:
        self.store.transact(pauses.begin, pauses.Kind.SCHEDULER, "down", self.now, who="ada", why="")
        self.end(self.submit())
        self.decide()
        self.assertEqual(self.down(), [])
        self.store.transact(pauses.end, pauses.Kind.SCHEDULER, "down", self.now, who="ada", why="")
        self.decide()
        self.assertEqual(len(self.down()), 1)

    def test_codebases_that_the_other_does_not_build(self) -> None:
        self.set_up(codebases={"": {"branch": "no"}, "extra": {"branch": "x"}})
        self.end(self.submit(revision="7"))
        self.decide()
        found = {stamp.codebase: (stamp.branch, stamp.revision) for stamp in self.stamps(self.down()[0])}
        self.assertEqual(found, {"": ("main", "7"), "extra": ("x", None)})

    def test_builders_may_be_rendered_and_a_failure_costs_this_one_only(self) -> None:
        broken = [True]

        @renderer
        def names(props: Any) -> list[str]:
            if broken.pop():
                raise ValueError("no idea")
            return ["full"]

        self.set_up(builderNames=names)
        self.end(self.submit())
        self.decide()
        broken.append(False)
        self.end(self.submit())
        self.decide()
        self.assertEqual(len(self.down()), 1)
        self.flushLoggedErrors(ValueError)

    def test_upstream_may_be_a_name(self) -> None:
        self.assertEqual(Dependent("d", "up", ["full"]).upstream_name, "up")
        with self.assertRaises(ConfigErrors):
            Dependent("d", 7, ["full"])


class TestItsRenderables(DependentCase):
    def test_they_see_the_source_and_the_changes(self) -> None:
        @renderer
        def names(props: Any) -> list[str]:
            (stamp,) = props.sourcestamps
            return [stamp["branch"], *(change.revision for change in props.changes)]

        self.set_up(builderNames=names, properties={"of": Interpolate("%(src::repository)s")})
        self.end(self.submit(branch="full", revision="quick", repository="R"))
        self.decide()
        (buildset,) = self.down()
        self.assertEqual(len(self.requests(buildset)), 2)
        self.assertEqual(self.properties(buildset)["of"].value, "R")
