"""Steps that run programs on the slave, and what becomes of their output: a property, a number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep, ShellMixin
from buildbot.process.deferring import gives_deferred
from buildbot.process.loggingstep import LoggingBuildStep
from buildbot.process.observers import BufferLogObserver
from buildbot.process.properties import render
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import (
    SUCCESS,
    WARNINGS,
    computeResultAndTermination,
    worst_status,
)


class ShellCommand(ShellMixin, LoggingBuildStep):
    """Run a program on the slave.

    command: a string for the slave's shell, or a list of words (nested lists are flattened). The other arguments are
    those of `BuildStep` and: env (dict; None removes a variable, lists are joined as paths, `${VAR}` is expanded on
    the slave), want_stdout, want_stderr (default True), usePTY, logfiles ({name: path} followed while it runs),
    lazylogfiles (make their logs only when there is output), timeout (seconds without output, default 1200; None:
    no limit), maxTime (seconds in all), max_lines, sigtermTime (seconds between SIGTERM and interruptSignal),
    interruptSignal (default "KILL"), logEnviron (default True), initialStdin, decodeRC ({exit code: result}).
    """

    name = "shell"
    haltOnFailure = False
    flunkOnFailure = True

    def __init__(self, workdir: Any = None, command: Any = None, usePTY: Any = None, **kwargs: Any) -> None:
        given = {"workdir": workdir, "command": command, "usePTY": usePTY}
        kwargs |= {name: value for name, value in given.items() if value is not None}
        rest = self.setupShellMixin(kwargs)
        misspelt = set(rest) - set(self.parms)  # BuildStep says so; one mistake is told once
        super().__init__(**rest)
        if self.command is None and not misspelt and self._runs_only_its_command():
            error(f"{type(self).__name__} needs a command")

    @classmethod
    def _runs_only_its_command(cls) -> bool:
        """Subclasses of users say what it is when they please."""
        ours = cls.__module__.startswith("buildbot.")
        return ours and cls.run is ShellCommand.run and cls.start is ShellCommand.start

    def setCommand(self, command: Any) -> None:
        """What to run, for subclasses that know it only while they run."""
        self.command = command

    @gives_deferred
    async def start(self) -> Any:
        setup: Any = self.setupEnvironment
        of_command = bool(signature(setup).parameters)
        if not of_command:
            setup()
        command = await self.makeRemoteShellCommand()
        if of_command:
            setup(command)
        self.startCommand(command)

    def setupEnvironment(self, cmd: RemoteCommand | None = None) -> None:
        """Subclasses add to `cmd.args["env"]`, which has the builder's `env` and the step's already. One that takes no
        `cmd`, as those of 0.9 and later, is called before there is a command, and adds to `self.env`."""
        if cmd is None:
            self.env = self.env or {}
        elif cmd.args.get("env") is None:
            cmd.args["env"] = {}


class Configure(ShellCommand):
    """`./configure`, as ShellCommand."""

    name = "configure"
    haltOnFailure = True
    flunkOnFailure = True
    description = ["configuring"]
    descriptionDone = ["configure"]
    command = ["./configure"]


class ShellArg:
    """One command of a ShellSequence.

    command: as in ShellCommand. logname: a log of its own (default: all write to `stdio`). haltOnFailure: the rest is
    left out when it fails. flunkOnFailure (default True), flunkOnWarnings, warnOnFailure, warnOnWarnings: what it does
    to the step.
    """

    flags: ClassVar[tuple[str, ...]] = (
        "haltOnFailure",
        "flunkOnFailure",
        "flunkOnWarnings",
        "warnOnFailure",
        "warnOnWarnings",
    )

    def __init__(self, command: Any = None, logname: Any = None, logfile: Any = None, **flags: Any) -> None:
        self.command = command
        self.logname = logname if logname is not None else logfile
        for name in self.flags:
            setattr(self, name, flags.pop(name, name == "flunkOnFailure"))
        for name in flags:
            error(f"ShellArg has no argument {name!r}", f"it takes command, logname, {', '.join(self.flags)}")
        if command is None:
            error("ShellArg needs a command")

    async def getRenderingFor(self, properties: Any) -> RenderedShellArg:
        flags = {name: getattr(self, name) for name in self.flags}
        return RenderedShellArg(await render(self.command, properties), await render(self.logname, properties), flags)


class RenderedShellArg:
    """A ShellArg whose values are known. Not renderable itself, so that rendering ends."""

    def __init__(self, command: Any, logname: Any, flags: dict[str, bool]) -> None:
        self.command = command
        self.logname = logname
        for name, value in flags.items():
            setattr(self, name, value)


class ShellSequence(ShellMixin, BuildStep):
    """Run several programs, one after the other, as one step.

    commands: a list of util.ShellArg (or a renderable of it); other arguments as ShellCommand, but for command.
    """

    name = "shell_sequence"
    renderables: ClassVar[Any] = ("commands",)

    def __init__(self, commands: Any = None, **kwargs: Any) -> None:
        self.commands = commands
        self.last_command: Any = None
        super().__init__(**self.setupShellMixin(kwargs, prohibitArgs=["command"]))

    def shouldRunTheCommand(self, cmd: Any) -> bool:
        """Whether a command runs at all; an empty one does not."""
        return bool(cmd)

    async def runShellSequence(self, commands: Iterable[Any] | None) -> int:
        """Run the commands; the worst of their results, as their flags say."""
        if commands is None:
            raise ValueError("ShellSequence has no commands")
        overall = SUCCESS
        for arg in commands:
            if not hasattr(arg, "command"):
                raise TypeError(f"commands of a ShellSequence are util.ShellArg objects, not {arg!r}")
            if not self.shouldRunTheCommand(arg.command):
                continue
            self.command = arg.command
            command = await self.makeRemoteShellCommand(stdioLogName=arg.logname or "stdio", command=arg.command)
            await self.runCommand(command)
            overall, stops = computeResultAndTermination(arg, command.results(), overall)
            if stops or self.stopped:
                break
        return overall

    async def run(self) -> int:
        return await self.runShellSequence(self.commands)


class SetPropertyFromCommand(ShellCommand):
    """Run a program and set properties from what it prints.

    property: the name of the one property that its standard output (stripped unless strip=False) becomes; or
    extract_fn: function (exit code, stdout, stderr) -> {name: value}. One of the two. includeStdout (default True):
    whether extract_fn gets that; it always gets what came on stderr, and includeStderr is accepted.
    """

    name = "setproperty"
    renderables: ClassVar[Any] = ("property",)

    def __init__(
        self,
        property: Any = None,
        extract_fn: Callable[[int | None, str, str], dict[str, Any]] | None = None,
        strip: bool = True,
        includeStdout: bool = True,
        includeStderr: bool = False,
        **kwargs: Any,
    ) -> None:
        self.property = property
        self.extract_fn = extract_fn
        self.strip = strip
        self.includeStdout = includeStdout
        self.includeStderr = includeStderr or extract_fn is not None
        self.property_changes: dict[str, Any] = {}
        if (property is None) == (extract_fn is None):
            error("SetPropertyFromCommand takes property or extract_fn, one of the two")
        super().__init__(**kwargs)
        self.observer = BufferLogObserver(wantStderr=self.includeStderr)  # for subclasses
        self.addLogObserver("stdio", self.observer)

    def buildCommandKwargs(self, warnings: list[str]) -> dict[str, Any]:
        collect = self.extract_fn is None or self.includeStdout
        kwargs = super().buildCommandKwargs(warnings)
        return {**kwargs, "collectStdout": collect, "collectStderr": self.includeStderr}

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        if self.extract_fn is not None:
            self.property_changes = dict(self.extract_fn(cmd.rc, cmd.stdout, cmd.stderr))
        elif cmd.results() in (SUCCESS, WARNINGS):
            self.property_changes = {self.property: cmd.stdout.strip() if self.strip else cmd.stdout}
        for name, value in self.property_changes.items():
            _ = self.setProperty(name, value, str(self.name))

    def createSummary(self, stdio: Any = None) -> Any:
        if self.property_changes:
            changes = [f"{name}: {value!r}\n" for name, value in sorted(self.property_changes.items())]
            self.note_text("property changes", "".join(changes))

    def getResultSummary(self) -> dict[str, str]:
        if not self.property_changes:
            return super().getResultSummary()
        names = list(self.property_changes)
        said = f"property {names[0]!r} set" if len(names) == 1 else f"{len(names)} properties set"
        return {"step": self._with_result(self._with_suffix(said))}


class TreeSize(ShellCommand):
    """How big the tree is, by `du`: the property `tree-size-KiB`."""

    name = "treesize"
    command = ["du", "-s", "-k", "."]
    description = ["measuring", "tree", "size"]
    kib: int | None = None

    def buildCommandKwargs(self, warnings: list[str]) -> dict[str, Any]:
        return {**super().buildCommandKwargs(warnings), "collectStdout": True}

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        found = re.match(r"\s*(\d{1,18})\b", cmd.stdout[:100])
        if found is not None:
            self.kib = int(found[1])
            self.build.setProperty("tree-size-KiB", self.kib, "treesize", runtime=True)

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        return worst_status(result, WARNINGS) if self.kib is None else result

    def getResultSummary(self) -> dict[str, str]:
        if self.kib is None:
            return {"step": self._with_suffix("treesize unknown")}
        return {"step": self._with_suffix(f"treesize {self.kib} KiB")}
