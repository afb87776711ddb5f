"""Patterns that projects' own configurations have, each as small as it can be, on a real slave."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import defer

from buildbot.config import names
from buildbot.config.errors import Collecting, collecting
from buildbot.process.results import FAILURE, RETRY, SUCCESS, WARNINGS, worst_status
from tests.rig import Source as SourceOf
from tests.steps.case import StepsCase

names.install()
from buildbot.buildslave import BuildSlave  # noqa: E402
from buildbot.plugins import steps, util  # noqa: E402
from buildbot.process import logobserver  # noqa: E402
from buildbot.process.buildstep import (  # noqa: E402
    BuildStep,
    BuildStepFailed,
    LoggedRemoteCommand,
    LoggingBuildStep,
    RemoteCommand,
    ShellMixin,
    regex_log_evaluator,
)
from buildbot.process.remotecommand import RemoteShellCommand  # noqa: E402
from buildbot.steps.shell import ShellCommand, ShellCommandNewStyle  # noqa: E402
from buildbot.steps.source import Source  # noqa: E402
from buildbot.steps.transfer import (  # noqa: E402
    StatusRemoteCommand,
    _TransferBuildStep,
    makeStatusRemoteCommand,
)


class Fetches(ShellCommandNewStyle):
    """Puts into `env` what it finds out when it runs, though it was given none."""

    name = "fetch"
    env: ClassVar[Any] = {"LANG": "C"}

    def run(self) -> Any:
        self.env["WHERE"] = f"{self.getProperty('buildername')}/tools"
        self.command = ["sh", "-c", "echo $LANG $WHERE"]
        return super().run()


class FetchesBare(ShellMixin, BuildStep):
    name = "fetch bare"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self.setupShellMixin(kwargs))

    async def run(self) -> int:
        self.env["WHERE"] = "tools"
        command = await self.makeRemoteShellCommand(command=["sh", "-c", "echo $WHERE"])
        await self.runCommand(command)
        return int(command.results())


class Sequence(steps.ShellSequence):  # type: ignore[misc]
    name = "sequence"

    def run(self) -> Any:
        self.env["N"] = "1"
        return self.runShellSequence(
            [util.ShellArg(command="echo $N", logname="stdio"), util.ShellArg(command="exit 2", logname="stdio")]
        )


class Extends(ShellCommandNewStyle):
    name = "extends"
    command: ClassVar[Any] = ["echo", "a"]

    def run(self) -> Any:
        self.command += ["b"]
        return super().run()


class Headers(logobserver.BufferLogObserver):
    """Keeps the headers as well, by what the class has for the other two."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[str] = []

    def headerReceived(self, data: str) -> None:
        self.headers.append(data)

    def getHeaders(self) -> str:
        return self._get(self.headers)


class HasHeaders(ShellCommandNewStyle):
    name = "headers"
    command: ClassVar[Any] = ["sh", "-c", "exit 3"]

    @defer.inlineCallbacks
    def run(self) -> Any:
        seen = Headers()
        self.addLogObserver("stdio", seen)
        result = yield super().run()
        self.setProperty("ended", "3" in seen.getHeaders().splitlines()[-1])
        return result


class TestWhatStepsPutIn(StepsCase):
    async def test_an_environment_is_there_to_be_filled(self) -> None:
        built = await self.run_steps(Fetches(), FetchesBare(), Sequence(flunkOnFailure=False), HasHeaders())
        assert built.text("fetch") == "C b/tools\n"
        assert built.text("fetch bare") == "tools\n"
        assert built.text("sequence").splitlines()[0] == "1"
        assert built.results["sequence"] == FAILURE
        assert built.properties["ended"] is True
        assert Fetches.env == {"LANG": "C"}

    async def test_what_a_class_says_is_not_changed_by_its_steps(self) -> None:
        built = await self.run_steps(Extends(), Extends())
        assert [built.text(name) for name in ("extends", "extends_1")] == ["a b\n", "a b\n"]
        assert Extends.command == ["echo", "a"]


class Knows(steps.FileExists):  # type: ignore[misc]
    """A missing file is no failure, but a property."""

    name = "knows"

    def __init__(self, property: str, file: Any, **kwargs: Any) -> None:
        self.property = property
        super().__init__(file, **kwargs)

    def commandComplete(self, cmd: Any) -> None:
        self.setProperty(self.property, not cmd.didFail(), self.name)
        self.finished(SUCCESS)


class MakesUnless(steps.MakeDirectory):  # type: ignore[misc]
    name = "makes unless"

    def start(self) -> Any:
        if self.getProperty("there"):
            self.descriptionDone = "nothing to make"
            return self.finished(SUCCESS)
        return super().start()


class TakesAway(steps.FileUpload):  # type: ignore[misc]
    """Removes the file from the slave when the master has it."""

    name = "takes away"

    @defer.inlineCallbacks
    def finished(self, results: int) -> Any:
        command = RemoteShellCommand(command=["rm", self.workersrc], workdir=self.workdir, logEnviron=False)
        yield self.runCommand(command)
        ended = yield super().finished(results if not command.didFail() else FAILURE)
        return ended


class TestSmallStepsOfTheSlave(StepsCase):
    async def test_their_ends_are_for_subclasses_to_judge(self) -> None:
        self.put({"a": "x"})
        taken = Path(self.mktemp()).absolute()
        taken.parent.mkdir(parents=True, exist_ok=True)
        built = await self.run_steps(
            Knows("there", "build/a"),
            MakesUnless("made"),
            TakesAway(workersrc="a", masterdest=str(taken)),
            Knows("there", "build/a"),
            MakesUnless("made"),
            steps.FileExists("made"),
        )
        assert [step.state_text for step in built.steps] == [
            "File found.",
            "nothing to make",
            "uploading a",
            "File found.",
            "Created",
            "Not a file. (failure)",
        ]
        assert built.properties["there"] is False
        assert taken.read_text() == "x"
        assert not os.path.exists(self.work / "a")


class ReadsSteps(ShellMixin, BuildStep):
    """Makes steps of what a file of the source says, in the way of 0.8: into the build's list."""

    name = "read steps"
    workdir = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self.setupShellMixin(kwargs))

    @defer.inlineCallbacks
    def run(self) -> Any:
        command = yield self.makeRemoteShellCommand(command=["cat", "steps"], collectStdout=True)
        yield self.runCommand(command)
        for line in command.stdout.splitlines():
            step = ShellCommand(name=f"do {line}", command=["echo", line])
            step.setBuild(self.build)
            step.setBuildSlave(self.build.slavebuilder.slave)
            step.setDefaultWorkdir(self.workdir)
            self.build.steps.append(step)
            step.setStepStatus(self.build.build_status.addStepWithName(step.name))
        return command.results()


class ShowsParts(ShellCommand):
    name = "parts"

    def commandComplete(self, cmd: Any) -> None:
        part = self.step_status.getBuild().addStepWithName("part")
        part.stepStarted()


class TestStepsThatMakeSteps(StepsCase):
    async def test_what_is_put_into_the_builds_list_runs(self) -> None:
        self.put({"steps": "one\ntwo\n"})
        built = await self.run_steps(ReadsSteps(), ShellCommand(name="planned", command=["true"]))
        assert list(built.results) == ["read steps", "planned", "do one", "do two"]
        assert built.text("do two") == "two\n"
        made = "SELECT name FROM steps WHERE made_steps"  # its code has to make them again after a restart
        assert self.rig.store.all(str, made) == ["read steps"]

    async def test_steps_within_a_step_are_refused_with_advice(self) -> None:
        built = await self.run_steps(ShowsParts(command=["true"]))
        assert "cannot; give each part a log by addLog(name)" in built.text("parts", "err.text")
        assert len(self.flushLoggedErrors(AttributeError)) == 1


class Keeps:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = 0

    def remote_write(self, data: bytes) -> None:
        self.pieces.append(data)

    def remote_close(self) -> None:
        self.closed += 1


class Gives:
    """A reader of a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def remote_read(self, length: int) -> str:
        given, self.text = self.text[:length], self.text[length:]
        return given

    def remote_close(self) -> None:
        self.text = "closed"


class ToStorage(_TransferBuildStep):  # type: ignore[misc]
    """Sends a file of the slave's on to somewhere else."""

    name = "to storage"

    def __init__(self, slavesrc: Any, maxsize: Any = None, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.slavesrc = slavesrc
        self.maxsize = maxsize

    def start(self) -> Any:
        assert self.slaveVersion("uploadFile")
        self.writer = Keeps()
        args = {
            "slavesrc": self.slavesrc,
            "workdir": self._getWorkdir(),
            "writer": self.writer,
            "maxsize": self.maxsize,
        }
        args["blocksize"] = 1000
        self.cmd = StatusRemoteCommand("uploadFile", args)
        d = self.runCommand(self.cmd)
        d.addCallback(self.stored).addErrback(self.failed)

    def stored(self, cmd: Any) -> None:
        self.setProperty("stored", [len(b"".join(self.writer.pieces)), len(self.writer.pieces) > 1, self.writer.closed])
        self.finished(FAILURE if cmd.didFail() else SUCCESS)


class Creates(_TransferBuildStep):  # type: ignore[misc]
    name = "creates"
    renderables: ClassVar[Any] = ("data",)

    def __init__(self, data: Any, slavedest: str, **kwargs: Any) -> None:
        _TransferBuildStep.__init__(self, **kwargs)
        self.data = data
        self.slavedest = slavedest

    def start(self) -> Any:
        self.checkSlaveVersion("downloadFile")
        self.reader = Gives(self.data)
        args = {"slavedest": self.slavedest, "reader": self.reader, "workdir": self._getWorkdir(), "blocksize": 3}
        args |= {"maxsize": None, "mode": None}
        d = self.runTransferCommand(makeStatusRemoteCommand(self, "downloadFile", args))
        d.addCallback(self.finished).addErrback(self.failed)


class TestTransfersOfTheirOwn(StepsCase):
    async def test_writers_and_readers(self) -> None:
        self.put({"big": "x" * 5000})
        built = await self.run_steps(
            Creates(util.Interpolate("of %(prop:buildername)s, é"), "made"),
            ShellCommand(name="look", command=["cat", "made"]),
            ToStorage("big"),
            ToStorage("big", maxsize=3000, name="too big", haltOnFailure=False),
            ToStorage("none", name="no file"),
        )
        assert list(built.results.values()) == [SUCCESS, SUCCESS, SUCCESS, FAILURE, FAILURE]
        assert built.text("look") == "of b, é"
        assert built.properties["stored"] == [0, False, 1]

    async def test_all_of_a_file_comes_to_the_writer(self) -> None:
        self.put({"big": "x" * 5000})
        built = await self.run_steps(ToStorage("big"))
        assert built.properties["stored"] == [5000, True, 1]

    def test_such_a_step_begins_anew_after_a_restart(self) -> None:
        assert (_TransferBuildStep.resumable, _TransferBuildStep.idempotent) == (False, True)


class ByFile(LoggingBuildStep):
    """Goes on by what is in the directory where steps run."""

    name = "by file"

    def __init__(self, ways: dict[str, Any], **kwargs: Any) -> None:
        LoggingBuildStep.__init__(self, **kwargs)
        self.ways = ways
        self.found = "nothing"

    def start(self) -> Any:
        self.startCommand(RemoteCommand("listdir", {"dir": self.build.workdir}))

    def commandComplete(self, cmd: Any) -> None:
        for name, step in self.ways.items():
            if name in cmd.updates["files"][-1]:
                self.build.steps.insert(0, step)
                self.found = name
                return
        raise BuildStepFailed

    def setStatus(self, cmd: Any, results: int) -> None:
        self.step_status.setText(f"found {self.found}")


class Measured(BuildSlave):
    """A slave that has more to it."""

    def __init__(self, *args: Any, databases: Any = None, **kwargs: Any) -> None:
        BuildSlave.__init__(self, *args, **kwargs)
        self.databases = databases


class Asks(BuildStep):
    name = "asks"

    def start(self) -> Any:
        status = self.build.build_status
        self.setProperty("asked", [self.buildslave.databases["pg"], status.builder.getName(), self.build.workdir])
        self.finished(SUCCESS)


class TestWhatTheyReach(StepsCase):
    async def test_a_step_chooses_the_next_by_a_file(self) -> None:
        self.put({"wscript": ""})
        waf = ShellCommand(name="waf", command=["true"])
        built = await self.run_steps(ByFile({"Makefile": None, "wscript": waf}), ByFile({"none": None}, name="again"))
        assert built.results == {"by file": SUCCESS, "waf": SUCCESS, "again": FAILURE}
        assert built.step("by file").state_text == "found wscript"

    async def test_slaves_of_their_own_class(self) -> None:
        self.rig.config.slaves[0] = Measured("bot", "pw", databases={"pg": "url"})
        built = await self.run_steps(Asks())
        assert built.properties["asked"] == ["url", "b", "build"]


class Sees(ShellCommand):
    name = "sees"

    def setupEnvironment(self, cmd: Any) -> None:
        cmd.args["env"] = {**self.slaveEnvironment, "FILES": " ".join(self.build.allFiles()) or "none"}


class TestEnvironmentOfTheBuilder(StepsCase):
    async def test_a_step_sees_it(self) -> None:
        built = await self.run_steps(Sees(command="echo $MAKE $FILES"), env={"MAKE": "gmake"})
        assert built.text("sees") == "gmake none\n"


class ReadsSettings(steps.SetPropertyFromCommand):  # type: ignore[misc]
    """What the command has printed becomes a property of another kind."""

    def commandComplete(self, cmd: Any) -> None:
        if not cmd.didFail():
            self.setProperty(self.property, self.observer.getStdout().split(), "ReadsSettings")


class TestPropertiesOfTheirOwn(StepsCase):
    async def test_what_was_printed_is_in_the_steps_observer(self) -> None:
        built = await self.run_steps(ReadsSettings(command="echo a b; echo c >&2; echo d", property="settings"))
        assert built.properties["settings"] == ["a", "b", "d"]


class TestMethodsOfSourceSteps(StepsCase):
    with_slave = False

    def test_one_that_has_no_effect_is_said_and_no_mistake(self) -> None:
        with collecting("master.cfg", "/nowhere") as collected:
            assert isinstance(collected, Collecting)
            steps.Git("https://example.org/x", method="clean")
        assert [each.message for each in collected.warnings] == [
            "Git: method='clean' has no effect without mode='full'"
        ]
        assert not collected.problems


class Syncs(Source):  # type: ignore[misc]
    """A source step of 0.8 with a command of its own on the slave."""

    name = "sync"

    def __init__(self, solution: str = "", env: Any = None, **kwargs: Any) -> None:
        Source.__init__(self, **kwargs)
        self.args["env"] = dict(env or {})
        self.args["solution"] = solution

    def startVC(self, branch: Any, revision: Any, patch: Any) -> None:
        args = {**self.args, "branch": branch, "revision": revision}
        self.setProperty("synced", [args["solution"], args["branch"], args["revision"], args["patch"], args["env"]])
        command = LoggedRemoteCommand("shell", {"command": ["echo", "synced"], "workdir": args["workdir"]})
        self.startCommand(command, ["by hand\n"])

    def commandComplete(self, cmd: Any) -> None:
        Source.commandComplete(self, cmd)
        self.setProperty("got_revision", "r7", "Sync")

    def describe(self, done: bool = False) -> Any:
        words = Source.describe(self, done)
        words.append("r7")
        return words


def watched(base: Any) -> Any:
    """A class of step whose output is looked at, whatever it is."""

    class Watched(base):  # type: ignore[misc]
        def evaluateCommand(self, cmd: Any) -> Any:
            own = base.evaluateCommand(self, cmd)
            return worst_status(own, regex_log_evaluator(cmd, self.step_status, [("nonexistent.repository", RETRY)]))

    return Watched


class TestSourceStepsOfTheirOwn(StepsCase):
    async def test_a_command_of_their_own(self) -> None:
        built = await self.run_steps(
            Syncs(solution="all", env={"A": "b"}, mode="update", workdir="src"),
            sources=[SourceOf(branch="trunk", revision="5")],
        )
        assert built.results == {"sync": SUCCESS}
        assert built.text("sync") == "synced\n"
        assert built.everything("sync").startswith("by hand\n")
        assert built.properties["synced"] == ["all", "trunk", "5", None, {"A": "b"}]
        assert built.properties["got_revision"] == "r7"
        assert built.step("sync").state_text == "update r7"

    async def test_errors_are_looked_for_in_both_channels(self) -> None:
        judged = partial(regex_log_evaluator, regexes=[("out of memory", RETRY), ("slow", WARNINGS)])
        commands = {"neither": "echo well >&2", "output": "echo slow", "error": "echo out of memory >&2"}
        built = await self.run_steps(
            *(
                ShellCommand(
                    name=name,
                    command=command,
                    log_eval_func=lambda cmd, status: judged(cmd, status),
                    flunkOnFailure=False,
                )
                for name, command in commands.items()
            )
        )
        assert built.results == {"neither": SUCCESS, "output": WARNINGS, "error": RETRY}

    async def test_what_they_say_of_the_output(self) -> None:
        gone = "/nonexistent/repository"
        built = await self.run_steps(
            steps.Git(gone, log_eval_func=lambda cmd, status: WARNINGS, haltOnFailure=False, flunkOnFailure=False),
            watched(steps.Git)(gone, name="watched"),
        )
        assert built.results == {"git": FAILURE, "watched": RETRY}

    def test_logfiles_of_a_source_step_are_accepted(self) -> None:
        with collecting("master.cfg", "/nowhere") as collected:
            steps.Git("https://example.org/x", lazylogfiles=True)
        assert [each.message for each in collected.warnings] == ["Git: lazylogfiles has no effect in this version"]
