"""The end of a log that is too long, while it grows: its last bytes, in two small files beside the log.

What goes on is added to `NAME.tail`; when that holds as much as is to be kept, it becomes `NAME.tail.old`, in the place
of the one before. So the two together always hold the last bytes, and never more than twice as many (and some headers).
An entry is written before the log's index says that its bytes were taken, and says how many that will be; one that was
not taken before a crash is dropped, because its producer sends it again.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildbot.store.logindex import Channel

_ENTRY = struct.Struct("<QQIIHH")  # taken, left out, bytes, producer, channel, check
_CHECK = 0xB17E
_SMALLEST = 1 << 16  # a file is not exchanged before it has so many bytes


class TailEntry(NamedTuple):
    taken: int  # from the producer, with these bytes
    left_out: int  # of the log so far, with these bytes
    producer: int
    channel: Channel
    data: bytes


def tail_paths(log: Path) -> tuple[Path, Path]:
    """The older file and the newer one, beside the text of a log."""
    return log.with_suffix(".tail.old"), log.with_suffix(".tail")


class LogTail:
    """The last `keep` bytes of what is added. Opens what is there; `held`: how much of a producer the log has."""

    def __init__(self, log: Path, keep: int, held: Callable[[int], int]) -> None:
        self._old, self._new = tail_paths(log)
        self._keep = keep
        for path in (self._old, self._new):
            _drop_untaken(path, held)
        self._file: int | None = None
        self._data = self._end = 0  # bytes of data, and of everything, in the newer file

    def add(self, entry: TailEntry) -> None:
        """Keep the end of it. Raises OSError with nothing added."""
        file = self._open()
        data = entry.data[len(entry.data) - min(len(entry.data), self._keep) :]
        try:
            _write_at(file, _packed(entry._replace(data=data)), self._end)
        except OSError:
            os.ftruncate(file, self._end)
            raise
        self._end += _ENTRY.size + len(data)
        self._data += len(data)
        if self._data >= self._keep and self._end >= _SMALLEST:
            self.close()
            os.replace(self._new, self._old)

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._data = self._end = 0
            for entry in _entries(self._new):
                self._data += len(entry.data)
                self._end += _ENTRY.size + len(entry.data)
            os.ftruncate(self._file, self._end)
        return self._file

    def entries(self) -> list[TailEntry]:
        """The last `keep` bytes, oldest first."""
        kept: deque[TailEntry] = deque()
        size = 0
        for path in (self._old, self._new):
            for entry in _entries(path):
                kept.append(entry)
                size += len(entry.data)
                while len(kept) > 1 and size - len(kept[0].data) >= self._keep:
                    size -= len(kept.popleft().data)
        if kept and size > self._keep:
            kept[0] = kept[0]._replace(data=kept[0].data[size - self._keep :])
        return list(kept)

    def sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """What it kept is in the log now."""
        self.close()
        for path in (self._old, self._new):
            path.unlink(missing_ok=True)


def _entries(path: Path) -> Iterator[TailEntry]:
    """Up to the first that is torn."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        while len(head := file.read(_ENTRY.size)) == _ENTRY.size:
            taken, left_out, size, producer, channel, check = _ENTRY.unpack(head)
            data = file.read(size) if check == _CHECK else b""
            if check != _CHECK or len(data) < size:
                return
            yield TailEntry(taken, left_out, producer, Channel(channel), data)


def _packed(entry: TailEntry) -> bytes:
    taken, left_out, producer, channel, data = entry
    return _ENTRY.pack(taken, left_out, len(data), producer, channel, _CHECK) + data


def _drop_untaken(path: Path, held: Callable[[int], int]) -> None:
    found = list(_entries(path))
    kept = [entry for entry in found if entry.taken <= held(entry.producer)]
    if len(kept) < len(found):
        part = path.with_name(path.name + ".part")
        part.write_bytes(b"".join(map(_packed, kept)))
        os.replace(part, path)


def _write_at(file: int, data: bytes, at: int) -> None:
    written = os.pwrite(file, data, at)
    while written < len(data):
        written += os.pwrite(file, data[written:], at + written)
