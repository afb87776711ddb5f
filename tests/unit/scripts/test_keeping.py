"""`buildbot backup` and `buildbot check`, on a store with a history, also while a master has it."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot.scripts import keeping
from buildbot.scripts.outcome import CommandFailed, ExitCode
from buildbot.store import Store, backup, checking, retention
from buildbot.store.logfiles import Channel, LogFiles
from tests import history
from tests.stores import new_store

NOW = 1_700_000_000.0


class KeepingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.said: list[str] = []
        self.warned: list[str] = []
        self.files = LogFiles(self.base / "logs")
        self.store = new_store(self.base / "state.sqlite")
        self.addCleanup(lambda: self.store.close())
        history.fill(self.store, now=NOW, builds_count=20, builder_list=history.BUILDERS[6:9])
        for id, path in self.store.all(lambda *row: row, "SELECT id, path FROM logs"):
            log = self.files.write(path)
            for number in range(3):
                log.append(b"line %d\n" % number, Channel.STDOUT, id, NOW + number)
            self.store.execute("UPDATE logs SET size = ?, lines = 3 WHERE id = ? AND size NOTNULL", log.size, id)
            log.close()

    def paths(self) -> list[str]:
        """Of finished logs of finished builds."""
        return self.store.column(
            "SELECT l.path FROM logs AS l JOIN steps AS s ON s.id = l.step_id JOIN builds AS b ON b.id = s.build_id "
            "WHERE b.complete_at NOTNULL ORDER BY l.id"
        )

    def check(self, base: Path | None = None, *, repair: bool = False) -> str:
        """What it says; '' when all is in order."""
        self.warned.clear()
        try:
            keeping.check(base or self.base, self.said.append, self.warned.append, repair=repair)
        except CommandFailed as failed:
            return "\n".join([*self.warned, str(failed)])
        self.assertEqual(self.warned, [])
        return ""

    def repaired(self) -> str:
        self.store.close()
        try:
            return self.check(repair=True)
        finally:
            self.store = Store.open(self.base / "state.sqlite")


class TestCheck(KeepingCase):
    def test_all_is_in_order_while_a_master_has_it(self) -> None:
        self.assertEqual(self.check(), "")
        self.assertIn(f"{self.store.value('SELECT count(*) FROM logs')} logs", self.said[-1])

    def test_a_missing_file(self) -> None:
        path = self.paths()[0]
        self.files.remove(path)
        self.assertIn(f"a log's file is missing (1):\n  log 1: {self.base / 'logs' / path}", self.check())
        self.assertEqual(self.repaired(), "")
        removed_by = self.store.value("SELECT removed_by FROM logs WHERE path = ?", path)
        self.assertEqual(removed_by, "buildbot check: its file was missing")
        self.assertEqual(self.check(), "")

    def test_a_missing_text_takes_its_index_along(self) -> None:
        text = self.base / "logs" / self.paths()[0]
        text.unlink()
        self.assertEqual(self.repaired(), "")
        self.assertFalse(text.with_suffix(".idx").exists())

    def test_rows_that_contradict_each_other(self) -> None:
        build = self.store.value("SELECT max(id) FROM builds WHERE complete_at NOTNULL")
        step = self.store.value("SELECT min(id) FROM steps WHERE build_id = ?", build)
        request = self.store.value("SELECT max(request_id) FROM build_requests_of_builds WHERE build_id = ?", build)
        self.store.execute("UPDATE steps SET complete_at = NULL, result = NULL WHERE id = ?", step)
        self.store.execute("UPDATE build_requests SET complete_at = NULL, result = NULL WHERE id = ?", request)
        self.store.execute(
            "INSERT INTO commands (step_id, ordinal, name, args, state, ordered_at) "
            "VALUES (?, 99, 'x', '{}', 'running', 1)",
            step,
        )
        told = self.check()
        self.assertIn("rows contradict each other (3):", told)
        self.assertIn(f"step {step} has not ended, and its build has", told)
        self.assertIn(f"request {request} is claimed, and no build of it runs", told)

    def test_a_store_that_is_damaged_does_not_say_what_is_needed(self) -> None:
        """Files whose rows are lost must outlive a repair."""
        kept = self.base / "logs" / self.paths()[0]
        self.store.execute("PRAGMA foreign_keys = OFF")
        self.store.execute("DELETE FROM builds")
        self.store.execute("PRAGMA foreign_keys = ON")
        self.assertIn("nothing is repaired, because the store itself is damaged", self.repaired())
        self.assertTrue(kept.exists())

    def test_a_file_of_another_length(self) -> None:
        first, second = self.paths()[:2]
        with (self.base / "logs" / first).open("ab") as file:
            file.write(b"more")
        self.store.execute("UPDATE logs SET size = size + 1000 WHERE path = ?", second)
        told = self.check()
        self.assertIn("has 25 bytes, longer than the 21 of its row", told)
        self.assertIn("has 21 bytes, shorter than the 1021 of its row", told)
        self.assertIn("says nothing of the bytes from 21 on", self.repaired())  # the text is not cut for that
        self.assertEqual((self.base / "logs" / first).read_bytes()[-4:], b"more")

    def test_an_index_that_is_torn(self) -> None:
        index = (self.base / "logs" / self.paths()[0]).with_suffix(".idx")
        index.write_bytes(index.read_bytes()[:-41])
        self.assertIn("a log's index does not fit its text (1):", self.check())

    def test_files_that_belong_to_nobody(self) -> None:
        kept = self.base / "logs" / self.paths()[0]
        orphans = [kept.with_name("other-stdio.txt"), self.base / "logs/nobody/1/x.txt", self.base / "logs/loose"]
        for path in orphans:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        told = self.check()
        self.assertIn("a file belongs to no log (3)", told)
        for path in orphans:
            self.assertIn(str(path), told)
        self.assertEqual(self.repaired(), "")
        self.assertEqual([path for path in orphans if path.exists()], [])
        self.assertTrue(kept.exists())
        away = [self.base / "orphans" / path.relative_to(self.base / "logs") for path in orphans]
        self.assertEqual([path.read_text() for path in away], ["x", "x", "x"])
        orphans[0].write_text("y")
        self.assertEqual(self.repaired(), "")
        self.assertEqual(away[0].with_name(away[0].name + ".again").read_text(), "y")

    def test_a_removed_log_that_is_still_there(self) -> None:
        path = self.paths()[0]
        self.store.execute("UPDATE logs SET removed_at = 1.0 WHERE path = ?", path)
        self.assertIn("a removed log's file is still there (1)", self.check())
        self.assertEqual(self.repaired(), "")
        self.assertFalse((self.base / "logs" / path).exists())

    def test_compressed_logs(self) -> None:
        for path in self.paths():
            self.files.pack(path)
        self.assertEqual(self.check(), "")
        packed = (self.base / "logs" / self.paths()[0]).with_suffix(".txt.zst")
        packed.write_bytes(packed.read_bytes()[:-1])
        self.assertIn("a log's file cannot be read (1)", self.check())

    def test_rows_that_refer_to_nothing(self) -> None:
        with closing(sqlite3.connect(self.base / "state.sqlite")) as other:
            other.execute("UPDATE builds SET slave_id = 12345 WHERE id = 1")
            other.commit()
        self.assertIn("row 1 of builds refers to slaves", self.check())

    def test_a_schema_that_is_not_ours(self) -> None:
        self.store.execute("DROP INDEX logs_open")
        self.store.execute("ALTER TABLE logs ADD COLUMN more TEXT")
        self.store.execute("CREATE TABLE notes (id)")
        told = self.check()
        for words in (
            "index logs_open is missing",
            "table logs is not as it should be",
            "table notes is not of this version",
        ):
            self.assertIn(words, told)
        self.store.execute("PRAGMA user_version = 1")
        self.assertIn("run buildbot upgrade-master", self.check())

    def test_a_damaged_file(self) -> None:
        self.store.close()
        path = self.base / "state.sqlite"
        data = bytearray(path.read_bytes())
        data[4096 * 4 : 4096 * 60] = os.urandom(4096 * 56)
        path.write_bytes(data)
        self.assertIn("the store's file is damaged", self.check())
        path.write_bytes(b"no database" * 1000)
        self.assertIn("state.sqlite", self.check())
        path.unlink()
        self.store = Store.open(path)

    def test_nothing_is_repaired_while_a_master_has_it(self) -> None:
        self.files.remove(self.paths()[0])
        self.assertIn("nothing is repaired", self.check(repair=True))

    def test_an_upgraded_store_has_the_shape_of_a_fresh_one(self) -> None:
        old = self.base / "old" / "state.sqlite"
        old.parent.mkdir()
        with closing(sqlite3.connect(old)) as made:
            made.executescript((Path(__file__).parent.parent / "store" / "schemas" / "1.sql").read_text())
            made.execute("PRAGMA user_version = 1")
        store = Store.open(old, upgrade=True)
        self.assertEqual(store.value("PRAGMA auto_vacuum"), 2)
        self.assertEqual(checking.shape(store), checking.shape(self.store))
        store.close()
        (old.parent / "logs").mkdir()
        self.assertEqual(self.check(old.parent), "")


class TestBackup(KeepingCase):
    def back_up(self, name: str = "backup", *, copy: bool = False) -> Path:
        target = self.base / name
        self.assertEqual(keeping.backup(self.base, target, self.said.append, copy=copy), ExitCode.OK)
        self.assertEqual(list(self.base.glob("*part*")), [])
        return target

    def open_copy(self, target: Path) -> Store:
        store = Store.open(target / "state.sqlite")
        self.addCleanup(store.close)
        return store

    def test_a_running_masters_rows_and_logs(self) -> None:
        target = self.back_up()
        self.assertEqual(self.check(target), "")
        copy = self.open_copy(target)
        for table in ("builds", "logs", "events"):
            count = f"SELECT count(*) FROM {table}"
            self.assertEqual(copy.value(count), self.store.value(count))
        names = lambda base: sorted(path.relative_to(base) for path in base.rglob("*.*"))  # noqa: E731
        self.assertEqual(names(target / "logs"), names(self.base / "logs"))

    def test_logs_that_may_still_grow_are_copied(self) -> None:
        target = self.back_up()
        growing = self.store.value("SELECT path FROM logs WHERE finished_at IS NULL")
        done = self.paths()[0]
        inode: Callable[[Path], int] = lambda path: path.stat().st_ino  # noqa: E731
        self.assertNotEqual(inode(target / "logs" / growing), inode(self.base / "logs" / growing))
        self.assertEqual(inode(target / "logs" / done), inode(self.base / "logs" / done))
        copied = self.back_up("other", copy=True) / "logs" / self.paths()[1]
        self.assertNotEqual(inode(copied), inode(self.base / "logs" / self.paths()[1]))
        self.files.remove(done)
        self.assertEqual((target / "logs" / done).read_bytes(), b"line 0\nline 1\nline 2\n")

    def test_a_log_that_retention_removes_meanwhile(self) -> None:
        first, second = self.store.all(lambda *row: row, "SELECT id, path FROM logs ORDER BY id LIMIT 2")
        real = backup._rows

        def rows(store: backup.Queries):
            self.store.transact(retention.mark_logs, [first[0]], "Keep('logs', days=1)", NOW)
            self.files.remove(first[1])
            self.files.pack(second[1])
            return real(store)

        self.patch(backup, "_rows", rows)
        target = self.back_up()
        self.assertEqual(self.check(target), "")
        removed_by = self.open_copy(target).value("SELECT removed_by FROM logs WHERE id = ?", first[0])
        self.assertEqual(removed_by, "Keep('logs', days=1)")
        self.assertTrue((target / "logs" / second[1]).with_suffix(".txt.zst").exists())

    def test_a_log_that_is_missing_is_told(self) -> None:
        self.files.remove(self.paths()[0])
        with self.assertRaisesRegex(CommandFailed, "logs are missing in the master"):
            self.back_up()
        self.assertTrue((self.base / "backup" / "state.sqlite").exists())

    def test_one_file(self) -> None:
        target = self.back_up("backup.tar.gz")
        where = self.base / "unpacked"
        with tarfile.open(target) as tar:
            tar.extractall(where, filter="data")
        self.assertEqual(self.check(where), "")

    def test_what_is_there_is_not_touched(self) -> None:
        (self.base / "there").write_text("mine")
        with self.assertRaisesRegex(CommandFailed, "exists already"):
            self.back_up("there")
        self.assertEqual((self.base / "there").read_text(), "mine")

    def test_one_that_was_interrupted_is_no_backup(self) -> None:
        def die(*args: object, **kw: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(backup, "_copy_logs", die)
        with self.assertRaisesRegex(CommandFailed, "No space left"):
            self.back_up()
        self.assertEqual(list(self.base.glob("backup*")), [])

    def test_a_directory_without_a_master(self) -> None:
        with self.assertRaisesRegex(CommandFailed, "no buildmaster's directory"):
            keeping.backup(self.base / "logs", self.base / "x", self.said.append, copy=False)
