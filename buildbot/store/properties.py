"""Every SQL statement about properties of changes, buildsets and builds: name, JSON value and where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal

from buildbot.model import Property
from buildbot.store.store import Queries, Store

Owner = Literal["change", "buildset", "build"]

_SELECT: dict[Owner, str] = {
    "change": "SELECT name, value, source FROM change_properties WHERE change_id = ? ORDER BY name",
    "buildset": "SELECT name, value, source FROM buildset_properties WHERE buildset_id = ? ORDER BY name",
    "build": "SELECT name, value, source FROM build_properties WHERE build_id = ? ORDER BY name",
}

_UPSERT: dict[Owner, str] = {
    "change": "INSERT INTO change_properties (change_id, name, value, source) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (change_id, name) DO UPDATE SET value = excluded.value, source = excluded.source",
    "buildset": "INSERT INTO buildset_properties (buildset_id, name, value, source) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (buildset_id, name) DO UPDATE SET value = excluded.value, source = excluded.source",
    "build": "INSERT INTO build_properties (build_id, name, value, source) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (build_id, name) DO UPDATE SET value = excluded.value, source = excluded.source",
}


def _property(name: str, value: str, source: str) -> Property:
    return Property(name, json.loads(value), source)


def of(store: Queries, owner: Owner, id: int) -> list[Property]:
    """All properties of one change, buildset or build, by name."""
    return store.all(_property, _SELECT[owner], id)


def put(store: Store, owner: Owner, id: int, properties: Iterable[Property]) -> None:
    """Set these properties; what has the same name is replaced, the others stay."""
    rows = [(id, p.name, json.dumps(p.value), p.source) for p in properties]
    if rows:
        store.execute_many(_UPSERT[owner], rows)
