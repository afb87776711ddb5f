"""Steps that do small things on the slave without a program: directories, files, its environment."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.deferring import answer_of
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS


class WorkerBuildStep(BuildStep):
    """A step whose work is a command of the slave. A base for subclasses, as it was in other eras."""


class _OneCommand(WorkerBuildStep):
    """Runs one command, and says in one of two sentences how it went. Subclasses may have a `start()`, a
    `commandComplete(cmd)` and a `finished(result)`, as in 0.8 and 0.9."""

    haltOnFailure = True
    flunkOnFailure = True
    failed_text: str = "Failed."

    def one_command(self) -> RemoteCommand:
        """What the slave is to do."""
        raise NotImplementedError

    def start(self) -> Any:
        return Deferred.fromCoroutine(self._do())

    async def _do(self) -> None:
        command = self.one_command()
        await self.runCommand(command)
        if self.stopped:
            self.finished(CANCELLED)
        else:
            await answer_of(self.commandComplete(command))

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        """The command has ended: say so in `descriptionDone`, and call `finished`."""
        if cmd.didFail():
            self.descriptionDone = self.failed_text
        self.finished(FAILURE if cmd.didFail() else SUCCESS)


class MakeDirectory(_OneCommand):
    """Make a directory and its parents. One that is there is well.

    dir: relative to the builder's directory, such as `"build/out"`; renderable.
    """

    name = "MakeDirectory"
    description: Any = "Creating"
    descriptionDone: Any = "Created"
    failed_text = "Create failed."
    renderables: ClassVar[Any] = ("dir",)

    def __init__(self, dir: Any, **kwargs: Any) -> None:
        self.dir = dir
        super().__init__(**kwargs)

    def one_command(self) -> RemoteCommand:
        return RemoteCommand("mkdir", {"dir": self.dir})


class RemoveDirectory(_OneCommand):
    """Remove a directory with all that is in it, also what is write-protected. One that is not there is well.

    dir: relative to the builder's directory, such as `"build/out"`; renderable.
    """

    name = "RemoveDirectory"
    description: Any = "Deleting"
    descriptionDone: Any = "Deleted"
    failed_text = "Delete failed."
    renderables: ClassVar[Any] = ("dir",)

    def __init__(self, dir: Any, **kwargs: Any) -> None:
        self.dir = dir
        super().__init__(**kwargs)

    def one_command(self) -> RemoteCommand:
        return RemoteCommand("rmdir", {"dir": self.dir})


class CopyDirectory(_OneCommand):
    """Copy a directory with all that is in it.

    src, dest: relative to the builder's directory; renderable. timeout: seconds in which a slave of another era must
    have copied one more file (default 120). maxTime: seconds in all (default None: no limit).
    """

    name = "CopyDirectory"
    description: Any = "Copying"
    descriptionDone: Any = "Copied"
    renderables: ClassVar[Any] = ("src", "dest")

    def __init__(
        self, src: Any, dest: Any, timeout: float | None = 120, maxTime: float | None = None, **kwargs: Any
    ) -> None:
        self.src = src
        self.dest = dest
        self.timeout = timeout
        self.maxTime = maxTime
        super().__init__(**kwargs)

    def one_command(self) -> RemoteCommand:
        if self.descriptionDone == type(self).descriptionDone:
            self.descriptionDone = f"Copied {self.src} to {self.dest}"
        self.failed_text = f"Copying {self.src} to {self.dest} failed."
        args = {"fromdir": self.src, "todir": self.dest, "timeout": self.timeout, "maxTime": self.maxTime}
        return RemoteCommand("cpdir", args)


class FileExists(_OneCommand):
    """SUCCESS if a path is a regular file, else FAILURE.

    file: relative to the builder's directory, such as `"build/configure"`; renderable.
    """

    name = "FileExists"
    renderables: ClassVar[Any] = ("file",)
    description: Any = "Checking"
    descriptionDone: Any = "File found."
    failed_text = "File not found."

    def __init__(self, file: Any, **kwargs: Any) -> None:
        self.file = file
        super().__init__(**kwargs)

    def one_command(self) -> RemoteCommand:
        return RemoteCommand("stat", {"file": self.file})

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        found = cmd.outcome.get("result")
        if cmd.didFail() or (isinstance(found, (list, tuple)) and found and stat.S_ISREG(int(found[stat.ST_MODE]))):
            super().commandComplete(cmd)
        else:
            self.descriptionDone = "Not a file."
            self.finished(FAILURE)


class SetPropertiesFromEnv(WorkerBuildStep):
    """Set properties from variables of the environment that the slave was started with.

    variables: a name or a list of them; those that the slave does not have are left out. On Windows, large and small
    letters are the same. source: shown as the properties' source (default "WorkerEnvironment").
    """

    name = "SetPropertiesFromEnv"
    description: Any = "Setting"
    descriptionDone: Any = "Set"

    def __init__(self, variables: Any, source: str = "WorkerEnvironment", **kwargs: Any) -> None:
        self.variables = variables
        self.source = source
        super().__init__(**kwargs)
        given = [variables] if isinstance(variables, str) else variables
        if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
            error(f"SetPropertiesFromEnv: variables is a name or a list of names, not {variables!r}")

    async def run(self) -> int:
        told = self.build.getSlaveInfo()
        environ = told.get("environ")
        known: Mapping[str, Any] = environ if isinstance(environ, Mapping) else {}
        if told.get("system") == "nt":
            known = {name.upper(): value for name, value in known.items()}
        log = []
        for variable in [self.variables] if isinstance(self.variables, str) else self.variables:
            value = known.get(variable.upper() if told.get("system") == "nt" else variable)
            if value is not None:
                await self.setProperty(variable, value, self.source)
                log.append(f"{variable} = {value!r}")
        await self.addCompleteLog("properties", "\n".join(log))
        return SUCCESS
