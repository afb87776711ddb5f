"""Every SQL statement about pauses: which builders, slaves and schedulers somebody has stopped, who did it, and why.

A row means "paused"; it is gone when the pause is over. What is paused is known by its name in the configuration, so a
pause outlives the name's being taken out of the configuration and put in again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from buildbot.model import EventKind
from buildbot.store import events
from buildbot.store.store import Queries, Store

COLUMNS = "p.kind, p.name, p.graceful, p.paused_at, p.who, p.why"


class Kind(StrEnum):
    """What kind of thing is paused."""

    BUILDER = "builder"
    SLAVE = "slave"
    SCHEDULER = "scheduler"


class Pause(NamedTuple):
    """One pause. graceful: of a slave whose process is to end when nothing runs on it."""

    kind: Kind
    name: str
    graceful: bool
    paused_at: float
    who: str
    why: str


def row(kind: str, name: str, graceful: int, paused_at: float, who: str, why: str) -> Pause:
    return Pause(Kind(kind), name, bool(graceful), paused_at, who, why)


def begin(store: Store, kind: Kind, name: str, now: float, *, who: str, why: str, graceful: bool = False) -> bool:
    """Pause it. False when it is paused already, in the same way: the first pause stays.

    A slave that was paused becomes graceful, and a graceful one becomes only paused; the newer word counts.
    """
    why = store.hide(why)
    changed = store.execute(
        "INSERT INTO pauses (kind, name, graceful, paused_at, who, why) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (kind, name) DO UPDATE SET graceful = excluded.graceful, "
        "paused_at = excluded.paused_at, who = excluded.who, why = excluded.why "
        "WHERE graceful != excluded.graceful",
        kind,
        name,
        int(graceful),
        now,
        who,
        why,
    )
    if changed:
        events.add(store, now, EventKind.PAUSED, None, thing=kind, name=name, graceful=graceful, who=who, why=why)
    return bool(changed)


def end(store: Store, kind: Kind, name: str, now: float, *, who: str, why: str) -> bool:
    """It goes on. False when it was not paused."""
    changed = store.execute("DELETE FROM pauses WHERE kind = ? AND name = ?", kind, name)
    if changed:
        events.add(store, now, EventKind.UNPAUSED, None, thing=kind, name=name, who=who, why=store.hide(why))
    return bool(changed)


def get(store: Queries, kind: Kind, name: str) -> Pause | None:
    """The pause of this one; None when it is not paused."""
    return store.first(row, f"SELECT {COLUMNS} FROM pauses AS p WHERE kind = ? AND name = ?", kind, name)


def all_of(store: Queries, kind: Kind) -> dict[str, Pause]:
    """Every pause of this kind, by name."""
    found = store.all(row, f"SELECT {COLUMNS} FROM pauses AS p WHERE kind = ? ORDER BY name", kind)
    return {pause.name: pause for pause in found}
