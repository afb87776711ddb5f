"""Results of tests: the summary that a build's page shows, all results of a build a page at a time, and one test.

Questions about them may look at many rows, so they are asked in a reader's thread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from buildbot.model import Build, Builder, BuildID, Result
from buildbot.process.testresults import OLD_UNIT
from buildbot.status.web import formats, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.status.web.places import find_build
from buildbot.store import testresults
from buildbot.store.store import Queries, Store
from buildbot.store.testresults import OfTest, SetRow, Summary, Told

MOST_SETS = 20  # on the page of a build
MOST_FAILING = 10  # of each set there
MOST_LISTED = 200  # sets on the page of all
PAGE = 100  # results
MOST_RESULTS = 20  # of one test
MOST_BUILDS = 30  # in which a test may have failed
LONGEST_VALUE = 500
LONGEST_TEXT = 20_000  # of a test's logs on its page


class Tests(NamedTuple):
    """What the page of a build shows."""

    sets: list[Summary]
    more: bool


async def tests_of(store: Store, build: BuildID) -> Tests:
    found = await store.read(testresults.summaries, build, MOST_SETS + 1, MOST_FAILING)
    return Tests(found[:MOST_SETS], len(found) > MOST_SETS)


class Row(NamedTuple):
    """A result, in words. css: the class of its outcome; empty: it has neither passed nor failed."""

    number: int  # from 1
    name: str
    place: str
    css: str
    word: str
    value: str
    lasted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsView(View):
    builder: Builder
    build: Build
    path: str
    sets: list[SetRow]
    more_sets: bool
    shown: SetRow | None
    only_failed: bool
    rows: list[Row]
    first_page: str
    next_page: str


async def all_of_build(asked: Asked, master: Master) -> View:
    builder, build = find_build(master.store, asked)
    wanted, failed = asked.maybe_number("set"), asked.flag("failed")
    first = asked.number("first", 0, 0, 1 << 60)
    sets, found = await master.store.read(_page, build.id, wanted, first, failed)
    shown = _chosen(sets, wanted)
    path = urls.tests(builder.name, build.number)
    pairs: list[tuple[str, object]] = [] if shown is None else [("set", shown.id), ("failed", "1" if failed else None)]
    more = len(found) > PAGE
    return TestsView(
        title=f"Tests of {builder.name} #{build.number}",
        builder=builder,
        build=build,
        path=path,
        sets=sets[:MOST_LISTED],
        more_sets=len(sets) > MOST_LISTED,
        shown=shown,
        only_failed=failed,
        rows=[_row(each, "" if shown is None else shown.value_unit) for each in found[:PAGE]],
        first_page=urls.with_query(path, pairs) if first else "",
        next_page=urls.with_query(path, [*pairs, ("first", found[PAGE].ordinal)]) if more else "",
    )


def _page(
    store: Queries, build: BuildID, wanted: int | None, first: int, failed: bool
) -> tuple[list[SetRow], list[Told]]:
    sets = testresults.sets_of(store, build, MOST_LISTED + 1)
    shown = _chosen(sets, wanted)
    return sets, [] if shown is None else testresults.page(store, shown.id, first, PAGE + 1, failed=failed)


def _chosen(sets: Sequence[SetRow], wanted: int | None) -> SetRow | None:
    """The set of this number. Without one, the first in which something failed; or the first."""
    if wanted is None:
        return next((each for each in sets if each.counts.failed), sets[0] if sets else None)
    for each in sets:
        if each.id == wanted:
            return each
    raise NotFound(f"This build has no set {wanted} of results of tests.")


def _row(told: Told, unit: str) -> Row:
    place = told.path or ""
    if told.line is not None:
        place = f"{place}:{told.line}" if place else f"line {told.line}"
    css, word = ("", "") if told.passed is None else (("failure", "failed"), ("success", "passed"))[told.passed]
    value = told.value
    if unit == OLD_UNIT:
        css, word, value = *_old_word(told.value), ""
    elif unit == "boolean" and css:
        value = ""
    value = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]} …"
    return Row(told.ordinal + 1, told.name or "", place, css, word, value, _lasted(told.duration_ns))


def _old_word(value: str) -> tuple[str, str]:
    try:
        result = Result(int(value))
    except ValueError:
        return "exception", value[:LONGEST_VALUE]
    return result.css_class, formats.result_text(result)


def _lasted(ns: int | None) -> str:
    if ns is None:
        return ""
    if ns < 1_000_000:
        return f"{ns / 1000:.3g} µs"
    if ns < 1_000_000_000:
        return f"{ns / 1_000_000:.3g} ms"
    return f"{ns / 1_000_000_000:.3g} s" if ns < 60_000_000_000 else formats.duration_text(ns / 1_000_000_000)


class OneResult(NamedTuple):
    step: str
    description: str
    row: Row
    text: str
    logs: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestView(View):
    builder: Builder
    build: Build
    name: str
    results: list[OneResult]
    more: bool
    builds: list[tuple[int, bool]]  # the builder's newest with results of tests, and whether it failed there


async def one_test(asked: Asked, master: Master) -> View:
    builder, build = find_build(master.store, asked)
    name = asked.place["test"]
    found, failed_in = await master.store.read(_test, builder, build, name)
    if not found:
        raise NotFound(f"No step of build {build.number} of {builder.name!r} has told of a test {name[:300]!r}.")
    return TestView(
        title=f"{name[:200]}: {builder.name} #{build.number}",
        builder=builder,
        build=build,
        name=name,
        results=[_one(each) for each in found[:MOST_RESULTS]],
        more=len(found) > MOST_RESULTS,
        builds=failed_in,
    )


def _test(store: Queries, builder: Builder, build: Build, name: str) -> tuple[list[OfTest], list[tuple[int, bool]]]:
    found = testresults.of_test(store, builder.id, build.id, name, MOST_RESULTS + 1)
    return found, testresults.failures_of_test(store, builder.id, name, MOST_BUILDS) if found else []


def _one(told: OfTest) -> OneResult:
    details: dict[str, Any] = {} if told.result.details is None else json.loads(told.result.details)
    logs = [(name, _cut(text)) for name, text in details.get("logs", {}).items()]
    text = " ".join(details.get("text", ()))
    return OneResult(told.step, told.description, _row(told.result, told.value_unit), text, logs)


def _cut(text: str) -> str:
    return (
        text
        if len(text) <= LONGEST_TEXT
        else f"{text[:LONGEST_TEXT]}\n… and {len(text) - LONGEST_TEXT} characters more"
    )


ROUTES = (
    Page("/builders/{builder}/builds/{number}/tests", "tests.html", all_of_build),
    Page("/builders/{builder}/builds/{number}/tests/{test}", "test.html", one_test),
)
