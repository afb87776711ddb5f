"""What a step says of single tests, and of its build besides logs and properties."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from buildbot.process.deferring import gives_deferred
from buildbot.process.insisting import insist
from buildbot.process.results import EXCEPTION, FAILURE, SUCCESS, WARNINGS
from buildbot.store import builddata
from buildbot.store.testresults import NewResult, Told

OLD_UNIT = "result"  # the value of what TestResult tells: SUCCESS, FAILURE ..., a number
LONGEST_DETAILS = 64 << 10  # characters of what is said about one test
_MOST_LOGS = 20  # of one test


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


# How a value says whether a test has passed, by the category of its set.
_ALWAYS = {"pass_only": True, "fail_only": False, "code_issue": False}
_LARGEST = (1 << 63) - 1  # that the store holds


def passed(category: str, value: str) -> bool | None:
    """Whether this value means so; None: it says neither."""
    if category == "pass_fail":
        try:
            return bool(int(value))
        except ValueError:
            return {"true": True, "false": False}.get(value.strip().lower())
    return _ALWAYS.get(category)


def to_keep(result: TestResult, mask: Callable[[str], str]) -> NewResult:
    """A TestResult as the store has it: its name's parts with dots between them. mask: hides secrets."""
    parts = [mask(part) for part in result.name]
    name = ".".join(parts)
    details: dict[str, Any] = {}
    if name.split(".") != parts:
        details["name"] = [part[:1000] for part in parts[:100]]
    if result.text:
        details["text"] = [mask(str(word))[:1000] for word in result.text[:100]]
    room = LONGEST_DETAILS
    for log, text in list(result.logs.items())[:_MOST_LOGS]:
        kept = mask(_text(text))[:room]
        room -= len(kept)
        details.setdefault("logs", {})[mask(str(log))[:100]] = kept
    outcome = {SUCCESS: True, WARNINGS: True, FAILURE: False, EXCEPTION: False}.get(result.results)
    return NewResult(name, None, None, None, str(int(result.results)), outcome, _json(details))


def _text(given: Any) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def _json(details: Mapping[str, Any]) -> str | None:
    return json.dumps(details) if details else None  # escapes what is no text, too


def as_it_was(told: Told) -> TestResult:
    """The TestResult of a row."""
    details = {} if told.details is None else json.loads(told.details)
    name = details.get("name") or (told.name or "").split(".")
    return TestResult(name, int(told.value), details.get("text", ()), details.get("logs"))


class BuildData(Mapping[str, tuple[bytes, str]]):
    """What `setBuildData` has kept of a build: {name: (value, source)}, read from the store when it is asked for."""

    def __init__(self, build: Any) -> None:
        self._build = build

    def __getitem__(self, name: str) -> tuple[bytes, str]:
        found = builddata.get(self._build.store, self._build.id, name)
        if found is None:
            raise KeyError(name)
        return found.value, found.source

    def __iter__(self) -> Iterator[str]:
        return iter(builddata.names(self._build.store, self._build.id))

    def __len__(self) -> int:
        return len(builddata.names(self._build.store, self._build.id))


class TellsTests:
    """The part of a BuildStep that tells of tests as steps of 4.x do."""

    build: Any

    def addTestResultSets(self) -> Any:
        """Called before `run`: a subclass calls addTestResultSet here."""

    @gives_deferred
    async def addTestResultSet(self, description: str, category: str, value_unit: str) -> int:
        """A new set, by its number.

        category: `pass_fail` (a value is 1 or 0), `pass_only`, `fail_only`, `code_issue`, or another word. value_unit:
        `boolean`, `message`, `ms` ... The results of a set in builds of one builder are compared by its description.
        Raises ValueError when a step has more than 50.
        """
        tests = self.build.tests
        return int(await tests.row_of(tests.new_set(self, description, category, value_unit)))

    def addTestResult(
        self,
        setid: int,
        value: str,
        test_name: str | None = None,
        test_code_path: str | None = None,
        line: int | None = None,
        duration_ns: int | None = None,
    ) -> None:
        """One result of the set of this number. Raises TypeError when it names neither a test nor a place, or line or
        duration_ns (nanoseconds) is no number; ValueError when there is no such set."""
        if test_name is None and test_code_path is None:
            raise TypeError("addTestResult() takes test_name or test_code_path")
        self.tell_test(setid, value, test_name, test_code_path, line, duration_ns, "")

    def tell_test(
        self,
        setid: int,
        value: str,
        test_name: str | None,
        test_code_path: str | None = None,
        line: int | None = None,
        duration_ns: int | None = None,
        output: str = "",
    ) -> None:
        """As `addTestResult`, with what the test has said."""
        into, text = self.build.tests.set_of(setid), str(value)
        outcome = passed(into.category, text)
        name = None if test_name is None else str(test_name)
        path = None if test_code_path is None else str(test_code_path)
        secrets = self.build.secrets
        if secrets.masker():
            name, path, text, output = (secrets.mask_data(each) for each in (name, path, text, output))
        details = _json({"logs": {"output": output[:LONGEST_DETAILS]}}) if output else None
        lasted = _number("duration_ns", duration_ns)
        self.build.tests.add(into, NewResult(name, path, _number("line", line), lasted, text, outcome, details))

    def finishTestResultSets(self) -> Any:
        """Called after `run`."""

    @gives_deferred
    async def setBuildData(self, name: str, value: bytes, source: str) -> None:
        """Keep data of the build, by a name; later steps find it in `self.build.build_data`.

        Raises TypeError when it is not bytes, TooMuchData beyond 4 MiB, or 16 MiB of all names.
        """
        if not isinstance(value, bytes):
            raise TypeError(f"setBuildData(): the value of {name!r} is bytes, not {type(value).__name__}")
        build = self.build
        kept = build.secrets.mask_data(value)
        await insist(build, builddata.put, build.id, _named(name), kept, build.secrets.mask(str(source))[:1000])


def _named(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 1000:
        raise TypeError(f"setBuildData(): the name is a string of up to 1000 characters, not {name!r}")
    return name


def _number(name: str, given: Any) -> int | None:
    if given is None:
        return None
    if type(given) is int and -_LARGEST <= given <= _LARGEST:
        return given
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"addTestResult(): {name} is a number, not {given!r}")
    return max(-_LARGEST, min(_LARGEST, int(given)))
