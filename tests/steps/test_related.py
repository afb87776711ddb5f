"""Steps that cancel what waits, and stop what runs, for older versions of the same source."""

from __future__ import annotations

from typing import Any

from buildbot.model import NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.related import (
    CancelGerritRelatedBuilds,
    CancelRelatedBuilds,
    StopGerritRelatedBuilds,
    StopRelatedBuilds,
)
from buildbot.steps.shell import ShellCommand
from buildbot.store import requests
from tests.rig import RigCase, Source


def same_branch(ours: Any, theirs: list[Any]) -> bool:
    return bool([stamp.branch for stamp in ours] == [stamp.branch for stamp in theirs])


def patchset(change: str, number: int) -> Source:
    given = (("event.change.id", change), ("event.patchSet.number", str(number)))
    revision = f"{change}{number}"
    change_of = NewChange(author="ann", revision=revision, repository="r", properties=given)
    return Source(revision=revision, repository="r", changes=[change_of])


class RelatedBuilds(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.rig.add_slaves("other")
        self.rig.add_builder("slow", BuildFactory([ShellCommand(command=["sleep", "60"], name="wait")]))
        await self.rig.start_slave("other")

    def ending(self, *steps: Any) -> None:
        self.rig.add_builder("b", BuildFactory(list(steps)), slavenames=["other"])

    def result(self, request: Any) -> Result | None:
        found = requests.get(self.rig.store, request)
        return None if found is None else found.result

    async def test_what_waits_is_cancelled_and_what_runs_is_stopped(self) -> None:
        running = self.rig.submit("slow", Source(branch="main"))
        await self.rig.until_step_runs("wait")
        waiting = self.rig.submit("slow", Source(branch="main", revision="2"))
        other = self.rig.submit("slow", Source(branch="stable"))
        cancel = CancelRelatedBuilds(builderNames=["slow"], isRelevant=same_branch)
        elsewhere = StopRelatedBuilds(["b"], same_branch, name="elsewhere")
        self.ending(elsewhere, cancel, StopRelatedBuilds(isRelevant=same_branch, reason="there is a newer one"))
        built = await self.rig.build("b", Source(branch="main"))
        self.assertIs(built.result, Result.SUCCESS)
        stopped = await self.rig.built(running)
        self.assertEqual((stopped.result, self.result(waiting)), (Result.CANCELLED, Result.CANCELLED))
        self.assertIn("stopped by build b/1: there is a newer one", stopped.row.stop_reason or "")
        self.assertIsNone(self.result(other))

    async def test_older_patch_sets_of_gerrit(self) -> None:
        running = self.rig.submit("slow", patchset("I1", 1))
        await self.rig.until_step_runs("wait")
        older, newer, another = (self.rig.submit("slow", patchset(*each)) for each in (("I1", 2), ("I1", 4), ("I2", 1)))
        self.ending(CancelGerritRelatedBuilds(), StopGerritRelatedBuilds())
        built = await self.rig.build("b", patchset("I1", 3))
        self.assertIs(built.result, Result.SUCCESS)
        self.assertIs((await self.rig.built(running)).result, Result.CANCELLED)
        self.assertIs(self.result(older), Result.CANCELLED)
        self.assertEqual((self.result(newer), self.result(another)), (None, None))
        self.assertIs((await self.rig.build("b")).result, Result.SUCCESS)  # without a change of Gerrit's
