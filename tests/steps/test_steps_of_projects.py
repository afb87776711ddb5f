"""Patterns that projects' own configurations have, each as small as it can be, on a real slave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet import defer

from buildbot.config import names
from buildbot.config.errors import Collecting, collecting
from buildbot.process.results import FAILURE, SUCCESS
from tests.steps.case import StepsCase

names.install()
from buildbot.plugins import steps, util  # noqa: E402
from buildbot.process import logobserver  # noqa: E402
from buildbot.process.buildstep import BuildStep, ShellMixin  # noqa: E402
from buildbot.process.remotecommand import RemoteShellCommand  # noqa: E402
from buildbot.steps.shell import ShellCommand, ShellCommandNewStyle  # noqa: E402


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


class Sees(ShellCommand):
    name = "sees"

    def setupEnvironment(self, cmd: Any) -> None:
        cmd.args["env"] = {**self.slaveEnvironment, "FILES": " ".join(self.build.allFiles()) or "none"}


class TestEnvironmentOfTheBuilder(StepsCase):
    async def test_a_step_sees_it(self) -> None:
        built = await self.run_steps(Sees(command="echo $MAKE $FILES"), env={"MAKE": "gmake"})
        assert built.text("sees") == "gmake none\n"


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
