"""Paused builders and slaves get no builds."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildbot.model import BuildRequestID, Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.store import builds, pauses
from buildbot.store.pauses import Kind
from tests.rig import RigCase


class TestPausing(RigCase):
    def pause(self, kind: Kind, name: str) -> None:
        self.rig.store.transact(pauses.begin, kind, name, self.rig.now(), who="ada", why="")

    def unpause(self, kind: Kind, name: str) -> None:
        self.rig.store.transact(pauses.end, kind, name, self.rig.now(), who="ada", why="")

    async def assert_waits(self, request: BuildRequestID) -> None:
        for _ in range(5):
            self.rig.bell.ring()
            await deferLater(reactor, 0.01, lambda: None)  # type: ignore[arg-type]
        self.assertEqual(builds.of_request(self.rig.store, request), [])

    async def test_a_paused_builder_builds_nothing_until_it_goes_on(self) -> None:
        self.rig.add_builder("b", BuildFactory([ShellCommand(command="true")]))
        self.pause(Kind.BUILDER, "b")
        request = self.rig.submit()
        await self.assert_waits(request)
        self.unpause(Kind.BUILDER, "b")
        self.assertEqual((await self.rig.built(request)).result, Result.SUCCESS)

    async def test_a_paused_slave_is_passed_over(self) -> None:
        self.rig.add_slaves("other")
        await self.rig.start_slave("other")
        self.rig.add_builder("b", BuildFactory([ShellCommand(command="true")]), ["bot", "other"])
        self.pause(Kind.SLAVE, "bot")  # the rig picks the first
        built = await self.rig.build()
        self.assertEqual(built.properties["slavename"], "other")
        self.pause(Kind.SLAVE, "other")
        request = self.rig.submit()
        await self.assert_waits(request)
        self.unpause(Kind.SLAVE, "bot")
        self.assertEqual((await self.rig.built(request)).properties["slavename"], "bot")

    async def test_what_is_paused_while_a_function_of_the_user_thinks_gets_no_build(self) -> None:
        def think(builder: object, slave: object, request: object) -> bool:
            self.pause(Kind.SLAVE, "bot")
            return True

        self.rig.add_builder("b", BuildFactory([ShellCommand(command="true")]), canStartBuild=think)
        await self.assert_waits(self.rig.submit())
