"""Older stores become current ones: upgraded equals fresh, and a failure changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from buildbot.store import Store, StoreError, StoreNeedsUpgrade
from buildbot.store import store as store_module
from buildbot.store.store import SCHEMA_FILE, apply_upgrades, connect, statements_of
from buildbot.store.upgrades import FIRST_SCHEMA, SCHEMA_VERSION, UPGRADES
from tests.unit.store.cases import NOW, StoreCase

SCHEMAS = Path(__file__).with_name("schemas")


def make_old(path: Path, version: int) -> None:
    """A file as that version made it."""
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for statement in statements_of((SCHEMAS / f"{version}.sql").read_text()):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def shape(path: Path) -> dict[str, object]:
    """All that matters of a schema: not the text, but what it means."""
    connection = connect(path)
    found: dict[str, object] = {}
    kinds = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    for kind, name, table in connection.execute(kinds).fetchall():
        if kind == "table":
            found[name] = (
                connection.execute(f"PRAGMA table_xinfo({name})").fetchall(),
                sorted(row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")),
                connection.execute("SELECT wr, strict FROM pragma_table_list WHERE name = ?", (name,)).fetchall(),
            )
        else:
            (text,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
            found[name] = (table, " ".join(text.split()))
    connection.close()
    return found


@pytest.mark.parametrize("version", range(FIRST_SCHEMA, SCHEMA_VERSION + 1))
def test_upgraded_equals_fresh(version: int, tmp_path: Path) -> None:
    make_old(tmp_path / "old.sqlite", version)
    Store.open(tmp_path / "old.sqlite", upgrade=True).close()
    Store.open(tmp_path / "fresh.sqlite").close()
    assert shape(tmp_path / "old.sqlite") == shape(tmp_path / "fresh.sqlite")


def test_the_current_schema_is_frozen() -> None:
    """Whoever changes the schema appends an upgrader and freezes the new text beside the older ones."""
    frozen = (SCHEMAS / f"{SCHEMA_VERSION}.sql").read_text()
    assert statements_of(frozen) == statements_of(SCHEMA_FILE.read_text())


def test_statements_are_told_apart() -> None:
    table = "CREATE TABLE a (\n  b TEXT DEFAULT ';', -- a comment; with one\n  c TEXT\n) STRICT;"
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND;"
    assert statements_of(f"{table}\n\n{trigger}\n") == [table, trigger]


def add_column(store: Store) -> None:
    store.execute("ALTER TABLE builders ADD COLUMN colour TEXT")


def fill_column(store: Store) -> None:
    store.execute("UPDATE builders SET colour = 'green'")


def fail(store: Store) -> None:
    store.execute("DROP TABLE step_urls")
    raise ZeroDivisionError


def dangle(store: Store) -> None:
    store.execute("INSERT INTO change_files (change_id, position, path) VALUES (99, 0, 'x')")


class TestUpgrading(StoreCase):
    """With invented upgraders, as if later versions were there already."""

    def invent(self, *upgraders: Callable[[Store], None]) -> None:
        self.store.close()
        self.patch(store_module, "UPGRADES", (*UPGRADES, *upgraders))
        self.patch(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + len(upgraders))

    def test_an_older_file_is_refused_until_somebody_asks(self) -> None:
        self.invent(add_column)
        with self.assertRaises(StoreNeedsUpgrade) as caught:
            Store.open(self.path)
        self.assertIn("upgrade-master", str(caught.exception))

    def test_all_that_are_missing_run_in_order(self) -> None:
        self.invent(add_column, fill_column)
        self.store = Store.open(self.path, upgrade=True)
        self.assertEqual(self.store.column("SELECT DISTINCT colour FROM builders"), ["green"])
        self.assertEqual(self.store.schema_version, SCHEMA_VERSION + 2)

    def test_those_that_ran_already_do_not_run_again(self) -> None:
        self.invent(add_column)
        Store.open(self.path, upgrade=True).close()
        self.patch(store_module, "UPGRADES", (*UPGRADES, add_column, fill_column))
        self.patch(store_module, "SCHEMA_VERSION", SCHEMA_VERSION + 2)
        self.store = Store.open(self.path, upgrade=True)
        self.assertEqual(self.store.schema_version, SCHEMA_VERSION + 2)

    def test_there_is_a_backup_of_the_old_file(self) -> None:
        old = shape(self.path)
        self.invent(add_column)
        self.store = Store.open(self.path, upgrade=True)
        self.assertEqual(shape(self.directory / f"state.sqlite.{SCHEMA_VERSION}"), old)

    def refuses(self, error: type[Exception], *upgraders: Callable[[Store], None]) -> None:
        before = shape(self.path)
        self.invent(*upgraders)
        self.assertRaises(error, Store.open, self.path, upgrade=True)
        self.assertEqual(shape(self.path), before)
        self.assertEqual(shape(self.directory / f"state.sqlite.{SCHEMA_VERSION}"), before)
        connection = connect(self.path)
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (SCHEMA_VERSION,))
        self.assertEqual(connection.execute("SELECT count(*) FROM builders").fetchone(), (2,))
        connection.close()

    def test_a_failure_changes_nothing(self) -> None:
        self.refuses(ZeroDivisionError, add_column, fail)

    def test_a_dangling_reference_is_a_failure(self) -> None:
        self.refuses(StoreError, add_column, dangle)

    def test_after_a_failure_it_can_be_tried_again(self) -> None:
        self.refuses(ZeroDivisionError, fail)
        self.patch(store_module, "UPGRADES", (*UPGRADES, add_column))
        self.store = Store.open(self.path, upgrade=True)
        self.assertEqual(self.store.schema_version, SCHEMA_VERSION + 1)
        self.assertTrue((self.directory / f"state.sqlite.{SCHEMA_VERSION}.1").exists())

    def test_foreign_keys_are_on_again_afterwards(self) -> None:
        for upgraders, error in (((add_column,), None), ((fail,), ZeroDivisionError)):
            if error is None:
                apply_upgrades(self.store, upgraders, SCHEMA_VERSION + 1)
            else:
                self.assertRaises(error, apply_upgrades, self.store, upgraders, SCHEMA_VERSION + 2)
            self.assertRaises(sqlite3.IntegrityError, self.store.transact, dangle)

    def test_a_table_may_be_made_anew_under_its_references(self) -> None:
        """The usual way to change a column's type: it needs foreign keys to be off."""
        self.start(self.ask())

        def rebuild(store: Store) -> None:
            store.execute("CREATE TABLE slaves_new AS SELECT * FROM slaves")
            store.execute("DROP TABLE slaves")
            store.execute("CREATE TABLE slaves (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT")
            store.execute("INSERT INTO slaves (id, name) SELECT id, name FROM slaves_new")
            store.execute("DROP TABLE slaves_new")

        apply_upgrades(self.store, [rebuild], SCHEMA_VERSION + 1)
        self.assertEqual(self.store.column("SELECT name FROM slaves ORDER BY name"), ["al", "bob"])
        self.assertEqual(self.store.value("SELECT slave_id FROM builds"), self.slave)
        self.assertEqual(self.store.value("SELECT count(*) FROM builds WHERE started_at = ?", NOW), 1)
