"""What steps that run commands share: `ShellMixin` for programs, `CommandMixin` for the slave's small commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.results import CANCELLED, SUCCESS, Results


class BuildStepFailed(Exception):
    """Raised by a step's code: the step ends as FAILURE, without a traceback."""


def words(value: Any) -> str:
    """A description given as a string or as a list of words."""
    if isinstance(value, (list, tuple)):
        return " ".join(str(item) for item in value)
    return "" if value is None else str(value)


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

    async def runRmdir(self, dir: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        """Remove a directory. True when it is gone."""
        return not (await self._run_small("rmdir", {"dir": dir, **kwargs}, abandonOnFailure)).didFail()

    async def runMkdir(self, dir: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        """Make a directory and its parents. True when it is there."""
        return not (await self._run_small("mkdir", {"dir": dir, **kwargs}, abandonOnFailure)).didFail()

    async def pathExists(self, path: str, log: Any = None) -> bool:
        """Whether a path is there, relative to the builder's directory."""
        command = RemoteCommand("stat", {"file": path}, stdioLogName=None)
        await self.runCommand(command)
        return command.rc == 0

    async def runRmFile(self, path: str, log: Any = None, abandonOnFailure: bool = True, **kwargs: Any) -> bool:
        return not (await self._run_small("rmfile", {"path": path, **kwargs}, abandonOnFailure)).didFail()

    async def runGlob(self, path: str, **kwargs: Any) -> list[str]:
        """The paths that match a pattern."""
        command = await self._run_small("glob", {"path": path, **kwargs}, True)
        return list(command.outcome.get("result") or ())


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
        "logfiles",
        "lazylogfiles",
        "timeout",
        "maxTime",
        "max_lines",
        "sigtermTime",
        "initialStdin",
        "usePTY",
        "interruptSignal",
    )

    build: Any
    workdir: Any
    name: Any
    addLogForRemoteCommands: Any = None

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
        return rest

    async def makeRemoteShellCommand(
        self,
        collectStdout: bool = False,
        collectStderr: bool = False,
        stdioLogName: str | None = "stdio",
        **overrides: Any,
    ) -> RemoteShellCommand:
        """The command as the step's arguments say, with `overrides` in place of some."""
        given = {name: overrides.get(name, getattr(self, name)) for name in self._shell_arguments}
        lazy = given.pop("lazylogfiles")
        given["env"] = {**(self.build.env or {}), **(given["env"] or {})} or None
        logfiles = given["logfiles"] or {}
        workdir = overrides.get("workdir", self.workdir)
        command = RemoteShellCommand(
            workdir=workdir,
            collectStdout=collectStdout,
            collectStderr=collectStderr,
            stdioLogName=stdioLogName,
            **given,
        )
        step: Any = self
        if stdioLogName is not None:
            command.useLog(step.logs.get(stdioLogName) or step.new_log(stdioLogName), False, stdioLogName)
        for logname in logfiles:
            if lazy:
                command.useLogDelayed(logname, lambda _, name=logname: step.logs.get(name) or step.new_log(name))  # type: ignore[misc]
            else:
                command.useLog(step.logs.get(logname) or step.new_log(logname), False, logname)
        return command

    def command_words(self) -> str:
        """The command as a short text for people: its first words."""
        command = self.command
        if not command:
            return ""
        if isinstance(command, bytes):
            command = command.decode("utf-8", "replace")
        parts = command.split() if isinstance(command, str) else _flat(command)
        if not parts:
            return ""
        return "'" + " ".join(parts[:2]) + (" ...'" if len(parts) > 2 else "'")

    def getCurrentSummary(self) -> dict[str, str]:
        step: Any = self
        text = words(step.description) or self.command_words() or "running"
        return {"step": step._with_suffix(text)}

    def getResultSummary(self) -> dict[str, str]:
        step: Any = self
        text = words(step.descriptionDone) or words(step.description) or self.command_words() or "finished"
        text = step._with_suffix(text)
        if step.timed_out and step.results not in (SUCCESS, CANCELLED):
            text += " (timed out)"
        elif step.results not in (SUCCESS, None):
            text += f" ({Results[step.results]})"
        return {"step": text}


def _flat(command: Any) -> list[str]:
    flat: list[str] = []
    for part in command:
        if isinstance(part, tuple) and len(part) == 3 and part[0] == "obfuscated":
            flat.append(str(part[2]))
        elif isinstance(part, (list, tuple)):
            flat.extend(_flat(part))
        else:
            flat.append(part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part))
    return flat
