"""Every SQL statement about buildslaves: who they are, and whether they are here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from buildbot.model import EventKind, Slave, SlaveID
from buildbot.store import events, pauses
from buildbot.store.store import Queries, Store

#: Beside what a slave has told of itself: what steps have found out of it. It stays when the slave tells anew.
_FOUND = "found_by_steps"
#: Bytes of JSON that steps may add to one slave.
MOST_FOUND = 64 * 1024

_COLUMNS = "id, name, connected_at, lost_at, heard_at, incarnation, version, details, removed_at"


def _slave(
    id: int,
    name: str,
    connected_at: float | None,
    lost_at: float | None,
    heard_at: float | None,
    incarnation: str | None,
    version: str | None,
    details: str,
    removed_at: float | None,
) -> Slave:
    told = json.loads(details)
    found = told.pop(_FOUND, {})
    whole = {**told, **found}
    return Slave(SlaveID(id), name, connected_at, lost_at, heard_at, incarnation, version, whole, removed_at)


def sync(store: Store, names: Sequence[str], now: float) -> dict[str, SlaveID]:
    """Make the rows agree with the configuration. Returns name -> id."""
    known = {slave.name: slave for slave in store.all(_slave, f"SELECT {_COLUMNS} FROM slaves")}
    for name in names:
        row = known.get(name)
        if row is None:
            store.insert("INSERT INTO slaves (name, details) VALUES (?, '{}')", name)
        elif row.removed_at is not None:
            store.execute("UPDATE slaves SET removed_at = NULL WHERE id = ?", row.id)
    for row in known.values():
        if row.name not in names and row.removed_at is None:
            store.execute("UPDATE slaves SET removed_at = ? WHERE id = ?", now, row.id)
    return {slave.name: slave.id for slave in present(store)}


def present(store: Queries) -> list[Slave]:
    return store.all(_slave, f"SELECT {_COLUMNS} FROM slaves WHERE removed_at IS NULL ORDER BY name")


def get(store: Queries, id: SlaveID) -> Slave | None:
    return store.first(_slave, f"SELECT {_COLUMNS} FROM slaves WHERE id = ?", id)


def by_name(store: Queries, name: str) -> Slave | None:
    return store.first(_slave, f"SELECT {_COLUMNS} FROM slaves WHERE name = ?", name)


def connected(
    store: Store, id: SlaveID, now: float, *, incarnation: str | None, version: str | None, details: dict[str, Any]
) -> dict[str, Any]:
    """It is here. A graceful shutdown is over when this is another process than the one that was to end.

    Returns what steps have found out of it, but for what it tells now by itself.
    """
    before = get(store, id)
    if before is not None and (incarnation is None or incarnation != before.incarnation):
        pause = pauses.get(store, pauses.Kind.SLAVE, before.name)
        if pause is not None and pause.graceful:
            pauses.end(store, pauses.Kind.SLAVE, before.name, now, who=f"slave {before.name}", why="started anew")
    found = {name: value for name, value in _found(store, id).items() if name not in details}
    store.execute(
        "UPDATE slaves SET connected_at = ?, heard_at = ?, incarnation = ?, version = ?, details = ? WHERE id = ?",
        now,
        now,
        incarnation,
        version,
        _with_found(details, found),
        id,
    )
    events.add(store, now, EventKind.SLAVE_CONNECTED, id)
    return found


def found_out(store: Store, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A step has found out more of a slave: add it, over what is known by these names. Returns it as it is kept now,
    without secrets. Raises ValueError if that is too much for one slave, TypeError if it is no plain data."""
    added = {str(key): _hidden(store, value) for key, value in found.items()}
    details = json.loads(store.one(str, "SELECT details FROM slaves WHERE name = ?", name))
    all_found = {**details.pop(_FOUND, {}), **added}
    if len(json.dumps(all_found, allow_nan=False)) > MOST_FOUND:
        raise ValueError(f"steps have found out more than {MOST_FOUND} bytes about one slave")
    store.execute("UPDATE slaves SET details = ? WHERE name = ?", _with_found(details, all_found), name)
    return added


def _found(store: Store, id: SlaveID) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.one(str, "SELECT details FROM slaves WHERE id = ?", id)).get(_FOUND, {})
    return found


def _with_found(told: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return json.dumps({**told, _FOUND: found})


def _hidden(store: Store, value: Any) -> Any:
    """This value, as JSON has it, with secrets hidden."""
    if isinstance(value, str):
        return store.hide(value)
    if isinstance(value, Mapping):
        return {str(name): _hidden(store, each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(store, each) for each in value]
    return value


def lost(store: Store, id: SlaveID, now: float, why: str) -> None:
    changed = store.execute(
        "UPDATE slaves SET connected_at = NULL, lost_at = ?, heard_at = ? WHERE id = ? AND connected_at IS NOT NULL",
        now,
        now,
        id,
    )
    if changed:
        events.add(store, now, EventKind.SLAVE_LOST, id, why=store.hide(why))


def none_connected(store: Store, now: float) -> None:
    """At the master's start: whoever was connected to the last process is not connected to this one."""
    for id in store.column("SELECT id FROM slaves WHERE connected_at IS NOT NULL"):
        lost(store, id, now, "the master stopped")


def heard(store: Store, id: SlaveID, now: float) -> None:
    store.execute("UPDATE slaves SET heard_at = ? WHERE id = ?", now, id)
