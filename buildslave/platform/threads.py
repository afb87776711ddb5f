"""Pipes that a thread each reads or writes: what a system needs whose reactor watches sockets only.

Nothing in here is of Windows alone, so that it is tested where there is none.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

READ_BYTES = 64 * 1024


class ThreadReader:
    """Reads one pipe in a thread, one piece at a time: it reads no further until the reactor has taken the last."""

    def __init__(
        self, reactor: Any, descriptor: int, data: Callable[[bytes], None], closed: Callable[["ThreadReader"], None]
    ) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._data = data
        self._closed = closed
        self._over = False
        self._paused = False
        self._piece = b""
        self._go_on = threading.Semaphore(0)
        threading.Thread(target=self._read, daemon=True).start()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._piece:
            piece, self._piece = self._piece, b""
            self._taken(piece)

    def close(self) -> None:
        """What is still to come is not wanted. The descriptor is closed by the thread, when its read has ended."""
        self._end()
        self._go_on.release()

    def _read(self) -> None:
        data = b"-"
        while data and not self._over:
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except OSError:
                data = b""
            self._reactor.callFromThread(self._taken if data else self._end, *([data] if data else []))
            if data:
                self._go_on.acquire()
        os.close(self._descriptor)

    def _taken(self, data: bytes) -> None:
        if self._over:
            return
        if self._paused:
            self._piece = data
            return
        self._data(data)
        self._go_on.release()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._closed(self)


class ThreadWriter:
    """Writes one pipe in a thread, and closes it then."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    def write(self, data: bytes) -> None:
        self._pieces.put(data)

    def end(self) -> None:
        self._pieces.put(None)

    def close(self) -> None:
        """As `end`: a write that hangs ends when the process does."""
        self.end()

    def _write(self) -> None:
        # A process that ends without having read all of it is left alone.
        with contextlib.suppress(OSError):
            while (data := self._pieces.get()) is not None:
                while data:
                    data = data[os.write(self._descriptor, data) :]
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
