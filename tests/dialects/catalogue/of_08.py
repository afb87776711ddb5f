"""Steps as people wrote them for Buildbot 0.7 and 0.8, in one build."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import defer

from buildbot.config import names
from buildbot.process.results import FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.steps.warnings import Compile, Test
from tests.dialects.catalogue.case import Here, case
from tests.rig import clock

names.install()
from buildbot.process.buildstep import (  # noqa: E402
    BuildStep,
    BuildStepFailed,
    LoggedRemoteCommand,
    LoggingBuildStep,
    LogLineObserver,
    OutputProgressObserver,
    RemoteShellCommand,
    regex_log_evaluator,
)
from buildbot.steps.shell import ShellCommand  # noqa: E402

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
        self.addLogObserver("stdio", OutputProgressObserver("output"))
        self.measured: dict[str, float] = {}
        self.complete = False

    def setProgress(self, metric: str, value: float) -> None:
        ShellCommand.setProgress(self, metric, value)
        self.measured[metric] = value

    def commandComplete(self, cmd: Any) -> None:
        self.complete = cmd.rc == 0

    def createSummary(self, log: Any) -> None:
        self.warnings = sorted(line for line in log.getText().split("\n") if line.startswith("W:"))
        self.errors = [line for line in log.readlines() if line.startswith("E:")]
        self.addCompleteLog("%d warnings" % len(self.warnings), "\n".join(self.warnings) + "\n")  # noqa: UP031
        self.step_status.setStatistic("lint", len(self.warnings))
        in_all = len(log.getTextWithHeaders())
        self.setProperty("measured", [self.measured["lines"], self.measured["output"] - in_all, in_all > 40], "Lint")

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


@case(BuildStep, ShellCommand, Test, Compile)
async def steps_of_07_and_08(here: Here) -> None:
    built = await here.run_steps(
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
    assert built.properties["measured"] == [3, 0, True]
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
