"""What a step says of single tests. The store has no place for them: they live as long as their running build does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


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
