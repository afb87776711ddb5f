"""Custom steps as people wrote them for Buildbot 0.7 and 0.8, on a real slave; many in one build, to be cheap."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import defer

from buildbot.config import names
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.steps.warnings import Compile, Test
from tests.rig import RigCase, clock

names.install()
from buildbot.process.buildstep import (  # noqa: E402
    BuildStep,
    BuildStepFailed,
    LoggedRemoteCommand,
    LoggingBuildStep,
    LogLineObserver,
    RemoteShellCommand,
    regex_log_evaluator,
)
from buildbot.steps.master import MasterShellCommand  # noqa: E402
from buildbot.steps.shell import ShellCommand  # noqa: E402
from buildbot.steps.transfer import FileUpload  # noqa: E402

# -- steps that do their work on the master


class TagBuild(BuildStep):
    name = "tag"

    def __init__(self, tag: Any, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.addFactoryArguments(tag=tag)
        self.tag = tag

    def start(self) -> Any:
        self.setProperty("tag", self.tag, "TagBuild")
        self.step_status.setText(["tagged", self.tag])
        self.addCompleteLog("tag", self.tag + "\n")
        self.addURL("tag", "http://tags/" + self.tag)
        return self.finished(SUCCESS)


class OnlyOnMaster(BuildStep):
    name = "only-on-master"

    def start(self) -> Any:
        if self.build.getProperty("tag") != "none":
            self.step_status.setText(["not", "needed"])
            return SKIPPED
        self.finished(FAILURE)
        return None


class AsksThings(BuildStep):
    """Deferreds added to Deferreds."""

    name = "asks things"

    def start(self) -> None:
        d = defer.Deferred()
        clock.callLater(0, d.callback, ["a", "b"])
        d.addCallback(self.got)
        d.addCallbacks(self.finished, self.failed)

    def got(self, things: list[str]) -> Any:
        log = self.addLog("things")
        for thing in things:
            log.addStdout(thing + "\n")
        log.finish()
        d = self.runCommand(LoggedRemoteCommand("mkdir", {"dir": "build/made"}))
        d.addCallback(lambda cmd: WARNINGS if cmd.rc == 0 else FAILURE)
        return d


class Fails(BuildStep):
    name = "fails"

    def __init__(self, how: str, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.how = how

    def start(self) -> Any:
        if self.how == "raises":
            raise BuildStepFailed
        if self.how == "inlined":
            return self.later()
        d = self.runCommand(LoggedRemoteCommand("stat", {"file": "no/such/file"}))
        d.addCallback(self.check)
        d.addErrback(self.failed)
        return None

    @defer.inlineCallbacks
    def later(self) -> Any:
        cmd = yield self.runCommand(LoggedRemoteCommand("stat", {"file": "no/such/file"}))
        self.check(cmd)

    def check(self, cmd: Any) -> None:
        if cmd.didFail():
            raise BuildStepFailed("it is not there")
        self.finished(SUCCESS)


# -- steps that run programs


class CountLines(LogLineObserver):
    def __init__(self) -> None:
        LogLineObserver.__init__(self)
        self.count = 0

    def outLineReceived(self, line: str) -> None:
        self.count += 1
        self.step.setProgress("lines", self.count)


class Lint(ShellCommand):
    name = "lint"
    description = ["linting"]
    descriptionDone = ["lint"]
    command = ["sh", "-c", "echo W: one; echo E: two; echo W: three >&2; echo fine"]
    flunkOnFailure = False
    warnOnFailure = True

    def __init__(self, strict: bool = False, **kwargs: Any) -> None:
        ShellCommand.__init__(self, **kwargs)
        self.addFactoryArguments(strict=strict)
        self.strict = strict
        self.counter = CountLines()
        self.addLogObserver("stdio", self.counter)
        self.complete = False

    def commandComplete(self, cmd: Any) -> None:
        self.complete = cmd.rc == 0

    def createSummary(self, log: Any) -> None:
        self.warnings = [line for line in log.getText().split("\n") if line.startswith("W:")]
        self.errors = [line for line in log.readlines() if line.startswith("E:")]
        self.addCompleteLog("%d warnings" % len(self.warnings), "\n".join(self.warnings) + "\n")  # noqa: UP031
        self.step_status.setStatistic("lint", len(self.warnings))

    def evaluateCommand(self, cmd: Any) -> int:
        assert self.complete
        if self.strict and self.errors:
            return FAILURE
        return WARNINGS if self.warnings else ShellCommand.evaluateCommand(self, cmd)

    def getText(self, cmd: Any, results: int) -> list[str]:
        text = ShellCommand.getText(self, cmd, results)
        return text + ["%d of %d" % (len(self.warnings), self.counter.count)]  # noqa: RUF005, UP031

    def getText2(self, cmd: Any, results: int) -> list[str]:
        return ["lint", "(%d)" % len(self.warnings)]  # noqa: UP031


class SetsUp(ShellCommand):
    """Says what to run when it starts, and with which environment."""

    name = "sets up"
    logfiles = {"report": "report.txt"}

    def __init__(self, **kwargs: Any) -> None:
        ShellCommand.__init__(self, **kwargs)
        self.remote_kwargs["timeout"] = 77
        self.addLogFile("more", "more.txt")

    def setupEnvironment(self, cmd: Any) -> None:
        ShellCommand.setupEnvironment(self, cmd)
        cmd.args["env"]["GIVEN"] = "by the step"

    def buildCommandKwargs(self, warnings: list[str]) -> Any:
        warnings.append("be warned\n")
        kwargs = ShellCommand.buildCommandKwargs(self, warnings)
        kwargs["maxTime"] = 88
        return kwargs

    def describe(self, done: bool = False) -> list[str]:
        return ["set up" if done else "setting up", *(["on", self.getSlaveName()] if done else [])]

    def start(self) -> None:
        self.setCommand(["sh", "-c", "echo $GIVEN $FACTORY; echo written > report.txt; echo more >more.txt; sleep 0.1"])
        ShellCommand.start(self)

    def finished(self, results: int) -> Any:
        self.setProperty("set up", self.describe(True), "SetsUp")
        return ShellCommand.finished(self, results)


class Extract(LoggingBuildStep):
    name = "extract"
    haltOnFailure = True

    def __init__(self, archive: str, **kwargs: Any) -> None:
        LoggingBuildStep.__init__(self, **kwargs)
        self.addFactoryArguments(archive=archive)
        self.archive = archive

    def start(self) -> None:
        cmd = RemoteShellCommand(
            self.workdir, ["echo", "extracting", self.archive], want_stdout=1, want_stderr=1, timeout=20 * 60,
            logfiles={}, usePTY="slave-config", logEnviron=False,
        )  # fmt: skip
        self.startCommand(cmd, ["do not look\n"])

    def createSummary(self, log: Any) -> None:
        found = re.search("extracting (.*)", log.getText())
        self.addHTMLLog("summary", "<b>%s</b>" % found.group(1))  # type: ignore[union-attr]  # noqa: UP031
        self.step_status.addURL("archive", "http://archives/")

    def maybeGetText2(self, cmd: Any, results: int) -> list[str]:
        return ["extracted"]


class Counted(Test):
    command = ["sh", "-c", "echo 3 passed 1 failed; exit 1"]
    flunkOnFailure = False

    def evaluateCommand(self, cmd: Any) -> int:
        passed, failed = re.search(r"(\d+) passed (\d+) failed", cmd.logs["stdio"].getText()).groups()  # type: ignore[union-attr]
        self.setTestResults(total=int(passed) + int(failed), passed=int(passed), failed=int(failed))
        return Test.evaluateCommand(self, cmd)


class Make(Compile):
    command = ["sh", "-c", "echo 'x.c:1: warning: unused'"]

    def createSummary(self, log: Any) -> None:
        Compile.createSummary(self, log)
        self.addCompleteLog("mine", log.getTextWithHeaders()[:0] + "%d" % self.warnCount)  # noqa: UP031


class TestBuildOfOldSteps(RigCase):
    async def test_all_of_them(self) -> None:
        built = await self.run_steps(
            TagBuild("v1"),
            OnlyOnMaster(),
            AsksThings(),
            Fails("raises", flunkOnFailure=False),
            Fails("chained", flunkOnFailure=False),
            Fails("inlined", flunkOnFailure=False),
            Lint(),
            Lint(strict=True),
            SetsUp(),
            Extract("a.tar"),
            Counted(),
            Make(),
            ShellCommand(
                name="evaluated",
                command="echo bad",
                log_eval_func=lambda cmd, step: regex_log_evaluator(cmd, step, [("bad", FAILURE)]),
                flunkOnFailure=False,
            ),
            env={"FACTORY": "and the builder"},
        )
        assert built.results == {
            "tag": SUCCESS,
            "only-on-master": SKIPPED,
            "asks things": WARNINGS,
            "fails": FAILURE,
            "fails_1": FAILURE,
            "fails_2": FAILURE,
            "lint": WARNINGS,
            "lint_1": FAILURE,
            "sets up": SUCCESS,
            "extract": SUCCESS,
            "test": FAILURE,
            "compile": WARNINGS,
            "evaluated": FAILURE,
        }
        assert built.properties["tag"] == "v1"
        assert built.text("tag", "tag") == "v1\n"
        texts = {step.name: step.state_text for step in built.steps}
        assert texts["tag"] == "tagged v1"
        assert texts["only-on-master"] == "not needed"
        assert built.text("asks things", "things") == "a\nb\n"
        assert built.logs("fails_1").keys() == {"stdio"}
        assert texts["lint"] == "lint warnings 2 of 3"
        assert texts["lint_1"] == "lint failed 2 of 3"
        assert built.text("lint", "2 warnings") == "W: one\nW: three\n"
        assert built.text("sets up") == "by the step and the builder\n"
        assert built.everything("sets up").startswith("be warned\n")
        assert built.text("sets up", "report") == "written\n"
        assert built.text("sets up", "more") == "more\n"
        (command,) = built.commands("sets up")
        assert (command.args["timeout"], command.args["maxTime"]) == (77, 88)
        assert texts["sets up"] == "set up on bot"
        assert built.properties["set up"] == ["set up", "on", "bot"]
        assert built.everything("extract").startswith("do not look\n")
        assert built.text("extract", "summary") == "<b>a.tar</b>"
        assert texts["test"] == "test (failure): 4 tests 3 passed 1 failed"
        assert built.text("compile", "mine") == "1"
        said = "warnings lint (2) extracted test"
        assert built.row.state_text == said  # of the others nothing: their results do not count


class SendsReport(FileUpload):
    """Of a step that has run() by now."""

    def __init__(self, **kwargs: Any) -> None:
        FileUpload.__init__(self, workersrc="report", masterdest="unknown", **kwargs)

    def start(self) -> Any:
        self.masterdest = self.getProperty("where")
        self.addCompleteLog("begun", "begun")
        return FileUpload.start(self)

    def finished(self, result: int) -> Any:
        self.addURL("report", "http://reports/")
        self.setProperty("sent", result, "SendsReport")
        return FileUpload.finished(self, result)


class LetsKnow(MasterShellCommand):
    def finished(self, results: int) -> Any:
        self.setProperty("known", self.getLog("stdio").getText().strip(), "LetsKnow")
        MasterShellCommand.finished(self, WARNINGS)


class TestSubclassesOfStepsThatRun(RigCase):
    async def test_start_and_finished_are_called(self) -> None:
        where = str(self.rig.base / "here")
        built = await self.run_steps(
            ShellCommand(command="echo reported > report"),
            SendsReport(name="sends"),
            LetsKnow(name="known", command="echo known"),
            properties={"where": where},
        )
        assert built.results == {"shell": SUCCESS, "sends": SUCCESS, "known": WARNINGS}
        assert (self.rig.base / "here").read_text() == "reported\n"
        assert built.text("sends", "begun") == "begun"
        assert built.properties["sent"] == SUCCESS
        assert built.properties["known"] == "known"


class Waits(BuildStep):
    """Waits for something of its own, and has its own way of being interrupted."""

    name = "waits"

    def __init__(self, how: str, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.how = how

    def start(self) -> None:
        self.timer = clock.callLater(60, self.finished, SUCCESS)
        self.setProperty("waits", True)

    def interrupt(self, reason: Any) -> Any:
        self.timer.cancel()
        if self.how == "calls its base":
            BuildStep.interrupt(self, reason)
        self.step_status.setText(["waited", "no", "longer"])
        self.finished(FAILURE)
        self.finished(SUCCESS)


class Runs(ShellCommand):
    name = "runs"
    command = ["sh", "-c", "echo begun; sleep 60"]

    def interrupt(self, reason: Any) -> Any:
        self.addCompleteLog("why", str(reason))
        return ShellCommand.interrupt(self, reason)

    def evaluateCommand(self, cmd: Any) -> int:
        self.addCompleteLog("rc", str(cmd.rc))
        return SUCCESS


class TestEnds(RigCase):
    async def stop(self, step: Any) -> Any:
        over = self.run_steps_later(step)
        await self.rig.until_step_runs(step.name, "begun" if isinstance(step, Runs) else "")
        await self.rig.until(lambda: self.rig.running.by_id)
        (build,) = self.rig.running.by_id.values()
        await self.rig.until(lambda: build.currentStep is not None and build.currentStep._running is not None)
        await build.stopBuild("enough")
        return await over

    async def test_steps_are_interrupted_in_their_own_way(self) -> None:
        for how in ("calls its base", "does not"):
            built = await self.stop(Waits(how))
            assert built.result == CANCELLED
            assert built.step("waits").state_text.startswith("waited no longer")

    async def test_a_command_is_interrupted_and_judged_all_the_same(self) -> None:
        built = await self.stop(Runs())
        assert built.results == {"runs": CANCELLED}
        assert built.text("runs", "why") == "enough"
        assert built.text("runs", "rc") == "-1"

    async def test_methods_that_raise_because_of_a_stop_are_told_of(self) -> None:
        class Parses(Runs):
            def createSummary(self, log: Any) -> None:
                re.search("no such line", log.getText()).group(1)  # type: ignore[union-attr]

        built = await self.stop(Parses())
        assert built.results == {"runs": CANCELLED}
        assert "AttributeError" in built.text("runs", "err.text")
        assert len(self.flushLoggedErrors(AttributeError)) == 1

    async def test_what_raises_is_an_exception_with_its_traceback(self) -> None:
        class InStart(BuildStep):
            def start(self) -> None:
                raise ZeroDivisionError("in start")

        class InSummary(ShellCommand):
            command = ["true"]

            def createSummary(self, log: Any) -> None:
                raise ZeroDivisionError("in createSummary")

        class InFailed(BuildStep):
            def start(self) -> None:
                raise BuildStepFailed("whatever")

            def failed(self, why: Any) -> None:
                raise ZeroDivisionError("in failed")

        for step, where in ((InStart(), "in start"), (InSummary(), "in createSummary"), (InFailed(), "in failed")):
            built = await self.run_steps(step)
            assert built.result == EXCEPTION
            assert where in built.text(built.steps[0].name, "err.text")
            assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def test_finished_is_not_for_steps_that_have_run(self) -> None:
        class Mixed(BuildStep):
            async def run(self) -> Any:
                self.finished(SUCCESS)

        built = await self.run_steps(Mixed(name="mixed"))
        assert "Mixed does not run by start(): its run() returns the result" in built.text("mixed", "err.text")
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
