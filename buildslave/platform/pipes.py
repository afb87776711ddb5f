"""Pipes and terminals that the reactor watches: what Unix has."""

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.fdesc import writeToFD
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

READ_BYTES = 64 * 1024


class OutputReader(FileDescriptor):
    """Our end of one output pipe (or of the terminal). It reads at once."""

    def __init__(
        self, reactor: Any, descriptor: int, data: Callable[[bytes], None], closed: Callable[["OutputReader"], None]
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._data = data
        self._closed = closed
        self.connected = 1
        self.startReading()

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> Exception | None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            # A terminal whose last user is gone says EIO.
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._data(data)
        return None

    def connectionLost(self, reason: Failure) -> None:
        if not self.connected:
            return
        super().connectionLost(reason)
        os.close(self._descriptor)
        self._descriptor = -1
        self._closed(self)

    def pause(self) -> None:
        self.stopReading()

    def resume(self) -> None:
        self.startReading()

    def close(self) -> None:
        self.stopReading()
        self.connectionLost(Failure(CONNECTION_DONE))


class InputWriter(FileDescriptor):
    """Writes the process's standard input, then ends it."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self.connected = 1

    def fileno(self) -> int:
        return self._descriptor

    def writeSomeData(self, data: bytes) -> int | Exception:
        result: int | Exception = writeToFD(self._descriptor, data)
        return result

    def connectionLost(self, reason: Failure) -> None:
        if not self.connected:
            return
        super().connectionLost(reason)
        os.close(self._descriptor)
        self._descriptor = -1

    def end(self) -> None:
        self.loseConnection()

    def close(self) -> None:
        if self.connected:
            self.stopWriting()
            self.connectionLost(Failure(CONNECTION_DONE))
