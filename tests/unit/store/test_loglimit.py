"""Logs with a limit: the beginning, a notice, the end; whatever happens in between."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot.store.logfiles import Channel, Limit, LogFiles, LogReader, LogWriter
from buildbot.store.loglimit import THE_LIMIT
from buildbot.store.logtail import tail_paths

OUT, ERR, HEAD = Channel.STDOUT, Channel.STDERR, Channel.HEADER
PATH = "b/1/step-stdio.txt"


class LimitCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = LogFiles(Path(self.mktemp()))

    def open(self, most: int = 10, tail: int = 5) -> LogWriter:
        return self.files.write(PATH, Limit(most, tail))

    def text(self) -> bytes:
        return (self.files.root / PATH).read_bytes()

    def channels(self) -> list[tuple[Channel, bytes]]:
        with self.files.read(PATH) as reader:
            return [(run.channel, data) for run, data in reader.pieces(0, reader.size) if data]


class TestLimit(LimitCase):
    def test_a_log_within_the_limit_is_as_ever(self) -> None:
        log = self.open()
        log.append(b"0123456789", OUT, 1, 100.0)
        log.append(b"any number of headers", HEAD, 1, 100.0)
        log.finish(101.0)
        self.assertEqual(self.text(), b"0123456789any number of headers")
        self.assertEqual(log.size, 31)
        log.close()
        self.assertEqual(sorted(path.suffix for path in (self.files.root / "b/1").iterdir()), [".idx", ".txt"])

    def test_the_middle_is_left_out_and_said(self) -> None:
        log = self.open()
        log.append(b"01234567", OUT, 1, 100.0)
        log.append(b"89abcdef", ERR, 1, 100.0)
        log.append(b"ghij", OUT, 1, 100.0)
        log.append(b"exit 0\n", HEAD, 1, 100.0)
        self.assertEqual(log.held(1), 27)
        self.assertNotIn(b"j", self.text().replace(b"logMaxSize", b""))
        log.finish(101.0)
        log.finish(101.0)
        self.assertEqual(
            self.channels(),
            [
                (OUT, b"01234567"),
                (ERR, b"89"),
                (HEAD, b"\n[the log has more than logMaxSize = 10 bytes of output: the rest is left out]\n"),
                (HEAD, b"exit 0\n"),
                (HEAD, b"[5 bytes are left out here; the last 5 bytes are:]\n"),
                (ERR, b"f"),
                (OUT, b"ghij"),
            ],
        )
        log.close()
        with self.files.read(PATH) as reader:
            self.assertEqual(log.size, reader.size)

    def test_without_a_tail(self) -> None:
        log = self.open(tail=0)
        for _ in range(5):
            log.append(b"0123456789", OUT, 1, 100.0)
        log.finish(101.0)
        self.assertTrue(self.text().endswith(b"[40 bytes are left out here]\n"))
        self.assertEqual(log.held(1), 50)
        log.close()

    def test_what_is_kept_beside_the_log_is_bounded(self) -> None:
        log = self.open(10, 1000)
        for number in range(20_000):
            log.append(b"%05d\n" % number * 10, OUT, 1, 100.0)
        full = self.files.root / PATH
        self.assertLess(sum(path.stat().st_size for path in tail_paths(full)), 300_000)
        self.assertLess(full.stat().st_size, 200)
        log.finish(101.0)
        expected = b"".join(b"%05d\n" % number * 10 for number in range(20_000))[-1000:]
        self.assertEqual(self.text()[-1000:], expected)
        log.close()

    def test_a_masked_piece_counts_as_what_was_taken(self) -> None:
        log = self.open(4, 100)
        log.append(b"<SECRET>", OUT, 1, 100.0, taken=3)
        log.append(b"<SECRET>", OUT, 1, 100.0, taken=3)
        log.finish(100.0)
        self.assertEqual(log.held(1), 6)
        self.assertEqual(self.channels()[0], (OUT, b"<SEC"))
        self.assertEqual(self.channels()[-1], (OUT, b"RET><SECRET>"))
        log.close()


class TestRestarts(LimitCase):
    def run_through(self, pieces: list[bytes], restarts: set[int]) -> bytes:
        self.files = LogFiles(Path(tempfile.mkdtemp(dir=self.files.root.parent)))
        log = self.open(20, 8)
        for number, piece in enumerate(pieces):
            if number in restarts:
                log.close()
                log = self.open(20, 8)
            log.append(piece, OUT, 7, 100.0)
        held = log.held(7)
        log.finish(100.0)
        log.close()
        self.assertEqual(held, sum(map(len, pieces)))
        return self.text()

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=12), max_size=12), st.sets(st.integers(0, 12)))
    def test_a_restart_changes_nothing(self, pieces: list[bytes], restarts: set[int]) -> None:
        self.files.root.parent.mkdir(parents=True, exist_ok=True)
        self.assertEqual(self.run_through(pieces, restarts), self.run_through(pieces, set()))

    def test_death_anywhere_in_the_writing_of_the_end(self) -> None:
        log = self.open()
        log.append(b"0123456789abcdefghij", OUT, 7, 100.0)
        log.append(b"bye", HEAD, 7, 100.0)
        full = self.files.root / PATH
        before = {path: path.read_bytes() for path in full.parent.iterdir()}
        size = log.size
        log.finish(100.0)
        log.close()
        whole, index = full.read_bytes(), full.with_suffix(".idx").read_bytes()
        for cut in range(size, len(whole) + 1):
            for path, data in before.items():
                path.write_bytes(data)
            full.write_bytes(whole[:cut])
            full.with_suffix(".idx").write_bytes(index)
            again = self.open()
            self.assertEqual(again.held(7), 23)
            again.finish(100.0)
            again.close()
            self.assertEqual(full.read_bytes(), whole)

    def test_what_was_kept_but_not_taken_is_not_kept_twice(self) -> None:
        log = self.open(4, 100)
        log.append(b"0123", OUT, 7, 100.0)
        log.append(b"45", OUT, 7, 100.0)
        full = self.files.root / PATH
        index = full.with_suffix(".idx").read_bytes()
        log.append(b"67", OUT, 7, 100.0)
        log.close()
        full.with_suffix(".idx").write_bytes(index)
        again = self.open(4, 100)
        self.assertEqual(again.held(7), 6)
        again.append(b"6789", OUT, 7, 100.0)
        again.finish(100.0)
        again.close()
        self.assertTrue(self.text().endswith(b"[0 bytes are left out here; the last 6 bytes are:]\n456789"))

    def test_a_torn_entry_is_dropped(self) -> None:
        log = self.open(4, 100)
        log.append(b"0123456", OUT, 7, 100.0)
        log.append(b"789", OUT, 8, 100.0)
        log.close()
        _, newer = tail_paths(self.files.root / PATH)
        newer.write_bytes(newer.read_bytes()[:-1])
        again = self.open(4, 100)
        again.append(b"!", OUT, 7, 100.0)
        again.finish(100.0)
        self.assertTrue(self.text().endswith(b"456!"))
        self.assertGreater(again.held(THE_LIMIT), 0)
        again.close()
        with LogReader(self.files.root / PATH) as reader:
            self.assertEqual(reader.size, again.size)
