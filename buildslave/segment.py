"""A part of a command's output in a file: records that say themselves what they are, and at which position.

A record is a header (position of the first byte, lengths of the stream's name and of the data, CRC-32 of both), the
name and the data. Of every 64 KiB or so of the file one place is known in memory, so that any position is found with
one read.
"""

import contextlib
import errno
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable
from io import FileIO
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from buildslave.blocks import CHUNK, Block, Blocks, Piece

HEADER = struct.Struct(">QHII")
REGION_BYTES = CHUNK
"""So far apart are the places in the file that are known by position."""


class Space(Protocol):
    """The bytes on disk that all spools of a slave may take together."""

    def reserve(self, size: int, *, whatever: bool) -> None:
        """Take `size` bytes. Raises OSError if so many are not left, unless they are needed `whatever` the bound."""

    def release(self, size: int) -> None: ...


class Segment:
    """One file, which is only added to, until all of it is acknowledged; then it is removed."""

    def __init__(self, path: Path, start: int, space: Space) -> None:
        """The file is made by the first `append`."""
        self.path = path
        self.start = self.end = start
        self.size = 0
        """Bytes of the file, which is more than those of the output."""
        self._space = space
        self._places: list[tuple[int, int]] = []
        self._writer: FileIO | None = None
        self._region: tuple[int, Blocks] | None = None

    # -- writing

    def append(self, blocks: Blocks, *, whatever: bool = False) -> None:
        """Add `blocks`, which begin at our end. Raises OSError if the disk has no room; nothing has changed then."""
        places, records, offset = [], [], self.size
        last = self._places[-1][1] if self._places else None
        for block in blocks:
            if last is None or offset - last >= REGION_BYTES:
                last = offset
                places.append((block.start, offset))
            records.append(_record(block))
            offset += len(records[-1])
        self._space.reserve(offset - self.size, whatever=whatever)
        try:
            self._write(b"".join(records))
        except OSError:
            self._space.release(offset - self.size)
            raise
        self._places += places
        self.size, self.end = offset, blocks.end
        self._region = None

    def _write(self, data: bytes) -> None:
        if self._writer is None:
            self._writer = FileIO(self.path, "r+" if self.size else "w", opener=_private)
            self._writer.seek(self.size)
        left = memoryview(data)
        try:
            while left:
                left = left[self._writer.write(left) :]
        except OSError:
            self._writer.truncate(self.size)
            self._writer.seek(self.size)
            raise

    def close(self) -> None:
        """Nothing will be added."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # -- reading

    def take(self, position: int, limit: int) -> tuple[list[Piece], int]:
        """At most `limit` bytes from `position` on, perhaps fewer than there are. Raises OSError if the file is bad."""
        number = bisect_right(self._places, position, key=itemgetter(0)) - 1
        if self._region is None or self._region[0] != number:
            self._region = number, self._read(number)
        return self._region[1].take(position, limit)

    def _read(self, number: int) -> Blocks:
        position, begin = self._places[number]
        end = self._places[number + 1][1] if number + 1 < len(self._places) else self.size
        with open(self.path, "rb", buffering=0) as file:
            file.seek(begin)
            data = _read_exactly(file.read, end - begin)
        blocks = _parsed(data, position)
        if blocks.end != (self._places[number + 1][0] if number + 1 < len(self._places) else self.end):
            raise OSError(errno.EIO, "the spooled output is damaged")
        return blocks

    # -- the end

    def acknowledge(self, position: int) -> None:
        """A file is removed as a whole: see `discard`."""

    def cost_from(self, position: int) -> int:
        """What is on disk costs no memory worth counting."""
        return 0

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        self._region = None
        self._space.release(self.size)
        self.size = 0
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    # -- over a restart

    def to_json(self) -> dict[str, object]:
        """All that a new process must know to read the file."""
        return {
            "file": self.path.name,
            "start": self.start,
            "end": self.end,
            "size": self.size,
            "places": self._places,
        }

    @classmethod
    def from_json(cls, known: dict[str, Any], directory: Path, space: Space) -> "Segment":
        """The segment as it was; its bytes are not reserved yet. Raises OSError, ValueError, TypeError or KeyError if
        the file is not what it should be."""
        made = cls(directory / os.path.basename(known["file"]), int(known["start"]), space)
        made.end, made.size = int(known["end"]), int(known["size"])
        made._places = [(int(position), int(offset)) for position, offset in known["places"]]
        rising = all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(made._places))
        if made._places[:1] != [(made.start, 0)] or not rising or made._places[-1][1] >= made.size:
            raise ValueError(f"it does not say where the parts of {made.path.name} are")
        found = made.path.stat().st_size
        if found != made.size:
            raise ValueError(f"{made.path.name} has {found} bytes instead of {made.size}")
        return made


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _record(block: Block) -> bytes:
    stream = block.stream.encode("utf-8", "surrogateescape")
    header = HEADER.pack(block.start, len(stream), len(block.data), zlib.crc32(block.data, zlib.crc32(stream)))
    return b"".join((header, stream, block.data))


def _read_exactly(read: Callable[[int], bytes | None], size: int) -> bytes:
    parts = []
    while size:
        part = read(size)
        if not part:
            raise OSError(errno.EIO, "the spooled output is cut")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _parsed(data: bytes, position: int) -> Blocks:
    """The records in `data`, of which the first begins at `position`."""
    blocks, offset = Blocks(position), 0
    while offset < len(data):
        if len(data) - offset < HEADER.size:
            raise OSError(errno.EIO, "the spooled output is damaged")
        start, name_length, length, check = HEADER.unpack_from(data, offset)
        name_end = offset + HEADER.size + name_length
        stream, payload = data[offset + HEADER.size : name_end], data[name_end : name_end + length]
        if start != blocks.end or len(payload) != length or zlib.crc32(payload, zlib.crc32(stream)) != check:
            raise OSError(errno.EIO, "the spooled output is damaged")
        blocks.write(stream.decode("utf-8", "surrogateescape"), payload)
        offset = name_end + length
    return blocks
