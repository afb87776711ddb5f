"""twistd.pid: who runs in this directory. The file may be stale; the lock on it is not.

The running master holds a lock on the file, which the system releases however the process ends. A master that was
started by `twistd` itself holds no lock: its number counts if a process of that number is alive and is a twistd.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PID_FILE = "twistd.pid"


class AlreadyRunning(Exception):
    """A master runs in this directory."""

    def __init__(self, basedir: Path, pid: int | None) -> None:
        super().__init__(f"a buildmaster is already running in {basedir}" + (f" (pid {pid})" if pid else ""))


class PidFile:
    """The PID file of one master's directory."""

    def __init__(self, basedir: Path) -> None:
        self.path = basedir / PID_FILE
        self._descriptor: int | None = None

    def running(self) -> int | None:
        """The number of the master that runs here; None if none does, whatever the file says."""
        with self.watch() as alive:
            return alive()

    @contextmanager
    def watch(self) -> Iterator[Callable[[], int | None]]:
        """Gives a question: the number of the master that ran here when the watch began, None once its process is gone.

        The file is kept open, so that the answer is right even after the master has removed it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except PermissionError:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)  # another user's master
        except OSError:
            yield lambda: None
            return
        try:
            yield lambda: _holder(descriptor)
        finally:
            os.close(descriptor)

    def acquire(self) -> None:
        """Lock the file and write our number. Raises AlreadyRunning."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            number = _number(descriptor)
            if not _lock(descriptor) or (number not in (None, os.getpid()) and _is_twistd(number)):
                os.close(descriptor)
                raise AlreadyRunning(self.path.parent, number)
            if self._is_current(descriptor):
                break
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Remove the file, if it is ours. The lock stays until the process has ended: who waits for that sees it."""
        if self._descriptor is not None and self._is_current(self._descriptor):
            self.path.unlink(missing_ok=True)

    def _is_current(self, descriptor: int) -> bool:
        """False if another process removed the file between our opening it and our locking it."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False


def _lock(descriptor: int) -> bool:
    """Take the lock; False if somebody holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    number = _number(descriptor)
    if not _lock(descriptor):
        return number
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return number if _is_twistd(number) else None


def _number(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def _is_twistd(number: int | None) -> bool:
    try:
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(os.path.basename(word) in (b"twistd", b"twistd3") for word in words)
