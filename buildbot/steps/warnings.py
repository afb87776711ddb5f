"""Steps that look for warnings in a program's output, and those that count tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStepFailed, LogLineObserver
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS, Results, worst_status
from buildbot.process.stepmixins import words
from buildbot.steps.shell import ShellCommand

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
