"""Reading the output of Twisted's trial: the counts at its end, what went wrong, and warnings."""

from __future__ import annotations

import re
from typing import NamedTuple

from buildbot.process.buildstep import LogLineObserver
from buildbot.steps.examining import MOST_EXAMINED
from buildbot.steps.findings import Findings, counted

_RAN = re.compile(r"Ran (\d{1,9}) tests? in ")
_END = re.compile(r"(?:PASSED|FAILED)(?: \(([\w=, ]{0,300})\))?$")
_TEST = re.compile(r".* \.\.\. +\[?[A-Za-z!?]")
_NAME = re.compile(r"\S+$")
_PLACE = re.compile(r"[^\s\]]+:\d+: [\w.]*$")


_BAD = {"[FAIL]": "failure", "[ERROR]": "error", "[SUCCESS!?!]": "unexpected success"}
MOST_TOLD = 2000  # tests that went wrong
_LONGEST = 64 << 10  # characters of what is said about one
_LONGEST_IN_ALL = 4 << 20
_MOST_NAMES = 1000  # tests of which the same is said


class WrongTest(NamedTuple):
    """A test that went wrong: its name, how, and what is said about it."""

    name: str
    how: str
    text: str


class _Blocks:
    """What is said between double lines: how it went, a traceback, an empty line, and the names of the tests."""

    def __init__(self) -> None:
        self.wrong: list[WrongTest] = []
        self._how = ""
        self._at_head = False
        self._lines: list[str] = []
        self._room = 0
        self._room_in_all = _LONGEST_IN_ALL
        self._names: list[str] = []

    def feed(self, line: str) -> None:
        if line.startswith(("=" * 70, "-" * 70)):
            self.end()
            self._at_head = line.startswith("=")
        elif self._at_head:
            self._at_head, self._how, self._lines = False, _BAD.get(line.strip(), ""), []
            self._names, self._room = [], min(_LONGEST, self._room_in_all)
        elif self._how:
            self._inside(line)

    def _inside(self, line: str) -> None:
        size = len(line) + 1
        if size <= self._room:
            self._lines.append(line)
            self._room -= size
            self._room_in_all -= size
        if not line:
            self._names = []
        elif len(self._names) < _MOST_NAMES:
            self._names.append(line)

    def end(self) -> None:
        if self._how:
            text = "".join(f"{line}\n" for line in self._lines)
            told = [WrongTest(name, self._how, text) for name in self._names if _NAME.match(name)]
            self.wrong += told[: MOST_TOLD - len(self.wrong)]
        self._how, self._at_head = "", False


class TrialCounts(NamedTuple):
    """What the last two lines say."""

    total: int
    failures: int = 0
    errors: int = 0
    skips: int = 0
    todos: int = 0  # expected failures
    unexpected_successes: int = 0

    @property
    def failed(self) -> int:
        return self.failures + self.errors + self.unexpected_successes

    def words(self) -> str:
        if not self.total:
            return "no tests run"
        said = [counted(self.total, "test")]
        bad = [
            counted(self.failures, "failure") if self.failures else "",
            counted(self.errors, "error") if self.errors else "",
            counted(self.unexpected_successes, "surprise") if self.unexpected_successes else "",
        ]
        said += list(filter(None, bad)) or ["passed"]
        said += [counted(self.skips, "skip")] if self.skips else []
        said += [counted(self.todos, "todo")] if self.todos else []
        return " ".join(said)


class TrialTestCaseCounter(LogLineObserver):
    """Sees trial's output: `numTests` that have ended, which is the step's progress `tests`; `counts`, at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: TrialCounts | None = None
        self.numTests = 0
        self._ran: int | None = None
        self._in_problems = False
        self._findings = Findings(("problems", "warnings"))
        self._seen: dict[str, int] = {}
        self._blocks = _Blocks()

    @property
    def wrong(self) -> list[WrongTest]:
        """The tests that went wrong, in the order in which they are told at the end."""
        return self._blocks.wrong

    def outLineReceived(self, line: str) -> None:
        line = line[:MOST_EXAMINED]
        if end := _END.match(line):
            self.counts = _counts(self._ran or 0, end[1] or "")  # without tests it does not say how many
            self._end_of_problems()
            return
        if ran := _RAN.match(line):
            self._ran = int(ran[1])
            self._end_of_problems()
        elif line.startswith("=" * 70):
            self._in_problems = True
        elif _TEST.match(line):
            self.numTests += 1
            self.step.setProgress("tests", self.numTests)
        if self._in_problems:
            self._findings.more("problems", line)
            self._blocks.feed(line)
        self._look_for_warning(line)

    def _end_of_problems(self) -> None:
        self._blocks.end()
        self._in_problems = False

    def _look_for_warning(self, line: str) -> None:
        """It may stand behind the line of a test."""
        end = line.find("Warning: ")
        place = _PLACE.search(line[max(0, end - 300) : end]) if end >= 0 else None
        if place is None:
            return
        warning = place[0] + line[end:]
        if warning in self._seen:
            self._seen[warning] += 1
        elif len(self._seen) < 10_000:
            self._seen[warning] = 1
            self._findings.add("warnings", warning)

    errLineReceived = outLineReceived

    def problems(self) -> str:
        """From the first double line to the counts."""
        return self._findings.text("problems")

    def warnings(self) -> str:
        """Each once, with how often it came, most often first."""
        kept = self._findings.lines["warnings"]
        told = sorted(((self._seen.get(line, 1), line) for line in kept), key=lambda each: -each[0])
        return "".join(f"[{count} times] {line}\n" if count > 1 else f"{line}\n" for count, line in told)


def countFailedTests(output: str) -> dict[str, int | None]:
    """The counts in the whole text of trial's output, by their names; `total` is None when there are none."""
    counter = TrialTestCaseCounter()
    counter.step = _NoStep()
    for line in output.splitlines():
        counter.outLineReceived(line)
    found = counter.counts
    return {
        "total": None if found is None else found.total,
        "failures": 0 if found is None else found.failures,
        "errors": 0 if found is None else found.errors,
        "skips": 0 if found is None else found.skips,
        "expectedFailures": 0 if found is None else found.todos,
        "unexpectedSuccesses": 0 if found is None else found.unexpected_successes,
    }


class _NoStep:
    def setProgress(self, metric: str, value: float) -> None:
        pass


def _counts(total: int, words: str) -> TrialCounts:
    found = {
        name.strip(): int(number)
        for name, _, number in (each.partition("=") for each in words.split(","))
        if number.strip().isdecimal()
    }
    return TrialCounts(
        total=total,
        failures=found.get("failures", 0),
        errors=found.get("errors", 0),
        skips=found.get("skips", 0),
        todos=found.get("expectedFailures", 0),
        unexpected_successes=found.get("unexpectedSuccesses", 0),
    )
