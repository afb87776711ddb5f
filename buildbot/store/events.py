"""Every SQL statement about events and the receivers' cursors.

An event is written in the transaction of the fact it tells. Listeners (the doorbell, browsers' streams) hear of it
after the commit; a receiver that must not miss one reads by cursor instead.
"""

from __future__ import annotations

import json
from typing import Any

from buildbot.model import Cursor, Event, EventID, EventKind
from buildbot.store.store import Queries, Store

_COLUMNS = "id, happened_at, kind, subject_id, detail"


def _event(id: int, happened_at: float, kind: str, subject_id: int | None, detail: str) -> Event:
    return Event(EventID(id), happened_at, EventKind(kind), subject_id, json.loads(detail))


def add(store: Store, now: float, kind: EventKind, subject_id: int | None = None, **detail: Any) -> Event:
    """Write an event; store.event_listeners hear of it once it is committed."""
    text = json.dumps(detail)
    id = store.insert(
        "INSERT INTO events (happened_at, kind, subject_id, detail) VALUES (?, ?, ?, ?)", now, kind, subject_id, text
    )
    event = Event(EventID(id), now, kind, subject_id, detail)
    store.after_commit(lambda: store.tell_listeners(event))
    return event


def after(store: Queries, cursor: EventID, limit: int = 100) -> list[Event]:
    """The next events after `cursor`, oldest first."""
    return store.all(_event, f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?", cursor, limit)


def newest(store: Queries, limit: int = 50, before: EventID | None = None) -> list[Event]:
    """The newest events, newest first; with `before`, those older than it."""
    return store.all(
        _event,
        f"SELECT {_COLUMNS} FROM events WHERE id < ? ORDER BY id DESC LIMIT ?",
        (1 << 62) if before is None else before,
        limit,
    )


def of_kinds_between(
    store: Queries, kinds: tuple[EventKind, ...], since: float, until: float, limit: int = 100
) -> list[Event]:
    """Events of these kinds in a span of time, newest first."""
    marks = ", ".join("?" * len(kinds))
    return store.all(
        _event,
        f"SELECT {_COLUMNS} FROM events WHERE happened_at BETWEEN ? AND ? AND kind IN ({marks}) "
        "ORDER BY happened_at DESC LIMIT ?",
        since,
        until,
        *kinds,
        limit,
    )


def last_id(store: Queries) -> EventID:
    return EventID(store.value("SELECT coalesce(max(id), 0) FROM events"))


def _cursor(receiver: str, event_id: int, failures: int, next_try_at: float | None, last_error: str | None) -> Cursor:
    return Cursor(receiver, EventID(event_id), failures, next_try_at, last_error)


def cursor(store: Queries, receiver: str) -> Cursor | None:
    return store.first(
        _cursor,
        "SELECT receiver, event_id, failures, next_try_at, last_error FROM cursors WHERE receiver = ?",
        receiver,
    )


def cursors(store: Queries) -> list[Cursor]:
    return store.all(
        _cursor, "SELECT receiver, event_id, failures, next_try_at, last_error FROM cursors ORDER BY receiver LIMIT 100"
    )


def start_cursor(store: Store, receiver: str) -> Cursor:
    """The receiver's cursor; a receiver that was never here before starts at the newest event."""
    store.execute(
        "INSERT INTO cursors (receiver, event_id, failures) VALUES (?, ?, 0) ON CONFLICT (receiver) DO NOTHING",
        receiver,
        last_id(store),
    )
    found = cursor(store, receiver)
    assert found is not None
    return found


def advance_cursor(store: Store, receiver: str, event_id: EventID) -> None:
    """The receiver has dealt with everything up to this event."""
    store.execute(
        "UPDATE cursors SET event_id = ?, failures = 0, next_try_at = NULL, last_error = NULL "
        "WHERE receiver = ? AND event_id <= ?",
        event_id,
        receiver,
        event_id,
    )


def note_failure(store: Store, receiver: str, next_try_at: float, error: str) -> None:
    """Telling the next event failed; it is tried again at `next_try_at`."""
    store.execute(
        "UPDATE cursors SET failures = failures + 1, next_try_at = ?, last_error = ? WHERE receiver = ?",
        next_try_at,
        store.hide(error),
        receiver,
    )
