"""A disk that is full, and has room again.

    with SmallDisk(where) as disk:      # a file system of its own, mounted at `where`
        with disk.full():               # not a byte more fits
            time.sleep(5)
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.torture.faults import require_root, run

_BALLOON = ".balloon"


class SmallDisk:
    """A file system in memory of `mebibytes`, mounted at `where` while the context lasts."""

    def __init__(self, where: Path, mebibytes: int = 64) -> None:
        require_root()
        self.where = where
        self._mebibytes = mebibytes

    def __enter__(self) -> Self:
        self.where.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={self._mebibytes}m", "tmpfs", self.where, package="mount")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        run("umount", "--lazy", self.where, package="mount")  # what still works there ends by itself

    @contextmanager
    def full(self) -> Iterator[None]:
        """Every byte that is free is taken. `fill` takes what becomes free meanwhile."""
        with full(self.where):
            yield

    def fill(self) -> None:
        """Take what is free now."""
        fill(self.where)


@contextmanager
def full(where: Path) -> Iterator[None]:
    """Every byte that is free on the file system of this directory is taken."""
    try:
        fill(where)
        yield
    finally:
        (where / _BALLOON).unlink(missing_ok=True)


def fill(where: Path) -> None:
    """Take what is free now on the file system of this directory."""
    balloon = os.open(where / _BALLOON, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for piece in (1 << 20, 1 << 12):
            with _until_full():
                while True:
                    os.write(balloon, bytes(piece))
    finally:
        os.close(balloon)


@contextlib.contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
