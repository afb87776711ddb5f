"""Every SQL statement about what people did, and about the lives of the master's process."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import EventKind, OperatorAction
from buildbot.store import events
from buildbot.store.store import Queries, Store


class MasterRun(NamedTuple):
    id: int
    incarnation: str
    started_at: float
    stopped_at: float | None


def add(store: Store, *, who: str, what: str, subject: str, why: str, now: float) -> None:
    """Write down what a person did. In the same transaction as what it did."""
    why = store.hide(why)
    store.insert(
        "INSERT INTO operator_actions (acted_at, who, what, subject, why) VALUES (?, ?, ?, ?, ?)",
        now,
        who,
        what,
        subject,
        why,
    )
    events.add(store, now, EventKind.OPERATOR_ACTION, None, who=who, what=what, subject=subject, why=why)


def newest(store: Queries, limit: int = 50, before: int | None = None) -> list[OperatorAction]:
    """What people did, the newest first; with `before`, what is older than that."""
    return store.all(
        OperatorAction,
        "SELECT id, acted_at, who, what, subject, why FROM operator_actions WHERE id < ? ORDER BY id DESC LIMIT ?",
        (1 << 62) if before is None else before,
        limit,
    )


def about(store: Queries, subject: str, limit: int = 10) -> list[OperatorAction]:
    """What people did to this subject, the newest first. It is named as in `add`: `builder NAME`, `slave NAME`,
    `build BUILDER/NUMBER`, `request ID`, `change ID`, `master`."""
    return store.all(
        OperatorAction,
        "SELECT id, acted_at, who, what, subject, why FROM operator_actions WHERE subject = ? ORDER BY id DESC LIMIT ?",
        subject,
        limit,
    )


def master_started(store: Store, incarnation: str, now: float) -> MasterRun | None:
    """Note that this process runs. Returns the run before it: without `stopped_at`, that one died."""
    before = last_run(store)
    store.insert("INSERT INTO master_runs (incarnation, started_at) VALUES (?, ?)", incarnation, now)
    events.add(store, now, EventKind.MASTER_STARTED)
    return before


def master_stopped(store: Store, incarnation: str, now: float) -> None:
    store.execute(
        "UPDATE master_runs SET stopped_at = ? WHERE incarnation = ? AND stopped_at IS NULL", now, incarnation
    )
    events.add(store, now, EventKind.MASTER_STOPPED)


def last_run(store: Queries) -> MasterRun | None:
    return store.first(
        MasterRun,
        "SELECT id, incarnation, started_at, stopped_at FROM master_runs ORDER BY id DESC LIMIT 1",
    )
