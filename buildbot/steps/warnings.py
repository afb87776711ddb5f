"""Steps that look for warnings in a program's output, and those that count tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from twisted.internet.task import deferLater

from buildbot.config.errors import error
from buildbot.process.deferring import gives_deferred
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS, Results, worst_status
from buildbot.process.stepmixins import words
from buildbot.process.timelimit import LIMIT, TookTooLong
from buildbot.steps.examining import LINE_SECONDS, LineExaminer, LineWatcher
from buildbot.steps.fetching import fetch
from buildbot.steps.findings import Findings
from buildbot.steps.shell import ShellCommand

MOST_SUPPRESSIONS = 10_000

Suppression = tuple[Any, Any, int | None, int | None]


def parse_suppressions(text: str) -> list[Suppression]:
    """The lines of a suppression file; blank ones and those that begin with `#` say nothing. Raises ValueError."""
    found: list[Suppression] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        file, _, rest = words.partition(":")
        warning, _, place = rest.rpartition(":")
        first, _, last = (part.strip() for part in place.partition("-"))
        if not (warning.strip() and first.isdecimal() and (not last or last.isdecimal())):
            warning, first = rest, ""
        if not (file.strip() and warning.strip()):
            raise ValueError(f"line {number} of the suppressions is not `file pattern : warning pattern`: {words!r}")
        lines = (int(first), int(last or first)) if first else (None, None)
        found.append((file.strip(), warning.strip(), *lines))
    if len(found) > MOST_SUPPRESSIONS:
        raise ValueError(f"there are {len(found)} suppressions, more than {MOST_SUPPRESSIONS}")
    return found


class WarningCountingShellCommand(ShellCommand):
    """A ShellCommand that looks for warnings in its output, line by line, and is WARNINGS when it finds any.

    warningPattern: regular expression (string or compiled) that a warning's line matches from its beginning.
    maxWarnCount: more warnings than these make it FAILURE (None: no limit). warningExtractor: function
    (step, line, match) -> (file, line number, text), such as `warnExtractFromRegexpGroups`. suppressionFile: a
    file on the slave, relative to workdir, whose lines are `file pattern : warning pattern`, or that and
    `: first line - last line`. directoryEnterPattern, directoryLeavePattern: how make says
    where it is. suppressionList: [(file pattern, warning pattern, first line, last line)]. The property
    `warnings-count` adds up the warnings of the build.
    """

    name = "warnings"
    warningPattern: Any = r"(?i).*warning[: ].*"
    directoryEnterPattern: Any = r"make.*: Entering directory [\u2019\"`'](.*)[\u2019'`\"]"
    directoryLeavePattern: Any = r"make.*: Leaving directory"
    maxWarnCount: int | None = None
    renderables: ClassVar[Any] = (
        "warningPattern",
        "directoryEnterPattern",
        "directoryLeavePattern",
        "suppressionList",
        "suppressionFile",
        "maxWarnCount",
    )

    def __init__(
        self,
        warningPattern: Any = None,
        warningExtractor: Any = None,
        maxWarnCount: Any = None,
        directoryEnterPattern: Any = None,
        directoryLeavePattern: Any = None,
        suppressionFile: Any = None,
        suppressionList: Any = None,
        **kwargs: Any,
    ) -> None:
        self.suppressionFile = suppressionFile
        self.suppressionList: Any = suppressionList if suppressionList is not None else []
        self.warningExtractor = warningExtractor
        given = {
            "warningPattern": warningPattern,
            "maxWarnCount": maxWarnCount,
            "directoryEnterPattern": directoryEnterPattern,
            "directoryLeavePattern": directoryLeavePattern,
        }
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        self.suppressions: list[Suppression] = []
        self._found = Findings(("warnings",))
        self._directories: list[str] = []
        super().__init__(**kwargs)
        for name in ("warningPattern", "directoryEnterPattern", "directoryLeavePattern"):
            self._check_pattern(name)
        if warningExtractor is not None and not callable(warningExtractor):
            error(f"{type(self).__name__}: warningExtractor is a function, not {warningExtractor!r}")
        self._examiner = LineExaminer(self._see)
        self.addLogObserver("stdio", self._examiner)

    @property
    def warnCount(self) -> int:
        """How many warnings there are by now."""
        return self._found.total

    @property
    def loggedWarnings(self) -> list[str]:
        """Their lines, as many as are kept."""
        return self._found.lines["warnings"]

    def warnExtractWholeLine(self, line: str, match: re.Match[str]) -> tuple[None, None, str]:
        """An extractor: no file, no line number, the line as the text."""
        return None, None, line

    def warnExtractFromRegexpGroups(self, line: str, match: re.Match[str]) -> tuple[str | None, int | None, str]:
        """An extractor: the pattern's groups are file, line number and text."""
        found = [*match.groups(), None, None, None]
        file, number, text = found[:3]
        return file, int(number) if number and number.isdecimal() else None, text or line

    def addSuppression(self, suppressionList: Iterable[Suppression]) -> None:
        """More warnings that do not count, in the form of suppressionList. Raises ValueError for a wrong one."""
        for given in suppressionList:
            file, text, first, last = given
            try:
                patterns = [None if each is None else re.compile(each) for each in (file, text)]
            except re.error as wrong:
                raise ValueError(f"a pattern of the suppression {given!r} is wrong: {wrong}") from None
            self.suppressions.append((*patterns, first, last))  # type: ignore[arg-type]

    async def run(self) -> int:
        self.addSuppression(self.suppressionList)
        if self.suppressionFile is not None:
            _, text = await fetch(self, str(self.suppressionFile))
            for given in parse_suppressions(text):
                self._add_within_limit(given)
                if len(self.suppressions) % 20 == 0:
                    await deferLater(self.build.clock, 0, lambda: None)
        return await super().run()

    @gives_deferred
    async def runCommand(self, command: RemoteCommand) -> RemoteCommand:
        """As every step's, and what it printed has been looked at."""
        done = await super().runCommand(command)
        await self._examiner.done()
        return done

    def _add_within_limit(self, given: Suppression) -> None:
        """As addSuppression, for a pattern that comes from the slave."""
        try:
            LIMIT.within(LINE_SECONDS, lambda: self.addSuppression([given]))
        except TookTooLong:
            raise ValueError(f"a pattern of the suppression {given!r} is too long") from None

    def _check_pattern(self, name: str) -> None:
        pattern = getattr(self, name)
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as wrong:
                error(f"{type(self).__name__}: {name} is not a regular expression: {wrong}")

    def _see(self, line: str) -> None:
        if self.directoryEnterPattern is not None:
            entered = re.match(self.directoryEnterPattern, line)
            if entered:
                self._directories.append(entered.group(1) or "" if entered.groups() else "")
                return
        if self.directoryLeavePattern is not None and re.match(self.directoryLeavePattern, line):
            if self._directories:
                self._directories.pop()
            return
        match = re.match(self.warningPattern, line)
        if match:
            self.maybeAddWarning(self.loggedWarnings, line, match)

    def maybeAddWarning(self, warnings: list[str], line: str, match: re.Match[str]) -> None:
        """Called for each line that matches warningPattern: counts it, unless it is suppressed. A subclass does so for
        some only, by super(). warnings: those that were counted before."""
        if not self._is_suppressed(line, match):
            self._found.add("warnings", line)

    def _is_suppressed(self, line: str, match: re.Match[str]) -> bool:
        if not self.suppressions:
            return False
        file, number, text = (self.warningExtractor or _whole_line)(self, line, match)
        number = int(number) if number is not None else None
        if file and not file.startswith("/"):
            file = "/".join([*self._directories[-1:], file])
        for file_pattern, text_pattern, first, last in self.suppressions:
            if file is not None and file_pattern is not None and not file_pattern.match(file):
                continue
            if text_pattern is not None and not text_pattern.search(text):
                continue
            if first is None or last is None or (number is not None and first <= number <= last):
                return True
        return False

    def createSummary(self, stdio: Any = None) -> Any:
        """The log of the warnings, the property and the statistic."""
        text, missed = self._found.text("warnings"), self._examiner.what_was_missed()
        if missed is not None:
            text += f"({missed})\n"
        if text:
            self.note_text(f"warnings ({self.warnCount})", text)
        total = int(self.getProperty("warnings-count", 0)) + self.warnCount
        self.build.setProperty("warnings-count", total, type(self).__name__)
        self.setStatistic("warnings", self.warnCount)

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        if self.maxWarnCount is not None and self.warnCount > self.maxWarnCount:
            return worst_status(result, FAILURE)
        return worst_status(result, WARNINGS) if self.warnCount or self._examiner.what_was_missed() else result


def _whole_line(step: Any, line: str, match: Any) -> tuple[None, None, str]:
    return None, None, line


class Compile(WarningCountingShellCommand):
    """`make all`, with its warnings counted."""

    name = "compile"
    haltOnFailure = True
    flunkOnFailure = True
    description = ["compiling"]
    descriptionDone = ["compile"]
    command: Any = ["make", "all"]


class Test(WarningCountingShellCommand):
    """`make test`. Subclasses call `setTestResults(total=, failed=, passed=, warnings=)` for its text."""

    __test__ = False  # not one of pytest's
    name = "test"
    description = ["testing"]
    descriptionDone = ["test"]
    command: Any = ["make", "test"]
    warnOnFailure = True

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


class PerlModuleTest(Test):
    """The tests of a Perl module, run by `prove` or `make test`, and counted."""

    command = ["prove", "--lib", "lib", "-r", "t"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._counted = {"total": 0, "failed": 0, "scripts failed": 0}
        super().__init__(*args, **kwargs)
        self.addLogObserver("stdio", LineWatcher(self._count))

    def _count(self, line: str) -> None:
        """Of the lines at the end: those of Test::Harness 3, and of the one before it."""
        if match := re.match(r"Files=\d+, Tests=(\d+),", line):
            self._counted["total"] = int(match[1])
        elif match := re.search(r"\(Wstat: \d+ (?:\([^()]{0,50}\) )?Tests: \d+ Failed: (\d+)\)$", line):
            self._counted["failed"] += int(match[1])
            self._counted["scripts failed"] += 1
        elif match := re.match(r"Failed (\d+)/\d+ test (?:scripts|programs)[^0-9]", line):
            self._counted["scripts failed"] = int(match[1])
            if subtests := re.search(r" (\d+)/(\d+) subtests failed", line):
                self._counted["failed"], self._counted["total"] = int(subtests[1]), int(subtests[2])

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        total, failed = self._counted["total"], self._counted["failed"]
        if total or failed:
            self.setTestResults(total=total, failed=failed, passed=max(0, total - failed))
        return worst_status(result, FAILURE) if self._counted["scripts failed"] else result
