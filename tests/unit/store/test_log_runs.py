"""Reading a log whose index has many runs: the same lines and bytes, whatever the index's length."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from buildbot.store.logfiles import Channel, LogFiles, Run


@pytest.fixture
def written(tmp_path: Path) -> tuple[LogFiles, list[tuple[Channel, bytes]]]:
    """Some thousand short writes of all channels, more runs than are read at once."""
    chance = random.Random(7)
    files = LogFiles(tmp_path)
    writer = files.write("a.txt")
    pieces = []
    for number in range(2000):
        channel = chance.choice(list(Channel))
        data = bytes(chance.choice(b"ab\n") for _ in range(chance.randrange(1, 40)))
        writer.append(data, channel, 0, number * 0.2)
        pieces.append((channel, data))
    writer.close()
    return files, pieces


def test_every_byte_and_channel(written: tuple[LogFiles, list[tuple[Channel, bytes]]]) -> None:
    files, pieces = written
    with files.read("a.txt") as reader:
        assert len(reader.runs) == 2000
        assert [(run.channel, data) for run, data in reader.pieces(0, reader.size)] == pieces
        assert b"".join(reader.channel(Channel.STDERR)) == b"".join(d for c, d in pieces if c is Channel.STDERR)


def test_every_line_is_found(written: tuple[LogFiles, list[tuple[Channel, bytes]]]) -> None:
    files, pieces = written
    lines = b"".join(data for _, data in pieces).split(b"\n")
    with files.read("a.txt") as reader:
        for number in (0, 1, 2, 1000, 5000, len(lines) - 2):
            (line,) = reader.lines(number, 1)
            assert b"".join(data for _, data in line.pieces) == lines[number]
            assert reader.line_at(reader.offset_of_line(number)) == number


def test_runs_are_a_sequence(written: tuple[LogFiles, list[tuple[Channel, bytes]]]) -> None:
    files, _ = written
    with files.read("a.txt") as reader:
        assert list(reader.runs) == [reader.runs[at] for at in range(len(reader.runs))]
        assert reader.runs[-1] == reader.runs[len(reader.runs) - 1]
        assert reader.runs[3:5] == [reader.runs[3], reader.runs[4]]
        with pytest.raises(IndexError):
            reader.runs[len(reader.runs)]


def test_a_reader_sees_what_came_later(tmp_path: Path) -> None:
    files = LogFiles(tmp_path)
    writer = files.write("a.txt")
    with files.read("a.txt") as reader:
        assert list(reader.runs) == [Run(0, 0, 0.0, 0, Channel.STDOUT)]
        writer.append(b"one\n", Channel.STDERR, 4, 1.0)
        writer.append(b"two\n", Channel.STDOUT, 4, 2.0)
        assert len(reader.runs) == 1
        reader.refresh()
        assert [run.channel for run in reader.runs] == [Channel.STDERR, Channel.STDOUT]
    writer.close()
