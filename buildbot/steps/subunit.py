"""Tests that tell their results by subunit."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import error
from buildbot.process.buildstep import LogObserver
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, Results, worst_status
from buildbot.steps.findings import Findings, counted
from buildbot.steps.shell import ShellCommand
from buildbot.steps.subunitstream import Outcome, SubunitStream

_VALUES = {
    Outcome.SUCCESS: "1",
    Outcome.EXPECTED_FAILURE: "1",
    Outcome.FAILURE: "0",
    Outcome.UNEXPECTED_SUCCESS: "0",
}


class _Bytes(LogObserver):
    """Gives standard output to the stream, as the bytes that it is."""

    def __init__(self, stream: SubunitStream) -> None:
        self._stream = stream

    def outReceived(self, data: str) -> None:
        self._stream.feed(data.encode("latin-1", "replace"))


class SubunitShellCommand(ShellCommand):
    """Run tests whose standard output is subunit, version 1 or 2, and count them.

    failureOnNoTests: no test at all is FAILURE (default False). The other arguments are those of ShellCommand. A failed
    test, an unexpected success, and a test that began and did not end are FAILURE. What is said about them is in the
    log `problems`. Version 2 needs a slave that sends bytes as they are: where one has made text of the packets, so
    that no test can be read, the step is FAILURE and says so. Each test's result is kept in a set of test results, what
    was said with it; a test that was skipped has neither passed nor failed there.
    """

    name = "shell"
    logEncoding = "latin-1"  # so that every byte of a packet comes through; what is text in it is UTF-8 all the same

    def __init__(self, failureOnNoTests: Any = False, *args: Any, **kwargs: Any) -> None:
        self.failureOnNoTests = failureOnNoTests
        if not isinstance(failureOnNoTests, bool):
            error(f"SubunitShellCommand: failureOnNoTests is True or False, not {failureOnNoTests!r}")
        self.counts = dict.fromkeys(Outcome, 0)
        self._problems = Findings()
        self._set: int | None = None
        super().__init__(*args, **kwargs)
        self._stream = SubunitStream(self._ended)
        self.addLogObserver("stdio", _Bytes(self._stream))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def failures(self) -> int:
        return self.counts[Outcome.FAILURE] + self.counts[Outcome.UNEXPECTED_SUCCESS]

    @property
    def unreadable(self) -> bool:
        """Whether there were tests, of which nothing can be said."""
        return self._stream.damaged and not self.total

    async def addTestResultSets(self) -> None:
        self._set = await self.addTestResultSet("subunit", "pass_fail", "boolean")

    def _ended(self, label: str, outcome: Outcome, details: str) -> None:
        self.counts[outcome] += 1
        self.setProgress("tests", self.total)
        if self._set is not None:
            self.tell_test(self._set, _VALUES.get(outcome, str(outcome)), label, output=details)
        if outcome in (Outcome.FAILURE, Outcome.UNEXPECTED_SUCCESS):
            self._problems.add("problems", f"{label}: {outcome}\n{details}")

    def commandComplete(self, cmd: RemoteCommand) -> Any:
        self._stream.end()

    def createSummary(self, stdio: Any = None) -> Any:
        if self._problems.total:
            self.note_text("problems", self._problems.text("problems"))
        self.setStatistic("tests-total", self.total)
        self.setStatistic("tests-failed", self.failures)
        self.setStatistic("tests-passed", self.counts[Outcome.SUCCESS] + self.counts[Outcome.EXPECTED_FAILURE])

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        if self.failures or self.unreadable or (self.failureOnNoTests and not self.total):
            return worst_status(result, FAILURE)
        return result

    def getResultSummary(self) -> dict[str, str]:
        if self.results is None or self._running is None:
            return super().getResultSummary()
        said = [counted(self.total, "test") if self.total else "no tests run"]
        if self.unreadable:
            said = ["the slave has made text of subunit's packets: pipe them through subunit-2to1"]
        for outcome, word in (
            (Outcome.SUCCESS, "passed"),
            (Outcome.FAILURE, "failed"),
            (Outcome.SKIP, "skipped"),
            (Outcome.EXPECTED_FAILURE, "expected to fail"),
            (Outcome.UNEXPECTED_SUCCESS, "not expected to pass"),
        ):
            said += [f"{self.counts[outcome]} {word}"] if self.counts[outcome] else []
        text = self._with_suffix(" ".join(said))
        return {"step": text if self.results == 0 else f"{text} ({Results[self.results]})"}
