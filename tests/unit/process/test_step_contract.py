"""What a step may rely on, and what its result does to its build: whole builds on a real slave."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from twisted.internet.task import deferLater

from buildbot.config.errors import ConfigErrors
from buildbot.model import Result
from buildbot.process.buildstep import BuildStep, BuildStepFailed, LineConsumerLogObserver, LogLineObserver
from buildbot.process.factory import BuildFactory
from buildbot.process.journal import Journal
from buildbot.process.properties import Interpolate, Property, renderer
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, RETRY, SKIPPED, SUCCESS, WARNINGS
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.steps.shell import ShellCommand
from buildbot.store import commands
from tests.rig import Built, RigCase, clock
from tests.tools import ROOT


class Gives(BuildStep):
    """Ends with the result it is given."""

    def __init__(self, result: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.result = result

    async def run(self) -> int:
        if isinstance(self.result, Exception):
            raise self.result
        return int(self.result)


class Asks(BuildStep):
    """Runs the function it is given, with itself."""

    name = "asks"

    def __init__(self, what: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.what = what

    async def run(self) -> int:
        answer = await self.what(self)
        return SUCCESS if answer is None else answer


def gives(result: Any, name: str = "step", **kwargs: Any) -> Gives:
    return Gives(result, name=name, **kwargs)


class TestFlags(RigCase):
    async def assert_build(self, expected: int, step_result: int, **flags: Any) -> Built:
        built = await self.run_steps(gives(step_result, "it", **flags), gives(SUCCESS, "next"))
        assert built.result == expected, flags
        assert built.results["it"] == step_result
        return built

    async def test_what_a_failure_does(self) -> None:
        await self.assert_build(FAILURE, FAILURE)
        await self.assert_build(SUCCESS, FAILURE, flunkOnFailure=False)
        await self.assert_build(WARNINGS, FAILURE, flunkOnFailure=False, warnOnFailure=True)
        await self.assert_build(FAILURE, FAILURE, flunkOnFailure=True, warnOnFailure=True)

    async def test_what_warnings_do(self) -> None:
        await self.assert_build(SUCCESS, WARNINGS)
        await self.assert_build(WARNINGS, WARNINGS, warnOnWarnings=True)
        await self.assert_build(FAILURE, WARNINGS, flunkOnWarnings=True)

    async def test_only_a_failure_with_halt_on_failure_stops_the_build(self) -> None:
        built = await self.assert_build(FAILURE, FAILURE)
        assert list(built.results) == ["it", "next"]
        built = await self.assert_build(FAILURE, FAILURE, haltOnFailure=True)
        assert list(built.results) == ["it"]
        built = await self.assert_build(SUCCESS, WARNINGS, haltOnFailure=True)
        assert list(built.results) == ["it", "next"]
        built = await self.assert_build(SUCCESS, FAILURE, haltOnFailure=True, flunkOnFailure=False)
        assert list(built.results) == ["it"]

    async def test_an_exception_stops_the_build(self) -> None:
        built = await self.assert_build(EXCEPTION, EXCEPTION)
        assert list(built.results) == ["it"]

    async def test_always_run_runs_after_a_halt_and_its_result_counts(self) -> None:
        built = await self.run_steps(
            gives(WARNINGS, "first"),
            gives(FAILURE, "halts", haltOnFailure=True),
            gives(SUCCESS, "left out"),
            gives(SUCCESS, "clean up", alwaysRun=True),
            gives(SUCCESS, "left out too", alwaysRun=Property("unset", default=False)),
            gives(SUCCESS, "rendered", alwaysRun=Property("unset", default=True)),
        )
        assert list(built.results) == ["first", "halts", "clean up", "rendered"]
        assert built.result == FAILURE

    async def test_flags_may_be_renderable(self) -> None:
        built = await self.assert_build(
            WARNINGS,
            FAILURE,
            flunkOnFailure=Property("flunks", default=False),
            warnOnFailure=renderer(lambda props: True),
        )
        assert list(built.results) == ["it", "next"]

    async def test_the_worst_step_is_the_builds_result(self) -> None:
        built = await self.run_steps(gives(SUCCESS), gives(WARNINGS, warnOnWarnings=True), gives(SUCCESS))
        assert built.result == WARNINGS
        assert list(built.results) == ["step", "step_1", "step_2"]

    async def test_a_factory_without_steps_is_a_success(self) -> None:
        assert (await self.run_steps()).result == SUCCESS

    async def test_a_step_may_send_the_build_back(self) -> None:
        calls = []

        async def once(step: Any) -> int:
            calls.append(step)
            return RETRY if len(calls) == 1 else SUCCESS

        built = await self.run_steps(Asks(once))
        assert built.result == RETRY
        assert (await self.rig.built(built.request.id, attempt=2)).result == SUCCESS


class TestDoStepIf(RigCase):
    async def assert_runs(self, runs: bool, condition: Any) -> None:
        built = await self.run_steps(gives(FAILURE, "it", doStepIf=condition))
        assert built.results == {"it": FAILURE if runs else SKIPPED}, condition
        if not runs:
            assert built.step("it").state_text == "it skipped"

    async def test_every_form_of_condition(self) -> None:
        async def later(step: Any) -> bool:
            await deferLater(clock, 0.01, lambda: None)
            return False

        for runs, condition in (
            (True, True),
            (False, False),
            (True, lambda step: True),
            (False, lambda step: step.getProperty("missing", False)),
            (False, Property("missing")),
            (True, Property("buildername")),
            (False, renderer(lambda props: False)),
            (False, lambda step: succeed(False)),
            (True, lambda step: deferLater(clock, 0.01, lambda: True)),
            (False, later),
        ):
            await self.assert_runs(runs, condition)

    async def test_a_condition_that_raises_is_an_exception(self) -> None:
        built = await self.run_steps(gives(SUCCESS, "it", doStepIf=lambda step: 1 / 0))
        assert built.results == {"it": EXCEPTION}
        assert "ZeroDivisionError" in built.text("it", "err.text")
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def test_a_skipped_step_does_not_hide_a_failure_or_a_success(self) -> None:
        assert (await self.run_steps(gives(FAILURE), gives(SUCCESS, doStepIf=False))).result == FAILURE
        assert (await self.run_steps(gives(SUCCESS), gives(SUCCESS, doStepIf=False))).result == SUCCESS


class TestHideStepIf(RigCase):
    async def test_a_step_is_hidden_by_a_bool_or_by_its_own_result(self) -> None:
        built = await self.run_steps(
            gives(SUCCESS, "seen"),
            gives(SUCCESS, "hidden", hideStepIf=True),
            gives(SUCCESS, "hidden by function", hideStepIf=lambda results, step: results == SUCCESS),
            gives(WARNINGS, "seen by function", hideStepIf=lambda results, step: results == SUCCESS),
            gives(SUCCESS, "skipped", doStepIf=False, hideStepIf=lambda results, step: results == SKIPPED),
        )
        assert {step.name for step in built.steps if step.hidden} == {"hidden", "hidden by function", "skipped"}

    async def test_a_function_that_raises_hides_nothing_and_is_logged(self) -> None:
        built = await self.run_steps(gives(SUCCESS, "it", hideStepIf=lambda results, step: 1 / 0))
        assert built.result == SUCCESS
        assert not built.step("it").hidden
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1


class TestTexts(RigCase):
    async def assert_text(self, expected: str, result: int, **texts: Any) -> None:
        built = await self.run_steps(gives(result, "it", **texts))
        assert built.step("it").state_text == expected

    async def test_what_a_step_says_when_it_has_ended(self) -> None:
        await self.assert_text("finished", SUCCESS)
        await self.assert_text("finished (failure)", FAILURE)
        await self.assert_text("doing", SUCCESS, description="doing")
        await self.assert_text("done", SUCCESS, description="doing", descriptionDone="done")
        await self.assert_text("all done", SUCCESS, descriptionDone=["all", "done"])
        await self.assert_text("done again (warnings)", WARNINGS, descriptionDone="done", descriptionSuffix="again")
        await self.assert_text("built b", SUCCESS, descriptionDone=Interpolate("built %(prop:buildername)s"))

    async def test_what_a_step_says_while_it_runs(self) -> None:
        seen = []

        async def look(step: Any) -> None:
            seen.append(step.build.store.value("SELECT state_text FROM steps WHERE id = ?", step.step_id))

        await self.run_steps(
            Asks(look),
            Asks(look, description=["looking", "around"]),
            Asks(look, description="a", descriptionSuffix="b"),
        )
        assert seen == ["running", "looking around", "a b"]

    async def test_update_summary_is_written_while_the_step_runs(self) -> None:
        class Counts(BuildStep):
            count = 0

            def getCurrentSummary(self) -> dict[str, str]:
                return {"step": f"{self.count} so far"}

            async def run(self) -> int:
                self.count = 7
                self.updateSummary()
                await deferLater(clock, 1.2, lambda: None)
                seen.append(self.build.store.value("SELECT state_text FROM steps WHERE id = ?", self.step_id))
                return SUCCESS

        seen: list[str] = []
        await self.run_steps(Counts())
        assert seen == ["7 so far"]

    async def test_a_summary_that_raises_does_not_fail_the_step(self) -> None:
        class Mute(BuildStep):
            def getResultSummary(self) -> dict[str, str]:
                raise ZeroDivisionError

            async def run(self) -> int:
                return SUCCESS

        built = await self.run_steps(Mute(name="mute"))
        assert built.results == {"mute": SUCCESS}
        assert built.step("mute").state_text == "mute"
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def test_a_name_may_be_renderable(self) -> None:
        built = await self.run_steps(gives(SUCCESS, Interpolate("for %(prop:buildername)s")))
        assert list(built.results) == ["for b"]

    async def test_a_name_that_cannot_be_rendered_is_an_exception_of_that_step(self) -> None:
        def wrong(props: Any) -> str:
            raise ZeroDivisionError

        built = await self.run_steps(gives(SUCCESS, renderer(wrong)), gives(SUCCESS, "clean up", alwaysRun=True))
        assert built.results == {"generic": EXCEPTION, "clean up": SUCCESS}
        assert "ZeroDivisionError" in built.text("generic", "err.text")
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1


class TestErrors(RigCase):
    async def test_an_exception_in_run_is_told_in_err_text(self) -> None:
        built = await self.run_steps(gives(ValueError("the reason"), "it"), gives(SUCCESS, "after", alwaysRun=True))
        assert built.results == {"it": EXCEPTION, "after": SUCCESS}
        assert built.result == EXCEPTION
        text = built.text("it", "err.text")
        assert "ValueError: the reason" in text
        assert "test_step_contract.py" in text
        assert len(self.flushLoggedErrors(ValueError)) == 1

    async def test_build_step_failed_is_a_failure_without_a_traceback(self) -> None:
        built = await self.run_steps(gives(BuildStepFailed("no"), "it"))
        assert built.results == {"it": FAILURE}
        assert built.logs("it") == {}

    async def test_what_is_no_result_is_an_exception(self) -> None:
        class Wrong(BuildStep):
            async def run(self) -> Any:
                return None

        built = await self.run_steps(Wrong(name="it"))
        assert "returned None, which is not a result" in built.text("it", "err.text")
        assert built.result == EXCEPTION
        assert len(self.flushLoggedErrors(TypeError)) == 1

    async def test_a_step_without_code_is_told_what_is_missing(self) -> None:
        built = await self.run_steps(BuildStep(name="it"))
        assert built.results == {"it": EXCEPTION}
        assert "has neither `async def run(self)`" in built.text("it", "err.text")
        assert self.flushLoggedErrors(NotImplementedError)

    async def test_a_run_that_returns_a_deferred_is_waited_for(self) -> None:
        class Later(BuildStep):
            def run(self) -> Any:
                return deferLater(clock, 0.01, lambda: WARNINGS)

        assert (await self.run_steps(Later(name="it"))).results == {"it": WARNINGS}

    async def test_an_unknown_command_is_refused_in_a_sentence(self) -> None:
        async def ask(step: Any) -> None:
            await step.runCommand(RemoteCommand("cvs", {}))

        built = await self.run_steps(Asks(ask))
        assert built.results == {"asks": EXCEPTION}
        assert "slave bot (buildslave 1.0.0a1) does not know the command 'cvs'" in built.text("asks", "err.text")
        assert "Traceback" not in built.text("asks", "err.text")
        (command,) = built.commands("asks")
        assert command.state == "finished"

    async def test_what_went_wrong_at_the_slave_is_in_the_steps_text(self) -> None:
        async def lost(step: BuildStep) -> int:
            command = RemoteCommand("uploadFile", {"workdir": ".", "slavesrc": "nothing", "blocksize": 100})
            await step.runCommand(command)
            return command.results()

        built = await self.run_steps(Asks(lost))
        assert built.results == {"asks": EXCEPTION}
        assert "No such file or directory" in built.step("asks").state_text

    async def test_arguments_that_the_slave_refuses_are_told_in_its_words(self) -> None:
        async def ask(step: Any) -> None:
            await step.runCommand(RemoteCommand("mkdir", {"dir": "../../../outside"}))

        built = await self.run_steps(Asks(ask))
        assert built.results == {"asks": EXCEPTION}
        assert "leads out of the slave's base directory" in built.text("asks", "err.text")

    async def test_arguments_that_cannot_cross_the_wire(self) -> None:
        async def ask(step: Any) -> None:
            await step.runCommand(RemoteCommand("mkdir", {"dir": object()}))

        built = await self.run_steps(Asks(ask))
        assert "cannot be sent to a slave" in built.text("asks", "err.text")

    def test_wrong_arguments_are_said_when_the_configuration_is_read(self) -> None:
        for arguments, sentence in (
            ({"haltOnFailrue": True}, "no argument 'haltOnFailrue'"),
            ({"name": ""}, "name is a string"),
            ({"name": 7}, "name is a string"),
            ({"description": 7}, "description is a string or a list"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                BuildStep(**arguments)  # type: ignore[arg-type]
            assert sentence in str(caught.exception)


class TestStopping(RigCase):
    def stop(self, why: str = "enough") -> None:
        for build in list(self.rig.running.by_id):
            assert self.rig.control.stop_build(build, "tester", why)

    async def test_a_stop_ends_the_running_command(self) -> None:
        waiting = self.run_steps_later(
            ShellCommand(name="it", command="echo begun; sleep 60"), gives(SUCCESS, "next"),
            gives(SUCCESS, "clean up", alwaysRun=True),
        )  # fmt: skip
        await self.rig.until_step_runs("it", "begun\n")
        self.stop()
        built = await waiting
        assert built.result == CANCELLED
        assert built.results == {"it": CANCELLED, "clean up": SUCCESS}
        assert "stopped by tester: enough" in built.row.state_text
        assert "stopped by tester: enough" in built.step("it").state_text
        assert built.request.result == CANCELLED
        (command,) = built.commands("it")
        assert command.outcome["reason"] == "interrupted"

    async def test_a_stop_before_the_first_step(self) -> None:
        self.rig.add_builder("b", BuildFactory([gives(SUCCESS, "never")]), env=renderer(self.slowly))
        self.gate: Deferred[None] = Deferred()
        request = self.rig.submit()
        await self.rig.until(lambda: self.rig.running.by_id)
        self.stop()
        self.gate.callback(None)
        built = await self.rig.built(request)
        assert built.result == CANCELLED
        assert built.results == {}

    async def slowly(self, props: Any) -> dict[str, str]:
        await self.gate
        return {}

    async def test_a_stop_while_a_step_is_getting_ready_keeps_it_from_running(self) -> None:
        self.gate = Deferred()

        async def condition(step: Any) -> bool:
            await self.gate
            return True

        waiting = self.run_steps_later(gives(ValueError("it ran"), "it", doStepIf=condition))
        await self.rig.until_step_runs("it")
        self.stop()
        self.gate.callback(None)
        assert (await waiting).results == {"it": CANCELLED}

    async def test_a_stop_in_an_always_run_step_ends_that_and_goes_on_to_the_next(self) -> None:
        waiting = self.run_steps_later(
            gives(FAILURE, "halts", haltOnFailure=True),
            ShellCommand(name="it", command="echo begun; sleep 60", alwaysRun=True),
            gives(SUCCESS, "clean up", alwaysRun=True),
        )
        await self.rig.until_step_runs("it", "begun\n")
        self.stop()
        built = await waiting
        assert built.results == {"halts": FAILURE, "it": CANCELLED, "clean up": SUCCESS}
        assert built.result == CANCELLED

    async def test_a_second_stop_ends_the_cleaning_up(self) -> None:
        waiting = self.run_steps_later(
            ShellCommand(name="it", command="echo begun; sleep 60"),
            ShellCommand(name="clean up", command="echo cleaning; sleep 60", alwaysRun=True),
        )
        await self.rig.until_step_runs("it", "begun\n")
        self.stop("first")
        await self.rig.until_step_runs("clean up", "cleaning\n")
        self.stop("second")
        built = await waiting
        assert built.results == {"it": CANCELLED, "clean up": CANCELLED}
        assert "first" in built.row.state_text

    async def test_a_stopped_step_gets_no_more_commands(self) -> None:
        async def several(step: Any) -> int:
            for _ in range(3):
                command = RemoteShellCommand("build", "echo begun; sleep 60")
                await step.runCommand(command)
                rcs.append(command.rc)
            return SUCCESS

        rcs: list[Any] = []
        waiting = self.run_steps_later(Asks(several))
        await self.rig.until_step_runs("asks", "begun\n")
        self.stop()
        built = await waiting
        assert built.results == {"asks": CANCELLED}
        assert rcs == [-1, -1, -1]
        assert len(built.commands("asks")) == 1

    async def test_a_stop_ends_all_commands_that_run_at_once(self) -> None:
        async def two(step: BuildStep) -> int:
            each = [RemoteShellCommand(".", ["sleep", "600"], stdioLogName=name) for name in ("stdio", "other")]
            await gatherResults([ensureDeferred(step.runCommand(command)) for command in each])
            return SUCCESS

        ending = self.run_steps_later(Asks(two))
        await self.rig.until(lambda: self.rig.store.value("SELECT count(*) FROM commands WHERE state = 'running'") == 2)
        (build,) = self.rig.running.by_id.values()
        await build.stopBuild("enough")
        built = await ending
        assert [command.outcome["reason"] for command in built.commands("asks")] == ["interrupted", "interrupted"]

    async def test_a_command_that_its_step_does_not_wait_for_ends_with_it(self) -> None:
        held: list[Any] = []

        async def forgets(step: BuildStep) -> int:
            script = "echo begun; sleep 1.2; echo late; touch ../LATE; exec sleep 600"
            running = ensureDeferred(step.runCommand(RemoteShellCommand(".", script)))
            running.addErrback(lambda why: held.append(why.type))
            await self.rig.until(lambda: "stdio" in step.logs and "begun" in step.logs["stdio"].getText())
            return SUCCESS

        built = await self.run_steps(Asks(forgets), ShellCommand(name="next", command="sleep 2; echo next"))
        assert built.result is Result.SUCCESS
        assert built.text("asks") == "begun\n"
        assert built.text("next") == "next\n"
        assert [command.state for command in built.commands("asks")] == ["lost"]
        assert held == [SlaveLost]
        assert not (self.rig.slave_dir().parent / "LATE").exists()
        await self.rig.until(lambda: self.rig.slaves["bot"].commands.ids == [], "nothing is held")

    async def test_of_several_things_at_once_the_first_error_counts(self) -> None:
        async def several(step: BuildStep) -> int:
            async def fail() -> None:
                raise BuildStepFailed

            async def last() -> None:
                await step.runCommand(RemoteShellCommand(".", ["sleep", "600"]))

            inner = gatherResults([ensureDeferred(fail())], consumeErrors=True)
            await gatherResults([ensureDeferred(last()), inner], consumeErrors=True)
            return SUCCESS

        built = await self.run_steps(Asks(several))
        assert built.results == {"asks": FAILURE}
        assert "err.text" not in built.logs("asks")

    async def test_a_step_that_has_ended_can_run_nothing(self) -> None:
        steps: list[BuildStep] = []

        async def ends(step: BuildStep) -> int:
            steps.append(step)
            return SUCCESS

        await self.run_steps(Asks(ends))
        with pytest.raises(CommandRefused, match="has ended"):
            await steps[0].runCommand(RemoteShellCommand(".", "true"))

    async def test_output_for_a_log_that_is_closed_is_dropped_and_the_command_ends(self) -> None:
        async def closes(step: BuildStep) -> int:
            command = RemoteShellCommand(".", "echo one; sleep 0.5; echo two", collectStdout=True)
            running = ensureDeferred(step.runCommand(command))
            await self.rig.until(lambda: "stdio" in step.logs and "one" in step.logs["stdio"].getText())
            step.logs["stdio"].finish()
            with pytest.raises(ValueError, match="closed"):
                step.logs["stdio"].addStdout("more")
            await running
            step.setProperty("out", command.stdout)
            return command.results()

        built = await self.run_steps(Asks(closes))
        assert built.result is Result.SUCCESS
        assert built.text("asks") == "one\n"
        assert built.properties["out"] == "one\ntwo\n"
        assert not [path for path in (self.rig.base / "logs").rglob("*") if "-." in path.name]

    async def test_a_program_deaf_to_sigterm_is_killed(self) -> None:
        waiting = self.run_steps_later(
            ShellCommand(name="it", command="trap '' TERM; echo begun; while true; do sleep 1; done", sigtermTime=0.1)
        )
        await self.rig.until_step_runs("it", "begun\n")
        self.stop()
        assert (await waiting).result == CANCELLED

    async def test_stopping_what_does_not_run_says_so(self) -> None:
        built = await self.run_steps(gives(SUCCESS))
        assert self.rig.control.stop_build(built.row.id, "tester", "") is False


class TestLogs(RigCase):
    async def test_every_kind_of_log(self) -> None:
        async def write(step: Any) -> None:
            log = await step.addLog("notes")
            await log.addStdout("out\n")
            log.addStderr("err\n")
            log.addHeader("head\n")
            assert log.getText() == "out\nerr\n"
            assert log.readlines() == ["out\n"]
            step.addCompleteLog("whole", "all of it")
            await step.addHTMLLog("page", "<b>x</b>")
            step.addURL("link", "http://example.org/")
            try:
                raise ValueError("why")
            except ValueError as why:
                step.addLogWithException(why)

        built = await self.run_steps(Asks(write))
        logs = built.logs("asks")
        assert list(logs) == ["notes", "whole", "page", "err.text"]
        assert [log.kind for log in logs.values()] == ["stream", "text", "html", "text"]
        assert built.text("asks", "notes", headers=True) == "out\nerr\nhead\n"
        assert built.text("asks", "page") == "<b>x</b>"
        assert all(log.finished_at is not None for log in logs.values())

    async def test_names_that_differ_only_in_odd_characters_have_logs_of_their_own(self) -> None:
        async def write(step: Any) -> None:
            step.addCompleteLog("a b", "1")
            step.addCompleteLog("a/b", "2")
            step.addCompleteLog("../../a", "3")

        built = await self.run_steps(Asks(write))
        assert [built.text("asks", name) for name in ("a b", "a/b", "../../a")] == ["1", "2", "3"]
        inside = [path for path in (self.rig.base / "logs").rglob("*") if path.is_file()]
        assert len(inside) >= 3

    async def test_the_commands_of_a_step_share_its_log(self) -> None:
        async def two(step: Any) -> None:
            for word in ("one", "two"):
                await step.runCommand(RemoteShellCommand("build", f"echo {word}", logEnviron=False))

        built = await self.run_steps(Asks(two))
        assert list(built.logs("asks")) == ["stdio"]
        assert built.text("asks") == "one\ntwo\n"

    async def test_two_streams_into_one_log_lose_nothing(self) -> None:
        async def both(step: Any) -> None:
            log = step.addLog("stdio")
            command = RemoteShellCommand(
                "build", "for i in $(seq 2000); do echo out $i; echo file $i >> f; done", logfiles={"f": "f"}
            )
            command.useLog(log, False, "stdio")
            command.useLog(log, False, "f")
            await step.runCommand(command)

        built = await self.run_steps(Asks(both))
        lines = built.text("asks").splitlines()
        assert [line for line in lines if line.startswith("out")] == [f"out {number}" for number in range(1, 2001)]
        assert [line for line in lines if line.startswith("file")] == [f"file {number}" for number in range(1, 2001)]

    async def test_observers_see_whole_lines_of_each_stream(self) -> None:
        class Lines(LogLineObserver):
            def outLineReceived(self, line: str) -> None:
                seen.append(("o", line))

            def errLineReceived(self, line: str) -> None:
                seen.append(("e", line))

        class Watched(ShellCommand):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.addLogObserver("stdio", Lines())

            def evaluateCommand(self, command: RemoteCommand) -> Any:
                at_the_end.extend(seen)
                return super().evaluateCommand(command)

        seen: list[tuple[str, str]] = []
        at_the_end: list[tuple[str, str]] = []
        await self.run_steps(
            Watched(command="printf 'a\\nb'; sleep 0.1; printf 'c\\r\\n\\303\\251'; printf 'x\\ny' >&2")
        )
        assert [line for stream, line in at_the_end if stream == "o"] == ["a", "bc", "é"]
        assert [line for stream, line in at_the_end if stream == "e"] == ["x", "y"]
        assert seen == at_the_end

    async def test_a_line_consumer_is_fed(self) -> None:
        def consume() -> Any:
            while True:
                stream, line = yield
                if stream == "o":
                    seen.append(line)

        class Watched(ShellCommand):
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.addLogObserver("stdio", LineConsumerLogObserver(consume))

        seen: list[str] = []
        await self.run_steps(Watched(command="echo a; echo b"))
        assert seen == ["a", "b"]


class TestBuild(RigCase):
    async def test_a_step_may_add_steps(self) -> None:
        async def add(step: Any) -> None:
            step.build.addStepsAfterCurrentStep([gives(SUCCESS, "added")])
            step.build.addStepsAfterLastStep([gives(SUCCESS, "last")])

        built = await self.run_steps(Asks(add), gives(SUCCESS, "given"))
        assert list(built.results) == ["asks", "added", "given", "last"]

    async def test_properties_reach_the_next_step_and_the_store(self) -> None:
        async def put(step: Any) -> None:
            step.setProperty("colour", "red", "Test")

        built = await self.run_steps(
            Asks(put), ShellCommand(name="it", command=["echo", Interpolate("%(prop:colour)s %(prop:slavename)s")])
        )
        assert built.text("it") == "red bot\n"
        assert built.properties["colour"] == "red"

    async def test_the_slaves_commands_can_be_asked_for(self) -> None:
        async def ask(step: Any) -> None:
            assert step.slaveVersion("shell") is not None
            assert step.slaveVersion("cvs") is None
            assert step.slaveVersion("cvs", "1.0") == "1.0"
            assert not step.slaveVersionIsOlderThan("shell", "2.0")
            assert step.slaveVersionIsOlderThan("shell", "100.0")
            assert step.getSlaveName() == "bot"

        assert (await self.run_steps(Asks(ask))).result == SUCCESS

    async def test_each_build_has_its_own_step_objects(self) -> None:
        async def count(step: Any) -> None:
            step.counted = getattr(step, "counted", 0) + 1
            seen.append(step.counted)

        seen: list[int] = []
        self.rig.add_builder("b", BuildFactory([Asks(count)]))
        for _ in range(2):
            await self.rig.build()
        assert seen == [1, 1]


class TestManual(RigCase):
    async def test_the_step_in_the_manual_works(self) -> None:
        page = (ROOT / "docs/manual/steps-custom.md").read_text()
        (example,) = re.findall(r"```python\n(from buildbot.process import buildstep\n.*?)```", page, re.DOTALL)
        names: dict[str, Any] = {}
        exec(example, names)
        (self.rig.slave_dir() / "build").mkdir(parents=True)
        for name in ("one", "two"):
            (self.rig.slave_dir() / "build" / name).touch()
        built = await self.run_steps(names["CountFiles"]())
        assert built.results == {"count files": SUCCESS}
        assert built.properties["files"] == 2
        assert built.step("count files").state_text == "counting"


@pytest.mark.slow
class TestBigOutput(RigCase):
    async def test_two_hundred_megabytes_of_output_take_no_memory(self) -> None:
        megabytes = 200
        source = "import sys\nline = b'x' * 1023 + b'\\n'\nfor i in range(%d): sys.stdout.buffer.write(line * 1024)"
        await self.run_steps(ShellCommand(name="warm up", command=["python3", "-c", source % 1]))
        peak = self.peak_kilobytes()
        built = await self.run_steps(ShellCommand(name="it", command=["python3", "-c", source % megabytes]))
        assert built.result == SUCCESS
        log = built.logs("it")["stdio"]
        assert log.size is not None
        assert log.size > megabytes << 20
        assert log.lines is not None
        assert log.lines >= megabytes * 1024
        assert self.peak_kilobytes() - peak < 48 * 1024  # master and slave are both in this process

    @staticmethod
    def peak_kilobytes() -> int:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class TestRemember(RigCase):
    async def test_what_is_done_in_the_store_is_in_the_journal(self) -> None:
        values = []

        class Counts(BuildStep):
            async def run(self) -> int:
                values.append(self.remember("count", lambda store: store.value("SELECT 3 + 4")))
                self.journal = Journal(commands.of_step(self.build.store, self.step_id))  # as a replay begins
                values.append(self.remember("count", lambda store: 1 // 0))
                return SUCCESS

        await self.run_steps(Counts())
        self.assertEqual(values, [7, 7])
        row = self.rig.store.first(commands.row, f"SELECT {commands.COLUMNS} FROM commands")
        assert row is not None
        self.assertEqual((row.name, row.state, row.outcome), ("count", "finished", {"value": 7}))

    async def test_another_name_in_its_place_is_a_divergence(self) -> None:
        class Changes(BuildStep):
            async def run(self) -> int:
                self.remember("one", lambda store: 1)
                self.journal = Journal(commands.of_step(self.build.store, self.step_id))
                self.remember("two", lambda store: 2)
                return SUCCESS

        build = await self.run_steps(Changes())
        self.assertEqual(build.result, Result.RETRY)
        self.assertIn("asks for 'two' where it had asked for 'one'", build.row.state_text + build.steps[0].state_text)
