"""The bytes of a log and who wrote them: what is on disk after appends, crashes and full disks."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot.store.logfiles import Channel, LogFiles, LogReader, LogWriter, aside_path, file_name, log_path

RECORD_SIZE = 40


class Piece(NamedTuple):
    """One append."""

    data: bytes
    channel: Channel = Channel.STDOUT
    producer: int = 1
    at: float = 100.0


PIECES = [
    Piece(b"first line\n"),
    Piece(b"oops\n", Channel.STDERR),
    Piece(b"in two ", producer=2, at=101),
    Piece(b"pieces\n", producer=2, at=105),
    Piece(b"header", Channel.HEADER, 0, 105.05),
    Piece(b"the last line has no end", at=106),
]


class LogCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.files = LogFiles(self.root)
        self.name = "builder/1/compile-stdio.txt"
        self.path = self.root / self.name
        self.index_path = self.path.with_suffix(".idx")

    def write(self, pieces: list[Piece], path: str | None = None) -> None:
        with self.open(path) as log:
            for piece in pieces:
                log.append(*piece)

    @contextmanager
    def open(self, path: str | None = None) -> Iterator[LogWriter]:
        log = self.files.write(path or self.name)
        try:
            yield log
        finally:
            log.close()

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.files.read(self.name) as log:
            yield log

    def owners(self) -> list[tuple[Channel, int]]:
        """Who wrote each byte."""
        with self.read() as log:
            return [(run.channel, run.producer) for run, data in log.pieces(0, log.size) for _ in data]


def owners_of(pieces: list[Piece]) -> list[tuple[Channel, int]]:
    return [(piece.channel, piece.producer) for piece in pieces for _ in piece.data]


def held_of(pieces: list[Piece]) -> dict[int, int]:
    held: dict[int, int] = {}
    for piece in pieces:
        held[piece.producer] = held.get(piece.producer, 0) + len(piece.data)
    return held


class TestWriting(LogCase):
    def test_the_file_holds_exactly_the_bytes_that_were_written(self) -> None:
        self.write(PIECES)
        self.assertEqual(self.path.read_bytes(), b"".join(piece.data for piece in PIECES))

    def test_every_byte_has_its_channel_and_producer(self) -> None:
        self.write(PIECES)
        self.assertEqual(self.owners(), owners_of(PIECES))

    def test_each_channel_alone_gives_its_bytes(self) -> None:
        self.write(PIECES)
        with self.read() as log:
            for channel in Channel:
                expected = b"".join(piece.data for piece in PIECES if piece.channel is channel)
                self.assertEqual(b"".join(log.channel(channel)), expected, channel)

    def test_how_much_each_producer_has(self) -> None:
        self.write(PIECES)
        with self.open() as log:
            for producer, count in held_of(PIECES).items():
                self.assertEqual(log.held(producer), count)
            self.assertEqual(log.held(99), 0)
            self.assertEqual((log.size, log.newlines, log.lines), (self.path.stat().st_size, 3, 4))

    def test_what_comes_together_is_one_run(self) -> None:
        with self.open() as log:
            for number in range(50):
                log.append(b"x\n", Channel.STDOUT, 1, 100 + number / 1000)
        self.assertEqual(self.index_path.stat().st_size, RECORD_SIZE)

    def test_a_pause_or_a_great_size_begins_another(self) -> None:
        with self.open() as log:
            log.append(b"x", Channel.STDOUT, 1, 100.0)
            log.append(b"x", Channel.STDOUT, 1, 100.2)
            log.append(b"x" * (1 << 18), Channel.STDOUT, 1, 100.2)
            log.append(b"x", Channel.STDOUT, 1, 100.2)
        with self.read() as reader:
            self.assertEqual([run.offset for run in reader.runs], [0, 1, (1 << 18) + 2])

    def test_nothing_is_written_for_nothing(self) -> None:
        self.write([Piece(b"")])
        self.assertEqual((self.path.stat().st_size, self.index_path.stat().st_size), (0, 0))

    def test_what_comes_after_the_end_reaches_no_other_file(self) -> None:
        """The system gives the number of a file that was closed to the next one that is opened."""
        log = self.files.write(self.name)
        log.close()
        with self.open("other.txt") as other:
            other.append(b"mine", Channel.STDOUT, 1, 100.0)
            with self.assertRaises(OSError):
                log.append(b"late", Channel.STDOUT, 1, 100.0)
        self.assertEqual((self.root / "other.txt").read_bytes(), b"mine")

    def test_what_lies_aside_goes_with_its_build_or_with_its_last_log(self) -> None:
        asides = [self.root / aside_path("builder", number, "compile", 7) for number in (1, 2, 3)]
        for number, aside in enumerate(asides, 1):
            self.write(PIECES, f"builder/{number}/compile-stdio.txt")
            self.write(PIECES, str(aside.relative_to(self.root)))
        self.files.remove_asides("builder", 1)
        self.files.remove_asides("nobody", 1)
        self.files.remove("builder/2/compile-stdio.txt")
        self.assertEqual([aside.exists() for aside in asides], [False, False, True])
        self.assertTrue(self.path.exists())
        self.assertFalse(asides[1].parent.exists())

    def test_an_empty_log_has_no_lines(self) -> None:
        self.write([])
        with self.read() as log:
            self.assertEqual((log.size, log.line_count(), log.lines(0, 5), log.last_lines(5)), (0, 0, [], []))

    def test_a_log_without_its_index_can_still_be_read(self) -> None:
        self.write(PIECES)
        self.index_path.unlink()
        with self.read() as log:
            self.assertEqual(log.line_count(), 4)
            self.assertEqual(log.raw(0, 5), b"first")

    def test_a_log_that_is_not_there(self) -> None:
        self.assertRaises(FileNotFoundError, self.files.read, self.name)

    def test_a_reader_sees_growth_when_it_looks_again(self) -> None:
        with self.open() as log:
            log.append(*PIECES[0])
            with self.read() as reader:
                log.append(*PIECES[1])
                self.assertEqual(reader.line_count(), 1)
                reader.refresh()
                self.assertEqual(reader.line_count(), 2)


class TestWatching(LogCase):
    def test_every_append_and_the_end_are_told(self) -> None:
        told: list[int] = []
        forget = self.files.watch(self.name, lambda: told.append(self.path.stat().st_size))
        self.write(PIECES[:2])
        self.assertEqual(told, [11, 16, 16])
        forget()
        forget()
        self.write(PIECES[:1])
        self.assertEqual(len(told), 3)

    def test_only_those_of_this_log(self) -> None:
        told: list[int] = []
        self.files.watch(self.name, lambda: told.append(1))
        self.write(PIECES, "another/1/log.txt")
        self.assertEqual(told, [])

    def test_one_may_end_its_watch_when_it_is_told(self) -> None:
        told: list[str] = []

        def once() -> None:
            told.append("once")
            forget()

        forget = self.files.watch(self.name, once)
        self.files.watch(self.name, lambda: told.append("always"))
        self.write(PIECES[:1])
        self.assertEqual(told, ["once", "always", "always"])


class TestCrashes(LogCase):
    """A process dies after any byte of what it wrote. Records are written before the bytes they announce."""

    def writes(self) -> list[tuple[Path, bytes]]:
        """Every write to either file, in order."""
        done: list[tuple[Path, bytes]] = []
        size = 0
        with self.open("whole.txt") as log:
            for piece in PIECES:
                log.append(*piece)
                index = (self.root / "whole.idx").read_bytes()
                if len(index) > size:
                    done.append((self.index_path, index[size:]))
                    size = len(index)
                done.append((self.path, piece.data))
        return done

    def test_at_every_byte(self) -> None:
        writes = self.writes()
        data = b"".join(piece.data for piece in PIECES)
        owners = owners_of(PIECES)
        total = sum(len(written) for _, written in writes)
        self.path.parent.mkdir(parents=True)
        for died_after in range(total + 1):
            self.path.write_bytes(b"")
            self.index_path.write_bytes(b"")
            left = died_after
            for path, written in writes:
                with path.open("ab") as file:
                    file.write(written[:left])
                left = max(0, left - len(written))
            size = self.path.stat().st_size
            self.check_recovered(data[:size], owners[:size])

    def check_recovered(self, data: bytes, owners: list[tuple[Channel, int]]) -> None:
        with self.open() as log:
            self.assertEqual(self.path.read_bytes(), data)
            for producer in (0, 1, 2):
                self.assertEqual(log.held(producer), sum(owner == producer for _, owner in owners))
            self.assertEqual(log.newlines, data.count(b"\n"))
            log.append(b"again\n", Channel.HEADER, 7, 200.0)
        self.assertEqual(self.owners(), owners + [(Channel.HEADER, 7)] * 6)
        with self.read() as reader:
            self.assertEqual(
                [run.newlines for run in reader.runs], [data.count(b"\n", 0, r.offset) for r in reader.runs]
            )
            self.assertEqual(b"".join(d for _, d in reader.pieces(0, reader.size)), data + b"again\n")

    def test_whatever_a_power_loss_leaves_of_either_file(self) -> None:
        self.write(PIECES)
        text, index = self.path.read_bytes(), self.index_path.read_bytes()
        owners = owners_of(PIECES)
        with self.read() as log:
            ends = [0, *(run.offset for run in log.runs[1:]), log.size]
        near = {0, 1, RECORD_SIZE - 1}
        for index_left in (n for n in range(len(index) + 1) if n % RECORD_SIZE in near):
            for text_left in range(len(text) + 1):
                self.path.write_bytes(text[:text_left])
                self.index_path.write_bytes(index[:index_left])
                size = min(text_left, ends[index_left // RECORD_SIZE])
                self.check_recovered(text[:size], owners[:size])

    def test_an_index_that_lost_what_was_written_to_it_last(self) -> None:
        """The last record is an older one, which announces fewer bytes than there are."""
        pieces = [Piece(b"x" * 10, at=100 + n / 1000) for n in range(5)] + PIECES[1:3]
        states = []
        with self.open() as log:
            for piece in pieces:
                log.append(*piece)
                states.append((log.size, self.index_path.read_bytes()))
        text = self.path.read_bytes()
        for size, index in states:
            self.path.write_bytes(text)
            self.index_path.write_bytes(index)
            self.check_recovered(text[:size], owners_of(pieces)[:size])

    def test_a_reader_of_an_index_that_ends_in_an_empty_block(self) -> None:
        self.write(PIECES)
        with self.index_path.open("ab") as index:
            index.write(bytes(4096))
        self.assertEqual(self.owners(), owners_of(PIECES))

    def test_bytes_that_nobody_announced_are_cut(self) -> None:
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"whose is this?")
        with self.open() as log:
            self.assertEqual((log.size, log.held(0)), (0, 0))
        self.assertEqual(self.path.read_bytes(), b"")

    def test_an_index_that_ends_in_an_empty_block_is_believed_up_to_there(self) -> None:
        """As a power loss may leave it."""
        self.write(PIECES[:2])
        with self.index_path.open("ab") as index:
            index.write(bytes(4096))
        with self.open() as log:
            self.assertEqual((log.held(1), log.size), (16, 16))
        self.assertEqual(self.index_path.stat().st_size, 2 * RECORD_SIZE)

    def test_after_a_restart_writing_goes_on(self) -> None:
        for piece in PIECES:
            self.write([piece])
        self.assertEqual(self.owners(), owners_of(PIECES))


class TestTakenOtherwise(LogCase):
    """Bytes of a producer that were replaced or left out count as taken, also after a crash."""

    def fill(self) -> None:
        with self.open() as log:
            log.append(b"user ", Channel.STDOUT, 7, 100.0)
            log.append(b"<PASSWORD>", Channel.STDOUT, 7, 100.0, taken=3)
            log.append(b" in\n", Channel.STDOUT, 7, 100.0)
            log.append(b"", Channel.STDERR, 7, 100.0, taken=1000)
            log.append(b"other", Channel.STDERR, 8, 100.0)
            log.append(b"", Channel.STDERR, 8, 100.0, taken=50)

    def test_it_is_counted(self) -> None:
        self.fill()
        with self.open() as log:
            self.assertEqual((log.held(7), log.held(8)), (5 + 3 + 4 + 1000, 55))
            log.append(b"!", Channel.STDERR, 8, 100.0)
        with self.open() as log:
            self.assertEqual((log.held(7), log.held(8)), (5 + 3 + 4 + 1000, 56))
        self.assertEqual(self.path.read_bytes(), b"user <PASSWORD> in\nother!")
        self.assertEqual(self.owners()[-6:], [(Channel.STDERR, 8)] * 6)

    def test_what_was_replaced_is_there_whole_or_not_at_all(self) -> None:
        self.fill()
        text, index = self.path.read_bytes(), self.index_path.read_bytes()
        for size in range(len(text) + 1):
            self.path.write_bytes(text[:size])
            self.index_path.write_bytes(index)
            with self.open() as log:
                kept = log.size
                expected = kept if kept < 5 else 5 if kept == 5 else kept - 15 + 8 + (1000 if kept >= 19 else 0)
                self.assertEqual(kept, 5 if 5 <= size < 15 else size)
                self.assertEqual(log.held(7), min(expected, 1012))
                self.assertEqual(log.held(8), 0 if size < 20 else size - 19 + (50 if size == len(text) else 0))


class TestFullDisk(LogCase):
    @contextmanager
    def at_most(self, size: int) -> Iterator[None]:
        """No file may grow beyond this size: writes stop in the middle, as on a full disk."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    def test_an_append_that_does_not_fit_leaves_both_files_as_they_were(self) -> None:
        with self.open() as log:
            log.append(b"a" * 100, Channel.STDOUT, 1, 100.0)
            before = self.path.read_bytes(), self.index_path.read_bytes()
            with self.at_most(150):
                self.assertRaises(OSError, log.append, b"b" * 100, Channel.STDERR, 2, 100.0)
            self.assertEqual((self.path.read_bytes(), self.index_path.read_bytes()), before)
            self.assertEqual((log.size, log.held(1), log.held(2)), (100, 100, 0))
            # once there is room again
            log.append(b"c" * 10, Channel.STDOUT, 1, 100.01)
            log.append(b"d" * 10, Channel.STDERR, 2, 100.01)
        expected = [(Channel.STDOUT, 1)] * 110 + [(Channel.STDERR, 2)] * 10
        self.assertEqual(self.owners(), expected)

    def test_nor_does_one_whose_record_does_not_fit(self) -> None:
        with self.open() as log:
            log.append(b"a", Channel.STDOUT, 1, 100.0)
            with self.at_most(RECORD_SIZE + 10):
                self.assertRaises(OSError, log.append, b"b", Channel.STDERR, 2, 100.0)
            self.assertEqual((self.path.read_bytes(), self.index_path.stat().st_size), (b"a", RECORD_SIZE))
            log.append(b"c", Channel.STDERR, 2, 100.0)
        self.assertEqual(self.owners(), [(Channel.STDOUT, 1), (Channel.STDERR, 2)])

    def test_nor_does_one_that_goes_on_with_a_run(self) -> None:
        with self.open() as log:
            log.append(b"a" * 100, Channel.STDOUT, 1, 100.0)
            before = self.path.read_bytes(), self.index_path.read_bytes()
            with self.at_most(150):
                self.assertRaises(OSError, log.append, b"b" * 100, Channel.STDOUT, 1, 100.0)
            self.assertEqual((self.path.read_bytes(), self.index_path.read_bytes()), before)
            log.append(b"c" * 10, Channel.STDOUT, 1, 100.0)
        with self.open() as log:
            self.assertEqual((log.size, log.held(1)), (110, 110))

    def test_nobody_is_told_of_it(self) -> None:
        told: list[int] = []
        self.files.watch(self.name, lambda: told.append(1))
        log = self.files.write(self.name)
        with self.at_most(10):
            self.assertRaises(OSError, log.append, b"b" * 100, Channel.STDERR, 2, 100.0)
        self.assertEqual(told, [])
        log.close()


class TestRandomAppends(SynchronousTestCase):
    PIECE = st.builds(
        Piece,
        data=st.binary(max_size=20),
        channel=st.sampled_from(Channel),
        producer=st.integers(0, 3),
        at=st.floats(0, 1, width=32),
    )

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.lists(PIECE, max_size=8), max_size=4))
    def test_whatever_comes_in_whatever_order_and_with_restarts(self, lives: list[list[Piece]]) -> None:
        files = LogFiles(Path(self.mktemp()))
        for life in lives:
            log = files.write("log.txt")
            for piece in life:
                log.append(*piece)
            log.close()
        pieces = [piece for life in lives for piece in life]
        files.write("log.txt").close()
        with files.read("log.txt") as log:
            found = [(run.channel, run.producer, byte) for run, data in log.pieces(0, log.size) for byte in data]
            self.assertEqual(found, [(p.channel, p.producer, byte) for p in pieces for byte in p.data])
            for channel in Channel:
                alone = b"".join(log.channel(channel))
                self.assertEqual(alone, b"".join(piece.data for piece in pieces if piece.channel is channel))
        writer = files.write("log.txt")
        self.assertEqual([writer.held(n) for n in range(4)], [held_of(pieces).get(n, 0) for n in range(4)])
        writer.close()


class TestNames(SynchronousTestCase):
    def test_no_name_leaves_its_directory(self) -> None:
        for text in ("..", ".", "/", "../../etc/passwd", "a/b", "a\0b", "", "\n", "...", "C:\\x", "%2F"):
            name = file_name(text)
            self.assertNotIn("/", name, text)
            self.assertNotIn("\0", name, text)
            self.assertNotIn(name, ("", ".", ".."), text)

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_different_names_are_different_files(self, one: str, other: str) -> None:
        try:
            names = file_name(one), file_name(other)
        except UnicodeEncodeError:
            return  # lone surrogates are refused where names come in
        self.assertEqual(one == other, names[0] == names[1])
        for name in names:
            self.assertLessEqual(len(name.encode()), 80)
            self.assertEqual(os.path.basename(name), name)

    def test_it_is_readable(self) -> None:
        self.assertEqual(log_path("linux gcc", 12, "compile", "stdio"), "linux gcc/12/compile-stdio.txt")
        self.assertEqual(log_path("a/b <x>", 1, "..", "st/dio"), "a%2Fb %3Cx%3E/1/%2E%2E-st%2Fdio.txt")
