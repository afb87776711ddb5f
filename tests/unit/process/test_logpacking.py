"""Which logs are compressed and when, and what a death in between leaves."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.errors import ConfigErrors
from buildbot.config.retention import Packing, packing_of
from buildbot.process.logpacking import AFTER_SECONDS, LogPacking
from buildbot.store import logfiles, logs, retention
from buildbot.store.logfiles import Channel, LogFiles, packed_path
from tests import history
from tests.stores import new_store

NOW = 1_700_000_000.0


class TestLogPacking(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(self.mktemp())
        base.mkdir()
        self.store = new_store(base / "state.sqlite")
        self.addCleanup(self.store.close)
        self.files = LogFiles(base / "logs")
        history.fill(self.store, now=NOW, builds_count=6, builder_list=history.BUILDERS[:2], log_files=None)
        self.store.execute("UPDATE logs SET packed_as = 'raw' WHERE finished_at IS NOT NULL")
        self.paths = self.store.column("SELECT path FROM logs WHERE finished_at IS NOT NULL ORDER BY id LIMIT 3")
        for path, text in zip(self.paths, (b"small\n", b"large\n" * 1000, b"young\n" * 1000), strict=True):
            log = self.files.write(path)
            log.append(text, Channel.STDOUT, 1, NOW)
            log.close()
            age = 10.0 if b"young" in text else AFTER_SECONDS + 10
            self.store.execute(
                "UPDATE logs SET packed_as = NULL, size = ?, finished_at = ? WHERE path = ?", len(text), NOW - age, path
            )

    def run_once(self, packing: Packing | None = None, in_thread: Any = lambda work: succeed(work())) -> float | None:
        wanted = packing or Packing()
        worker = LogPacking(self.store, self.files, in_thread, lambda: wanted)
        return self.successResultOf(ensureDeferred(worker.run(NOW)))

    def packed(self) -> list[str | None]:
        return [self.store.value("SELECT packed_as FROM logs WHERE path = ?", path) for path in self.paths]

    def plain(self) -> list[bool]:
        return [(self.files.root / path).exists() for path in self.paths]

    def test_old_and_large_ones_are_compressed(self) -> None:
        self.assertEqual(self.run_once(), NOW + 600)
        self.assertEqual(self.packed(), ["raw", "zstd", None])
        self.assertEqual(self.plain(), [True, False, True])
        with self.files.read(self.paths[1]) as reader:
            self.assertEqual((reader.size, reader.line_count()), (6000, 1000))

    def test_not_when_it_is_not_wanted(self) -> None:
        self.assertIsNone(self.run_once(Packing(wanted=False)))
        self.assertEqual(self.packed(), [None, None, None])

    def test_death_at_each_point(self) -> None:
        for deaths in range(6):
            with self.subTest(deaths=deaths):
                calls = 0

                def die_at(real: Any, deaths: int = deaths) -> Any:
                    def call(*args: Any, **kw: Any) -> Any:
                        nonlocal calls
                        calls += 1
                        if calls == deaths:
                            raise KeyboardInterrupt
                        return real(*args, **kw)

                    return call

                self.setUp()
                with_death = [self.patch(logfiles, "pack", die_at(logfiles.pack))]
                with_death.append(self.patch(Path, "unlink", die_at(Path.unlink)))
                with contextlib.suppress(KeyboardInterrupt):
                    self.files.pack(self.paths[1])
                for patch in reversed(with_death):
                    patch.restore()
                with self.files.read(self.paths[1]) as reader:
                    self.assertEqual((reader.size, reader.problem()), (6000, ""))
                self.run_once()
                self.assertEqual(self.packed()[1], "zstd")
                self.assertEqual(self.plain()[1], False)

    def test_one_that_retention_removes_meanwhile(self) -> None:
        id = self.store.value("SELECT id FROM logs WHERE path = ?", self.paths[1])

        def in_thread(work: Any) -> Any:
            done = work()
            self.store.transact(retention.mark_logs, [id], "rule", NOW)
            return succeed(done)

        self.run_once(in_thread=in_thread)
        self.assertFalse(packed_path(self.files.root / self.paths[1]).exists())
        log = logs.get(self.store, id)
        assert log is not None
        self.assertIsNone(log.packed_as)

    def test_one_whose_file_is_missing_is_not_tried_again(self) -> None:
        self.files.remove(self.paths[1])
        self.run_once()
        self.assertEqual(self.packed()[1], "raw")


class TestSettings(SynchronousTestCase):
    def test_words_of_every_era(self) -> None:
        def read(**values: Any) -> Packing:
            return packing_of(values, lambda key: None)

        self.assertEqual(read(), Packing(True, 4096))
        self.assertFalse(read(logCompressionMethod="raw").wanted)
        self.assertFalse(read(logCompressionLimit=False).wanted)
        self.assertEqual(read(logCompressionMethod="bz2", logCompressionLimit=10), Packing(True, 10))
        self.assertRaises(ConfigErrors, read, logCompressionMethod="zip")
