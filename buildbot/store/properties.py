"""Every SQL statement about properties of changes, buildsets and builds: name, JSON value and where it came from."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from buildbot.model import JSON, BuildID, Property
from buildbot.store.store import Queries, Store

Owner = Literal["change", "buildset", "build"]
HOLDS_A_SECRET = ""


class Kept(NamedTuple):
    """A property of a running build, as it is kept so that it is the same after a restart of the master.

    literal: the value as Python writes it, if JSON changes it (a tuple becomes a list, a number as a key becomes text);
    HOLDS_A_SECRET if it is not kept, because what is written down hides a secret; else None.
    """

    name: str
    value: JSON
    source: str
    literal: str | None = None

    @classmethod
    def of(cls, name: str, value: Any, source: str, shown: Any) -> Kept:
        """shown: the value without secrets."""
        if shown != value:
            return cls(name, shown, source, HOLDS_A_SECRET)
        if json.loads(json.dumps(value)) == value:
            return cls(name, value, source)
        return cls(name, value, source, repr(value))

    def again(self) -> Any:
        """The value that it was. Raises ValueError when it was not kept."""
        if self.literal is None:
            return self.value
        if self.literal == HOLDS_A_SECRET:
            raise ValueError(f"property {self.name!r} holds a secret, which is not kept")
        return ast.literal_eval(self.literal)


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
    "ON CONFLICT (build_id, name) DO UPDATE SET value = excluded.value, source = excluded.source, literal = NULL",
}


def _property(name: str, value: str, source: str) -> Property:
    return Property(name, json.loads(value), source)


def of(store: Queries, owner: Owner, id: int) -> list[Property]:
    """All properties of one change, buildset or build, by name."""
    return store.all(_property, _SELECT[owner], id)


def shown(store: Store, owner: Owner, id: int) -> list[Property]:
    """The same for people: secrets that somebody typed are hidden in them. Builds get what was typed."""

    def hidden(name: str, value: str, source: str) -> Property:
        text = store.hide(value)
        try:
            return _property(store.hide(name), text, source)
        except ValueError:  # a number was one
            return Property(name, text, source)

    return store.all(hidden, _SELECT[owner], id)


def put(store: Store, owner: Owner, id: int, properties: Iterable[Property]) -> None:
    """Set these properties; what has the same name is replaced, the others stay."""
    rows = [(id, p.name, json.dumps(p.value), p.source) for p in properties]
    if rows:
        store.execute_many(_UPSERT[owner], rows)


def keep(store: Store, build: BuildID, properties: Iterable[Kept]) -> None:
    """Set these properties of a running build."""
    rows = [(build, p.name, json.dumps(p.value), p.source, p.literal) for p in properties]
    if rows:
        store.execute_many(
            "INSERT INTO build_properties (build_id, name, value, source, literal) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (build_id, name) DO UPDATE SET value = excluded.value, source = excluded.source, "
            "literal = excluded.literal",
            rows,
        )


def kept(store: Queries, build: BuildID) -> list[Kept]:
    """All properties of a running build, by name, as they were set."""
    return store.all(
        lambda name, value, source, literal: Kept(name, json.loads(value), source, literal),
        "SELECT name, value, source, literal FROM build_properties WHERE build_id = ? ORDER BY name",
        build,
    )
