"""`CompositeStepMixin`: steps that are made of several small commands on the slave, and of small files there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buildbot.model import CommandID
from buildbot.process.deferring import gives_deferred
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.slaveport import CommandRefused
from buildbot.process.stepmixins import BuildStepFailed
from buildbot.store.logfiles import Channel

MOST_FILE = 16 << 20  # bytes of a file of the slave's that come into memory
_BLOCK = 32 * 1024


class KeptUpload:
    """A small file from the slave. It is kept beside the logs until its step ends: the step's code may run again."""

    def __init__(self, step: Any, command: RemoteCommand) -> None:
        self._step = step
        self._command = command
        self._writer: Any = None

    def write(self, offset: int, data: bytes) -> int:
        if self._writer is None:
            self._writer, reader = self._aside()
            reader.close()
        held: int = self._writer.held(1)
        if offset + len(data) > MOST_FILE:
            raise CommandRefused(f"the file is bigger than the {MOST_FILE >> 20} MiB that a step takes into memory")
        if offset <= held:
            self._writer.append(data[held - offset :], Channel.STDOUT, 1, self._step.build.now())
        return int(self._writer.held(1))

    def _aside(self) -> Any:
        return self._step.aside(CommandID(-int(self._command.id or 0)))  # what it prints has the other sign

    def content(self) -> bytes:
        """All of it, once the command has ended."""
        if self._writer is not None:
            self._writer.close()
        self._writer, reader = self._aside()
        with reader:
            return b"".join(data for _, data in reader.pieces(0, reader.size))


class InMemory:
    """A small file for the slave."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length]


class CompositeStepMixin:
    """For a step whose `run` or `start` asks its slave for several things. Each gives a Deferred, which may be awaited.

    abandonOnFailure: a command that fails raises BuildStepFailed. Paths are relative to the builder's directory.
    """

    build: Any
    name: Any
    workdir: Any
    logs: Any
    logEnviron: Any = True
    runCommand: Callable[..., Any]
    new_log: Callable[..., Any]
    rc_log: Any = None

    def addLogForRemoteCommands(self, logname: str) -> Any:
        """The log into which their output goes (default: `stdio`)."""
        self.rc_log = self.logs.get(logname) or self.new_log(logname)
        return self.rc_log

    async def _small(self, name: str, args: dict[str, Any], abandonOnFailure: bool) -> RemoteCommand:
        command = RemoteCommand(name, args)
        if self.rc_log is not None:
            command.useLog(self.rc_log, False, "stdio")
        await self.runCommand(command)
        if abandonOnFailure and command.didFail():
            raise BuildStepFailed(f"{name} failed")
        return command

    @gives_deferred
    async def runRemoteCommand(
        self,
        command: str,
        args: dict[str, Any],
        abandonOnFailure: bool = True,
        evaluateCommand: Callable[[RemoteCommand], Any] = RemoteCommand.didFail,
    ) -> Any:
        """Run any command of the slave's. Gives what `evaluateCommand` makes of it: by default whether it failed."""
        return evaluateCommand(await self._small(command, args, abandonOnFailure))

    @gives_deferred
    async def runRmdir(self, dir: str, timeout: float | None = None, abandonOnFailure: bool = True) -> bool:
        """Remove a directory. timeout: seconds. True when that failed."""
        limits = {} if timeout is None else {"timeout": timeout}
        return (await self._small("rmdir", {"dir": dir, **limits}, abandonOnFailure)).didFail()

    @gives_deferred
    async def runRmFile(self, path: str, timeout: float | None = None, abandonOnFailure: bool = True) -> bool:
        """Remove a file. True when that failed."""
        return (await self._small("rmfile", {"path": path}, abandonOnFailure)).didFail()

    @gives_deferred
    async def runMkdir(self, _dir: str, abandonOnFailure: bool = True) -> bool:
        """Make a directory and its parents. True when that failed."""
        return (await self._small("mkdir", {"dir": _dir}, abandonOnFailure)).didFail()

    @gives_deferred
    async def pathExists(self, path: str) -> bool:
        """Whether there is such a path."""
        return not (await self._small("stat", {"file": path}, False)).didFail()

    @gives_deferred
    async def runGlob(self, path: str, abandonOnFailure: bool = True) -> list[str]:
        """The paths that match a pattern."""
        command = await self._small("glob", {"path": path}, abandonOnFailure)
        return list(command.updates.get("files", [[]])[-1])

    @gives_deferred
    async def getFileContentFromWorker(self, filename: str, abandonOnFailure: bool = False) -> str | None:
        """The text of a file in the step's workdir, of at most 16 MiB; None when there is none."""
        args = {"slavesrc": filename, "workdir": self.workdir, "maxsize": MOST_FILE, "blocksize": _BLOCK}
        command = RemoteCommand("uploadFile", args)
        if self.rc_log is not None:
            command.useLog(self.rc_log, False, "stdio")
        kept = command.upload = KeptUpload(self, command)
        await self.runCommand(command)
        if command.didFail():
            if abandonOnFailure:
                raise BuildStepFailed(f"{filename} cannot be read")
            return None
        return kept.content().decode("utf-8", "replace")

    getFileContentFromSlave = getFileContentFromWorker

    @gives_deferred
    async def downloadFileContentToWorker(
        self,
        workerdest: str,
        strfile: str | bytes,
        abandonOnFailure: bool = False,
        mode: int | None = None,
        workdir: str | None = None,
    ) -> RemoteCommand:
        """Write a file in the step's workdir (or in `workdir`). mode: its rights, such as 0o644."""
        where = self.workdir if workdir is None else workdir
        args = {"slavedest": workerdest, "workdir": where, "maxsize": None, "blocksize": _BLOCK, "mode": mode}
        command = RemoteCommand("downloadFile", args)
        if self.rc_log is not None:
            command.useLog(self.rc_log, False, "stdio")
        command.download = InMemory(strfile if isinstance(strfile, bytes) else strfile.encode())
        await self.runCommand(command)
        if abandonOnFailure and command.didFail():
            raise BuildStepFailed(f"{workerdest} cannot be written")
        return command

    downloadFileContentToSlave = downloadFileContentToWorker
