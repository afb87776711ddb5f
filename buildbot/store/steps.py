"""Every SQL statement about steps and their links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildbot.model import BuildID, Result, Step, StepID, StepURL
from buildbot.store.store import Queries, Store

COLUMNS = "s.id, s.build_id, s.number, s.name, s.started_at, s.complete_at, s.result, s.state_text, s.hidden"


Properties = Mapping[str, tuple[Any, str]]  # {name: (value, source)}


class Record(NamedTuple):
    """What a build that goes on after a restart must know of a step that it had begun."""

    step: Step
    words: list[str]  # what it adds to the text of its build
    statistics: dict[str, Any]
    made_steps_with: Properties | None  # with these its code began, and it added steps to the build; None: it did not
    code_began: bool


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


def start(store: Store, build: BuildID, number: int, name: str, text: str, now: float) -> StepID:
    """The step's row; on a replay of the journal, the one that is there already."""
    known = store.value("SELECT id FROM steps WHERE build_id = ? AND number = ?", build, number)
    if known is not None:
        return StepID(known)
    return StepID(
        store.insert(
            "INSERT INTO steps (build_id, number, name, started_at, state_text, hidden) VALUES (?, ?, ?, ?, ?, 0)",
            build,
            number,
            name,
            now,
            text,
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
    made_steps_with: Properties | None = None,
) -> bool:
    """End a step. words, statistics, made_steps_with: see Record."""
    return bool(
        store.execute(
            "UPDATE steps SET complete_at = ?, result = ?, state_text = ?, hidden = ?, words = ?, statistics = ?, "
            "made_steps_with = ? WHERE id = ? AND complete_at IS NULL",
            now,
            result,
            text,
            int(hidden),
            json.dumps(list(words)),
            json.dumps(dict(statistics or {}), default=repr),
            None if made_steps_with is None else json.dumps(made_steps_with),
            id,
        )
    )


def records(store: Queries, build: BuildID) -> list[Record]:
    """Every step that a build has begun, in order."""

    def record(words: str, statistics: str, made_steps_with: str | None, began: int, *columns: Any) -> Record:
        made = None if made_steps_with is None else json.loads(made_steps_with)
        return Record(row(*columns), json.loads(words), json.loads(statistics), made, bool(began))

    return store.all(
        record,
        f"SELECT s.words, s.statistics, s.made_steps_with, s.code_began_at IS NOT NULL, {COLUMNS} "
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
    """Close whatever a build left open at its end: its steps and their commands. Who writes a log closes it.

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
