"""Custom steps as people write them for Buildbot 0.9 to 4.x: generators and coroutines, small files, observers."""

from __future__ import annotations

import stat
from typing import Any

from twisted.internet import defer

from buildbot.config import names
from buildbot.process.results import EXCEPTION, FAILURE, SUCCESS, WARNINGS
from tests.dialects.catalogue.case import Here, case
from tests.rig import Built

names.install()
from buildbot.interfaces import LOG_CHANNEL_STDERR, WorkerTooOldError  # noqa: E402
from buildbot.plugins import steps, util  # noqa: E402
from buildbot.process import buildstep, logobserver, remotecommand  # noqa: E402
from buildbot.process.buildstep import BuildStep  # noqa: E402
from buildbot.status.logfile import HEADER, STDERR, STDOUT  # noqa: E402
from buildbot.steps.worker import CompositeStepMixin  # noqa: E402

NAME = "caf\u00e9 au lait"


class GenerateStages(buildstep.ShellMixin, steps.BuildStep):
    """The example of the manual of 4.x: steps that a command names."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = self.setupShellMixin(kwargs)
        super().__init__(**kwargs)
        self.observer = logobserver.BufferLogObserver()
        self.addLogObserver("stdio", self.observer)

    def extract_stages(self, stdout: str) -> list[str]:
        return [line.split("]")[1].strip() for line in stdout.split("\n") if line.startswith("[")]

    @defer.inlineCallbacks
    def run(self) -> Any:
        cmd = yield self.makeRemoteShellCommand()
        yield self.runCommand(cmd)
        result = cmd.results()
        if result == util.SUCCESS:
            self.build.addStepsAfterCurrentStep(
                [
                    steps.ShellCommand(name=stage, command=["echo", stage])
                    for stage in self.extract_stages(self.observer.getStdout())
                ]
            )
        return result


class Files(CompositeStepMixin, buildstep.BuildStep):
    """Small files and commands, by generator."""

    name = "files"

    @defer.inlineCallbacks
    def run(self) -> Any:
        yield self.addLogForRemoteCommands("small")
        failed = yield self.runMkdir("build/sub")
        yield self.downloadFileContentToWorker("sub/a.txt", "content\n", mode=0o640)
        text = yield self.getFileContentFromWorker("sub/a.txt")
        none = yield self.getFileContentFromSlave("sub/none.txt")
        there = yield self.pathExists("build/sub/a.txt")
        found = yield self.runGlob("build/sub/*.txt")
        cmd = yield self.runCommand(remotecommand.RemoteCommand("stat", {"file": "build/sub/a.txt"}))
        mode = stat.S_IMODE(cmd.updates["stat"][-1][stat.ST_MODE])
        listed = yield self.runRemoteCommand(
            "listdir", {"dir": "build/sub"}, evaluateCommand=lambda cmd: cmd.updates["files"][0]
        )
        yield self.runRmFile("build/sub/a.txt")
        gone = yield self.pathExists("build/sub/a.txt")
        removed = yield self.runRmdir("build/sub", timeout=10)
        wrong = yield self.runRemoteCommand("stat", {"file": "no"}, abandonOnFailure=False)
        names = [path.rpartition("/")[2] for path in found]
        self.setProperty("found", [failed, text, none, there, names, mode, listed, gone, removed, wrong])
        yield self.getFileContentFromWorker("none", abandonOnFailure=True)
        return SUCCESS


class MoreFiles(CompositeStepMixin, buildstep.BuildStep):
    """What has no place, many files, and names and contents of any kind."""

    name = "more files"

    @defer.inlineCallbacks
    def run(self) -> Any:
        many = [f"{NAME} {number}" for number in range(300)]
        for path in ("build/x", f"build/{NAME}/y"):
            yield self.runMkdir(path)
        text = "line \u00e9\n" * 20_000
        yield self.downloadFileContentToWorker(f"{NAME}/big", text)
        yield self.downloadFileContentToWorker("bytes", b"\xff\x00", workdir="build/x")
        cmd = remotecommand.RemoteShellCommand("build/x", ["touch", *many], collectStdout=True)
        yield self.runCommand(cmd)
        big = yield self.getFileContentFromWorker(f"{NAME}/big")
        odd = yield self.getFileContentFromWorker("x/bytes")
        found = yield self.runGlob(f"build/x/{NAME}*")
        none = yield self.runGlob("build/x/none*")
        again = yield self.runMkdir("build/x", abandonOnFailure=False)
        no_place = yield self.runMkdir("build/x/bytes/z", abandonOnFailure=False)
        no_file = yield self.runRmFile("build/x/none", abandonOnFailure=False)
        no_directory = yield self.runRmdir("build/none", abandonOnFailure=False)
        directory = yield self.pathExists(f"build/{NAME}")
        self.setProperty("same", [cmd.rc, big == text, odd, len(found), none, directory])
        self.setProperty("failed", [again, no_place, no_file, no_directory])
        yield self.runRmFile("build/x/none")
        return SUCCESS


class Programs(buildstep.ShellMixin, buildstep.BuildStep):
    """A program of every way to be asked for, and what it left."""

    name = "programs"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self.setupShellMixin(kwargs))

    async def run(self) -> int:
        first = await self.makeRemoteShellCommand(collectStdout=True, collectStderr=True, stdioLogName="first")
        await self.runCommand(first)
        second = await self.makeRemoteShellCommand(
            command="cat; pwd", initialStdin=first.stdout, env={"B": "two"}, collectStdout=True, stdioLogName=None
        )
        await self.runCommand(second)
        third = remotecommand.RemoteShellCommand(
            self.workdir, ["sh", "-c", "echo told; exit 4"], decodeRC={4: WARNINGS}, logEnviron=False
        )
        third.useLog(self.addLog("mine"), True, "stdio")
        await self.runCommand(third)
        self.setProperty(
            "said", [first.stdout, first.stderr, first.rc, second.stdout, third.results(), third.didFail()]
        )
        return third.results()


class ChainedFiles(CompositeStepMixin, buildstep.BuildStep):
    """The same in the style of 0.8."""

    name = "chained files"

    def start(self) -> None:
        d = self.runMkdir("build/dir")
        d.addCallback(lambda _: self.pathExists("build/dir"))
        d.addCallback(lambda there: self.setProperty("there", there))
        d.addCallback(lambda _: self.checkSlaveHasCommand("no such command"))
        d.addCallbacks(lambda _: self.finished(SUCCESS), self.failed)


class Coroutines(buildstep.CommandMixin, buildstep.ShellMixin, buildstep.BuildStep):
    name = "coroutines"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**self.setupShellMixin(kwargs, prohibitArgs=["command"]))
        self.lines: list[tuple[str, str]] = []
        self.chunks: list[tuple[int, str]] = []
        self.plain: list[Any] = []

    def consume(self) -> Any:
        while True:
            stream, line = yield
            if stream != "h":
                self.lines.append((stream, line))

    async def run(self) -> int:
        self.addLogObserver("stdio", logobserver.LineConsumerLogObserver(self.consume))
        self.addLogObserver("stdio", Chunks(self.chunks))
        self.addLogObserver("stdio", Plain(self.plain))
        assert await self.runMkdir("build/x")
        assert await self.pathExists("build/x")
        cmd = await self.makeRemoteShellCommand(command=["sh", "-c", "echo one; echo two >&2; printf three"])
        await self.runCommand(cmd)
        log = cmd.logs["stdio"]
        self.setProperty("chunks", [list(each) for each in log.getChunks([STDOUT, STDERR])])
        self.setProperty("texts", list(log.getChunks([STDERR], onlyText=True)))
        self.setProperty("numbers", sorted({number for number, _ in log.getChunks()}))
        lines = log.readlines()
        self.setProperty("lines", [len(lines), lines[0], lines[-1], lines[0:1], list(log.readlines(STDERR))])
        self.description = ["three", "lines"]
        await self.updateSummary()
        return cmd.results()

    def getCurrentSummary(self) -> dict[str, str]:
        return {"step": "counting"}

    def getResultSummary(self) -> dict[str, str]:
        return {"step": "counted", "build": "3 lines"}


class Chunks(logobserver.LogLineObserver):
    def __init__(self, into: list[tuple[int, str]]) -> None:
        logobserver.LogLineObserver.__init__(self)
        self.setMaxLineLength(10)
        self.into = into

    def logChunk(self, build: Any, step: Any, log: Any, channel: int, text: str) -> None:
        assert (build, step.build, log.getStep(), log.getName()) == (step.build, build, step, "stdio")
        if channel != HEADER:
            self.into.append((channel, text))
        logobserver.LogLineObserver.logChunk(self, build, step, log, channel, text)

    def errReceived(self, text: str) -> None:
        logobserver.LogLineObserver.errReceived(self, text.upper())

    def errLineReceived(self, line: str) -> None:
        self.into.append((LOG_CHANNEL_STDERR, line))


class Plain:
    """Not one of ours: it subscribes by itself."""

    def __init__(self, into: list[Any]) -> None:
        self.into = into

    def setStep(self, step: Any) -> None:
        self.step = step

    def setLog(self, log: Any) -> None:
        log.subscribe(self, True)
        log.subscribe(lambda stream, text: self.into.append(stream))

    def logChunk(self, build: Any, step: Any, log: Any, channel: int, text: str) -> None:
        if channel == STDERR:
            self.into.append(text)

    def logFinished(self, build: Any, step: Any, log: Any) -> None:
        self.into.append(step is self.step)


async def run_one(here: Here, step: Any) -> Built:
    built = await here.run_steps(step)
    name = built.steps[0].name
    assert built.result == SUCCESS, [built.text(name, log) for log in built.logs(name)]
    return built


@case(BuildStep)
async def steps_that_a_command_names(here: Here) -> None:
    built = await run_one(here, GenerateStages(name="generate", command="printf '[x] one\\n[x] two\\nno\\n'"))
    assert list(built.results) == ["generate", "one", "two"]
    assert built.text("two") == "two\n"


@case(BuildStep)
async def files_of_any_name_and_content(here: Here) -> None:
    built = await here.run_steps(MoreFiles(flunkOnFailure=False))
    assert built.results == {"more files": FAILURE}, [built.text("more files", log) for log in built.logs("more files")]
    assert built.properties["same"] == [0, True, "\ufffd\x00", 300, [], True]
    assert built.properties["failed"] == [False, True, True, False]


@case(BuildStep)
async def programs_of_steps_of_ones_own(here: Here) -> None:
    built = await here.run_steps(Programs(command="echo $A$B; echo err >&2; exit 3", env={"A": "one"}, workdir="w"))
    assert built.results == {"programs": WARNINGS}
    said = ["one\n", "err\n", 3, f"one\n{here.work.parent / 'w'}\n", WARNINGS, False]
    assert built.properties["said"] == said, built.properties["said"]
    assert set(built.logs("programs")) == {"first", "mine"}, built.logs("programs").keys()
    assert built.text("programs", "mine") == "told\n"


@case(BuildStep)
async def small_files_and_commands(here: Here) -> None:
    built = await here.run_steps(Files(flunkOnFailure=False), ChainedFiles())
    assert built.results == {"files": FAILURE, "chained files": EXCEPTION}
    text, stat_of = "content\n", 0o640
    found = [False, text, None, True, ["a.txt"], stat_of, ["a.txt"], False, False, True]
    assert built.properties["found"] == found
    assert built.logs("files").keys() >= {"small"}
    assert built.properties["there"] is True
    assert "does not know the command 'no such command'" in built.text("chained files", "err.text")
    assert issubclass(WorkerTooOldError, Exception)


@case(BuildStep)
async def logs_and_observers(here: Here) -> None:
    step = Coroutines()
    kept: list[Any] = []
    step_of = type(step).run

    async def keeps(self: Any) -> int:
        kept.append(self)
        return await step_of(self)

    here.patch(Coroutines, "run", keeps)
    built = await run_one(here, step)
    (ran,) = kept
    said = "one\nthree\n" if here.makes_text else "one\nthree"
    assert sorted(ran.lines) == [("e", "two"), ("o", "one"), ("o", "three")]
    assert "".join(text for channel, text in ran.chunks if channel == STDOUT) == said
    assert (LOG_CHANNEL_STDERR, "TWO") in ran.chunks
    assert ran.plain[-2:] == [None, True] or ran.plain[-2:] == [True, None]
    assert {"o", "e", "h", "two\n"} <= set(ran.plain)
    found = built.properties
    assert "".join(text for channel, text in found["chunks"] if channel == STDOUT) == said
    assert found["texts"] == ["two\n"]
    assert found["numbers"] == [STDOUT, STDERR, HEADER]
    assert found["lines"] == [2, "one\n", said[4:], ["one\n"], ["two\n"]]
    assert built.step("coroutines").state_text == "counted"
    assert built.row.state_text == "build successful 3 lines"
