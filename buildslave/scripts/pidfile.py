"""twistd.pid: who runs in this directory. The file may be stale; the lock on it is not.

The running slave holds a lock on the file, which the system releases however the process ends. A slave that was started
by `twistd` holds no lock: its number counts if a process of that number is alive and looks like one.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from buildslave.platform import lock_file, unlock_file

PID_FILE = "twistd.pid"
LOOKS = 10
LOOK_SECONDS = 0.02


class AlreadyRunning(Exception):
    """A slave runs in this directory."""

    def __init__(self, pid: int | None) -> None:
        super().__init__("a buildslave is already running in this directory" + (f" (pid {pid})" if pid else ""))
        self.pid = pid


class PidFile:
    """The PID file of one slave's directory."""

    def __init__(self, basedir: Path) -> None:
        self.path = basedir / PID_FILE
        self._descriptor: int | None = None

    def running(self) -> int | None:
        """The number of the slave that runs here, None if none does, whatever the file says."""
        with self.watch() as alive:
            return alive()

    @contextmanager
    def watch(self) -> Iterator[Callable[[], int | None]]:
        """Gives a question: the number of the slave that ran here when the watch began, None once its process is gone.

        The file is kept open, so that the answer is right even after the slave has removed it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR)
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
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _lock_patiently(descriptor):
                number = _number(descriptor)
                os.close(descriptor)
                raise AlreadyRunning(number)
            if self._is_current(descriptor):
                break
            os.close(descriptor)
        number = _number(descriptor)
        if number not in (None, os.getpid()) and _looks_like_a_slave(number):
            os.close(descriptor)
            raise AlreadyRunning(number)
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


def _holder(descriptor: int) -> int | None:
    number = _number(descriptor)
    if not lock_file(descriptor):
        return number
    unlock_file(descriptor)
    return number if number is not None and _looks_like_a_slave(number) else None


def _lock_patiently(descriptor: int) -> bool:
    """As `lock_file`; somebody who only looks who runs here holds the lock for a moment."""
    for _ in range(LOOKS):
        if lock_file(descriptor):
            return True
        time.sleep(LOOK_SECONDS)
    return False


def _number(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def _looks_like_a_slave(number: int | None) -> bool:
    """For a number without a lock: a process started by `twistd`. What cannot be seen is taken for somebody else's."""
    try:
        with open(f"/proc/{number}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    return any(os.path.basename(word) in (b"twistd", b"twistd3") for word in words)
