"""Reading a log: lines, ranges and channels, without ever having the whole of it in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildbot.store.logindex import NO_RUN, Channel, Run, Runs, index_problem, offset_of
from buildbot.store.logpack import Part, open_part

_SCAN_BYTES = 1 << 16


class Line(NamedTuple):
    number: int  # from 0
    pieces: tuple[tuple[Channel, bytes], ...]
    written_at: float
    cut: bool  # the line goes on, but the reader asked for no more of it


class LogReader:
    """A log as it is now; `refresh` looks again. Never holds more than a few pieces of it in memory."""

    def __init__(self, path: Path) -> None:
        self._text = open_part(path)
        self._index_path = path.with_suffix(".idx")
        self._index: Part | None = None
        self.refresh()

    def refresh(self) -> None:
        self.size = self._text.size()
        if self._index is None:
            with suppress(FileNotFoundError):
                self._index = open_part(self._index_path)
        runs: Sequence[Run] = () if self._index is None else Runs(self._index, self.size)
        self.runs = runs or (NO_RUN,)

    def close(self) -> None:
        self._text.close()
        if self._index is not None:
            self._index.close()
            self._index = None

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def raw(self, start: int, end: int) -> bytes:
        """The raw bytes of a range; the caller keeps it small."""
        return self._text.read(max(0, min(end, self.size) - start), start)

    def pieces(self, start: int, end: int) -> Iterator[tuple[Run, bytes]]:
        """The range as pieces of at most 64 KiB, each with the run it belongs to."""
        at = max(0, bisect_right(self.runs, start, key=offset_of) - 1)
        while at < len(self.runs) and start < end:
            run = self.runs[at]
            stop = self.runs[at + 1].offset if at + 1 < len(self.runs) else self.size
            while start < min(stop, end):
                data = self.raw(start, min(stop, end, start + _SCAN_BYTES))
                if not data:
                    return
                yield run, data
                start += len(data)
            at += 1

    def channel(self, channel: Channel, start: int = 0) -> Iterator[bytes]:
        """The bytes of one channel alone, as its producer wrote them."""
        for run, data in self.pieces(start, self.size):
            if run.channel is channel:
                yield data

    def problem(self) -> str:
        """What is wrong with the index of a finished log, in words; '' when it says of every byte whose it is."""
        if self._index is None:
            return "is missing" if self.size else ""
        return index_problem(self._index, self.size)

    def line_count(self) -> int:
        """How many lines there are; a last one without a newline counts."""
        last = self.runs[-1]
        newlines = last.newlines + count_newlines(self._text.read, last.offset, self.size)
        return newlines + bool(self.size and self.raw(self.size - 1, self.size) != b"\n")

    def offset_of_line(self, number: int) -> int:
        """Where line `number` (from 0) begins; the file's size when there is no such line."""
        if number <= 0:
            return 0
        at = max(0, bisect_right(self.runs, number - 1, key=lambda run: run.newlines) - 1)
        offset, missing = self.runs[at].offset, number - self.runs[at].newlines
        while offset < self.size:
            data = self.raw(offset, offset + _SCAN_BYTES)
            if not data:
                break
            count = data.count(b"\n")
            if count >= missing:
                position = -1
                for _ in range(missing):
                    position = data.index(b"\n", position + 1)
                return offset + position + 1
            missing -= count
            offset += len(data)
        return self.size

    def line_at(self, offset: int) -> int:
        """The number of the line that holds this byte."""
        at = max(0, bisect_right(self.runs, offset, key=offset_of) - 1)
        return self.runs[at].newlines + count_newlines(self._text.read, self.runs[at].offset, offset)

    def lines(self, first: int, count: int, most_bytes: int = 1 << 18, longest: int = 1 << 14) -> list[Line]:
        """Lines from `first` on: at most `count`, about `most_bytes` in all, each cut at `longest` bytes."""
        if count <= 0:
            return []
        return list(self._lines_from(self.offset_of_line(first), first, count, most_bytes, longest))

    def last_lines(self, count: int, most_bytes: int = 1 << 18, longest: int = 1 << 14) -> list[Line]:
        """The last `count` lines; fewer when they have more than about `most_bytes`, but always the end."""
        total = self.line_count()
        found = self.lines(max(0, total - count), count, most_bytes, longest)
        while found and found[-1].number < total - 1:
            count = max(1, min(count, total) // 2)
            found = self.lines(total - count, count, most_bytes, longest)
        return found

    def _lines_from(self, start: int, number: int, count: int, most_bytes: int, longest: int) -> Iterator[Line]:
        pieces: list[tuple[Channel, bytes]] = []
        room, since, taken, done = longest, 0.0, 0, 0
        for run, data in self.pieces(start, self.size):
            position = 0
            while position < len(data):
                newline = data.find(b"\n", position)
                end = len(data) if newline < 0 else newline
                since = since or run.written_at
                if end > position and room > 0:
                    pieces.append((run.channel, data[position : min(end, position + room)]))
                    taken += len(pieces[-1][1])
                room -= end - position
                if newline < 0:
                    break
                yield Line(number, tuple(pieces), since, room < 0)
                number, done, pieces, room, since = number + 1, done + 1, [], longest, 0.0
                position = newline + 1
                if done >= count or taken >= most_bytes:
                    return
            if room < 0 and newline < 0:  # a line without end: go to its end by the index, not byte by byte
                following = self.offset_of_line(number + 1)
                if following >= self.size:
                    break
                yield Line(number, tuple(pieces), since, True)
                if done + 1 < count and taken < most_bytes:
                    yield from self._lines_from(following, number + 1, count - done - 1, most_bytes - taken, longest)
                return
        if (pieces or room != longest) and done < count:
            yield Line(number, tuple(pieces), since, room < 0)


def count_newlines(read: Callable[[int, int], bytes], start: int, end: int) -> int:
    """Of a range of a file; `read(count, at)` gives its bytes."""
    count = 0
    while start < end:
        data = read(min(1 << 20, end - start), start)
        if not data:
            break
        count += data.count(b"\n")
        start += len(data)
    return count
