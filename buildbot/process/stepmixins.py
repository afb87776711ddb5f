"""What steps that run commands share: `ShellMixin` for programs, `CommandMixin` for the slave's small commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.deferring import gives_deferred
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand


class BuildStepFailed(Exception):
    """Raised by a step's code: the step ends as FAILURE, without a traceback."""


class BuildStepCancelled(Exception):
    """Raised by a step's code: the step ends as CANCELLED, and its build with it."""


def words(value: Any) -> str:
    """A description given as a string or as a list of words."""
    if isinstance(value, (list, tuple)):
        return " ".join(str(item) for item in value)
    return "" if value is None else str(value)


def use_logfiles(step: Any, command: RemoteCommand, names: Iterable[str], lazy: bool) -> None:
    """Have a log for each file that the command follows; lazy: as soon as there is output."""

    def log_of(name: str) -> Any:
        return step.logs.get(name) or step.new_log(name)

    for name in names:
        if name in command.logs or name in command.delayedLogs:
            continue
        if lazy:
            command.useLogDelayed(name, lambda _, name=name: log_of(name))  # type: ignore[misc]
        else:
            command.useLog(log_of(name), False, name)


class CommandMixin:
    """Small commands for steps that need them: each gives a plain answer."""

    build: Any
    workdir: Any
    runCommand: Callable[..., Any]

    async def _run_small(self, command: str, args: dict[str, Any], abandonOnFailure: bool) -> RemoteCommand:
        done = RemoteCommand(command, args)
        await self.runCommand(done)
        if abandonOnFailure and done.didFail():
            raise BuildStepFailed(f"{command} failed")
        return done

    @gives_deferred
    async def runRmdir(self, dir: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        """Remove a directory. True when it is gone."""
        return not (await self._run_small("rmdir", {"dir": dir, **kwargs}, abandonOnFailure)).didFail()

    @gives_deferred
    async def runMkdir(self, dir: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        """Make a directory and its parents. True when it is there."""
        return not (await self._run_small("mkdir", {"dir": dir, **kwargs}, abandonOnFailure)).didFail()

    @gives_deferred
    async def pathExists(self, path: str, log: Any = None) -> bool:
        """Whether a path is there, relative to the builder's directory."""
        command = RemoteCommand("stat", {"file": path}, stdioLogName=None)
        await self.runCommand(command)
        return command.rc == 0

    @gives_deferred
    async def runRmFile(self, path: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        return not (await self._run_small("rmfile", {"path": path, **kwargs}, abandonOnFailure)).didFail()

    @gives_deferred
    async def runGlob(self, path: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> list[str]:
        """The paths that match a pattern."""
        command = await self._run_small("glob", {"path": path, **kwargs}, abandonOnFailure)
        return list(command.outcome.get("result") or ())


class RemoteArguments(MutableMapping[str, Any]):
    """The arguments of a shell step's command, which are attributes of the step."""

    def __init__(self, step: Any) -> None:
        self._step = step
        self._names = ("workdir", *(name for name in step._shell_arguments if name != "lazylogfiles"))

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return getattr(self._step, name)

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise KeyError(f"a command has no argument {name!r}")
        setattr(self._step, name, value)

    def __delitem__(self, name: str) -> None:
        self[name] = getattr(type(self._step), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def copy(self) -> dict[str, Any]:
        return dict(self)


class ShellMixin:
    """Everything a step needs to run programs: arguments, rendering, and `makeRemoteShellCommand`.

    A subclass calls `kwargs = self.setupShellMixin(kwargs, prohibitArgs=[...])` in its constructor.
    """

    command: Any = None
    env: Any = None
    want_stdout: Any = True
    want_stderr: Any = True
    usePTY: Any = None
    logfiles: Any = None
    lazylogfiles: Any = False
    timeout: Any = 1200
    maxTime: Any = None
    max_lines: Any = None
    logEnviron: Any = True
    interruptSignal: Any = "KILL"
    sigtermTime: Any = None
    initialStdin: Any = None
    decodeRC: Any = None

    _shell_arguments: ClassVar[tuple[str, ...]] = (
        "command",
        "env",
        "want_stdout",
        "want_stderr",
        "usePTY",
        "logfiles",
        "lazylogfiles",
        "timeout",
        "maxTime",
        "max_lines",
        "logEnviron",
        "interruptSignal",
        "sigtermTime",
        "initialStdin",
        "decodeRC",
    )
    renderables: ClassVar[Any] = (
        "command",
        "env",
        "want_stdout",
        "want_stderr",
        "usePTY",
        "logfiles",
        "lazylogfiles",
        "timeout",
        "maxTime",
        "max_lines",
        "logEnviron",
        "interruptSignal",
        "sigtermTime",
        "initialStdin",
        "decodeRC",
    )

    build: Any
    workdir: Any
    name: Any

    def setupShellMixin(self, constructorArgs: dict[str, Any], prohibitArgs: Any = ()) -> dict[str, Any]:
        """Take the shell's arguments out of a constructor's; the rest is returned for BuildStep."""
        rest = dict(constructorArgs)
        for argument in self._shell_arguments:
            if argument not in rest:
                continue
            value = rest.pop(argument)
            if argument in prohibitArgs:
                error(f"{type(self).__name__} has no argument {argument!r}")
            else:
                setattr(self, argument, value)
        if self.env is None:
            self.env = {}  # steps put in what they need when they run
        return rest

    def buildCommandKwargs(self, warnings: list[str]) -> dict[str, Any]:
        """The arguments of the RemoteShellCommand, as the step's say; subclasses change them. What is put into
        `warnings` is shown in the log before the command begins."""
        kwargs = {name: getattr(self, name) for name in self._shell_arguments if name != "lazylogfiles"}
        return {"workdir": self.workdir, **kwargs}

    @property
    def remote_kwargs(self) -> RemoteArguments:
        """The same by another name of 0.8: what is put in here is put into the step's attributes."""
        return RemoteArguments(self)

    @gives_deferred
    async def makeRemoteShellCommand(
        self,
        collectStdout: bool = False,
        collectStderr: bool = False,
        stdioLogName: str | None = "stdio",
        **overrides: Any,
    ) -> RemoteShellCommand:
        """The command as the step's arguments say, with `overrides` in place of some."""
        step: Any = self
        lazy = bool(overrides.pop("lazylogfiles", self.lazylogfiles))
        warnings: list[str] = []
        collect = {"collectStdout": collectStdout, "collectStderr": collectStderr}
        given = {**collect, **self.buildCommandKwargs(warnings), **overrides}
        if not given.get("command"):
            raise ValueError(f"step {step.name} has no command to run")
        given["env"] = {**(self.build.env or {}), **(given.get("env") or {})} or None
        command = RemoteShellCommand(stdioLogName=stdioLogName, **given)
        if stdioLogName is not None:
            log = step.logs.get(stdioLogName) or step.new_log(stdioLogName)
            for warning in warnings:
                log.addHeader(warning)
            command.useLog(log, False, stdioLogName)
        use_logfiles(step, command, given.get("logfiles") or {}, lazy)
        return command

    def own_words(self) -> str:
        """The command as a short text for people: its first words."""
        return command_in_words(self.command)


def command_in_words(command: Any) -> str:
    """A command, as a string or words, as a short text for people: its first words."""
    if not command:
        return ""
    if isinstance(command, bytes):
        command = command.decode("utf-8", "replace")
    parts = command.split() if isinstance(command, str) else flat_words(command)
    if not parts:
        return ""
    return "'" + " ".join(parts[:2]) + (" ...'" if len(parts) > 2 else "'")


def flat_words(command: Any, *, shown: bool = True) -> list[str]:
    """The words of a command whose lists may be nested.

    shown: of `("obfuscated", real, fake)` the fake, else the real.
    """
    flat: list[str] = []
    for part in command:
        if isinstance(part, tuple) and len(part) == 3 and part[0] == "obfuscated":
            flat.append(str(part[2 if shown else 1]))
        elif isinstance(part, (list, tuple)):
            flat.extend(flat_words(part, shown=shown))
        else:
            flat.append(part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part))
    return flat
