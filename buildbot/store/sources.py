"""Every SQL statement about what change sources must remember, such as the heads a poller has seen."""

from __future__ import annotations

import json
from typing import Any

from buildbot.store.store import Queries, Store


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
