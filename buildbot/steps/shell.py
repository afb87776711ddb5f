"""Steps that run programs on the slave: the shell family, and a property from a program's output."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep, BuildStepFailed, LogLineObserver, ShellMixin
from buildbot.process.properties import render
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import (
    CANCELLED,
    FAILURE,
    SKIPPED,
    SUCCESS,
    WARNINGS,
    Results,
    computeResultAndTermination,
    worst_status,
)
from buildbot.process.stepmixins import words


class ShellCommand(ShellMixin, BuildStep):
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

    def __init__(self, workdir: Any = None, command: Any = None, **kwargs: Any) -> None:
        if workdir is not None:
            kwargs["workdir"] = workdir
        if command is not None:
            kwargs["command"] = command
        rest = self.setupShellMixin(kwargs)
        misspelt = set(rest) - set(self.parms)  # BuildStep says so; one mistake is told once
        super().__init__(**rest)
        if self.command is None and not misspelt and type(self).run is ShellCommand.run:
            error(f"{type(self).__name__} needs a command")

    def setCommand(self, command: Any) -> None:
        """What to run, for subclasses that know it only while they run."""
        self.command = command

    async def run(self) -> int:
        command = await self.makeRemoteShellCommand()
        await self.runCommand(command)
        return self.evaluate(command)

    def evaluate(self, command: RemoteCommand) -> int:
        """The result of the command; subclasses look at what they have seen of its output."""
        return command.results()


class Configure(ShellCommand):
    """`./configure`, as ShellCommand."""

    name = "configure"
    haltOnFailure = True
    flunkOnFailure = True
    description = ("configuring",)
    descriptionDone = ("configure",)
    command = ("./configure",)


class ShellArg:
    """One command of a ShellSequence.

    command: as in ShellCommand. logname: a log of its own (default: all write to `stdio`). haltOnFailure: the rest is
    left out when it fails. flunkOnFailure, flunkOnWarnings, warnOnFailure, warnOnWarnings: what it does to the step.
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
            setattr(self, name, flags.pop(name, False))
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

    def shouldRunTheCommand(self, command: Any) -> bool:
        """Whether a command runs at all; an empty one does not."""
        return bool(command)

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


Suppression = tuple[str | None, str | None, int | None, int | None]


def parse_suppressions(text: str) -> list[Suppression]:
    """The lines of a suppression file; blank ones and those that begin with `#` say nothing. Raises ValueError."""
    found: list[Suppression] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        match = re.fullmatch(r"(.+?)\s*:\s*(.+?)(?:\s*:\s*(\d+)(?:\s*-\s*(\d+))?)?", words)
        if match is None:
            raise ValueError(f"line {number} of the suppressions is not `file pattern : warning pattern`: {words!r}")
        file, warning, first, last = match.groups()
        found.append((file, warning, int(first) if first else None, int(last or first) if first else None))
    return found


class _Fetched:
    """A small file of the slave's, in memory."""

    content = b""

    def write(self, offset: int, data: bytes) -> int:
        if offset <= len(self.content):
            self.content = self.content[:offset] + data
        return len(self.content)


class _WarningWatcher(LogLineObserver):
    """Gives each line to the step that counts warnings."""

    def __init__(self, see: Callable[[str], object]) -> None:
        super().__init__()
        self._see = see

    def outLineReceived(self, line: str) -> None:
        self._see(line)

    errLineReceived = outLineReceived


class WarningCountingShellCommand(ShellCommand):
    """A ShellCommand that looks for warnings in its output, line by line, and is WARNINGS when it finds any.

    warningPattern: regular expression (string or compiled) that a warning's line matches from its beginning.
    maxWarnCount: more warnings than these make it FAILURE (None: no limit). warningExtractor: function
    (step, line, match) -> (file, line number, text), such as `Compile.warnExtractFromRegexpGroups`. suppressionFile: a
    file on the slave, relative to workdir, whose lines are `file pattern : warning pattern`, or that and
    `: first line - last line`. directoryEnterPattern, directoryLeavePattern: how make says
    where it is. suppressionList: [(file pattern, warning pattern, first line, last line)]. The property
    `warnings-count` adds up the warnings of the build.
    """

    name = "warnings"
    warningPattern: Any = r"(?i).*warning[: ].*"
    directoryEnterPattern: Any = r"make.*: Entering directory [\u2019\"`'](.*)[\u2019'`\"]"
    directoryLeavePattern: Any = r"make.*: Leaving directory"
    renderables: ClassVar[Any] = (
        "warningPattern",
        "directoryEnterPattern",
        "directoryLeavePattern",
        "suppressionList",
        "suppressionFile",
    )
    most_examined = 4096  # of a line: a pattern must not run for ever on one of a megabyte

    def __init__(
        self,
        warningPattern: Any = None,
        warningExtractor: Any = None,
        maxWarnCount: int | None = None,
        directoryEnterPattern: Any = None,
        directoryLeavePattern: Any = None,
        suppressionList: Any = None,
        suppressionFile: Any = None,
        **kwargs: Any,
    ) -> None:
        self.suppressionFile = suppressionFile
        self.warningExtractor = warningExtractor
        self.maxWarnCount = maxWarnCount
        self.suppressionList: Any = suppressionList if suppressionList is not None else []
        if warningPattern is not None:
            self.warningPattern = warningPattern
        if directoryEnterPattern is not None:
            self.directoryEnterPattern = directoryEnterPattern
        if directoryLeavePattern is not None:
            self.directoryLeavePattern = directoryLeavePattern
        self.warnCount = 0
        self._directories: list[str] = []
        self._warnings: list[str] = []
        super().__init__(**kwargs)
        for name in ("warningPattern", "directoryEnterPattern", "directoryLeavePattern"):
            self._check_pattern(name)
        self.addLogObserver("stdio", _WarningWatcher(self._see))

    def warnExtractWholeLine(self, line: str, match: re.Match[str]) -> tuple[None, None, str]:
        """An extractor: no file, no line number, the line as the text."""
        return None, None, line

    def warnExtractFromRegexpGroups(self, line: str, match: re.Match[str]) -> tuple[str | None, int | None, str]:
        """An extractor: the pattern's groups are file, line number and text."""
        found = [*match.groups(), None, None, None]
        file, number, text = found[:3]
        return file, int(number) if number and number.isdecimal() else None, text or line

    async def run(self) -> int:
        if self.suppressionFile is not None:
            given = await self._fetch_suppressions(str(self.suppressionFile))
            self.suppressionList = [*self.suppressionList, *given]
        return await super().run()

    async def _fetch_suppressions(self, path: str) -> list[Suppression]:
        file = _Fetched()
        args = {"slavesrc": path, "workdir": self.workdir, "maxsize": 1 << 20, "blocksize": 32768, "keepstamp": False}
        command = RemoteCommand("uploadFile", args)
        command.upload = file
        await self.runCommand(command)
        if command.rc != 0:
            raise BuildStepFailed(f"the suppressions in {path} cannot be read")
        return parse_suppressions(file.content.decode("utf-8", "replace"))

    def _check_pattern(self, name: str) -> None:
        pattern = getattr(self, name)
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as wrong:
                error(f"{type(self).__name__}: {name} is not a regular expression: {wrong}")

    def _see(self, line: str) -> None:
        line = line[: self.most_examined]
        entered = re.match(self.directoryEnterPattern, line)
        if entered:
            self._directories.append(entered.group(1) if entered.groups() else "")
            return
        if re.match(self.directoryLeavePattern, line):
            if self._directories:
                self._directories.pop()
            return
        match = re.match(self.warningPattern, line)
        if match and not self._is_suppressed(line, match):
            self.warnCount += 1
            if len(self._warnings) < 10_000:
                self._warnings.append(line)

    def _is_suppressed(self, line: str, match: re.Match[str]) -> bool:
        if not self.suppressionList:
            return False
        file, number, text = self._extract(line, match)
        if file and not file.startswith("/"):
            file = "/".join([*self._directories[-1:], file])
        for file_pattern, text_pattern, first, last in self.suppressionList:
            if file_pattern is not None and not (file and re.search(file_pattern, file)):
                continue
            if text_pattern is not None and not re.search(text_pattern, text):
                continue
            if first is None or last is None or (number is not None and first <= number <= last):
                return True
        return False

    def _extract(self, line: str, match: re.Match[str]) -> tuple[str | None, int | None, str]:
        if self.warningExtractor is None:
            return None, None, line
        file, number, text = self.warningExtractor(self, line, match)
        return file, int(number) if number is not None else None, text

    def evaluate(self, command: RemoteCommand) -> int:
        result = command.results()
        if self.warnCount:
            self.note_text(f"warnings ({self.warnCount})", "\n".join(self._warnings) + "\n")
        total = int(self.getProperty("warnings-count", 0)) + self.warnCount
        self.build.setProperty("warnings-count", total, type(self).__name__)
        self.setStatistic("warnings", self.warnCount)
        if self.maxWarnCount is not None and self.warnCount > self.maxWarnCount:
            return worst_status(result, FAILURE)
        return worst_status(result, WARNINGS) if self.warnCount else result


class Compile(WarningCountingShellCommand):
    """`make all`, with its warnings counted."""

    name = "compile"
    haltOnFailure = True
    flunkOnFailure = True
    description = ("compiling",)
    descriptionDone = ("compile",)
    command = ("make", "all")


class Test(WarningCountingShellCommand):
    """`make test`. Subclasses call `setTestResults(total=, failed=, passed=, warnings=)` for its text."""

    __test__ = False  # not one of pytest's
    name = "test"
    description = ("testing",)
    descriptionDone = ("test",)
    command = ("make", "test")
    warnOnFailure = False

    def setTestResults(self, total: int = 0, failed: int = 0, passed: int = 0, warnings: int = 0) -> None:
        """Add to the counts of this step."""
        for name, count in (("total", total), ("failed", failed), ("passed", passed), ("warnings", warnings)):
            self.setStatistic(f"tests-{name}", self.getStatistic(f"tests-{name}", 0) + count)

    def getResultSummary(self) -> dict[str, str]:
        summary = super().getResultSummary()
        if not self.hasStatistic("tests-total"):
            return summary
        total, failed = self.getStatistic("tests-total"), self.getStatistic("tests-failed", 0)
        passed, warned = self.getStatistic("tests-passed", 0), self.getStatistic("tests-warnings", 0)
        counts = [f"{total} tests"]
        named = ((passed, "passed"), (warned, "warnings"), (failed, "failed"))
        counts += [f"{count} {word}" for count, word in named if count]
        text = self._with_suffix(words(self.descriptionDone) or "test")
        if self.results not in (SUCCESS, None):
            text += f" ({Results[self.results]})"
        return {"step": f"{text}: {' '.join(counts)}"}


class SetPropertyFromCommand(ShellCommand):
    """Run a program and set properties from what it prints.

    property: the name of the one property that its standard output (stripped unless strip=False) becomes; or
    extract_fn: function (exit code, stdout, stderr) -> {name: value}. One of the two. includeStdout, includeStderr
    (default True, False): what extract_fn gets.
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
        self.includeStderr = includeStderr
        self.observed: dict[str, Any] = {}
        if (property is None) == (extract_fn is None):
            error("SetPropertyFromCommand takes property or extract_fn, one of the two")
        super().__init__(**kwargs)

    async def run(self) -> int:
        collect = self.extract_fn is None or self.includeStdout
        command = await self.makeRemoteShellCommand(collectStdout=collect, collectStderr=self.includeStderr)
        await self.runCommand(command)
        result = command.results()
        if self.extract_fn is not None:
            self.observed = dict(self.extract_fn(command.rc, command.stdout, command.stderr))
        elif result in (SUCCESS, WARNINGS):
            self.observed = {self.property: command.stdout.strip() if self.strip else command.stdout}
        for name, value in self.observed.items():
            self.build.setProperty(name, value, str(self.name), runtime=True)
        if self.observed:
            self.note_text("property changes", "".join(f"{name}: {value!r}\n" for name, value in self.observed.items()))
        return result

    def getResultSummary(self) -> dict[str, str]:
        if not self.observed or self.results not in (SUCCESS, SKIPPED, CANCELLED):
            return super().getResultSummary()
        if len(self.observed) == 1:
            return {"step": self._with_suffix(f"property {next(iter(self.observed))!r} set")}
        return {"step": self._with_suffix(f"{len(self.observed)} properties set")}


__all__ = [
    "Compile",
    "Configure",
    "SetPropertyFromCommand",
    "ShellArg",
    "ShellCommand",
    "ShellSequence",
    "Test",
    "WarningCountingShellCommand",
]
