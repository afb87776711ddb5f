"""What a step says of single tests, and other data of its. The store has no place for them: they live as long as their
running build does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed

MOST_RESULTS = 100_000  # of a build or a set
MOST_DATA = 16 << 20  # bytes


class TestResult:
    """One test, as Buildbot 0.7 and 0.8 told of it.

    name: its path as a tuple of strings. results: SUCCESS, FAILURE ... text: a list of words. logs: {name: text}.
    """

    __test__ = False  # not one of pytest's

    def __init__(
        self, name: Sequence[str], results: int, text: Sequence[str], logs: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(name, str) or not all(isinstance(part, str) for part in name):
            raise TypeError(f"the name of a test is a tuple of strings, not {name!r}")
        self.name = tuple(name)
        self.results = results
        self.text = list(text)
        self.logs = dict(logs or {})

    def getName(self) -> tuple[str, ...]:
        return self.name

    def getResults(self) -> int:
        return self.results

    def getText(self) -> list[str]:
        return self.text

    def getLogs(self) -> dict[str, Any]:
        return self.logs


class OneResult(NamedTuple):
    """One entry of a TestResultSet."""

    value: str
    test_name: str | None
    test_code_path: str | None
    line: int | None
    duration_ns: int | None


class TestResultSet:
    """Results of one kind that a step of 4.x tells."""

    __test__ = False

    def __init__(self, description: str, category: str, value_unit: str) -> None:
        self.description = description
        self.category = category
        self.value_unit = value_unit
        self.results: list[OneResult] = []


class TellsTests:
    """The part of a BuildStep that tells of tests as steps of 4.x do."""

    build: Any
    test_result_sets: list[TestResultSet]

    def addTestResultSets(self) -> Any:
        """Called before `run`: a subclass calls addTestResultSet here."""

    def addTestResultSet(self, description: str, category: str, value_unit: str) -> Deferred[int]:
        """A new set, by its number. category: `pass_fail`, `code_issue` ... value_unit: `boolean`, `message` ..."""
        self.test_result_sets.append(TestResultSet(description, category, value_unit))
        return succeed(len(self.test_result_sets))

    def addTestResult(
        self,
        setid: int,
        value: str,
        test_name: str | None = None,
        test_code_path: str | None = None,
        line: int | None = None,
        duration_ns: int | None = None,
    ) -> None:
        """One result of the set of this number. Raises TypeError when it names neither a test nor a place."""
        if test_name is None and test_code_path is None:
            raise TypeError("addTestResult() takes test_name or test_code_path")
        results = self.test_result_sets[setid - 1].results
        if len(results) < MOST_RESULTS:
            results.append(OneResult(str(value), test_name, test_code_path, line, duration_ns))

    def finishTestResultSets(self) -> Any:
        """Called after `run`."""

    def setBuildData(self, name: str, value: bytes, source: str) -> Deferred[None]:
        """Data of the build, by a name. Raises TypeError when it is not bytes, ValueError beyond 16 MiB."""
        if not isinstance(value, bytes):
            raise TypeError(f"setBuildData(): the value of {name!r} is bytes, not {type(value).__name__}")
        if len(value) > MOST_DATA:
            raise ValueError(f"setBuildData(): the value of {name!r} is longer than {MOST_DATA >> 20} MiB")
        self.build.build_data[name] = value, source
        return succeed(None)
