"""A clean shutdown waits, says for what, has an end, and can be called off."""

from __future__ import annotations

from buildbot.model import Result
from buildbot.process.factory import BuildFactory
from buildbot.schedulers.triggerable import Triggerable
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trigger import Trigger
from buildbot.store import actions, requests
from tests.rig import RigCase

WAITS = "while ! [ -e ../go ]; do sleep 0.05; done"


class TestCleanStop(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.rig.add_builder("b", BuildFactory([ShellCommand(command=WAITS)]))

    def go(self) -> None:
        self.rig.slave_dir().mkdir(exist_ok=True)
        (self.rig.slave_dir() / "go").write_text("")

    async def test_it_waits_for_what_runs_and_starts_nothing(self) -> None:
        running = self.rig.submit()
        await self.rig.until_step_runs("shell")
        self.assertTrue(self.rig.clean_stop.begin("ada", "new kernel"))
        waiting = self.rig.submit()
        stopping = self.rig.clean_stop.under_way
        assert stopping is not None
        (build,) = stopping.waits_for
        self.assertEqual((build.builder, build.number, build.slave), ("b", 1, "bot"))
        self.assertAlmostEqual(stopping.until - stopping.since, 3600.0, 3)
        self.assertEqual(self.rig.stopped, [])
        self.go()
        self.assertEqual((await self.rig.built(running)).result, Result.SUCCESS)
        await self.rig.until(lambda: self.rig.stopped)
        request = requests.get(self.rig.store, waiting)
        assert request is not None
        self.assertIsNone(request.claimed_at)
        (action,) = actions.about(self.rig.store, "master")
        self.assertEqual((action.who, action.what, action.why), ("ada", "clean shutdown", "new kernel"))

    async def test_what_a_running_build_waits_for_is_still_built(self) -> None:
        """Two builds that the parent waits for, one after the other on the same slave; and nothing else."""
        self.rig.add_slaves("kids", max_builds=1)
        await self.rig.start_slave("kids")
        inner = BuildFactory([ShellCommand(command="while ! [ -e ../../../go ]; do sleep 0.05; done")])
        for name in ("one", "two"):
            self.rig.add_builder(name, inner, ["kids"])
        self.rig.config.schedulers.append(Triggerable("kids", ["one", "two"]))
        self.rig.add_builder("parent", BuildFactory([Trigger(["kids"], waitForFinish=True)]))
        parent = self.rig.submit("parent")
        await self.rig.until(lambda: {b.builder_name for b in self.rig.running.by_id.values()} & {"one", "two"})
        self.rig.clean_stop.begin("ada", "new kernel")
        others = [self.rig.submit(name) for name in ("one", "two", "parent")]
        (self.rig.base / "go").write_text("")
        self.assertEqual((await self.rig.built(parent)).result, Result.SUCCESS)
        await self.rig.until(lambda: self.rig.stopped)
        found = [requests.get(self.rig.store, request) for request in others]
        self.assertEqual([request and request.claimed_at for request in found], [None] * 3)

    async def test_it_stops_when_its_time_is_up(self) -> None:
        running = self.rig.submit()
        await self.rig.until_step_runs("shell")
        self.rig.clean_stop.begin("ada", "", 0.3)
        await self.rig.until(lambda: self.rig.stopped)
        request = requests.get(self.rig.store, running)
        assert request is not None
        self.assertIsNone(request.complete_at)
        self.go()
        await self.rig.built(running)
        self.assertEqual(self.rig.stopped, ["stop"])

    async def test_an_idle_master_stops_at_once(self) -> None:
        self.rig.clean_stop.begin("ada", "")
        await self.rig.until(lambda: self.rig.stopped)

    async def test_called_off_it_goes_on(self) -> None:
        running = self.rig.submit()
        await self.rig.until_step_runs("shell")
        self.assertFalse(self.rig.clean_stop.call_off("bob", ""))
        self.rig.clean_stop.begin("ada", "")
        self.assertFalse(self.rig.clean_stop.begin("eve", ""))
        next_one = self.rig.submit()
        self.assertTrue(self.rig.clean_stop.call_off("bob", "not today"))
        self.assertIsNone(self.rig.clean_stop.under_way)
        self.go()
        await self.rig.built(running)
        self.assertEqual((await self.rig.built(next_one)).result, Result.SUCCESS)
        self.assertEqual(self.rig.stopped, [])
        self.assertEqual(actions.newest(self.rig.store, 1)[0].what, "call off the clean shutdown")
