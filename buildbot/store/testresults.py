"""Every SQL statement about results of tests: sets of them, the results, and the names and paths that they share.

A step tells results in sets, and both have numbers in the order of telling, so that a step whose code runs again after
a restart writes over what it wrote before. Names and paths are kept once a builder, because they are the same in
each of its builds; `used_by` says roughly which set used one last, and retention goes by that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import BuilderID, BuildID, StepID
from buildbot.store.store import Queries, Store

LAG = 1000  # sets by which `used_by` may be behind
SETS_LOOKED_AT = 50  # of the builder, before one, for the set to compare it with


class NewResult(NamedTuple):
    """One result, as a step tells it."""

    name: str | None
    path: str | None
    line: int | None
    duration_ns: int | None
    value: str
    passed: bool | None
    details: str | None  # JSON


class Counts(NamedTuple):
    told: int
    passed: int
    failed: int


class Told(NamedTuple):
    """A result whose names are told."""

    ordinal: int
    name: str | None
    path: str | None
    line: int | None
    duration_ns: int | None
    value: str
    passed: int | None
    details: str | None


def begin_set(
    store: Store,
    builder: BuilderID,
    build: BuildID,
    step: StepID,
    number: int,
    *,
    description: str,
    category: str,
    value_unit: str,
) -> int:
    """The row of a step's set of this number; the one that is there, when the step has told it before. Its id."""
    store.execute(
        "INSERT INTO test_result_sets (builder_id, build_id, step_id, number, description, category, value_unit, told, "
        "passed, failed) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0) ON CONFLICT (step_id, number) DO UPDATE SET "
        "description = excluded.description, category = excluded.category, value_unit = excluded.value_unit",
        builder,
        build,
        step,
        number,
        description,
        category,
        value_unit,
    )
    return int(store.value("SELECT id FROM test_result_sets WHERE step_id = ? AND number = ?", step, number))


def put(
    store: Store, builder: BuilderID, set_id: int, ordinal: int, results: Sequence[NewResult], counts: Counts
) -> None:
    """Write some results of a set from this ordinal on, over those that are there, and what it has come to so far."""
    texts = {text for each in results for text in (each.name, each.path) if text is not None}
    ids = _ids_of(store, builder, set_id, texts)
    store.execute_many(
        "INSERT INTO test_results (set_id, ordinal, name_id, path_id, line, duration_ns, value, passed, details) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (set_id, ordinal) DO UPDATE SET name_id = excluded.name_id, "
        "path_id = excluded.path_id, line = excluded.line, duration_ns = excluded.duration_ns, "
        "value = excluded.value, passed = excluded.passed, details = excluded.details",
        [
            (
                *(set_id, at, ids.get(each.name), ids.get(each.path), each.line, each.duration_ns, each.value),
                *(None if each.passed is None else int(each.passed), each.details),
            )
            for at, each in enumerate(results, ordinal)
        ],
    )
    set_counts(store, set_id, counts)


def set_counts(store: Store, set_id: int, counts: Counts, *, anew: bool = False) -> None:
    """What a set has come to. anew: it may be less than it was; else it was told before, as far as that."""
    store.execute(
        "UPDATE test_result_sets SET told = ?, passed = ?, failed = ? WHERE id = ? AND (? OR told <= ?)",
        *counts,
        set_id,
        int(anew),
        counts.told,
    )


def _ids_of(store: Store, builder: BuilderID, set_id: int, texts: set[str]) -> dict[str | None, int]:
    """The ids of these texts, which this set uses now."""
    known = _known(store, builder, texts)
    stale = [id for id, used_by in known.values() if used_by < set_id - LAG]
    if stale:
        store.execute_many("UPDATE test_texts SET used_by = ? WHERE id = ?", [(set_id, id) for id in stale])
    missing = texts - known.keys()
    if missing:
        store.execute_many(
            "INSERT INTO test_texts (builder_id, text, used_by) VALUES (?, ?, ?)",
            [(builder, text, set_id) for text in sorted(missing)],
        )
        known |= _known(store, builder, missing)
    return {text: id for text, (id, _) in known.items()}


def _known(store: Queries, builder: BuilderID, texts: set[str]) -> dict[str, tuple[int, int]]:
    return dict(
        store.all(
            lambda text, id, used_by: (text, (id, used_by)),
            "SELECT t.text, t.id, t.used_by FROM json_each(?) AS w CROSS JOIN test_texts AS t "
            "ON t.builder_id = ? AND t.text = w.value",
            json.dumps(sorted(texts)),
            builder,
        )
    )


def remove_leftovers(store: Store, step: StepID, kept: Sequence[int], most: int) -> bool:
    """Remove what a step told when its code ran before, and not this time. kept: how many of each of its sets, by
    their numbers. At most so many; whether there may be more."""
    gone = store.execute(
        "DELETE FROM test_results WHERE (set_id, ordinal) IN (SELECT r.set_id, r.ordinal FROM test_result_sets AS s "
        "JOIN test_results AS r ON r.set_id = s.id "
        "AND r.ordinal >= coalesce((SELECT value FROM json_each(?) WHERE key = s.number), 0) "
        "WHERE s.step_id = ? LIMIT ?)",
        json.dumps(list(kept)),
        step,
        most,
    )
    if not gone:
        store.execute("DELETE FROM test_result_sets WHERE step_id = ? AND number >= ?", step, len(kept))
    return gone > 0


_TOLD = (
    "SELECT r.ordinal, n.text, p.text, r.line, r.duration_ns, r.value, r.passed, r.details "
    "FROM test_results AS r LEFT JOIN test_texts AS n ON n.id = r.name_id LEFT JOIN test_texts AS p ON p.id = r.path_id"
)


def of_unit(store: Queries, build: BuildID, value_unit: str, most: int, *, ended_steps: bool = False) -> list[Told]:
    """The results of a build's sets of this unit, in the order of telling. ended_steps: only of steps that have ended
    and whose code does not run again."""
    ended = "AND t.complete_at IS NOT NULL AND t.made_steps = 0" if ended_steps else ""
    return store.all(
        Told,
        f"{_TOLD} JOIN test_result_sets AS s ON s.id = r.set_id JOIN steps AS t ON t.id = s.step_id "
        f"WHERE s.id IN (SELECT id FROM test_result_sets WHERE build_id = ? AND value_unit = ?) {ended} "
        "ORDER BY r.set_id, r.ordinal LIMIT ?",
        build,
        value_unit,
        most,
    )


# -- for pages


class Failing(NamedTuple):
    name: str
    new: bool


class SetRow(NamedTuple):
    """A set, with its step."""

    id: int
    step: str
    description: str
    category: str
    value_unit: str
    counts: Counts


class Summary(NamedTuple):
    """A set, the first of its failing tests, and how many of them did not fail before."""

    set: SetRow
    compared_with: int | None  # the number of an earlier build
    new: int | None  # None: there is nothing to compare with
    failing: list[Failing]


# The newest set of the same kind in an earlier build of the builder, whose step has ended.
_EARLIER = (
    "(SELECT e.id FROM (SELECT id, build_id, step_id, description, category FROM test_result_sets "
    f" WHERE builder_id = s.builder_id AND id < s.id ORDER BY id DESC LIMIT {SETS_LOOKED_AT}) AS e "
    "JOIN builds AS eb ON eb.id = e.build_id JOIN steps AS es ON es.id = e.step_id "
    "WHERE e.description = s.description AND e.category = s.category AND e.build_id <> s.build_id "
    "AND es.complete_at IS NOT NULL AND eb.number < b.number ORDER BY eb.number DESC, e.id LIMIT 1)"
)
_BY_FAILED = "INDEXED BY test_results_failed"  # SQLite would rather look at the whole set
_IS_NEW = (
    f"(x.earlier IS NOT NULL AND NOT EXISTS (SELECT 1 FROM test_results AS o {_BY_FAILED} "
    "WHERE o.set_id = x.earlier AND o.name_id = r.name_id AND o.passed = 0))"
)
_SETS = (
    f"(SELECT s.*, {_EARLIER} AS earlier, t.name AS step_name FROM test_result_sets AS s "
    "JOIN builds AS b ON b.id = s.build_id JOIN steps AS t ON t.id = s.step_id WHERE s.build_id = ? "
    "ORDER BY s.id LIMIT ?) AS x"
)
_SET = "x.id, x.step_name, x.description, x.category, x.value_unit, x.told, x.passed, x.failed"


def _set(id: int, step: str, description: str, category: str, unit: str, told: int, passed: int, failed: int) -> SetRow:
    return SetRow(id, step, description, category, unit, Counts(told, passed, failed))


def _summary(*row: object) -> Summary:
    *of_set, number, new, failing = row
    told = [Failing(name, bool(is_new)) for name, is_new in json.loads(str(failing))]
    return Summary(_set(*of_set), number, new, told)  # type: ignore[arg-type]


def summaries(store: Queries, build: BuildID, most_sets: int, most_tests: int) -> list[Summary]:
    """The first sets of a build, each with its first failing tests, those that fail newly before the others. One
    statement, and its time grows with the tests that fail: for `store.read`."""
    return store.all(
        _summary,
        f"SELECT {_SET}, (SELECT b.number FROM test_result_sets AS e JOIN builds AS b ON b.id = e.build_id "
        "WHERE e.id = x.earlier), "
        "CASE WHEN x.earlier IS NULL THEN NULL ELSE (SELECT count(*) FROM test_results AS r "
        f"{_BY_FAILED} WHERE r.set_id = x.id AND r.passed = 0 AND r.name_id IS NOT NULL AND {_IS_NEW}) END, "
        "(SELECT json_group_array(json_array(text, new)) FROM (SELECT n.text, "
        f"{_IS_NEW} AS new FROM test_results AS r {_BY_FAILED} JOIN test_texts AS n ON n.id = r.name_id "
        "WHERE r.set_id = x.id AND r.passed = 0 ORDER BY new DESC, r.ordinal LIMIT ?)) "
        f"FROM {_SETS}",
        most_tests,
        build,
        most_sets,
    )


def sets_of(store: Queries, build: BuildID, most: int) -> list[SetRow]:
    return store.all(_set, f"SELECT {_SET} FROM {_SETS}", build, most)


def page(store: Queries, set_id: int, first: int, most: int, *, failed: bool) -> list[Told]:
    """Results of a set from this ordinal on; failed: only those that failed."""
    only = "AND r.passed = 0" if failed else ""
    return store.all(
        Told,
        f"{_TOLD} WHERE r.set_id = ? AND r.ordinal >= ? {only} ORDER BY r.ordinal LIMIT ?",
        set_id,
        first,
        most,
    )


class OfTest(NamedTuple):
    """A result of one test."""

    step: str
    description: str
    value_unit: str
    result: Told


def of_test(store: Queries, builder: BuilderID, build: BuildID, name: str, most: int) -> list[OfTest]:
    """What the steps of a build say of a test. It looks at all results of the build: for `store.read`."""
    return store.all(
        lambda step, description, unit, *told: OfTest(step, description, unit, Told(*told)),
        "SELECT t.name, s.description, s.value_unit, r.ordinal, n.text, p.text, r.line, r.duration_ns, r.value, "
        "r.passed, r.details FROM test_texts AS n CROSS JOIN test_result_sets AS s ON s.build_id = ? "
        "JOIN steps AS t ON t.id = s.step_id CROSS JOIN test_results AS r ON r.set_id = s.id AND r.name_id = n.id "
        "LEFT JOIN test_texts AS p ON p.id = r.path_id WHERE n.builder_id = ? AND n.text = ? "
        "ORDER BY r.set_id, r.ordinal LIMIT ?",
        build,
        builder,
        name,
        most,
    )


def failures_of_test(store: Queries, builder: BuilderID, name: str, most: int) -> list[tuple[int, bool]]:
    """The newest builds of the builder with results of tests: (number, whether the test failed in it)."""
    return store.all(
        lambda number, failed: (number, bool(failed)),
        "SELECT b.number, max(EXISTS (SELECT 1 FROM test_results AS r "
        f"{_BY_FAILED} WHERE r.set_id = s.id AND r.name_id = n.id AND r.passed = 0)) "
        "FROM test_texts AS n CROSS JOIN (SELECT id, build_id FROM test_result_sets "
        "WHERE builder_id = ? ORDER BY id DESC LIMIT ?) AS s JOIN builds AS b ON b.id = s.build_id "
        "WHERE n.builder_id = ? AND n.text = ? GROUP BY b.id ORDER BY b.number DESC",
        builder,
        most,
        builder,
        name,
    )


# -- retention


def delete_texts(store: Store, builder: BuilderID, most: int) -> bool:
    """Remove names and paths that no result refers to any more, at most so many; whether there may be more."""
    oldest = store.value("SELECT min(id) FROM test_result_sets WHERE builder_id = ?", builder)
    gone = store.execute(
        "DELETE FROM test_texts WHERE id IN (SELECT id FROM test_texts WHERE builder_id = ? AND used_by < ? LIMIT ?)",
        builder,
        (1 << 62) if oldest is None else oldest - LAG,
        most,
    )
    return gone == most
