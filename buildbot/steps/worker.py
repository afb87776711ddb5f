"""Steps that do small things on the slave without a program: directories, files, its environment."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS


class WorkerBuildStep(BuildStep):
    """A step whose work is a command of the slave. A base for subclasses, as it was in other eras."""


class _OneCommand(WorkerBuildStep):
    """Runs one command, and says in one of two sentences how it went."""

    haltOnFailure = True
    flunkOnFailure = True
    failed_text: str = "Failed."

    async def run_one(self, name: str, args: dict[str, Any]) -> int:
        command = RemoteCommand(name, args)
        await self.runCommand(command)
        if self.stopped:
            return CANCELLED
        if command.didFail():
            self.descriptionDone = self.failed_text
            return FAILURE
        return SUCCESS


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

    async def run(self) -> int:
        return await self.run_one("mkdir", {"dir": self.dir})


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

    async def run(self) -> int:
        return await self.run_one("rmdir", {"dir": self.dir})


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

    async def run(self) -> int:
        if self.descriptionDone == type(self).descriptionDone:
            self.descriptionDone = f"Copied {self.src} to {self.dest}"
        self.failed_text = f"Copying {self.src} to {self.dest} failed."
        args = {"fromdir": self.src, "todir": self.dest, "timeout": self.timeout, "maxTime": self.maxTime}
        return await self.run_one("cpdir", args)


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

    async def run(self) -> int:
        command = RemoteCommand("stat", {"file": self.file})
        await self.runCommand(command)
        if self.stopped:
            return CANCELLED
        if command.didFail():
            self.descriptionDone = self.failed_text
            return FAILURE
        found = command.outcome.get("result")
        if not isinstance(found, (list, tuple)) or not found or not stat.S_ISREG(int(found[stat.ST_MODE])):
            self.descriptionDone = "Not a file."
            return FAILURE
        return SUCCESS


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
