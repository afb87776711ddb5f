"""Stop works in every state, within 60 seconds, whether or not anybody answers, and says who wanted it and why."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, LoopingCall

from buildbot.model import BuildRequestID, Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.ending import STOP_SECONDS, Ending, GivenUp
from buildbot.process.factory import BuildFactory
from buildbot.process.locks import LockKey, MasterLock
from buildbot.process.properties import renderer
from buildbot.process.remotecommand import ABANDON_SECONDS, RemoteCommand
from buildbot.process.results import FAILURE, SUCCESS
from buildbot.schedulers.triggerable import Triggerable
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trigger import Trigger
from buildbot.store import actions, commands, requests, slaves
from tests.rig import Built, clock
from tests.unit.process.test_lost_slave import LostCase

SAID = "cancelled: stopped by ada: enough"
MOST_SECONDS = 60
ONE = LockKey("MasterLock", "one", "")


class Waits(BuildStep):
    """Waits on the master for what never comes; if it is stubborn, also after it was cancelled."""

    name = "waits"

    def __init__(self, stubborn: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stubborn = stubborn

    async def run(self) -> int:
        self.addCompleteLog("stdio", "begun")
        await never(self.stubborn)
        return SUCCESS


class Cleans(ShellCommand):
    """Runs whatever happened."""

    def __init__(self, command: str = "echo cleaned >> ../cleaned") -> None:
        super().__init__(name="cleans", command=command, alwaysRun=True)


async def never(stubborn: bool = False) -> None:
    try:
        await Deferred()
    except CancelledError:
        if not stubborn:
            raise
        await Deferred()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class StopCase(LostCase):
    """The timers of builds and steps go by a clock that `ahead` puts forward."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.build_clock = self.rig.build_clock = Clock()
        ticking = LoopingCall(lambda: self.build_clock.advance(0.01))
        ticking.clock = clock
        ticking.start(0.01)
        self.addCleanup(ticking.stop)

    def begin(self, *given: Any, **options: Any) -> BuildRequestID:
        self.rig.add_builder("b", BuildFactory(list(given)), **options)
        return self.rig.submit()

    async def running(self) -> Any:
        """The only build."""
        await self.rig.until(lambda: self.rig.running.by_id, "a build")
        (build,) = self.rig.running.by_id.values()
        return build

    def stop(self, build: Any, why: str = "enough") -> None:
        assert self.rig.control.stop_build(build.id, "ada", why)

    async def ahead(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.build_clock.advance(1.0)
            await self.rig.until(lambda: True)

    async def ends(self, request: BuildRequestID, within: float = 0.0) -> Built:
        """The build, which ends as cancelled: so many seconds from now, and (if that is not at once) not before."""
        if within:
            await self.ahead(within - 3)
            assert self.rig.running.by_id
            await self.ahead(6)
            assert within + 3 <= MOST_SECONDS
        built = await self.rig.built(request, timeout=20)
        assert built.result is Result.CANCELLED
        assert built.row.state_text == SAID
        assert built.request.result is Result.CANCELLED
        (action, *_) = actions.about(self.rig.store, "build b/1")
        assert (action.who, action.what, action.why) == ("ada", "stop build", "enough")
        assert not self.rig.running.locks._claims
        return built


class TestBeforeItBegins(StopCase):
    def cancelled(self, request: BuildRequestID) -> str | None:
        assert self.rig.control.cancel_request(request, "ada", "enough")
        row = requests.get(self.rig.store, request)
        assert row is not None
        assert row.result is Result.CANCELLED
        return row.cancelled_because

    async def test_a_request_without_a_slave(self) -> None:
        request = self.begin(ShellCommand(command="true"))
        assert self.cancelled(request) == "cancelled by ada: enough"

    async def test_a_request_that_waits_for_its_builders_lock(self) -> None:
        await self.rig.start_slave()
        lock = MasterLock("one")
        self.rig.add_builder("other", BuildFactory([ShellCommand(command="sleep 60")]), locks=[lock.access("counting")])
        self.rig.submit("other")
        await self.rig.until_step_runs("shell")
        request = self.begin(ShellCommand(command="true"), locks=[lock.access("counting")])
        await self.rig.until(lambda: self.rig.running.locks.state(ONE).queue, "it waits")
        assert self.cancelled(request) == "cancelled by ada: enough"
        await self.rig.until(lambda: not self.rig.running.locks.state(ONE).queue, "nobody waits")

    async def test_properties_that_never_come(self) -> None:
        for stubborn in (False, True):
            with self.subTest(stubborn=stubborn):
                await self.in_setup(properties={"x": self.hanging(stubborn)})

    async def test_a_condition_and_an_environment_that_never_come(self) -> None:
        await self.in_setup(do_build_if=lambda build: Deferred())
        await self.in_setup(env={"X": self.hanging()})

    @staticmethod
    def hanging(stubborn: bool = False) -> Any:
        @renderer
        async def hangs(props: Any) -> str:
            await never(stubborn)
            return "x"

        return hangs

    async def in_setup(self, **options: Any) -> None:
        if "bot" not in self.rig.slaves:
            await self.rig.start_slave()
        request = self.begin(Cleans(), **options)
        self.stop(await self.running())
        await self.ahead(STOP_SECONDS - 3)
        assert self.rig.running.by_id
        await self.ahead(6)
        built = await self.rig.built(request)
        assert (built.result, built.row.state_text, built.steps) == (Result.CANCELLED, SAID, [])

    async def test_a_setup_that_ends_after_the_stop(self) -> None:
        go: Deferred[bool] = Deferred()
        await self.rig.start_slave()
        request = self.begin(ShellCommand(command="echo >> ../ran"), do_build_if=lambda build: go)
        self.stop(await self.running())
        go.callback(True)
        built = await self.ends(request)
        assert built.steps == []
        assert not (self.rig.slave_dir() / "ran").exists()


class TestInAStep(StopCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        await self.rig.start_slave()

    async def test_a_command_that_obeys(self) -> None:
        request = self.begin(ShellCommand(command="echo begun; sleep 60"), Cleans())
        await self.rig.until_step_runs("shell", "begun\n")
        self.stop(await self.running())
        built = await self.ends(request)
        assert built.results == {"shell": Result.CANCELLED, "cleans": Result.SUCCESS}
        assert "stopped by ada: enough" in built.step("shell").state_text

    async def test_a_command_that_does_not_end_at_sigterm(self) -> None:
        command = "trap '' TERM; echo $$ > ../pid; echo begun; while true; do sleep 0.1; done"
        request = self.begin(ShellCommand(command=command, sigtermTime=600), Cleans())
        await self.rig.until_step_runs("shell", "begun\n")
        self.stop(await self.running())
        built = await self.ends(request, ABANDON_SECONDS)
        assert built.results == {"shell": Result.CANCELLED, "cleans": Result.SUCCESS}
        pid = int((self.rig.slave_dir() / "pid").read_text())
        await self.rig.until(lambda: is_gone(pid), "the end of the command")
        await self.rig.until(lambda: built.commands("shell")[0].left_at is None, "the slave says so")

    async def test_a_step_that_waits_for_its_lock(self) -> None:
        lock = MasterLock("one")
        holds = ShellCommand(command="echo begun; sleep 60", locks=[lock.access("counting")])
        self.rig.add_builder("other", BuildFactory([holds]))
        self.rig.submit("other")
        await self.rig.until_step_runs("shell", "begun\n")
        request = self.begin(ShellCommand(name="locked", command="true", locks=[lock.access("counting")]), Cleans())
        await self.rig.until(lambda: self.rig.running.locks.state(ONE).queue, "it waits")
        (mine,) = [build for build in self.rig.running.by_id.values() if build.builder_name == "b"]
        self.stop(mine)
        built = await self.rig.built(request)
        assert (built.result, built.row.state_text) == (Result.CANCELLED, SAID)
        assert built.results == {"locked": Result.CANCELLED, "cleans": Result.SUCCESS}
        assert [str(each.user) for each in self.rig.running.locks.state(ONE).holders] == ["other/1 (step shell)"]
        assert not self.rig.running.locks.state(ONE).queue

    async def test_code_that_waits_on_the_master(self) -> None:
        for stubborn in (False, True):
            request = self.begin(Waits(stubborn), Cleans())
            await self.rig.until_step_runs("waits", "begun")
            self.stop(await self.running())
            await self.ahead(STOP_SECONDS - 3)
            assert self.rig.running.by_id
            await self.ahead(6)
            built = await self.rig.built(request)
            assert (built.result, built.row.state_text) == (Result.CANCELLED, SAID)
            assert built.results == {"waits": Result.CANCELLED, "cleans": Result.SUCCESS}
            assert "stopped by ada: enough" in built.step("waits").state_text

    async def test_an_interrupt_of_its_own_that_does_not_return(self) -> None:
        class Own(Waits):
            async def interrupt(self, reason: Any) -> None:
                await Deferred()

        request = self.begin(Own(), Cleans())
        await self.rig.until_step_runs("waits", "begun")
        self.stop(await self.running())
        built = await self.ends(request, STOP_SECONDS)
        assert built.results == {"waits": Result.CANCELLED, "cleans": Result.SUCCESS}

    async def test_arguments_and_conditions_that_never_come(self) -> None:
        for step in (
            ShellCommand(command=TestBeforeItBegins.hanging()),
            ShellCommand(command="true", name=TestBeforeItBegins.hanging()),
            ShellCommand(command="true", doStepIf=lambda step: Deferred()),
        ):
            request = self.begin(step)
            build = await self.running()
            await self.rig.until(lambda build=build: build.currentStep is not None, "the step")
            self.stop(build)
            await self.ahead(STOP_SECONDS + 3)
            built = await self.rig.built(request)
            assert (built.result, built.row.state_text) == (Result.CANCELLED, SAID)

    async def test_a_step_that_runs_always_is_stopped_by_the_stop_that_meets_it(self) -> None:
        class Fails(BuildStep):
            name = "fails"
            haltOnFailure = True

            async def run(self) -> int:
                return FAILURE

        request = self.begin(Fails(), Cleans("echo begun; sleep 60"), Cleans())
        await self.rig.until_step_runs("cleans", "begun\n")
        self.stop(await self.running())
        built = await self.ends(request)
        assert list(built.results.values()) == [Result.FAILURE, Result.CANCELLED, Result.SUCCESS]

    async def test_a_second_stop_ends_what_runs_always_after_the_first(self) -> None:
        request = self.begin(Waits(), Cleans("echo begun; sleep 60"))
        await self.rig.until_step_runs("waits", "begun")
        build = await self.running()
        self.stop(build)
        await self.ahead(STOP_SECONDS + 3)
        await self.rig.until_step_runs("cleans", "begun\n")
        await self.ahead(MOST_SECONDS)
        assert self.rig.running.by_id  # it has the time that it needs
        self.stop(build, "now")
        built = await self.rig.built(request)
        assert (built.result, built.row.state_text) == (Result.CANCELLED, SAID)
        assert built.results == {"waits": Result.CANCELLED, "cleans": Result.CANCELLED}
        assert [each.why for each in actions.about(self.rig.store, "build b/1")] == ["now", "enough"]


class TestForChildren(StopCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.rig.add_slaves("kids", max_builds=1)
        for name in ("bot", "kids"):
            await self.rig.start_slave(name)

    async def family(self, *steps: Any) -> tuple[BuildRequestID, Any]:
        """A parent with one child that runs these steps, and one that waits for the same slave."""
        for name in ("one", "two"):
            self.rig.add_builder(name, BuildFactory(list(steps)), ["kids"])
        self.rig.config.schedulers.append(Triggerable("kids", ["one", "two"]))
        request = self.begin(Trigger(["kids"], waitForFinish=True))
        await self.rig.until(lambda: len(self.rig.running.by_id) == 2, "the first child")
        (parent,) = [build for build in self.rig.running.by_id.values() if build.builder_name == "b"]
        (child,) = [build for build in self.rig.running.by_id.values() if build.builder_name != "b"]
        await self.rig.until(lambda: child.currentStep is not None, "its step")
        return request, parent

    def results_of_children(self) -> list[Any]:
        return self.rig.store.column("SELECT result FROM build_requests WHERE waited_for = 1 ORDER BY id")

    async def test_they_end_with_it(self) -> None:
        request, parent = await self.family(ShellCommand(command="sleep 60"))
        self.stop(parent)
        await self.ends(request)
        assert self.results_of_children() == [Result.CANCELLED] * 2

    async def test_a_child_that_does_not_obey_at_once(self) -> None:
        request, parent = await self.family(Waits(stubborn=True))
        self.stop(parent)
        await self.ends(request, STOP_SECONDS)
        assert self.results_of_children() == [Result.CANCELLED] * 2

    async def test_it_does_not_end_before_a_child_that_cleans_up(self) -> None:
        cleans = Cleans("echo begun; while ! [ -e ../../../go ]; do sleep 0.05; done")
        request, parent = await self.family(ShellCommand(command="sleep 60"), cleans)
        self.stop(parent)
        await self.rig.until_step_runs("cleans", "begun\n")
        await self.ahead(2 * STOP_SECONDS + 5)
        assert len(self.rig.running.by_id) == 2
        (self.rig.base / "go").write_text("")
        await self.ends(request)


class TestWithoutItsSlave(StopCase):
    def left(self) -> list[str]:
        """What may still run on the slave, of those that nobody waits for."""
        bot = slaves.by_name(self.rig.store, "bot")
        assert bot is not None
        found = commands.at_slaves(self.rig.store, [bot.id], 10)
        return [f"{each.builder}/{each.number} {each.step}" for each in found if each.left_at is not None]

    async def frozen(self) -> tuple[BuildRequestID, Callable[[], object], int]:
        """A build on a slave that stands still; what wakes it; the process of its command."""
        slave = await self.start_process()
        request = self.begin(ShellCommand(command="echo $$ > ../pid; echo begun; sleep 60"), Cleans())
        await self.rig.until_step_runs("shell", "begun\n")
        slave.kill(signal.SIGSTOP)
        self.addCleanup(slave.kill, signal.SIGCONT)
        return request, lambda: slave.kill(signal.SIGCONT), int((self.rig.slave_dir() / "pid").read_text())

    async def test_a_slave_that_stands_still(self) -> None:
        request, wake, pid = await self.frozen()
        self.stop(await self.running())
        await self.ahead(ABANDON_SECONDS + 1)
        await self.rig.until_step_runs("cleans")
        self.rig.sessions.here["bot"].lose("it gives no answer")  # as its time limit would, 20 s after the stop
        await self.ahead(STOP_SECONDS - ABANDON_SECONDS)
        built = await self.ends(request)
        assert built.results == {"shell": Result.CANCELLED, "cleans": Result.RETRY}
        assert self.left() == ["b/1 shell", "b/1 cleans"]
        assert not is_gone(pid)
        wake()
        await self.rig.until(lambda: is_gone(pid), "the end of the command")
        await self.rig.until(lambda: "bot" in self.rig.sessions.here and not self.left(), "the slave is free")

    async def test_a_slave_that_wakes_before_its_connection_is_lost(self) -> None:
        request, wake, pid = await self.frozen()
        self.stop(await self.running())
        await self.ahead(ABANDON_SECONDS + 1)
        assert self.left() == ["b/1 shell"]
        wake()
        built = await self.ends(request)
        assert built.results == {"shell": Result.CANCELLED, "cleans": Result.SUCCESS}
        await self.rig.until(lambda: is_gone(pid) and not self.left(), "the end of the command")

    async def test_a_slave_that_is_away(self) -> None:
        slave = await self.start_process()
        request = self.begin(ShellCommand(command="echo begun; sleep 60"), Cleans())
        await self.rig.until_step_runs("shell", "begun\n")
        slave.kill(signal.SIGKILL)
        await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")
        self.stop(await self.running())
        await self.ahead(STOP_SECONDS + 3)
        built = await self.ends(request)
        assert built.results == {"shell": Result.CANCELLED, "cleans": Result.RETRY}
        assert self.left() == ["b/1 shell"]
        await self.start_process()
        await self.rig.until(lambda: not self.left(), "the slave is free")

    async def test_a_step_that_waits_for_a_slave_that_is_away(self) -> None:
        go: Deferred[None] = Deferred()

        class Orders(BuildStep):
            async def run(self) -> int:
                self.addCompleteLog("stdio", "begun")
                await go
                await self.runCommand(RemoteCommand("shell", {"command": "true"}))
                return SUCCESS

        await self.rig.start_slave()
        request = self.begin(Orders(name="it"))
        await self.rig.until_step_runs("it", "begun")
        await self.rig.stop_slave()
        await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")
        go.callback(None)
        self.stop(await self.running())
        assert (await self.ends(request)).results == {"it": Result.CANCELLED}

    async def test_a_command_that_is_given_up_while_its_slave_comes_back_is_dropped(self) -> None:
        slave = await self.rig.start_slave()
        request = self.begin(ShellCommand(command="echo $$ > ../pid; echo begun; sleep 60"))
        await self.rig.until_step_runs("shell", "begun\n")
        pid = int((self.rig.slave_dir() / "pid").read_text())
        build = await self.running()
        wanted = self.rig.sessions._wanted

        def lose_it_then(id: Any) -> Any:
            """The slave is told to keep the command, and then nobody wants it any more."""
            kept = wanted(id)
            if kept:
                build.lose_slave("it was given up")
            return kept

        self.rig.sessions._wanted = lose_it_then
        self.rig.running.draining = True
        self.rig.cut()
        assert (await self.rig.built(request)).result is Result.RETRY
        await self.rig.until(lambda: is_gone(pid), "the end of the command")
        await self.rig.until(lambda: slave.commands.idle and not self.left(), "the slave is free")


class TestEnding(StopCase):
    async def test_what_comes_in_time_is_what_it_comes_to(self) -> None:
        ending = Ending(Clock(), lambda: None)

        async def quick() -> int:
            return 3

        assert await ending.wait_for(quick(), limited=True) == 3
        ending.close()

    async def test_late_failures_are_told_in_the_log_alone(self) -> None:
        time, late = Clock(), Deferred()
        ending = Ending(time, lambda: None)

        async def stubborn() -> None:
            try:
                await Deferred()
            except CancelledError:
                await late

        waiting = Deferred.fromCoroutine(ending.wait_for(stubborn(), limited=True))
        time.advance(STOP_SECONDS)
        self.failureResultOf(waiting, GivenUp)
        late.errback(ValueError("too late"))
        assert len(self.flushLoggedErrors(ValueError)) == 1
        ending.close()
