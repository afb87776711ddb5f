"""Every SQL statement about schedulers: what each has seen, thought and remembered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildbot.model import BuildsetID, Change, ChangeID, Classification, Verdict
from buildbot.store import changes
from buildbot.store.store import Queries, Store

MOST_TIMED = 10_000  # important changes that one look at the timers considers, the oldest first
SEEN_EVENT = "seen up to event"  # what a scheduler that lives by events remembers; retention keeps what comes after it
MOST_UNIMPORTANT = 1_000  # unimportant changes kept waiting for an important one to ride with

LAST_TIME = "last time"  # what those that go by the clock remember

# The planner would walk every classification ever made, because the primary key has them in the right order.
_WAITING = "classifications INDEXED BY classifications_waiting"
_WAITING_C = "classifications AS c INDEXED BY classifications_waiting"


class Tree(NamedTuple):
    """A line of development: what has a stable timer of its own."""

    branch: str | None
    project: str
    repository: str
    codebase: str


class Timer(NamedTuple):
    """A tree with important changes that wait."""

    tree: Tree
    important_at: float  # arrival of the newest important change
    newest: ChangeID  # the newest important change


def _timer(branch: str | None, project: str, repository: str, codebase: str, important_at: float, newest: int) -> Timer:
    return Timer(Tree(branch, project, repository, codebase), important_at, ChangeID(newest))


def _classification(
    scheduler: str, change_id: int, verdict: str, reason: str, classified_at: float, buildset_id: int | None
) -> Classification:
    return Classification(
        scheduler,
        ChangeID(change_id),
        Verdict(verdict),
        reason,
        classified_at,
        None if buildset_id is None else BuildsetID(buildset_id),
    )


def sync(store: Store, names: Sequence[str], now: float) -> None:
    """Make the rows agree with the configuration. A scheduler that is new to it starts at the newest change."""
    newest = changes.last_id(store)
    for name in store.column("SELECT name FROM schedulers WHERE removed_at IS NOT NULL"):
        if name in names:  # it is back, and what it remembers is from another time
            store.execute("DELETE FROM scheduler_state WHERE scheduler = ?", name)
    for name in names:
        store.execute(
            "INSERT INTO schedulers (name, first_change_id, classified_change_id) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET removed_at = NULL, "
            "first_change_id = CASE WHEN removed_at IS NULL THEN first_change_id ELSE excluded.first_change_id END, "
            "classified_change_id = CASE WHEN removed_at IS NULL THEN classified_change_id "
            "ELSE excluded.classified_change_id END",
            name,
            newest,
            newest,
        )
    for name in store.column("SELECT name FROM schedulers WHERE removed_at IS NULL"):
        if name not in names:
            store.execute("UPDATE schedulers SET removed_at = ? WHERE name = ?", now, name)
            store.execute("UPDATE classifications SET retired = 1 WHERE scheduler = ? AND retired = 0", name)


def unclassified(store: Queries, name: str, limit: int = 100) -> list[Change]:
    """The next changes that this scheduler has not judged, oldest first."""
    start = store.value("SELECT classified_change_id FROM schedulers WHERE name = ?", name)
    return [] if start is None else changes.after(store, ChangeID(start), limit)


def skip(store: Store, name: str) -> None:
    """Pass over whatever this scheduler has not judged: it does not look at changes."""
    newest = changes.last_id(store)
    store.execute(
        "UPDATE schedulers SET classified_change_id = ? WHERE name = ? AND classified_change_id < ?",
        newest,
        name,
        newest,
    )


def classify(store: Store, name: str, change: ChangeID, verdict: Verdict, reason: str, now: float) -> None:
    """Keep a verdict. What is not to be built is retired at once."""
    waits = verdict in (Verdict.IMPORTANT, Verdict.UNIMPORTANT)
    store.execute(
        "INSERT INTO classifications (scheduler, change_id, verdict, reason, classified_at, retired) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (scheduler, change_id) DO NOTHING",
        name,
        change,
        verdict,
        store.hide(reason),
        now,
        int(not waits),
    )
    store.execute(
        "UPDATE schedulers SET classified_change_id = max(classified_change_id, ?) WHERE name = ?", change, name
    )


def is_present(store: Queries, name: str) -> bool:
    """Whether the configuration in force names this scheduler."""
    return store.value("SELECT 1 FROM schedulers WHERE name = ? AND removed_at IS NULL", name) is not None


def timers(store: Queries, name: str) -> list[Timer]:
    """The trees that have an important change waiting, the one that was quiet for longest first."""
    return store.all(
        _timer,
        "SELECT ch.branch, ch.project, ch.repository, ch.codebase, max(ch.arrived_at), max(ch.id) FROM "
        f"(SELECT change_id FROM {_WAITING} WHERE scheduler = ? AND retired = 0 AND verdict = 'important' "
        "ORDER BY change_id LIMIT ?) AS c JOIN changes AS ch ON ch.id = c.change_id "
        "GROUP BY ch.branch, ch.project, ch.repository, ch.codebase ORDER BY max(ch.arrived_at), max(ch.id)",
        name,
        MOST_TIMED,
    )


def waiting_in(store: Queries, name: str, tree: Tree | None, limit: int) -> list[tuple[ChangeID, str]]:
    """The oldest waiting changes, important or not, of one tree (None: of all): (id, codebase), oldest first."""
    of_tree = " AND ch.branch IS ? AND ch.project = ? AND ch.repository = ? AND ch.codebase = ?"
    return store.all(
        lambda id, codebase: (ChangeID(id), codebase),
        f"SELECT c.change_id, ch.codebase FROM {_WAITING_C} JOIN changes AS ch ON ch.id = c.change_id "
        f"WHERE c.scheduler = ? AND c.retired = 0{'' if tree is None else of_tree} ORDER BY c.change_id LIMIT ?",
        name,
        *(() if tree is None else tree),
        limit,
    )


def important(store: Queries, name: str, limit: int) -> list[ChangeID]:
    """The oldest important changes that wait, oldest first."""
    return store.column(
        f"SELECT change_id FROM {_WAITING} WHERE scheduler = ? AND retired = 0 AND verdict = 'important' "
        "ORDER BY change_id LIMIT ?",
        name,
        limit,
    )


def retire_unimportant(store: Store, name: str, keep: int) -> None:
    """Let go of the unimportant changes that wait, but for the newest `keep`."""
    store.execute(
        f"UPDATE {_WAITING} SET retired = 1 WHERE scheduler = ? AND retired = 0 AND verdict = 'unimportant' "
        f"AND change_id <= (SELECT change_id FROM {_WAITING} WHERE scheduler = ? AND retired = 0 "
        "AND verdict = 'unimportant' ORDER BY change_id DESC LIMIT 1 OFFSET ?)",
        name,
        name,
        keep,
    )


def waiting(store: Queries, name: str, limit: int = 100) -> list[tuple[Change, Verdict]]:
    """The changes that were judged but not yet decided upon, oldest first."""
    return store.all(
        lambda verdict, *row: (Change(*row), Verdict(verdict)),
        f"SELECT c.verdict, {changes.COLUMNS} FROM {_WAITING_C} JOIN changes ON changes.id = c.change_id "
        "WHERE c.scheduler = ? AND c.retired = 0 ORDER BY c.change_id LIMIT ?",
        name,
        limit,
    )


def retire(store: Store, name: str, decided: Sequence[ChangeID], buildset: BuildsetID | None) -> None:
    """These changes are decided upon: they went into this buildset, or (None) into none."""
    store.execute_many(
        "UPDATE classifications SET retired = 1, buildset_id = ? WHERE scheduler = ? AND change_id = ? AND retired = 0",
        [(buildset, name, change) for change in decided],
    )


def turn_down(store: Store, name: str, changes: Sequence[ChangeID], verdict: Verdict, reason: str) -> None:
    """These changes will not be built after all: the scheduler's own functions failed, or want no builder for them."""
    shown = store.hide(reason)
    store.execute_many(
        "UPDATE classifications SET retired = 1, verdict = ?, reason = ? "
        "WHERE scheduler = ? AND change_id = ? AND retired = 0",
        [(verdict, shown, name, change) for change in changes],
    )


def verdicts(store: Queries, change: ChangeID) -> list[Classification]:
    """What every scheduler thought of a change."""
    return store.all(
        _classification,
        "SELECT scheduler, change_id, verdict, reason, classified_at, buildset_id FROM classifications "
        "WHERE change_id = ? ORDER BY scheduler LIMIT 100",
        change,
    )


def latest_verdicts(store: Queries, name: str, limit: int = 20) -> list[Classification]:
    """What one scheduler thought of the latest changes, newest first."""
    return store.all(
        _classification,
        "SELECT scheduler, change_id, verdict, reason, classified_at, buildset_id FROM classifications "
        "WHERE scheduler = ? ORDER BY change_id DESC LIMIT ?",
        name,
        limit,
    )


def state(store: Queries, scheduler: str, name: str, default: Any = None) -> Any:
    text = store.value("SELECT value FROM scheduler_state WHERE scheduler = ? AND name = ?", scheduler, name)
    return default if text is None else json.loads(text)


def set_state(store: Store, scheduler: str, name: str, value: Any) -> None:
    store.execute(
        "INSERT INTO scheduler_state (scheduler, name, value) VALUES (?, ?, ?) "
        "ON CONFLICT (scheduler, name) DO UPDATE SET value = excluded.value",
        scheduler,
        name,
        json.dumps(value),
    )
