"""Steps that do their work on the master: a program, properties, a look at a value."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pprint import pformat
from typing import Any, ClassVar

from twisted.internet.defer import maybeDeferred

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.masterprogram import Ended, MasterProgram, environment
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SUCCESS
from buildbot.process.stepmixins import command_in_words, flat_words
from buildbot.store.logfiles import Channel


class MasterShellCommand(BuildStep):
    """Run a program on the master, as the user that the master runs as.

    command: a string for `/bin/sh -c`, or a list of words. env: dict of variables that are set besides the master's
    own; None removes one, lists are joined as paths, `${NAME}` is the master's own. workdir (or `path`): where it runs,
    relative to the master's base directory (default: that). usePTY: it gets a terminal. interruptSignal: how a stop
    ends it (default "KILL"; SIGKILL follows 5 seconds later). logEnviron: show the environment (default True).
    runtime_timeout: seconds after which it is ended (default 3600; None: no limit). decodeRC: {exit code: result}.

    A build that runs one while the master is killed is tried again, because nobody knows what it has done. `idempotent`
    = True in a subclass says that it may simply be run again.
    """

    name = "MasterShellCommand"
    haltOnFailure = True
    flunkOnFailure = True
    resumable = False
    renderables: ClassVar[Any] = ("command", "env", "path", "runtime_timeout")

    def __init__(
        self,
        command: Any,
        env: Any = None,
        path: Any = None,
        usePTY: Any = 0,
        interruptSignal: str = "KILL",
        logEnviron: bool = True,
        runtime_timeout: Any = 3600,
        decodeRC: Mapping[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.command = command
        self.env = env
        self.path = kwargs.pop("workdir", None) if path is None else path
        self.usePTY = usePTY
        self.interruptSignal = interruptSignal
        self.logEnviron = logEnviron
        self.runtime_timeout = runtime_timeout
        self.decodeRC = {0: SUCCESS} if decodeRC is None else dict(decodeRC)
        self._program: MasterProgram | None = None
        super().__init__(**kwargs)
        if not command:
            error(f"{type(self).__name__} needs a command")
        if not hasattr(signal, f"SIG{str(interruptSignal).removeprefix('SIG')}"):
            error(f"{type(self).__name__}: interruptSignal is the name of a signal, not {interruptSignal!r}")
        if env is not None and not isinstance(env, Mapping) and not hasattr(type(env), "getRenderingFor"):
            error(f"{type(self).__name__}: env is a dictionary, not {env!r}")

    async def run(self) -> int:
        whole = isinstance(self.command, str)
        argv = ["/bin/sh", "-c", self.command] if whole else flat_words(self.command, shown=False)
        directory = os.path.join(str(self.build.services.basedir), str(self.path or ""))
        environ = environment(os.environ, self.env)
        log = self.new_log("stdio")
        shown = self.command if whole else " ".join(flat_words(self.command))
        await log.addHeader(f"{shown}\n in directory {directory} of the master\n")
        if self.logEnviron:
            await log.addHeader(" environment:\n" + "".join(f"  {name}={environ[name]}\n" for name in sorted(environ)))
        reactor = self.build.services.reactor
        program = self._program = MasterProgram(reactor, lambda channel, data: log.write(data, channel))
        try:
            program.start(argv, environ, directory, terminal=bool(self.usePTY))
        except OSError as problem:
            await log.addHeader(f"it cannot be started: {problem}\n")
            return EXCEPTION
        limit = None
        if self.runtime_timeout is not None:
            limit = self.build.clock.callLater(float(self.runtime_timeout), self._takes_too_long)
        try:
            how = await program.ended
        finally:
            self._program = None
            program.end()
            if limit is not None and limit.active():
                limit.cancel()
        await log.addHeader(f"{_said(how)}\n")
        return self._result(how)

    def _result(self, how: Ended) -> int:
        if self.stopped:
            return CANCELLED
        if self.timed_out or how.code is None:
            return FAILURE
        return self.decodeRC.get(how.code, FAILURE)

    def _takes_too_long(self) -> None:
        self.timed_out = True
        said = f"ended after {self.runtime_timeout} seconds (runtime_timeout)\n"
        self.logs["stdio"].write(said.encode(), Channel.HEADER)
        if self._program is not None:
            self._program.end(self.interruptSignal)

    async def interrupt(self, reason: Any) -> None:
        await super().interrupt(reason)
        if self._program is not None:
            self._program.end(self.interruptSignal)

    def leave(self) -> None:
        if self._program is not None:
            self._program.end()
        super().leave()

    def own_words(self) -> str:
        return command_in_words(self.command)


def _said(how: Ended) -> str:
    if how.signal is not None:
        return f"ended by signal {how.signal}"
    return "given up" if how.code is None else f"exit code {how.code}"


class SetProperty(BuildStep):
    """Set a property of the build to a value, which may be a renderable."""

    name = "SetProperty"
    description: Any = "Setting"
    descriptionDone: Any = "Set"
    renderables: ClassVar[Any] = ("property", "value")

    def __init__(self, property: Any, value: Any, **kwargs: Any) -> None:
        self.property = property
        self.value = value
        super().__init__(**kwargs)
        if property is None:
            error("SetProperty needs the name of a property")

    async def run(self) -> int:
        await self.setProperty(str(self.property), self.value, str(self.name))
        return SUCCESS


class SetProperties(BuildStep):
    """Set several properties: a dictionary, or a renderable that gives one."""

    name = "SetProperties"
    description: Any = "Setting Properties.."
    descriptionDone: Any = "Properties Set"
    renderables: ClassVar[Any] = ("properties",)

    def __init__(self, properties: Any = None, **kwargs: Any) -> None:
        self.properties = properties
        super().__init__(**kwargs)

    async def run(self) -> int:
        if self.properties is None:
            return SUCCESS
        if not isinstance(self.properties, Mapping):
            raise TypeError(f"properties of SetProperties came out as {self.properties!r}, and not as a dictionary")
        for name, value in self.properties.items():
            await self.setProperty(str(name), value, str(self.name))
        return SUCCESS


class SetSlaveInfo(BuildStep):
    """Note what has been found out of the slave. A base class: a subclass says what, in `getSlaveInfoUpdate`.

    It is shown on the slave's page, `info` of the slave and `%(worker:...)s` have it, and it stays when the slave
    connects again, until a step sets it anew or the slave itself tells something by this name. A value is plain data as
    in JSON. Steps can add 64 KiB to one slave.
    """

    name = "SetSlaveInfo"
    description: Any = "Setting"
    descriptionDone: Any = "Set"

    def getSlaveInfoUpdate(self) -> Any:
        """A dictionary, or a Deferred or coroutine of one; None: there is nothing to note."""
        return None

    async def run(self) -> int:
        found = await maybeDeferred(self.getSlaveInfoUpdate)
        if found is not None and not isinstance(found, Mapping):
            raise TypeError(f"getSlaveInfoUpdate gave {found!r}, and not a dictionary")
        if found:
            self.build.worker.updateSlaveInfo(**found)
        return SUCCESS


class LogRenderable(BuildStep):
    """Show what a renderable comes to in this build, in the log `Output`."""

    name = "LogRenderable"
    description: Any = "Logging"
    descriptionDone: Any = "Logged"
    renderables: ClassVar[Any] = ("content",)

    def __init__(self, content: Any, **kwargs: Any) -> None:
        self.content = content
        super().__init__(**kwargs)

    async def run(self) -> int:
        await self.addCompleteLog("Output", pformat(self.content))
        return SUCCESS


class Assert(BuildStep):
    """SUCCESS if a renderable comes to something true, else FAILURE."""

    name = "Assert"
    description: Any = "Checking.."
    descriptionDone: Any = "checked"
    renderables: ClassVar[Any] = ("check",)

    def __init__(self, check: Any, **kwargs: Any) -> None:
        self.check = check
        super().__init__(**kwargs)
        self.descriptionDone = self.descriptionDone if "descriptionDone" in kwargs else f"checked {check!r}"

    async def run(self) -> int:
        return SUCCESS if self.check else FAILURE
