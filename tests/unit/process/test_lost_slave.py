"""Slaves that come, go and are lost in the middle of builds, and which slave gets what."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred

from buildbot.model import EventKind, Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import SUCCESS
from buildbot.process.slaveport import SlaveLost
from buildbot.slaves import session as session_module
from buildbot.steps.shell import ShellCommand
from buildbot.store import absences, commands, events, requests
from tests.processes import Process, Processes
from tests.rig import RigCase

SLAVE = """
import sys
from twisted.internet import reactor
from buildslave.bot import BuildSlave
slave = BuildSlave("127.0.0.1", int(sys.argv[1]), sys.argv[2], "secret", sys.argv[3], maxdelay=1)
slave.startService()
reactor.run()
"""


class LostCase(RigCase):
    with_slave = False

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)

    async def start_process(self, name: str = "bot") -> Process:
        """A slave in a process of its own, that can be killed."""
        await self.rig.ports.ready()
        process = self.processes.start(
            [sys.executable, "-c", SLAVE, str(self.rig.port), name, str(self.rig.base / name)]
        )
        await self.rig.until(lambda: name in self.rig.sessions.here, f"slave {name} is here")
        return process

    def add_sleeper(self, *slaves: str, seconds: int = 60) -> None:
        """A builder whose first build of each request sleeps; `quick` in the builder's directory ends that."""
        command = f"echo begun; test -e ../quick || exec sleep {seconds}"
        self.rig.add_builder("b", BuildFactory([ShellCommand(name="it", command=command)]), slaves or ("bot",))

    def make_quick(self, name: str = "bot") -> None:
        self.rig.slave_dir(name=name).mkdir(parents=True, exist_ok=True)
        (self.rig.slave_dir(name=name) / "quick").touch()


class TestLostSlaves(LostCase):
    async def test_a_killed_slave_sends_the_build_back_and_another_slave_builds_it(self) -> None:
        self.rig.add_slaves("other")
        self.add_sleeper("bot", "other")
        bot = await self.start_process("bot")
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.make_quick("other")
        await self.start_process("other")
        bot.kill(signal.SIGKILL)
        await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")
        self.rig.reattaching.give_up("bot", "slave bot was lost and did not come back")
        lost = await self.rig.built(request)
        assert lost.result is Result.RETRY
        assert lost.results == {"it": Result.RETRY}
        assert "slave bot was lost" in lost.row.state_text
        assert lost.commands("it")[0].state == "lost"
        assert all(log.finished_at is not None for log in lost.logs("it").values())
        again = await self.rig.built(request, attempt=2)
        assert again.result is Result.SUCCESS
        assert again.properties["slavename"] == "other"
        assert again.row.attempt == 2
        assert again.request.result is Result.SUCCESS

    async def test_a_slave_that_was_killed_and_started_again_builds_it_again(self) -> None:
        self.add_sleeper()
        bot = await self.start_process()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.make_quick()
        bot.kill(signal.SIGKILL)
        await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")
        await self.start_process()
        lost = await self.rig.built(request)
        assert lost.result is Result.RETRY
        assert "slave bot was restarted" in lost.row.state_text
        assert (await self.rig.built(request, attempt=2)).result is Result.SUCCESS

    async def test_after_a_lost_connection_the_build_goes_on(self) -> None:
        ran = self.rig.base / "ran"
        steps = [
            ShellCommand(name="one", command=f"echo one >> {ran}; echo 1"),
            ShellCommand(
                name="two", command=f"echo two >> {ran}; echo begun; while [ ! -e ../go ]; do sleep 0.02; done; echo 2"
            ),
            ShellCommand(name="three", command=f"echo three >> {ran}; echo 3"),
        ]
        self.rig.add_builder("b", BuildFactory(steps))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("two", "begun\n")
        for _ in range(2):
            self.rig.cut()
            await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")
            assert self.rig.running.by_id
            await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is back")
        (self.rig.slave_dir() / "go").touch()
        built = await self.rig.built(request)
        assert built.result is Result.SUCCESS
        assert [built.text(name) for name in ("one", "two", "three")] == ["1\n", "begun\n2\n", "3\n"]
        assert ran.read_text().split() == ["one", "two", "three"]
        away = absences.during(self.rig.store, built.row.slave_id, built.row.started_at, built.row.complete_at)
        assert [absence.why for absence in away] == ["the connection was lost"] * 2

    async def test_the_command_of_a_slave_that_was_given_up_is_killed_when_it_comes_back(self) -> None:
        pids = self.rig.base / "pids"
        command = f"echo $$ >> {pids}; echo begun; test -e ../quick || exec sleep 60"
        self.rig.add_builder("b", BuildFactory([ShellCommand(name="it", command=command)]))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.make_quick()
        await self.rig.lose()
        await self.rig.built(request, attempt=2)
        first = int(pids.read_text().split()[0])

        def is_gone() -> bool:
            try:
                os.kill(first, 0)
            except ProcessLookupError:
                return True
            return False

        await self.rig.until(is_gone, "the end of the first command")

    async def test_after_three_retries_the_request_is_parked_and_says_why(self) -> None:
        self.add_sleeper()
        await self.rig.start_slave()
        request = self.rig.submit()
        for attempt in range(1, 5):
            await self.rig.until_step_runs("it", "begun\n")
            await self.rig.lose()
            assert (await self.rig.built(request, attempt=attempt)).result is Result.RETRY
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        row = requests.get(self.rig.store, request)
        assert row is not None
        assert row.complete_at is None
        assert row.parked_reason is not None
        assert "slave bot was lost" in row.parked_reason
        assert row.retries == 4
        assert not self.rig.running.by_id
        kinds = [event.kind for event in events.after(self.rig.store, 0)]
        assert kinds.count(EventKind.REQUEST_REQUEUED) == 3
        assert kinds.count(EventKind.REQUEST_PARKED) == 1
        self.make_quick()
        self.rig.store.transact(requests.unpark, request)
        self.rig.bell.ring()
        assert (await self.rig.built(request, attempt=5)).result is Result.SUCCESS

    async def test_a_stopped_build_is_not_tried_again_when_its_slave_is_lost_too(self) -> None:
        self.add_sleeper()
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        (build,) = self.rig.running.by_id
        self.rig.control.stop_build(build, "tester", "enough")
        await self.rig.lose()
        built = await self.rig.built(request)
        assert built.result is Result.CANCELLED
        assert built.row.state_text == "cancelled: stopped by tester: enough"
        assert built.request.result is Result.CANCELLED

    async def test_a_step_that_hides_the_loss_does_not_hide_it_from_the_build(self) -> None:
        class Hides(BuildStep):
            async def run(self) -> int:
                try:
                    await self.runCommand(RemoteCommand("shell", {"command": "echo begun; sleep 60"}))
                except SlaveLost as lost:
                    seen.append(str(lost))
                return SUCCESS

        seen: list[str] = []
        self.rig.add_builder("b", BuildFactory([Hides(name="it")]))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.rig.running.draining = True
        await self.rig.lose()
        assert (await self.rig.built(request)).result is Result.RETRY
        assert len(seen) == 1

    async def test_a_command_after_the_loss_is_refused_at_once(self) -> None:
        class Waits(BuildStep):
            async def run(self) -> int:
                try:
                    await self.runCommand(RemoteCommand("shell", {"command": "echo begun; sleep 60"}))
                except SlaveLost:
                    await self.runCommand(RemoteCommand("shell", {"command": "echo more"}))
                return SUCCESS

        self.rig.add_builder("b", BuildFactory([Waits(name="it")]))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.rig.running.draining = True
        await self.rig.lose()
        built = await self.rig.built(request)
        assert built.results == {"it": Result.RETRY}
        assert len(built.commands("it")) == 1

    async def test_a_slave_that_is_lost_while_it_is_given_an_order(self) -> None:
        class Cuts(BuildStep):
            async def run(self) -> int:
                order = self.runCommand(RemoteCommand("shell", {"command": "sleep 60"}))
                clock_of(self).callLater(0, cut)
                await order
                return SUCCESS

        def clock_of(step: Any) -> Any:
            return step.build.clock

        def cut() -> None:
            self.rig.running.draining = True
            Deferred.fromCoroutine(self.rig.lose())

        self.rig.add_builder("b", BuildFactory([Cuts(name="it")]))
        await self.rig.start_slave()
        built = await self.rig.build()
        assert built.results == {"it": Result.RETRY}
        (command,) = commands.of_step(self.rig.store, built.step("it").id)
        assert command.state == "lost"

    async def test_an_order_that_never_reached_the_slave_is_given_again(self) -> None:
        class Deaf:
            """A session that is gone, of which nobody has told yet."""

            kept = ()

            def __init__(self, incarnation: str) -> None:
                self.incarnation = incarnation

            async def order(self, *args: Any) -> bool:
                raise SlaveLost("bot is gone")

        rig = self.rig

        class Orders(BuildStep):
            async def run(self) -> int:
                self.build.session = Deaf(self.build.session.incarnation)
                await self.runCommand(RemoteCommand("shell", {"command": "echo once"}))
                return SUCCESS

        self.rig.add_builder("b", BuildFactory([Orders(name="it")]))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until(lambda: rig.store.value("SELECT count(*) FROM commands"), "the order is in the journal")
        self.rig.cut()
        built = await self.rig.built(request)
        assert built.results == {"it": Result.SUCCESS}
        assert built.text("it") == "once\n"


class TestNewerConnections(LostCase):
    async def test_a_newer_connection_of_the_same_slave_wins(self) -> None:
        self.patch(session_module, "TWIN_SECONDS", 0.5)
        self.add_sleeper()
        older = await self.start_process()
        session = self.rig.sessions.here["bot"]
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.make_quick("elsewhere")
        older.kill(signal.SIGSTOP)
        self.addCleanup(older.kill, signal.SIGCONT)
        await self.rig.start_slave(directory="elsewhere")
        await self.rig.until(lambda: self.rig.sessions.here.get("bot") not in (None, session))
        lost = await self.rig.built(request)
        assert lost.result is Result.RETRY
        assert "slave bot was restarted" in lost.row.state_text
        assert (await self.rig.built(request, attempt=2)).result is Result.SUCCESS


class TestLateToCome(LostCase):
    async def test_a_build_that_was_given_up_takes_no_slave_any_more(self) -> None:
        class Insists(BuildStep):
            async def run(self) -> int:
                for _ in range(2):
                    try:
                        await self.runCommand(RemoteCommand("shell", {"command": "echo begun; sleep 60"}))
                    except SlaveLost:
                        await back
                return SUCCESS

        back: Deferred[None] = Deferred()
        self.rig.add_builder("b", BuildFactory([Insists(name="it")]))
        await self.rig.start_slave()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.rig.running.draining = True
        await self.rig.lose()
        await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is back")
        back.callback(None)
        lost = await self.rig.built(request)
        assert lost.result is Result.RETRY
        assert len(lost.commands("it")) == 1
