"""Every SQL statement about builders as the store knows them: their names, numbers and order."""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildbot.model import Builder, BuilderID
from buildbot.store.store import Queries, Store

_COLUMNS = "id, name, position, description, tags, last_number, removed_at"
COLUMNS = ", ".join(f"br.{name}" for name in _COLUMNS.split(", "))  # of the table as `br`, for `builder_of`


def builder_of(
    id: int, name: str, position: int, description: str, tags: str, last_number: int, removed_at: float | None
) -> Builder:
    return Builder(BuilderID(id), name, position, description, tuple(json.loads(tags)), last_number, removed_at)


def sync(store: Store, wanted: Sequence[tuple[str, str, Sequence[str]]], now: float) -> dict[str, BuilderID]:
    """Make the rows agree with the configuration: (name, description, tags) in its order. Returns name -> id."""
    known = {builder.name: builder for builder in store.all(builder_of, f"SELECT {_COLUMNS} FROM builders")}
    names = set()
    for position, (name, description, tags) in enumerate(wanted):
        names.add(name)
        row = known.get(name)
        if row is None:
            store.insert(
                "INSERT INTO builders (name, position, description, tags, last_number) VALUES (?, ?, ?, ?, 0)",
                name,
                position,
                description,
                json.dumps(list(tags)),
            )
        elif (row.position, row.description, row.tags, row.removed_at) != (position, description, tuple(tags), None):
            store.execute(
                "UPDATE builders SET position = ?, description = ?, tags = ?, removed_at = NULL WHERE id = ?",
                position,
                description,
                json.dumps(list(tags)),
                row.id,
            )
    for row in known.values():
        if row.name not in names and row.removed_at is None:
            store.execute("UPDATE builders SET removed_at = ? WHERE id = ?", now, row.id)
    return {builder.name: builder.id for builder in present(store)}


def present(store: Queries) -> list[Builder]:
    """The builders of the configuration in force, in its order."""
    return store.all(builder_of, f"SELECT {_COLUMNS} FROM builders WHERE removed_at IS NULL ORDER BY position")


def all_of(store: Queries) -> list[Builder]:
    """Also those that the configuration no longer names."""
    return store.all(builder_of, f"SELECT {_COLUMNS} FROM builders ORDER BY id")


def get(store: Queries, id: BuilderID) -> Builder | None:
    return store.first(builder_of, f"SELECT {_COLUMNS} FROM builders WHERE id = ?", id)


def by_name(store: Queries, name: str) -> Builder | None:
    """Also one that the configuration no longer names: its builds are still there."""
    return store.first(builder_of, f"SELECT {_COLUMNS} FROM builders WHERE name = ?", name)


def take_number(store: Store, id: BuilderID) -> int:
    """The number of a new build, never given twice."""
    return int(
        store.value("UPDATE builders SET last_number = last_number + 1 WHERE id = ? RETURNING last_number", id)
    )


def removed_with_waiting(store: Queries) -> list[Builder]:
    """The builders that are no longer configured and for which requests wait."""
    return store.all(
        builder_of,
        f"SELECT {_COLUMNS} FROM builders AS b WHERE removed_at IS NOT NULL AND EXISTS (SELECT 1 FROM build_requests "
        "WHERE builder_id = b.id AND claimed_at IS NULL AND complete_at IS NULL) ORDER BY id",
    )
