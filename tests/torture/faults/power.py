"""A disk whose machine loses its power: what was not brought to the disk is gone.

    with Disk(where) as disk:               # an ext4 of its own, mounted at `where`
        ...                                 # something works below `where`
        disk.lose_power()                   # nothing is written any more, and everything that works there ends
        disk.come_back()                    # its file system is as a machine finds it that starts again

The power goes with ext4's own shutdown, which does not bring its journal to the disk first. The processes that die
with it are those that have a file of this disk open or work in one of its directories; nothing else is on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import wait_until
from tests.torture.faults import require_root, run

_SHUT_DOWN, _WITHOUT_THE_JOURNAL = 0x8004587D, 2
_JOURNAL_SECONDS = 600  # nothing reaches the disk by the passing of time alone


class Disk:
    """An ext4 file system of `mebibytes` in a file beside `where`, at which it is mounted while the context lasts."""

    def __init__(self, where: Path, mebibytes: int = 96) -> None:
        require_root()
        self.where = where
        self._image = where.with_name(where.name + ".ext4")
        self._bytes = mebibytes * 2**20

    def __enter__(self) -> Self:
        self.where.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as image:
            image.truncate(self._bytes)
        run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self._image, package="e2fsprogs")
        self._mount()
        (self.where / "lost+found").rmdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take it away, with all that still works on it."""
        if os.path.ismount(self.where):
            self._end_all()
            run("umount", self.where, package="mount")
        self._image.unlink(missing_ok=True)

    def settle(self) -> None:
        """Bring all of it to the disk, as time would: what is installed and written long ago."""
        run("sync", "--file-system", self.where, package="coreutils")

    def lose_power(self) -> None:
        """From now on the disk is as it is; then every process that works on it dies."""
        self.shut_down()
        self._end_all()

    def shut_down(self) -> None:
        """The disk alone: every write to it fails from now on."""
        directory = os.open(self.where, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(directory, _SHUT_DOWN, struct.pack("I", _WITHOUT_THE_JOURNAL))
        finally:
            os.close(directory)

    def come_back(self) -> None:
        """The machine starts again: what the journal has is done, and nothing else."""
        run("umount", self.where, package="mount")
        self._mount()
        (self.where / ".back").touch()  # fails if the old file system still lives, in another mount namespace say
        (self.where / ".back").unlink()

    def users(self) -> Iterator[int]:
        """The processes that work on this disk."""
        device = os.stat(self.where).st_dev
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid() and _uses(process, device):
                yield int(process.name)

    # -- inside

    def _mount(self) -> None:
        run("mount", "-o", f"loop,commit={_JOURNAL_SECONDS}", self._image, self.where, package="mount")

    def _end_all(self) -> None:
        def none_left() -> bool:
            found = list(self.users())
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        wait_until(none_left, 20, f"the end of all that works in {self.where}")


def _uses(process: Path, device: int) -> bool:
    """Whether its directory or a file that it has open is on this device. One that has ended has neither."""
    with contextlib.suppress(OSError):
        if os.stat(process / "cwd").st_dev == device:
            return True
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                if os.stat(process / "fd" / descriptor).st_dev == device:
                    return True
    return False
