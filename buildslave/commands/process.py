"""A running process with its output: reads its pipes, can stop reading, signals its group, and knows when it is over.

It is over when the process has ended *and* its output has ended. A grandchild that keeps a pipe open does not hold it
for ever: after a silence, or after more than a pipe can still have held, the pipes are closed on our side.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.fdesc import writeToFD
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

from buildslave import platform

READ_BYTES = 64 * 1024
DRAIN_SILENCE_SECONDS = 5.0
DRAIN_BYTES = 2 * 1024 * 1024
"""More than the pipes can hold: what comes after this was written by somebody else."""
END_OF_INPUT_ON_TERMINAL = b"\x04"


class Exit(NamedTuple):
    """How a process ended; `held_open` if something it started kept its output open."""

    code: int | None
    signal: int | None
    held_open: bool


class OutputReader(FileDescriptor):
    """Our end of one output pipe (or of the terminal)."""

    def __init__(
        self, reactor: Any, descriptor: int, data: Callable[[bytes], None], closed: Callable[["OutputReader"], None]
    ) -> None:
        super().__init__(reactor)
        self._descriptor = descriptor
        self._data = data
        self._closed = closed
        self.connected = 1

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

    def close(self) -> None:
        if self.connected:
            self.stopWriting()
            self.connectionLost(Failure(CONNECTION_DONE))


class ChildProcess:
    """One process and its group."""

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        started: platform.Started,
        *,
        output: Callable[[str, bytes], None],
        terminal: bool,
    ) -> None:
        """`output(stream, data)` is called with what the process writes, `stream` is stdout or stderr."""
        self._reactor = reactor
        self._clock = clock
        self._popen = started.popen
        self._output = output
        self._status: int | None = None
        self._paused = False
        self._held_open = False
        self._drained_bytes = 0
        self._drain: IDelayedCall | None = None
        self.pid = started.pid
        self.over: Deferred[Exit] = Deferred()
        self.exited: Deferred[None] = Deferred()
        """Fires when the process itself has ended; its output may go on."""
        self._stdin = None if started.stdin is None else InputWriter(reactor, started.stdin)
        self._terminal = terminal
        self._readers = {
            OutputReader(reactor, descriptor, self._receiver(stream), self._reader_closed)
            for stream, descriptor in started.outputs.items()
        }
        for reader in self._readers:
            reader.startReading()
        platform.watch_exit(self.pid, self)

    def give_input(self, data: bytes) -> None:
        """Write `data` to the process's standard input and end it. A process that does not read it is left alone."""
        if self._stdin is None:
            return
        self._stdin.write(data + END_OF_INPUT_ON_TERMINAL if self._terminal else data)
        if not self._terminal:
            self._stdin.loseConnection()

    def signal(self, number: int) -> bool:
        """Signal the whole group; False if nobody is left in it."""
        return platform.signal_group(self.pid, number)

    def abandon(self) -> None:
        """Wait no longer for output: close the pipes. The process itself is still reaped when it ends."""
        self._held_open = True
        for reader in list(self._readers):
            reader.close()
        if self._status is None and not self.over.called:
            self._finish()

    def give_up(self) -> None:
        """Even SIGKILL did not end it: go on without it. What has ended is left to come to its own end."""
        if self._status is None:
            self.abandon()

    def pause(self) -> None:
        self._paused = True
        self._cancel_drain()
        for reader in self._readers:
            reader.stopReading()

    def resume(self) -> None:
        self._paused = False
        for reader in self._readers:
            reader.startReading()
        self._wait_for_silence()

    # -- output

    def _receiver(self, stream: str) -> Callable[[bytes], None]:
        def received(data: bytes) -> None:
            self._output(stream, data)
            if self._status is not None:
                self._drained_bytes += len(data)
                if self._drained_bytes > DRAIN_BYTES:
                    self._reactor.callLater(0, self.abandon)
                else:
                    self._wait_for_silence()

        return received

    def _reader_closed(self, reader: OutputReader) -> None:
        self._readers.discard(reader)
        self._finish_if_over()

    # -- the end

    def reapProcess(self) -> None:
        status = platform.reap(self.pid, self)
        if status is not None:
            self.processEnded(status)

    def processEnded(self, status: int) -> None:
        self._status = status
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        self.exited.callback(None)
        self._finish_if_over()
        self._wait_for_silence()

    def _wait_for_silence(self) -> None:
        self._cancel_drain()
        if self._status is not None and self._readers and not self._paused:
            self._drain = self._clock.callLater(DRAIN_SILENCE_SECONDS, self.abandon)

    def _cancel_drain(self) -> None:
        if self._drain is not None and self._drain.active():
            self._drain.cancel()
        self._drain = None

    def _finish_if_over(self) -> None:
        if self._status is not None and not self._readers and not self.over.called:
            self._finish()

    def _finish(self) -> None:
        self._cancel_drain()
        if self._stdin is not None:
            self._stdin.close()
        self.over.callback(self._exit())

    def _exit(self) -> Exit:
        if self._status is None:
            return Exit(None, None, self._held_open)
        code = os.waitstatus_to_exitcode(self._status)
        return Exit(None, -code, self._held_open) if code < 0 else Exit(code, None, self._held_open)
