"""A build waits for a disk that has no room."""

from __future__ import annotations

import sqlite3

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildbot.process.insisting import insist
from buildbot.store import Store
from tests.unit.store.cases import StoreCase


class Waiting:
    """As much of a build as counts here."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.left = store, Clock(), False


def remember(store: Store, text: str) -> str:
    store.execute("CREATE TABLE IF NOT EXISTS remembered (text TEXT) STRICT")
    store.execute("INSERT INTO remembered VALUES (?)", text)
    return "kept"


class TestInsisting(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.build = Waiting(self.store)

    def room(self, pages: int) -> None:
        """As a disk: SQLite says the same when its file may not grow."""
        self.store.value(f"PRAGMA max_page_count = {self.store.value('PRAGMA page_count') + pages}")

    def insist(self) -> Deferred[str]:
        return ensureDeferred(insist(self.build, remember, "x" * 100_000))

    def test_it_comes_to_pass_once_there_is_room(self) -> None:
        self.room(1)
        with self.assertRaises(sqlite3.OperationalError):
            self.store.transact(remember, "x" * 100_000)
        kept = self.insist()
        self.build.clock.pump([1.0] * 30)
        self.assertNoResult(kept)
        self.room(1000)
        self.build.clock.pump([1.0] * 11)
        self.assertEqual(self.successResultOf(kept), "kept")
        self.assertEqual(self.store.value("SELECT count(*) FROM remembered"), 1)

    def test_a_process_that_ends_leaves_it_to_the_next_one(self) -> None:
        self.room(1)
        kept = self.insist()
        self.build.left = True
        self.build.clock.advance(1)
        self.failureResultOf(kept, CancelledError)

    def test_what_is_wrong_with_it_is_raised(self) -> None:
        def wrong(store: Store) -> None:
            store.execute("INSERT INTO changes (id) VALUES (1)")

        self.failureResultOf(ensureDeferred(insist(self.build, wrong)), sqlite3.IntegrityError)

    def test_a_mistake_in_its_sql_is_no_matter_of_the_disk(self) -> None:
        def wrong(store: Store) -> None:
            store.execute("INSERT INTO no_such_table VALUES (1)")

        self.failureResultOf(ensureDeferred(insist(self.build, wrong)), sqlite3.OperationalError)
