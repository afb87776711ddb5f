"""Every SQL statement about absences: when the master or a slave was away while builds went on."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import SlaveID
from buildbot.store.store import Queries, Store

SHOWN = 20


class Absence(NamedTuple):
    id: int
    slave_id: SlaveID | None  # None: the master
    began_at: float
    ended_at: float
    why: str


def add(store: Store, slave: SlaveID | None, began: float, ended: float, why: str) -> None:
    """Write down that somebody was away. `slave` None: the master."""
    store.insert(
        "INSERT INTO absences (slave_id, began_at, ended_at, why) VALUES (?, ?, ?, ?)",
        slave,
        min(began, ended),
        ended,
        why,
    )


DURING = (
    "SELECT id, slave_id, began_at, ended_at, why FROM absences "
    "WHERE began_at < ? AND ended_at > ? AND (slave_id IS NULL OR slave_id = ?) ORDER BY began_at LIMIT ?"
)


def span(slave: SlaveID | None, began: float, ended: float | None) -> tuple[object, ...]:
    """The arguments of DURING."""
    return (1 << 62) if ended is None else ended, began, slave, SHOWN


def during(store: Queries, slave: SlaveID | None, began: float, ended: float | None) -> list[Absence]:
    """The absences of the master and of this slave that overlap a time, the first SHOWN of them in order."""
    return store.all(Absence, DURING, *span(slave, began, ended))
