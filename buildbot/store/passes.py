"""Every SQL statement about the passes of retention: when what is old was looked for, and what went."""

from __future__ import annotations

import json
from typing import NamedTuple

from buildbot.store.store import Queries, Store


class Pass(NamedTuple):
    """One pass of retention."""

    began_at: float
    ended_at: float | None  # None: it is under way, or the process ended in it
    removed: dict[str, int]  # by kind: builds, steps (of so many builds), logs, requests, changes, events ...
    problem: str | None


def begin(store: Store, now: float) -> int:
    store.execute("DELETE FROM retention_passes WHERE id <= (SELECT max(id) - 50 FROM retention_passes)")
    return store.insert("INSERT INTO retention_passes (began_at, removed) VALUES (?, '{}')", now)


def end(store: Store, id: int, now: float, removed: dict[str, int], problem: str | None) -> None:
    store.execute(
        "UPDATE retention_passes SET ended_at = ?, removed = ?, problem = ? WHERE id = ? AND ended_at IS NULL",
        now,
        json.dumps(removed),
        problem,
        id,
    )


def unended(store: Queries) -> float | None:
    """When the first of the newest passes began that did not come to their end (this one included)."""
    found: float | None = store.value(
        "SELECT min(began_at) FROM retention_passes WHERE id > (SELECT coalesce(max(id), 0) FROM retention_passes "
        "WHERE ended_at IS NOT NULL AND problem IS NULL)"
    )
    return found


def last(store: Queries) -> Pass | None:
    return store.first(
        lambda began_at, ended_at, removed, problem: Pass(began_at, ended_at, json.loads(removed), problem),
        "SELECT began_at, ended_at, removed, problem FROM retention_passes ORDER BY id DESC LIMIT 1",
    )
