"""Follows a file that a command writes, as `tail -F` does: created late, truncated, replaced by another."""

import os
import stat
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

READ_BYTES = 64 * 1024
READS_AT_ONCE = 16


class Identity(NamedTuple):
    """Tells an old file from one that was written to."""

    device: int
    inode: int
    size: int
    modified_ns: int


class FollowedFile:
    """One file. `poll()` is called now and then; it hands on what is new and answers whether there may be more."""

    def __init__(self, path: str, *, only_new: bool, data: Callable[[bytes], None]) -> None:
        """`only_new`: what the file holds before the command begins is skipped, else it is read from its beginning as
        soon as it changes."""
        self._path = path
        self._data = data
        self._file: BinaryIO | None = None
        self._old = self._identity()
        self._skip = self._old.size if only_new and self._old is not None else 0

    def poll(self) -> bool:
        """Read what is new, at most a mebibyte. True if there is more to read at once."""
        return all(self._read_some() for _ in range(READS_AT_ONCE))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_some(self) -> bool:
        if self._file is None and not self._open():
            return False
        assert self._file is not None
        data = self._file.read(READ_BYTES)
        if data:
            self._data(data)
            return True
        return self._begin_again()

    def _begin_again(self) -> bool:
        """At the end of the file: True if it was cut or replaced, so that there is another beginning to read."""
        assert self._file is not None
        known = os.fstat(self._file.fileno())
        if known.st_size < self._file.tell():
            self._file.seek(0)
            return known.st_size > 0
        now = self._identity()
        if now is None or (now.device, now.inode) == (known.st_dev, known.st_ino):
            return False
        self.close()
        self._skip = 0
        return self._open()

    def _open(self) -> bool:
        now = self._identity()
        if now is None or (now == self._old and not self._skip):
            return False
        try:
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return False
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        assert self._file is not None
        if self._old is not None and self._skip and (now.device, now.inode) == self._old[:2]:
            self._file.seek(min(self._skip, now.size))
        self._old = None
        return True

    def _identity(self) -> Identity | None:
        """None while there is no such regular file."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
