"""Lines of a log by their numbers, against a model that reads the whole file."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot.store import logreader
from buildbot.store.logfiles import Channel, Line, LogFiles, LogReader

Appends = list[tuple[bytes, Channel, float]]

# Short lines, empty ones, long ones, and pieces that end anywhere.
DATA = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r", b"x" * 30, b"\n\n", b"end\n"]), max_size=6).map(b"".join)
APPENDS = st.lists(st.tuples(DATA, st.sampled_from(Channel), st.floats(1, 3, width=16)), max_size=12)


class Model:
    """The naive way: every byte with its channel and time, split at the newlines."""

    def __init__(self, appends: Appends) -> None:
        each = [(byte, channel, at) for data, channel, at in appends for byte in data]
        self.lines: list[list[tuple[int, Channel, float]]] = []
        line: list[tuple[int, Channel, float]] = []
        for one in each:
            line.append(one)
            if one[0] == ord("\n"):
                self.lines.append(line)
                line = []
        if line:
            self.lines.append(line)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line))

    def text(self, number: int) -> list[tuple[int, Channel]]:
        return [(byte, channel) for byte, channel, _ in self.lines[number] if byte != ord("\n")]


def lines_in(data: bytes) -> int:
    return data.count(b"\n") + bool(data and not data.endswith(b"\n"))


def bytes_of(line: Line) -> list[tuple[int, Channel]]:
    return [(byte, channel) for channel, data in line.pieces for byte in data]


class LineCase(SynchronousTestCase):
    def log(self, appends: Appends) -> LogReader:
        files = LogFiles(Path(self.mktemp()))
        writer = files.write("log.txt")
        for data, channel, at in appends:
            writer.append(data, channel, 1, at)
        self.assertEqual(writer.lines, lines_in(b"".join(data for data, _, _ in appends)))
        writer.close()
        reader = files.read("log.txt")
        self.addCleanup(reader.close)
        return reader


class TestAgainstTheModel(LineCase):
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(APPENDS, st.integers(0, 20), st.integers(0, 20), st.sampled_from([1, 3, 5, 1000]))
    @example([(b"ab", Channel.STDOUT, 1.0), (b"c\nd", Channel.STDERR, 1.0)], 0, 5, 2)
    def test_any_range(self, appends: Appends, first: int, count: int, longest: int) -> None:
        model, log = Model(appends), self.log(appends)
        found = log.lines(first, count, longest=longest)
        self.assertEqual([line.number for line in found], list(range(first, min(first + count, len(model.lines)))))
        for line in found:
            whole = model.text(line.number)
            self.assertEqual(bytes_of(line), whole[:longest])
            self.assertEqual(line.cut, len(whole) > longest)
            # runs tell times to a tenth of a second
            self.assertLessEqual(abs(line.written_at - model.lines[line.number][0][2]), 0.11)

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(APPENDS, st.integers(0, 20))
    def test_counts_offsets_and_the_end(self, appends: Appends, count: int) -> None:
        model, log = Model(appends), self.log(appends)
        self.assertEqual(log.line_count(), len(model.lines))
        for number in range(len(model.lines) + 3):
            expected = model.offsets[min(number, len(model.lines))]
            self.assertEqual(log.offset_of_line(number), expected, number)
        for number in range(len(model.lines)):
            self.assertEqual(log.line_at(model.offsets[number]), number)
            self.assertEqual(log.line_at(model.offsets[number + 1] - 1), number)
        expected_last = list(range(max(0, len(model.lines) - count), len(model.lines)))
        self.assertEqual([line.number for line in log.last_lines(count)], expected_last)

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(APPENDS, st.integers(1, 60))
    def test_no_more_bytes_than_asked_for_and_always_a_line(self, appends: Appends, most: int) -> None:
        log = self.log(appends)
        found = log.lines(0, 1000, most_bytes=most, longest=10)
        self.assertEqual(bool(found), log.size > 0)
        self.assertLess(sum(len(bytes_of(line)) for line in found), most + 10)

    def test_with_small_scans_too(self) -> None:
        """Lines longer than one read of the file."""
        self.patch(logreader, "_SCAN_BYTES", 7)
        for length in range(40):
            appends: Appends = [
                (b"x" * length + b"\n", Channel.STDOUT, 1.0),
                (b"y" * length, Channel.STDERR, 1.0),
                (b"z\n\nlast", Channel.STDOUT, 1.0),
            ]
            model, log = Model(appends), self.log(appends)
            for longest in (1, 6, 7, 8, 100):
                found = log.lines(0, 10, longest=longest)
                self.assertEqual([bytes_of(line) for line in found], [model.text(n)[:longest] for n in range(4)])
                self.assertEqual([line.cut for line in found], [len(model.text(n)) > longest for n in range(4)])


class TestGreatLogs(LineCase):
    def test_the_end_is_shown_also_when_the_last_lines_are_too_long_to_show_all(self) -> None:
        log = self.log([(b"".join(b"%04d" % n + b"x" * 1000 + b"\n" for n in range(100)), Channel.STDOUT, 1.0)])
        found = log.last_lines(80, most_bytes=20_000)
        self.assertEqual(found[-1].number, 99)
        self.assertEqual([line.number for line in found], list(range(100 - len(found), 100)))
        self.assertGreaterEqual(len(found), 10)
        (line,) = log.last_lines(80, most_bytes=10)
        self.assertEqual(line.number, 99)

    def test_a_line_of_a_megabyte_is_cut_and_the_next_one_found(self) -> None:
        log = self.log([(b"x" * (1 << 20) + b"\nnext\n", Channel.STDOUT, 1.0)])
        first, second = log.lines(0, 5)
        self.assertEqual((len(bytes_of(first)), first.cut), (1 << 14, True))
        self.assertEqual((bytes(byte for byte, _ in bytes_of(second)), second.cut), (b"next", False))

    def test_so_is_one_without_an_end(self) -> None:
        log = self.log([(b"first\n", Channel.STDOUT, 1.0), (b"x" * (1 << 20), Channel.STDOUT, 2.0)])
        (line,) = log.lines(1, 5)
        self.assertEqual((line.number, line.cut, log.line_count()), (1, True, 2))

    def test_several_in_a_row(self) -> None:
        log = self.log([((b"x" * 100_000 + b"\n") * 5 + b"end", Channel.STDOUT, 1.0)])
        found = log.lines(0, 10)
        self.assertEqual([(line.number, line.cut) for line in found], [*((n, True) for n in range(5)), (5, False)])

    def test_a_line_far_into_it_is_found_without_reading_it_all(self) -> None:
        pieces: Appends = [
            (b"".join(b"line %d\n" % n for n in range(start, start + 5000)), Channel.STDOUT, float(start))
            for start in range(0, 1_000_000, 5000)
        ]
        log = self.log(pieces)
        started = time.perf_counter()
        for number in range(0, 1_000_000, 20_011):
            (line,) = log.lines(number, 1)
            self.assertEqual(bytes(byte for byte, _ in bytes_of(line)), b"line %d" % number)
        self.assertLess(time.perf_counter() - started, 2)
        self.assertEqual(log.line_count(), 1_000_000)
