"""A store in a temporary directory, with a builder, a slave and short ways to fill it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import (
    Build,
    BuilderID,
    BuildRequest,
    BuildRequestID,
    Buildset,
    BuildsetID,
    ChangeID,
    Event,
    EventKind,
    NewChange,
    StepID,
)
from buildbot.store import Store, builders, builds, buildsets, changes, events, requests, slaves, sourcestamps, steps
from tests.stores import new_store

NOW = 1_700_000_000.0


class StoreCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        self.path = self.directory / "state.sqlite"
        self.store = new_store(self.path)
        self.builders = self.store.transact(builders.sync, [("full", "all of it", ["a", "b"]), ("quick", "", [])], NOW)
        self.slaves = self.store.transact(slaves.sync, ["bob", "al"], NOW)
        self.builder = self.builders["full"]
        self.slave = self.slaves["bob"]

    def tearDown(self) -> None:
        self.store.close()

    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.path)

    def change(self, **fields: Any) -> ChangeID:
        id, _ = self.store.transact(changes.add, NewChange(**{"author": "alice", **fields}), NOW)
        return id

    def submit(
        self, builder_ids: Sequence[BuilderID] | None = None, changes: Sequence[ChangeID] = (), **fields: Any
    ) -> tuple[BuildsetID, list[BuildRequestID]]:
        def work(store: Store) -> tuple[BuildsetID, list[BuildRequestID]]:
            stamp = sourcestamps.add(store, branch="main", revision="1", changes=changes, now=NOW)
            return buildsets.submit(
                store,
                builders=[self.builder] if builder_ids is None else builder_ids,
                source_stamps=[stamp],
                now=NOW,
                **{"reason": "because", **fields},
            )

        return self.store.transact(work)

    def ask(self, **fields: Any) -> BuildRequestID:
        """One request of a buildset of its own."""
        (request,) = self.submit(**fields)[1]
        return request

    def start(self, *claimed: BuildRequestID, now: float = NOW) -> Build:
        return self.store.transact(
            lambda store: builds.start(
                store, builder=self.builder, slave=self.slave, claimed=claimed, reason="because", now=now
            )
        )

    def step(self, build: Build | None = None, number: int = 0, name: str = "compile") -> StepID:
        build = self.start(self.ask()) if build is None else build
        return self.store.transact(steps.start, build.id, number, name, "compiling", NOW)

    def request(self, id: BuildRequestID) -> BuildRequest:
        found = requests.get(self.store, id)
        assert found is not None
        return found

    def buildset(self, id: BuildsetID) -> Buildset:
        found = buildsets.get(self.store, id)
        assert found is not None
        return found

    def build(self, id: Any) -> Build:
        found = builds.get(self.store, id)
        assert found is not None
        return found

    def events(self) -> list[Event]:
        """What was told, oldest first."""
        return list(reversed(events.newest(self.store, 1000)))

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events()]
