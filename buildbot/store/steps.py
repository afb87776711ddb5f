"""Every SQL statement about steps and their links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildbot.model import BuildID, Result, Step, StepID, StepURL
from buildbot.store.properties import Kept
from buildbot.store.store import Queries, Store

COLUMNS = "s.id, s.build_id, s.number, s.name, s.started_at, s.complete_at, s.result, s.state_text, s.hidden"


class Record(NamedTuple):
    """What a build that goes on after a restart must know of a step that it had begun."""

    step: Step
    words: list[str]  # what it adds to the text of its build
    statistics: dict[str, Any]
    code_began: bool
    made_steps: bool  # it added steps to the build
    began_with: list[Kept]  # the properties of the build when its turn came


def row(
    id: int,
    build_id: int,
    number: int,
    name: str,
    started_at: float | None,
    complete_at: float | None,
    result: int | None,
    state_text: str,
    hidden: int,
) -> Step:
    return Step(
        StepID(id),
        BuildID(build_id),
        number,
        name,
        started_at,
        complete_at,
        None if result is None else Result(result),
        state_text,
        bool(hidden),
    )


def start(
    store: Store,
    build: BuildID,
    number: int,
    name: str,
    text: str,
    now: float,
    began_with: Sequence[Kept] | None = None,
) -> StepID:
    """The step's row; on a replay of the journal, the one that is there already.

    began_with: the build's properties; None: as when the step before it began.
    """
    known = store.value("SELECT id FROM steps WHERE build_id = ? AND number = ?", build, number)
    if known is not None:
        return StepID(known)
    return StepID(
        store.insert(
            "INSERT INTO steps (build_id, number, name, started_at, state_text, hidden, began_with) "
            "VALUES (?, ?, ?, ?, ?, 0, ?)",
            build,
            number,
            name,
            now,
            text,
            None if began_with is None else json.dumps(began_with),
        )
    )


def set_text(store: Store, id: StepID, text: str) -> None:
    store.execute("UPDATE steps SET state_text = ? WHERE id = ? AND complete_at IS NULL", text, id)


def wait_for_locks(store: Store, id: StepID, text: str, now: float) -> None:
    """It waits for locks, since now or since before."""
    store.execute(
        "UPDATE steps SET state_text = ?, locks_since = coalesce(locks_since, ?) WHERE id = ? AND complete_at IS NULL",
        text,
        now,
        id,
    )


def has_locks(store: Store, id: StepID) -> None:
    """It waits for locks no more."""
    store.execute("UPDATE steps SET locks_since = NULL WHERE id = ? AND locks_since IS NOT NULL", id)


def locks_since(store: Queries, id: StepID) -> float | None:
    """Since when it waits for locks; None: it does not."""
    found: float | None = store.value("SELECT locks_since FROM steps WHERE id = ?", id)
    return found


def begin(store: Store, id: StepID, text: str, now: float) -> bool:
    """Its own code runs now, for the first time or again."""
    return bool(
        store.execute(
            "UPDATE steps SET state_text = ?, code_began_at = coalesce(code_began_at, ?) "
            "WHERE id = ? AND complete_at IS NULL",
            text,
            now,
            id,
        )
    )


def finish(
    store: Store,
    id: StepID,
    result: Result,
    text: str,
    hidden: bool,
    now: float,
    *,
    words: Sequence[str] = (),
    statistics: Mapping[str, Any] | None = None,
    made_steps: bool = False,
) -> bool:
    """End a step. words, statistics, made_steps: see Record."""
    return bool(
        store.execute(
            "UPDATE steps SET complete_at = ?, result = ?, state_text = ?, hidden = ?, words = ?, statistics = ?, "
            "made_steps = ? WHERE id = ? AND complete_at IS NULL",
            now,
            result,
            text,
            int(hidden),
            json.dumps(list(words)),
            json.dumps(dict(statistics or {}), default=repr),
            int(made_steps),
            id,
        )
    )


def records(store: Queries, build: BuildID) -> list[Record]:
    """Every step that a running build has begun, in order."""
    latest: list[Kept] = []

    def record(words: str, statistics: str, code: int, made: int, began_with: str | None, *columns: Any) -> Record:
        nonlocal latest
        if began_with is not None:
            latest = [Kept(*each) for each in json.loads(began_with)]
        return Record(row(*columns), json.loads(words), json.loads(statistics), bool(code), bool(made), latest)

    return store.all(
        record,
        f"SELECT s.words, s.statistics, s.code_began_at IS NOT NULL, s.made_steps, s.began_with, {COLUMNS} "
        "FROM steps AS s WHERE s.build_id = ? ORDER BY s.number",
        build,
    )


def get(store: Queries, id: StepID) -> Step | None:
    return store.first(row, f"SELECT {COLUMNS} FROM steps AS s WHERE s.id = ?", id)


def by_name(store: Queries, build: BuildID, name: str) -> Step | None:
    return store.first(row, f"SELECT {COLUMNS} FROM steps AS s WHERE s.build_id = ? AND s.name = ?", build, name)


def of_build(store: Queries, build: BuildID) -> list[Step]:
    return store.all(row, f"SELECT {COLUMNS} FROM steps AS s WHERE s.build_id = ? ORDER BY s.number", build)


def end_open(
    store: Store, build: BuildID, result: Result, text: str, now: float, *, gone: bool = False
) -> None:
    """Close what a build left open at its end, and forget what only its going on needs. Who writes a log closes it.

    gone: the commands do not run on the slave any more.
    """
    store.execute(
        "UPDATE steps SET complete_at = ?, result = ?, state_text = ? WHERE build_id = ? AND complete_at IS NULL",
        now,
        result,
        text,
        build,
    )
    store.execute(
        "UPDATE commands SET state = 'lost', finished_at = ?, left_at = ? WHERE state IN ('ordered', 'running') "
        "AND step_id IN (SELECT id FROM steps WHERE build_id = ?)",
        now,
        None if gone else now,
        build,
    )
    store.execute("UPDATE steps SET began_with = NULL WHERE build_id = ? AND began_with IS NOT NULL", build)


def put_url(store: Store, id: StepID, name: str, url: str) -> None:
    store.execute(
        "INSERT INTO step_urls (step_id, name, url) VALUES (?, ?, ?) "
        "ON CONFLICT (step_id, name) DO UPDATE SET url = excluded.url",
        id,
        name,
        url,
    )


def urls_of_build(store: Queries, build: BuildID) -> list[StepURL]:
    return store.all(
        StepURL,
        "SELECT u.step_id, u.name, u.url FROM steps AS s JOIN step_urls AS u ON u.step_id = s.id "
        "WHERE s.build_id = ? ORDER BY s.number, u.name",
        build,
    )
