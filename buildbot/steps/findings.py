"""What a program says about the code it looks at: so much of each kind, and the lines that say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from buildbot.process.buildstep import LogLineObserver
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, WARNINGS, worst_status
from buildbot.steps.examining import MOST_EXAMINED
from buildbot.steps.shell import ShellCommand

MOST_KEPT = 4 << 20  # characters of lines, of all kinds together


class Findings:
    """Counts by kind, and their lines, as many as fit. kinds: those that there are, in the order of telling them."""

    def __init__(self, kinds: Iterable[str] = ()) -> None:
        self.counts: dict[str, int] = dict.fromkeys(kinds, 0)
        self.lines: dict[str, list[str]] = {kind: [] for kind in self.counts}
        self._room = MOST_KEPT

    def add(self, kind: str, line: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.more(kind, line)

    def more(self, kind: str, line: str) -> None:
        """A further line about what was counted before."""
        self._room -= len(line) + 1
        if self._room > 0:
            self.lines.setdefault(kind, []).append(line)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def text(self, kind: str) -> str:
        """The lines of a kind, and how many there are besides."""
        lines = list(self.lines.get(kind, ()))
        left_out = self.counts.get(kind, 0) - len(lines)
        if left_out > 0:
            lines.append(f"... and {left_out} more")
        return "".join(f"{line}\n" for line in lines)

    def words(self) -> str:
        """`2 warnings, 1 error`: what there is."""
        return ", ".join(_told(count, kind) for kind, count in self.counts.items() if count)


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 test`, `2 tests`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def _told(count: int, kind: str) -> str:
    return counted(count, kind[:-1]) if kind.endswith("s") else f"{count} {kind}"


class _Watcher(LogLineObserver):
    """Gives each line to the step."""

    step: FindingStep

    def outLineReceived(self, line: str) -> None:
        self.step.see(line[:MOST_EXAMINED])

    def errLineReceived(self, line: str) -> None:
        self.step.see_error(line[:MOST_EXAMINED])


class FindingStep(ShellCommand):
    """A program whose output is counted by kinds: each has a log, and they are in the step's text.

    kinds: in their order. flunking: those that make it FAILURE; any other makes it WARNINGS. prefix: when there is
    one, `PREFIX-KIND` and `PREFIX-total` are properties and statistics, too.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    flunking: ClassVar[tuple[str, ...]] = ()
    prefix: ClassVar[str | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.findings = Findings(self.kinds)
        super().__init__(*args, **kwargs)
        self.addLogObserver("stdio", _Watcher())

    def see(self, line: str) -> None:
        """A line of output. Subclasses add to `findings`."""

    def see_error(self, line: str) -> None:
        """A line of standard error."""
        self.see(line)

    def createSummary(self, stdio: Any = None) -> Any:
        """The logs of what was found, and the properties."""
        for kind, count in self.findings.counts.items():
            if count:
                self.note_text(kind, self.findings.text(kind))
        if self.prefix is not None:
            for kind, count in {**self.findings.counts, "total": self.findings.total}.items():
                self.build.setProperty(f"{self.prefix}-{kind}", count, type(self).__name__, runtime=True)
                self.setStatistic(f"{self.prefix}-{kind}", count)

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        if any(self.findings.counts[kind] for kind in self.flunking):
            return worst_status(result, FAILURE)
        return worst_status(result, WARNINGS) if self.findings.total else result

    def getResultSummary(self) -> dict[str, str]:
        summary = super().getResultSummary()
        if self.findings.total:
            summary["step"] += f": {self.findings.words()}"
        return summary
