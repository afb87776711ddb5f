"""A running process with its output: reads its pipes, can stop reading, signals its group, and knows when it is over.

It is over when the process has ended *and* its output has ended. A grandchild that keeps a pipe open does not hold it
for ever: after a silence, or after more than a pipe can still have held, the pipes are closed on our side.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from buildslave import platform

DRAIN_SILENCE_SECONDS = 5.0
DRAIN_BYTES = 2 * 1024 * 1024
"""More than the pipes can hold: what comes after this was written by somebody else."""
END_OF_INPUT_ON_TERMINAL = b"\x04"
"""It ends the input at the beginning of a line; anywhere else it only hands on the line as it is."""


class Exit(NamedTuple):
    """How a process ended; `held_open` if something it started kept its output open."""

    code: int | None
    signal: int | None
    held_open: bool


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
        self._output = output
        self._code: int | None = None
        self._paused = False
        self._held_open = False
        self._drained_bytes = 0
        self._drain: IDelayedCall | None = None
        self.pid = started.pid
        self.over: Deferred[Exit] = Deferred()
        self.exited: Deferred[None] = Deferred()
        """Fires when the process itself has ended; its output may go on."""
        self._stdin = None if started.stdin is None else platform.write_input(reactor, started.stdin)
        self._terminal = terminal
        self._readers: set[platform.Reader] = {
            platform.read_output(reactor, descriptor, self._receiver(stream), self._reader_closed)
            for stream, descriptor in started.outputs.items()
        }
        platform.watch_exit(reactor, started, self._process_ended)

    def give_input(self, data: bytes) -> None:
        """Write `data` to the process's standard input and end it. A process that does not read it is left alone."""
        if self._stdin is None:
            return
        if self._terminal:
            ends = 1 if not data or data.endswith(b"\n") else 2
            self._stdin.write(data + END_OF_INPUT_ON_TERMINAL * ends)
        else:
            self._stdin.write(data)
            self._stdin.end()

    def abandon(self) -> None:
        """Wait no longer for output: close the pipes. The process itself is still reaped when it ends."""
        self._held_open = True
        for reader in list(self._readers):
            reader.close()
        if self._code is None and not self.over.called:
            self._finish()

    def give_up(self) -> None:
        """Even SIGKILL did not end it: go on without it. What has ended is left to come to its own end."""
        if self._code is None:
            self.abandon()

    def pause(self) -> None:
        self._paused = True
        self._cancel_drain()
        for reader in self._readers:
            reader.pause()

    def resume(self) -> None:
        self._paused = False
        for reader in self._readers:
            reader.resume()
        self._wait_for_silence()

    # -- output

    def _receiver(self, stream: str) -> Callable[[bytes], None]:
        def received(data: bytes) -> None:
            self._output(stream, data)
            if self._code is not None:
                self._drained_bytes += len(data)
                if self._drained_bytes > DRAIN_BYTES:
                    self._reactor.callLater(0, self.abandon)
                else:
                    self._wait_for_silence()

        return received

    def _reader_closed(self, reader: platform.Reader) -> None:
        self._readers.discard(reader)
        self._finish_if_over()

    # -- the end

    def _process_ended(self, code: int) -> None:
        self._code = code
        self.exited.callback(None)
        self._finish_if_over()
        self._wait_for_silence()

    def _wait_for_silence(self) -> None:
        self._cancel_drain()
        if self._code is not None and self._readers and not self._paused:
            self._drain = self._clock.callLater(DRAIN_SILENCE_SECONDS, self.abandon)

    def _cancel_drain(self) -> None:
        if self._drain is not None and self._drain.active():
            self._drain.cancel()
        self._drain = None

    def _finish_if_over(self) -> None:
        if self._code is not None and not self._readers and not self.over.called:
            self._finish()

    def _finish(self) -> None:
        self._cancel_drain()
        if self._stdin is not None:
            self._stdin.close()
        self.over.callback(self._exit())

    def _exit(self) -> Exit:
        if self._code is None:
            return Exit(None, None, self._held_open)
        if self._code < 0:
            return Exit(None, -self._code, self._held_open)
        return Exit(self._code, None, self._held_open)
