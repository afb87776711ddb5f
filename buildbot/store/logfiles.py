"""The bytes of the logs: one plain file a log, and beside it a small index that says who wrote what when.

The text file holds exactly the bytes that were written, in the order in which they came. The index (`.idx`) is a
row of 40-byte records, one a *run*: bytes of one channel from one producer within a tenth of a second. A record is
written before the bytes it announces, and says how many they are, so that after a crash no byte is without an owner
or with a wrong one: records past the end of the text announce nothing and are dropped, the last run ends where the
text ends, and bytes that no record announces (a power loss may take the end of either file) are cut.

Producers are numbers: 0 is the step itself, others are ids of remote commands. How many bytes have been taken from a
producer says where its slave goes on after an interruption. What is taken is not always what is written: a secret is
replaced by its name, the middle of a log that is too big is left out. Such a run says both numbers; it is whole or not
there at all, because of a part of it nobody could say how much it had been.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, overload
from urllib.parse import quote

_RECORD = struct.Struct("<QQdIIIHH")  # offset, newlines before it, time, bytes, taken, producer, channel, reserved
_COUNT = struct.Struct("<I")  # the bytes alone, which grow
_COUNT_AT = 24
_AS_MANY = 0  # for `taken`: as many as there are bytes
_RUN_SECONDS = 0.1
_RUN_BYTES = 1 << 18
_SCAN_BYTES = 1 << 16
_RUNS_AT_ONCE = 128
STEP_ITSELF = 0


class Channel(IntEnum):
    """Where bytes of a log come from."""

    STDOUT = 1
    STDERR = 2
    HEADER = 3


_CHANNELS = {int(channel): channel for channel in Channel}


class Run(NamedTuple):
    offset: int
    newlines: int  # in the file before this run
    written_at: float
    producer: int
    channel: Channel


class Line(NamedTuple):
    number: int  # from 0
    pieces: tuple[tuple[Channel, bytes], ...]
    written_at: float
    cut: bool  # the line goes on, but the reader asked for no more of it


def file_name(text: str, most: int = 80) -> str:
    """`text` as one safe component of a path: no separators, no dots alone, of bounded length, still readable."""
    safe = quote(text, safe=" +,=@()[]{}!'~-_.")
    if len(safe) > most:
        safe = f"{safe[: most - 13]}~{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return safe.replace(".", "%2E") or "%" if not safe.strip(".") else safe


def log_path(builder: str, build: int, step: str, slug: str) -> str:
    """Where a log lies below the logs directory."""
    return f"{file_name(builder)}/{build}/{file_name(step)}-{file_name(slug)}.txt"


def _records_of(data: bytes) -> Iterator[tuple[Run, int, int]]:
    """Each run with how many bytes it has and how many were taken for them, up to what can be no record."""
    whole = len(data) - len(data) % _RECORD.size
    before = 0
    for offset, newlines, written_at, count, taken, producer, channel, _ in _RECORD.iter_unpack(data[:whole]):
        # A block that a power loss left empty is no record, and nothing after it is to be believed.
        if channel not in _CHANNELS or offset < before:
            return
        yield Run(offset, newlines, written_at, producer, _CHANNELS[channel]), count, taken
        before = offset


def _runs_of(data: bytes) -> list[Run]:
    return [run for run, _, _ in _records_of(data)]


class _Runs(Sequence[Run]):
    """The runs of an index that announce bytes before `size`, read as they are asked for: there may be millions."""

    def __init__(self, index: int, size: int) -> None:
        self._index = index
        self._page = -1
        self._runs: list[Run] = []
        self._count = os.fstat(index).st_size // _RECORD.size
        if self._count and not self._is_record(self._count - 1):
            self._count = bisect_left(range(self._count), True, key=lambda at: not self._is_record(at))
        self._count = bisect_left(self, size, key=_offset_of)

    def _is_record(self, at: int) -> bool:
        """A power loss may leave an empty block where records should be."""
        return bool(_runs_of(os.pread(self._index, _RECORD.size, at * _RECORD.size)))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> list[Run]: ...

    def __getitem__(self, at: int | slice) -> Run | list[Run]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(self._count))]
        if at < 0:
            at += self._count
        if not 0 <= at < self._count:
            raise IndexError(at)
        page, place = divmod(at, _RUNS_AT_ONCE)
        if page != self._page:
            bytes_at_once = _RUNS_AT_ONCE * _RECORD.size
            data = os.pread(self._index, bytes_at_once, page * bytes_at_once)
            self._runs, self._page = _runs_of(data), page
        return self._runs[place]


class LogFiles:
    """The logs directory: open files to write, readers, and who wants to hear of growth."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._watchers: dict[str, list[Callable[[], object]]] = {}

    def write(self, path: str) -> LogWriter:
        """Open a log for appending, made when missing; what a crash left torn is cut."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        return LogWriter(full, lambda: self._tell(path))

    def read(self, path: str) -> LogReader:
        """Raises FileNotFoundError when the file is not there (removed, or on another disk)."""
        return LogReader(self.root / path)

    def watch(self, path: str, call: Callable[[], object]) -> Callable[[], None]:
        """Call this after every append and at the end. Returns what ends the watch."""
        self._watchers.setdefault(path, []).append(call)

        def forget() -> None:
            watchers = self._watchers.get(path, [])
            if call in watchers:
                watchers.remove(call)
            if not watchers:
                self._watchers.pop(path, None)

        return forget

    def _tell(self, path: str) -> None:
        for call in list(self._watchers.get(path, ())):
            call()


class LogWriter:
    """One growing log. `size` and `newlines` are what is in the file."""

    def __init__(self, path: Path, told: Callable[[], None]) -> None:
        self._told = told
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._text = os.open(path, flags | os.O_APPEND, 0o644)
        self._index = os.open(path.with_suffix(".idx"), flags, 0o644)
        self.size = os.fstat(self._text).st_size
        self._records = 0  # bytes of the index
        self._held: dict[int, int] = {}
        self._last: Run | None = None
        self._altered = False  # whether the last run is one of which more or fewer bytes were taken
        self.newlines = 0
        if self.size or os.fstat(self._index).st_size:
            self._recover()

    def _recover(self) -> None:
        records = [*_records_of(os.pread(self._index, os.fstat(self._index).st_size, 0))]
        ends = [*(run.offset for run, _, _ in records[1:]), None]
        announced = 0
        for (run, count, taken), next_begins in zip(records, ends, strict=False):
            end = run.offset + count if next_begins is None or taken else next_begins
            if (end > self.size and taken) or (run.offset >= self.size and not taken):
                break
            announced = min(end, self.size)
            self._held[run.producer] = self._held.get(run.producer, 0) + (taken or announced - run.offset)
            self._last, self._altered = run, taken != _AS_MANY
            self._records += _RECORD.size
        if self.size > announced:  # what no record announces cannot be attributed
            os.ftruncate(self._text, announced)
            self.size = announced
        os.ftruncate(self._index, self._records)
        if self._last is not None:
            self.newlines = self._last.newlines + _count_newlines(self._text, self._last.offset, self.size)

    def held(self, producer: int) -> int:
        """How many bytes of this producer have been taken: those in the file, and those that were left out of it."""
        return self._held.get(producer, 0)

    def append(self, data: bytes, channel: Channel, producer: int, now: float, taken: int | None = None) -> None:
        """Write bytes. `taken`: of how many of the producer's they were made; default: they are the producer's own.

        Raises OSError (a full disk, say) with the file as it was before.
        """
        altered = taken is not None and taken != len(data)
        taken = len(data) if taken is None else taken
        if not data and not taken:
            return
        run, before = self._last, self._records
        if run is None or altered or not self._goes_on(run, channel, producer, now):
            run = Run(self.size, self.newlines, now, producer, channel)
            self._records += _RECORD.size
        try:
            count = self.size + len(data) - run.offset
            self._announce(run, count, new=self._records > before, taken=taken if altered else _AS_MANY)
            _write_all(self._text, data)
        except OSError:
            # The index too: a record left there would own the next bytes of the run before it.
            os.ftruncate(self._index, before)
            os.ftruncate(self._text, self.size)
            self._records = before
            if run is self._last:
                self._announce(run, self.size - run.offset, new=False)
            raise
        self._last, self._altered = run, altered
        self.size += len(data)
        self.newlines += data.count(b"\n")
        self._held[producer] = self._held.get(producer, 0) + taken
        self._told()

    def _announce(self, run: Run, count: int, *, new: bool, taken: int = _AS_MANY) -> None:
        """Say in the last record that the run has so many bytes."""
        at = self._records - _RECORD.size
        if new:
            offset, newlines, written_at, producer, channel = run
            record = _RECORD.pack(offset, newlines, written_at, count, taken, producer, channel, 0)
            _write_all_at(self._index, record, at)
        else:
            _write_all_at(self._index, _COUNT.pack(count), at + _COUNT_AT)

    def _goes_on(self, last: Run, channel: Channel, producer: int, now: float) -> bool:
        return (
            not self._altered
            and last.producer == producer
            and last.channel is channel
            and abs(now - last.written_at) <= _RUN_SECONDS  # a clock may be set back
            and self.size - last.offset < _RUN_BYTES
        )

    @property
    def lines(self) -> int:
        """How many lines the file has; a last one without a newline counts."""
        torn = self.size and os.pread(self._text, 1, self.size - 1) != b"\n"
        return self.newlines + bool(torn)

    def sync(self) -> None:
        """Have everything on the disk. Takes its time: to be called in a thread. Raises OSError."""
        os.fsync(self._text)
        os.fsync(self._index)

    def close(self) -> None:
        """End of the log; those who follow it are told."""
        os.close(self._text)
        os.close(self._index)
        self._told()


class LogReader:
    """A log as it is now; `refresh` looks again. Never holds more than a few pieces of it in memory."""

    def __init__(self, path: Path) -> None:
        self._text = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._index_path = path.with_suffix(".idx")
        self._index: int | None = None
        self.refresh()

    def refresh(self) -> None:
        self.size = os.fstat(self._text).st_size
        if self._index is None and self._index_path.exists():
            self._index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC)
        runs: Sequence[Run] = () if self._index is None else _Runs(self._index, self.size)
        self.runs = runs or (Run(0, 0, 0.0, STEP_ITSELF, Channel.STDOUT),)

    def close(self) -> None:
        os.close(self._text)
        if self._index is not None:
            os.close(self._index)
            self._index = None

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def raw(self, start: int, end: int) -> bytes:
        """The raw bytes of a range; the caller keeps it small."""
        return os.pread(self._text, max(0, min(end, self.size) - start), start)

    def pieces(self, start: int, end: int) -> Iterator[tuple[Run, bytes]]:
        """The range as pieces of at most 64 KiB, each with the run it belongs to."""
        at = max(0, bisect_right(self.runs, start, key=_offset_of) - 1)
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

    def line_count(self) -> int:
        """How many lines there are; a last one without a newline counts."""
        last = self.runs[-1]
        newlines = last.newlines + _count_newlines(self._text, last.offset, self.size)
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
        at = max(0, bisect_right(self.runs, offset, key=_offset_of) - 1)
        return self.runs[at].newlines + _count_newlines(self._text, self.runs[at].offset, offset)

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


def _offset_of(run: Run) -> int:
    return run.offset


def _count_newlines(descriptor: int, start: int, end: int) -> int:
    count = 0
    while start < end:
        data = os.pread(descriptor, min(1 << 20, end - start), start)
        if not data:
            break
        count += data.count(b"\n")
        start += len(data)
    return count


def _write_all_at(descriptor: int, data: bytes, at: int) -> None:
    written = os.pwrite(descriptor, data, at)
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], at + written)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])
