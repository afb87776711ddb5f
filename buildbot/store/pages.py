"""Every SQL statement that only the web's pages ask. Each is bounded and makes one row of a page of several tables."""

from __future__ import annotations

import json

from buildbot.model import Event, EventKind
from buildbot.store.store import Queries


def problem_text(event: Event) -> str:
    """What a refused configuration's event says was wrong."""
    said = event.detail.get("problems") or event.detail.get("why") or event.detail.get("error") or ""
    return "\n".join(str(line) for line in said) if isinstance(said, list) else str(said) or "the log says why"


def config_problem(store: Queries) -> str:
    """Why the newest configuration was refused; '' when it is in force."""
    row = store.first(
        lambda *row: row,
        "SELECT kind, detail FROM events WHERE kind IN (?, ?) ORDER BY id DESC LIMIT 1",
        EventKind.CONFIG_LOADED,
        EventKind.CONFIG_REFUSED,
    )
    if row is None or row[0] == EventKind.CONFIG_LOADED:
        return ""
    return problem_text(Event(0, 0.0, EventKind.CONFIG_REFUSED, None, json.loads(row[1])))  # type: ignore[arg-type]
