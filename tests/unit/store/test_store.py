"""Transactions, their promises, and who may open the file."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from buildbot.model import EventKind, NewChange
from buildbot.store import (
    Queries,
    Store,
    StoreError,
    StoreIsInUse,
    StoreIsNewer,
    changes,
    events,
)
from buildbot.store import (
    store as store_module,
)
from buildbot.store.store import connect
from buildbot.store.upgrades import SCHEMA_VERSION
from tests.unit.store.cases import NOW, StoreCase


class Broken(Exception):
    pass


def count(store: Queries) -> int:
    return int(store.value("SELECT count(*) FROM changes"))


def add(store: Store, author: str = "alice") -> int:
    return changes.add(store, NewChange(author), NOW)[0]


def add_and_fail(store: Store, author: str = "alice") -> None:
    add(store, author)
    raise Broken


class TestTransactions(StoreCase):
    def test_the_value_comes_back(self) -> None:
        self.assertEqual(self.store.transact(lambda store, a, b: a + b, 1, b=2), 3)

    def test_what_was_committed_is_there_after_a_reopening(self) -> None:
        self.store.transact(add)
        self.reopen()
        self.assertEqual(count(self.store), 1)

    def test_what_failed_is_reverted(self) -> None:
        self.assertRaises(Broken, self.store.transact, add_and_fail)
        self.assertEqual(count(self.store), 0)
        self.assertFalse(self.store.in_transaction())

    def test_so_is_what_was_interrupted(self) -> None:
        def interrupted(store: Store) -> None:
            add(store)
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.store.transact, interrupted)
        self.assertEqual(count(self.store), 0)

    def test_an_inner_one_joins_the_outer_one(self) -> None:
        def outer(store: Store) -> None:
            store.transact(add)
            raise Broken

        self.assertRaises(Broken, self.store.transact, outer)
        self.assertEqual(count(self.store), 0)

    def test_a_failure_of_a_commit_reverts(self) -> None:
        def deferred_violation(store: Store) -> None:
            add(store)
            store.execute("PRAGMA defer_foreign_keys = ON")
            store.execute("INSERT INTO change_files (change_id, position, path) VALUES (99, 0, 'x')")

        self.assertRaises(sqlite3.IntegrityError, self.store.transact, deferred_violation)
        self.assertFalse(self.store.in_transaction())
        self.assertEqual(count(self.store), 0)

    def test_nothing_may_wait_inside(self) -> None:
        def waits(store: Store) -> Deferred[None]:
            add(store)
            return Deferred()

        self.assertRaises(TypeError, self.store.transact, waits)
        self.assertEqual(count(self.store), 0)

    def test_readers_see_only_what_is_committed(self) -> None:
        other = Queries(connect(self.path, read_only=True))

        def work(store: Store) -> int:
            add(store)
            return count(other)

        self.assertEqual(self.store.transact(work), 0)
        self.assertEqual(count(other), 1)
        other._connection.close()

    def test_a_slow_one_is_logged_with_its_statements(self) -> None:
        self.patch(store_module, "SLOW_TRANSACTION_SECONDS", -1.0)
        told: list[dict[str, Any]] = []
        from twisted.logger import globalLogPublisher

        globalLogPublisher.addObserver(told.append)
        try:
            self.store.transact(add)
        finally:
            globalLogPublisher.removeObserver(told.append)
        self.assertTrue(any("INSERT INTO changes" in event.get("statements", "") for event in told))


class TestTelling(StoreCase):
    def test_after_the_commit_and_never_before(self) -> None:
        told: list[bool] = []

        def work(store: Store) -> None:
            store.after_commit(lambda: told.append(store.in_transaction()))
            self.assertEqual(told, [])

        self.store.transact(work)
        self.assertEqual(told, [False])

    def test_in_order(self) -> None:
        told: list[int] = []

        def work(store: Store) -> None:
            for number in range(3):
                store.after_commit(lambda number=number: told.append(number))  # type: ignore[misc]

        self.store.transact(work)
        self.assertEqual(told, [0, 1, 2])

    def test_nobody_is_told_what_did_not_happen(self) -> None:
        told: list[object] = []
        self.store.event_listeners.append(told.append)
        self.assertRaises(Broken, self.store.transact, add_and_fail)
        self.store.transact(lambda store: None)
        self.assertEqual(told, [])

    def test_at_once_outside_of_a_transaction(self) -> None:
        told: list[int] = []
        self.store.after_commit(lambda: told.append(1))
        self.assertEqual(told, [1])

    def test_one_that_fails_does_not_keep_it_from_the_others(self) -> None:
        told: list[int] = []

        def work(store: Store) -> None:
            store.after_commit(lambda: 1 / 0)
            store.after_commit(lambda: told.append(1))

        self.store.transact(work)
        self.assertEqual(told, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_who_is_told_may_begin_a_transaction(self) -> None:
        self.store.transact(lambda store: store.after_commit(lambda: self.store.transact(add)))
        self.assertEqual(count(self.store), 1)

    def test_events_reach_listeners_and_cursors_alike(self) -> None:
        heard: list[Any] = []
        self.store.event_listeners.append(heard.append)
        before = events.last_id(self.store)
        self.store.transact(add)
        self.assertEqual(heard, events.after(self.store, before))
        self.assertEqual([event.kind for event in heard], [EventKind.CHANGE_ADDED])


class TestDurability(StoreCase):
    def level(self, store: Store) -> int:
        return int(store.value("PRAGMA synchronous"))

    def test_normal_and_full(self) -> None:
        self.assertEqual(self.store.transact(self.level), 1)
        self.assertEqual(self.store.transact_durable(self.level), 2)
        self.assertEqual(self.store.transact(self.level), 1)

    def test_it_is_normal_again_after_a_failure(self) -> None:
        self.assertRaises(Broken, self.store.transact_durable, add_and_fail)
        self.assertEqual(self.store.transact(self.level), 1)

    def test_a_durable_one_does_not_pretend_within_one_that_is_not(self) -> None:
        self.assertRaises(RuntimeError, self.store.transact, lambda store: store.transact_durable(add))
        self.assertEqual(count(self.store), 0)

    def test_but_it_joins_a_durable_one(self) -> None:
        self.store.transact_durable(lambda store: store.transact_durable(add))
        self.assertEqual(count(self.store), 1)


class TestSettings(StoreCase):
    def test_foreign_keys_are_enforced(self) -> None:
        sql = "INSERT INTO change_files (change_id, position, path) VALUES (99, 0, 'x')"
        self.assertRaises(sqlite3.IntegrityError, self.store.execute, sql)

    def test_columns_take_only_their_own_type(self) -> None:
        sql = "UPDATE builders SET position = 'first'"
        self.assertRaises(sqlite3.IntegrityError, self.store.execute, sql)

    def test_every_table_is_strict(self) -> None:
        loose = self.store.column(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 "
            "AND name NOT LIKE 'sqlite_%'"
        )
        self.assertEqual(loose, [])

    def test_the_write_ahead_log_is_on(self) -> None:
        self.assertEqual(self.store.value("PRAGMA journal_mode"), "wal")

    def test_a_read_only_connection_cannot_write(self) -> None:
        connection = connect(self.path, read_only=True)
        self.assertRaises(sqlite3.OperationalError, connection.execute, "DELETE FROM builders")
        connection.close()

    def test_every_column_has_its_place_in_the_rows(self) -> None:
        """A row type has a field for each column, in the order of the table."""
        from buildbot import model

        of_running = ("words", "statistics", "locks_since", "code_began_at", "made_steps", "began_with")
        apart = {
            ("build_properties", "literal"),
            ("builds", "recipe"),
            *(("steps", name) for name in of_running),
        }
        rows: dict[str, Any] = {
            "changes": model.Change,
            "patches": model.Patch,
            "source_stamps": model.SourceStamp,
            "buildsets": model.Buildset,
            "build_requests": model.BuildRequest,
            "builders": model.Builder,
            "slaves": model.Slave,
            "builds": model.Build,
            "steps": model.Step,
            "step_urls": model.StepURL,
            "commands": model.RemoteCommandRow,
            "logs": model.Log,
            "events": model.Event,
            "cursors": model.Cursor,
            "operator_actions": model.OperatorAction,
        }
        for table, row in rows.items():
            columns = self.store.column("SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
            columns = [column for column in columns if (table, column) not in apart]
            self.assertEqual(tuple(columns), row._fields, table)

    def test_deleting_a_row_looks_for_what_refers_to_it_by_an_index(self) -> None:
        """In every table from which rows are deleted; builders and slaves stay for ever."""
        tables = self.store.column("SELECT name FROM sqlite_schema WHERE type = 'table'")
        found = 0
        for child in tables:
            keys = self.store.all(lambda *row: row, "SELECT \"table\", \"from\" FROM pragma_foreign_key_list(?)", child)
            for parent, column in keys:
                if parent in ("builders", "slaves"):
                    continue
                plan = self.store.all(
                    lambda *row: str(row[3]), f"EXPLAIN QUERY PLAN SELECT 1 FROM {child} WHERE {column} = ?", 1
                )
                self.assertIn("SEARCH", plan[0], (child, column))
                found += 1
        self.assertGreater(found, 15)


class TestQuestions(StoreCase):
    def test_one_must_be_there(self) -> None:
        self.assertRaises(LookupError, self.store.one, str, "SELECT name FROM builders WHERE name = 'nobody'")
        self.assertEqual(self.store.one(str, "SELECT name FROM builders WHERE name = 'full'"), "full")

    def test_first_value_and_column(self) -> None:
        self.assertIsNone(self.store.first(str, "SELECT name FROM builders WHERE 0"))
        self.assertIsNone(self.store.value("SELECT name FROM builders WHERE 0"))
        self.assertEqual(self.store.column("SELECT name FROM builders ORDER BY position"), ["full", "quick"])

    def test_read_without_threads_answers_at_once(self) -> None:
        self.store.transact(add)
        self.assertEqual(self.successResultOf(self.store.read(count)), 1)

    def test_read_gives_failures_as_such(self) -> None:
        failure = self.failureResultOf(self.store.read(lambda queries: 1 / 0))
        self.assertIsInstance(failure, Failure)
        failure.trap(ZeroDivisionError)

    def test_statements_are_counted(self) -> None:
        before = self.store.statements
        count(self.store)
        self.store.transact(add)
        self.assertGreater(self.store.statements, before + 2)


class TestWhoOwnsTheFile(StoreCase):
    def test_a_second_opening_is_refused_and_says_who_has_it(self) -> None:
        with self.assertRaises(StoreIsInUse) as caught:
            Store.open(self.path)
        self.assertIn(f"pid {os.getpid()}", str(caught.exception))
        self.assertEqual(count(self.store), 0)

    def test_another_process_is_refused_too(self) -> None:
        code = "import sys, pathlib; from buildbot.store import Store; Store.open(pathlib.Path(sys.argv[1]))"
        ended = subprocess.run([sys.executable, "-c", code, self.path], capture_output=True, text=True, check=False)
        self.assertIn("StoreIsInUse", ended.stderr)

    def test_the_lock_of_a_process_that_died_is_no_lock(self) -> None:
        path = self.directory / "other.sqlite"
        code = (
            "import os, sys, pathlib; from buildbot.store import Store\n"
            "Store.open(pathlib.Path(sys.argv[1])); os._exit(9)"
        )
        subprocess.run([sys.executable, "-c", code, path], check=False)
        Store.open(path).close()

    def test_a_failed_opening_leaves_no_lock(self) -> None:
        path = self.directory / "garbage.sqlite"
        path.write_bytes(b"this is no database at all, but it is long enough to look like one" * 20)
        self.assertRaises(sqlite3.DatabaseError, Store.open, path)
        with open(path.with_name("garbage.sqlite.lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_a_newer_file_is_refused_and_left_as_it_was(self) -> None:
        self.store.execute("PRAGMA user_version = 999")
        self.store.close()
        before = self.path.read_bytes()
        with self.assertRaises(StoreIsNewer) as caught:
            Store.open(self.path)
        self.assertIn("schema 999", str(caught.exception))
        self.assertEqual(self.path.read_bytes(), before)
        connect(self.path).execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.store = Store.open(self.path)

    def test_an_old_sqlite_is_refused(self) -> None:
        self.patch(store_module, "OLDEST_SQLITE", (99, 0, 0))
        with self.assertRaises(StoreError) as caught:
            Store.open(self.directory / "new.sqlite")
        self.assertIn("too old", str(caught.exception))

    def test_a_backup_is_a_whole_store(self) -> None:
        self.store.transact(add)
        self.store.backup(self.directory / "copy.sqlite")
        copy = Store.open(self.directory / "copy.sqlite")
        self.assertEqual(count(copy), 1)
        copy.close()

    def test_a_path_with_odd_characters(self) -> None:
        path = Path(self.directory) / "a b?c#d%41.sqlite"
        Store.open(path).close()
        self.assertTrue(path.exists())
