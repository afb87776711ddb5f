"""Every SQL statement about data of builds: bytes that a step keeps by a name, besides logs and properties."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import BuildID
from buildbot.store.store import Queries, Store

MOST_OF_ONE = 4 << 20  # bytes; what a transaction takes without anybody noticing
MOST_OF_BUILD = 16 << 20  # bytes, of all names


class TooMuchData(Exception):
    """A build keeps no more data than that. Put what is larger into a log, or upload it to the master."""


class Datum(NamedTuple):
    value: bytes
    source: str


def put(store: Store, build: BuildID, name: str, value: bytes, source: str) -> None:
    """Keep it, in the place of what had the name before. Raises TooMuchData."""
    others = store.value(
        "SELECT coalesce(sum(length(value)), 0) FROM build_data WHERE build_id = ? AND name <> ?", build, name
    )
    if len(value) > MOST_OF_ONE or others + len(value) > MOST_OF_BUILD:
        raise TooMuchData(
            f"{name!r} has {len(value)} bytes; at most {MOST_OF_ONE} are kept of one name, {MOST_OF_BUILD} of a build"
        )
    store.execute(
        "INSERT INTO build_data (build_id, name, value, source) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (build_id, name) DO UPDATE SET value = excluded.value, source = excluded.source",
        build,
        name,
        value,
        source,
    )


def get(store: Queries, build: BuildID, name: str) -> Datum | None:
    return store.first(Datum, "SELECT value, source FROM build_data WHERE build_id = ? AND name = ?", build, name)


def names(store: Queries, build: BuildID) -> list[str]:
    return store.column("SELECT name FROM build_data WHERE build_id = ? ORDER BY name LIMIT 1000", build)


def delete_one(store: Store, build: BuildID) -> bool:
    """Remove one name's data of a finished build; whether there was any."""
    return bool(
        store.execute(
            "DELETE FROM build_data WHERE rowid = (SELECT d.rowid FROM build_data AS d JOIN builds AS b "
            "ON b.id = d.build_id WHERE d.build_id = ? AND b.complete_at IS NOT NULL LIMIT 1)",
            build,
        )
    )
