"""A store with builders, changes and one scheduler, and short words for what the tests do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import BuildRequest, Buildset, ChangeID, Classification, NewChange, Property, SourceStamp, Verdict
from buildbot.schedulers.base import BaseScheduler, drive
from buildbot.store import Store, builders, buildsets, changes, properties, requests, schedulers, sourcestamps
from tests.stores import new_store

T = TypeVar("T")


class SchedulerCase(SynchronousTestCase):
    """`self.now` is the time of day; nothing here waits for real time."""

    builder_names: tuple[str, ...] = ("full", "quick")

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.store = new_store(self.path)
        self.now = 1000.0
        self.store.transact(builders.sync, [(name, "", ()) for name in self.builder_names], self.now)

    def tearDown(self) -> None:
        self.store.close()

    def reopen(self) -> None:
        """As after a crash: whatever is not in the file is gone."""
        self.store.close()
        self.store = Store.open(self.path)

    def configure(self, *configured: BaseScheduler) -> None:
        self.store.transact(schedulers.sync, [scheduler.name for scheduler in configured], self.now)

    def change(self, *, revision: str | None = None, **fields: Any) -> ChangeID:
        """A change that arrives now."""
        fields.setdefault("author", "alice")
        fields.setdefault("branch", "main")
        id, new = self.store.transact(changes.add, NewChange(revision=revision, **fields), self.now)
        assert new
        return id

    def drive(self, scheduler: BaseScheduler) -> float | None:
        return self.value_of(drive(scheduler, self.store, self.now))

    def drive_until_idle(self, scheduler: BaseScheduler, most: int = 1000) -> float | None:
        """As the doorbell does: again, as long as it wants to be called at once."""
        for _ in range(most):
            wake_at = self.drive(scheduler)
            if wake_at is None or wake_at > self.now:
                return wake_at
        raise AssertionError("it never becomes idle")

    def value_of(self, waiting: Awaitable[T]) -> T:
        return self.successResultOf(ensureDeferred(waiting))  # type: ignore[arg-type]

    # -- what is in the store

    def buildsets(self) -> list[Buildset]:
        ids = self.store.column("SELECT id FROM buildsets ORDER BY id")
        found = [buildsets.get(self.store, id) for id in ids]
        return [buildset for buildset in found if buildset is not None]

    def requests(self, buildset: Buildset) -> list[BuildRequest]:
        return requests.of_buildset(self.store, buildset.id)

    def stamps(self, buildset: Buildset) -> list[SourceStamp]:
        return sourcestamps.of_buildset(self.store, buildset.id)

    def built(self) -> list[list[int]]:
        """The changes of each buildset."""
        return [[change.id for change in changes.of_buildset(self.store, b.id)] for b in self.buildsets()]

    def properties(self, buildset: Buildset) -> dict[str, Property]:
        return {p.name: p for p in properties.of(self.store, "buildset", buildset.id)}

    def verdict(self, change: ChangeID) -> Classification:
        (found,) = schedulers.verdicts(self.store, change)
        return found

    def verdicts(self, ids: Iterable[ChangeID]) -> list[Verdict]:
        return [self.verdict(id).verdict for id in ids]
