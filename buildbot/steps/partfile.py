"""A file that comes from a slave to the master's disk: held under a name of its own until it is whole.

The name has the id of the remote command, so a master that was restarted finds what the command has sent so far: what
is in the file is what the master holds. After a loss of power that is true only of what had been brought to the disk; a
record in the master's directory `uploads` says how much that was, and in which life of the machine. It also says where
the file is, so one that nobody goes on with is removed.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from buildbot.model import CommandID
from buildbot.process.slaveport import CommandRefused
from buildbot.store.logfiles import file_name

SYNC_BYTES = 32 * 1024 * 1024  # so often what has come is brought to the disk
WAITS_FOR_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # the slave asks again
_RECORD = re.compile("[0-9]{1,18}")


@cache
def this_boot() -> str | None:
    """What tells this life of the machine from an earlier one; None where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None


class PartFile:
    """Takes an upload (UploadTarget of buildbot.process.remotecommand).

    target: what it becomes. records: the directory of records. most: bytes, or None. id: gives the id of the command,
    once it has one. in_thread: runs what takes its time. failed: told when it cannot be written, for another reason
    than that the disk is full.
    """

    _log = Logger()

    def __init__(
        self,
        target: Path,
        *,
        records: Path,
        most: int | None,
        id: Callable[[], CommandID | None],
        in_thread: Callable[..., Deferred[Any]],
        failed: Callable[[OSError], None],
    ) -> None:
        self.target = target
        self._records = records
        self._most = most
        self._id = id
        self._in_thread = in_thread
        self._failed = failed
        self._descriptor: int | None = None
        self._held = 0
        self._synced = 0
        self._sync: Deferred[None] | None = None  # while it goes on

    @property
    def path(self) -> Path:
        return self.target.with_name(f".{file_name(self.target.name)}.{self._id()}.part")

    @property
    def _mark(self) -> Path:
        return self._records / str(self._id())

    # -- while it comes

    def write(self, offset: int, data: bytes) -> int:
        """Take a piece, which may have come before; how much is held. Raises OSError, CommandRefused."""
        try:
            descriptor = self._opened()
            fresh = data[self._held - offset :] if offset <= self._held else b""
            if self._most is not None and self._held + len(fresh) > self._most:
                raise CommandRefused(f"the slave sends more than maxsize={self._most} bytes")
            if fresh:
                self._held += os.pwrite(descriptor, fresh, self._held)
        except OSError as problem:
            if problem.errno not in WAITS_FOR_DISK:
                self._failed(problem)
            raise
        if self._held - self._synced >= SYNC_BYTES and self._sync is None:
            self._sync_soon(descriptor)
        return self._held

    def _opened(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
            self._synced, boot = self._marked()
            if boot is None:
                self._write_mark()  # first, so that no part is without a record
            descriptor = os.open(self.path, flags, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                self._held = size if boot is not None and boot == this_boot() else min(size, self._synced)
                if self._held < size:
                    os.ftruncate(descriptor, self._held)
                self._synced = min(self._synced, self._held)
                self._write_mark()
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _marked(self) -> tuple[int, str | None]:
        try:
            synced, boot, _ = json.loads(self._mark.read_text("utf-8"))
            return int(synced), boot
        except (OSError, ValueError, TypeError):
            return 0, None

    def _write_mark(self) -> None:
        new = self._mark.with_suffix(".new")
        self._records.mkdir(exist_ok=True)
        new.write_text(json.dumps([self._synced, this_boot(), str(self.path)]), "utf-8")
        os.replace(new, self._mark)

    def _sync_soon(self, descriptor: int) -> None:
        size = self._held
        kept = os.dup(descriptor)

        def done(failure: Any) -> None:
            os.close(kept)
            self._sync = None
            if self._descriptor != descriptor:
                return
            if failure is None:
                self._synced = size
                with suppress(OSError):  # then the next one says it
                    self._write_mark()
                return
            self._log.warn(
                "{path} could not be brought to the disk: {why}; it is sent again from byte {synced}",
                path=str(self.path), why=failure.getErrorMessage(), synced=self._synced,
            )  # fmt: skip
            # a later fsync that succeeds would say nothing of what this one has lost
            self._held = self._synced
            os.ftruncate(descriptor, self._held)

        self._sync = going_on = self._in_thread(os.fsync, kept)
        going_on.addCallbacks(done, done)  # type: ignore[unused-awaitable]  # `quiet` waits for it

    # -- when it has come

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def quiet(self) -> None:
        """Wait until nothing is being brought to the disk: its failure would be told to whoever asks first."""
        while self._sync is not None:
            over: Deferred[None] = Deferred()

            def tell(value: Any, over: Deferred[None] = over) -> Any:
                over.callback(None)
                return value

            self._sync.addBoth(tell)  # type: ignore[unused-awaitable]
            await over

    def bring_to_disk(self) -> int:
        """For a thread: how many bytes are there for good. Raises OSError."""
        descriptor = self._opened()  # also an empty one
        os.fsync(descriptor)
        self._synced = os.fstat(descriptor).st_size
        self._write_mark()
        return self._synced

    def put_in_place(self, mode: int | None, times: tuple[float, float] | None) -> None:
        """For a thread: give it its name. Harmless when that was done before. Raises OSError."""
        self.close()
        if self.path.exists():
            os.chmod(self.path, 0o666 & ~_umask() if mode is None else mode)
            if times is not None:
                os.utime(self.path, times)
            os.replace(self.path, self.target)
            sync_directory(self.target.parent)
        elif not self.target.exists():
            raise FileNotFoundError(errno.ENOENT, "it had come, and somebody has removed it", str(self.target))
        self._mark.unlink(missing_ok=True)

    def discard(self) -> None:
        """For a thread, because big files take time to go: it is of no use."""
        self.close()
        if self._id() is not None:
            for path in (self.path, self._mark):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _umask() -> int:
    """Of this process. Asking is setting, so it is asked where Linux tells it without that."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def recorded(records: Path) -> list[CommandID]:
    """For a thread: the commands whose uploads have a record."""
    with suppress(FileNotFoundError):
        return [CommandID(int(name)) for name in os.listdir(records) if _RECORD.fullmatch(name)]
    return []


def remove(records: Path, commands: Iterable[CommandID]) -> None:
    """For a thread: what these have left behind."""
    for id in commands:
        record = records / str(id)
        with suppress(OSError, ValueError):
            path = Path(json.loads(record.read_text("utf-8"))[2])
            if path.name.endswith(f".{id}.part"):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            record.unlink()


def sync_all() -> None:
    """Have everything on the disk: for many files that is quicker than one after another."""
    if hasattr(os, "sync"):
        os.sync()
