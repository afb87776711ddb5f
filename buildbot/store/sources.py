"""Every SQL statement about what change sources must remember, such as the heads a poller has seen."""

from __future__ import annotations

import json
from typing import Any

from buildbot.store.store import Queries, Store

POLL_STATE = "poll"  # the name under which a poller keeps how it fares; see `PollingChangeSource.poll_state`


def state(store: Queries, source: str, name: str, default: Any = None) -> Any:
    text = store.value("SELECT value FROM source_state WHERE source = ? AND name = ?", source, name)
    return default if text is None else json.loads(text)


def set_state(store: Store, source: str, name: str, value: Any) -> None:
    store.execute(
        "INSERT INTO source_state (source, name, value) VALUES (?, ?, ?) "
        "ON CONFLICT (source, name) DO UPDATE SET value = excluded.value",
        source,
        name,
        json.dumps(value),
    )


def states(store: Queries, source: str, prefix: str) -> dict[str, Any]:
    """Everything remembered under names that begin with `prefix`, by the rest of the name."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    pairs = store.all(
        lambda name, value: (name[len(prefix) :], json.loads(value)),
        "SELECT name, value FROM source_state WHERE source = ? AND name >= ? AND name < ?",
        source,
        prefix,
        end,
    )
    return dict(pairs)


def forget(store: Store, source: str, name: str) -> None:
    store.execute("DELETE FROM source_state WHERE source = ? AND name = ?", source, name)
