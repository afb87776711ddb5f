"""A file of a log as it was written, or compressed; both are read at any place.

A compressed file is `NAME.txt.zst` in zstd's *seekable format*: the text in pieces of 256 KiB, each a zstd frame of its
own with a checksum, and at the end a frame that decoders skip, with a table of the pieces:

    4 bytes   0x184D2A5E        (all numbers little-endian)
    4 bytes   how many bytes follow
    for each piece: 4 bytes its compressed size, 4 bytes its size
    4 bytes   how many pieces
    1 byte    0
    4 bytes   0x8F92EAB1

So `zstd -d` and `zstdcat` read it too. The index beside the text is compressed in the same way.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import IO, Protocol

import zstandard

PIECE_BYTES = 1 << 18
LEVEL = 6
SUFFIX = ".zst"
_SKIPPED = struct.Struct("<II")
_PIECE = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_SKIP_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_PIECES_KEPT = 4


class NotReadable(OSError):
    """The compressed file of a log is damaged."""


class Part(Protocol):
    """A file of bytes that can be read at any place."""

    def size(self) -> int: ...

    def read(self, count: int, at: int) -> bytes: ...

    def close(self) -> None: ...


class PlainPart:
    """A file as it is; it may grow."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def read(self, count: int, at: int) -> bytes:
        return os.pread(self._file, count, at)

    def close(self) -> None:
        os.close(self._file)


class PackedPart:
    """A compressed file. Raises NotReadable when it is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._packed, self._offsets = self._table()
        except BaseException:
            os.close(self._file)
            raise
        self._decompressor = zstandard.ZstdDecompressor()
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def _table(self) -> tuple[list[int], list[int]]:
        """Where each piece begins, in the file and in the text, and where the last one ends."""
        end = os.fstat(self._file).st_size
        footer = os.pread(self._file, _FOOTER.size, max(0, end - _FOOTER.size))
        count, flags, magic = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0, 0)
        start = end - _FOOTER.size - count * _PIECE.size
        if magic != _SEEKABLE_MAGIC or flags or start < _SKIPPED.size:
            raise NotReadable(f"{self._path} is no seekable zstd file, or a damaged one")
        sizes = list(_PIECE.iter_unpack(os.pread(self._file, count * _PIECE.size, start)))
        packed = [0, *accumulate(size for size, _ in sizes)]
        if packed[-1] != start - _SKIPPED.size:
            raise NotReadable(f"{self._path} is damaged: its table does not fit")
        return packed, [0, *accumulate(size for _, size in sizes)]

    def size(self) -> int:
        return self._offsets[-1]

    def read(self, count: int, at: int) -> bytes:
        found = b""
        piece = bisect_right(self._offsets, at) - 1
        while count > 0 and 0 <= piece < len(self._offsets) - 1:
            inside = at - self._offsets[piece]
            data = self._piece(piece)[inside : inside + count]
            found += data
            at += len(data)
            count -= len(data)
            piece += 1
        return found

    def _piece(self, number: int) -> bytes:
        data = self._kept.get(number)
        if data is None:
            begin, end = self._packed[number : number + 2]
            size = self._offsets[number + 1] - self._offsets[number]
            try:
                data = self._decompressor.decompress(os.pread(self._file, end - begin, begin), max_output_size=size)
            except zstandard.ZstdError as error:
                raise NotReadable(f"{self._path} is damaged: {error}") from None
            if len(data) != size:
                raise NotReadable(f"{self._path} is damaged: a piece is too short")
            self._kept[number] = data
            if len(self._kept) > _PIECES_KEPT:
                self._kept.popitem(last=False)
        return data

    def close(self) -> None:
        os.close(self._file)


def packed_path(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def open_part(path: Path) -> Part:
    """The file as it was written, or else the compressed one. Raises FileNotFoundError when neither is there."""
    try:
        return PlainPart(path)
    except FileNotFoundError:
        pass
    try:
        return PackedPart(packed_path(path))
    except FileNotFoundError:
        return PlainPart(path)  # it raises with the name that people know; or has come back


def pack(path: Path) -> bool:
    """Make the compressed file from the plain one, checked and on the disk. False: there is no plain one.

    Takes its time: to be called in a thread. Raises OSError with nothing changed.
    """
    part = path.with_name(path.name + SUFFIX + ".part")
    try:
        with path.open("rb") as source, part.open("wb") as target:
            _write_packed(source, target)
            target.flush()
            os.fsync(target.fileno())
        _check(path, part)
        os.replace(part, packed_path(path))
    except FileNotFoundError:
        return False
    finally:
        part.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _write_packed(source: IO[bytes], target: IO[bytes]) -> None:
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    table = b""
    count = 0
    while data := source.read(PIECE_BYTES):
        packed = compressor.compress(data)
        target.write(packed)
        table += _PIECE.pack(len(packed), len(data))
        count += 1
    table += _FOOTER.pack(count, 0, _SEEKABLE_MAGIC)
    target.write(_SKIPPED.pack(_SKIP_MAGIC, len(table)) + table)


def _check(path: Path, packed: Path) -> None:
    """That the compressed file says what the plain one does, before that goes. Raises NotReadable."""
    part = PackedPart(packed)
    try:
        with path.open("rb") as source:
            at = 0
            while data := source.read(PIECE_BYTES):
                if part.read(len(data), at) != data:
                    raise NotReadable(f"{packed} does not say what {path} says")
                at += len(data)
        if at != part.size():
            raise NotReadable(f"{packed} is longer than {path}")
    finally:
        part.close()
