"""Sends bytes by position, a few calls in flight, and goes back to what the master holds.

The rules of docs/slave-protocol.md, "Window": a call carries at most 64 KiB, at most eight are unanswered, an answer is
the position that the master holds. An answer below the end of its call means that the master lost something: sending
starts again from there. Less than a full chunk waits a moment for more, never when nothing more will come.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildslave.arguments import is_int
from buildslave.blocks import CHUNK
from buildslave.session import lost_with_connection

CALLS_IN_FLIGHT = 8
LINGER_SECONDS = 0.05
FIRST_RETRY_SECONDS = 0.0
SECOND_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0


class Source(Protocol):
    """Bytes by position: command output, or a file to upload."""

    base: int
    """What lies before this position is gone."""
    end: int
    complete: bool
    """True when nothing will be added at the end."""

    def take(self, position: int, limit: int) -> tuple[Any, int]:
        """At most `limit` bytes from `position` on, at least one, and how many they are. Raises OSError."""

    def acknowledge(self, position: int) -> None: ...


Send = Callable[[int, Any], "Deferred[Any]"]


class Window:
    """One stream of bytes on its way to the master."""

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        source: Source,
        acknowledged: Callable[[], None],
        lost: Callable[[int, str], None],
    ) -> None:
        """`acknowledged()` is called after each step forward; `lost(held, why)` if what comes after `held` is gone."""
        self._clock = clock
        self._source = source
        self._tell = acknowledged
        self._lost = lost
        self._send: Send | None = None
        self._acknowledged = self._sent = source.base
        self._in_flight = 0
        self._connection = 0
        self._epoch = 0
        self._linger: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS

    @property
    def sent(self) -> int:
        """The position up to which bytes have left."""
        return self._sent

    @property
    def acknowledged(self) -> int:
        """The position up to which the master holds everything."""
        return self._acknowledged

    @property
    def drained(self) -> bool:
        """True when the master holds everything and nothing more will come."""
        return self._source.complete and self._acknowledged == self._source.end

    def attach(self, send: Send, position: int) -> None:
        """Send through `send`, from `position` on, which the master holds. `position` must not be below the base."""
        self.detach()
        self._send = send
        self._acknowledged = self._sent = position
        self._source.acknowledge(position)
        self.pump()

    def detach(self) -> None:
        """The connection is gone, and the answers to what was in flight with it."""
        self._send = None
        self._connection += 1
        self._in_flight = 0
        self._sent = self._acknowledged
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._cancel_timers()

    def pump(self, flush: bool = False) -> None:
        """Send what may be sent now. To be called whenever the source has more or is complete."""
        while self._send is not None and self._retry is None and self._in_flight < CALLS_IN_FLIGHT:
            unsent = self._source.end - self._sent
            if unsent <= 0:
                return
            if unsent < CHUNK and not (flush or self._source.complete):
                self._wait_for_more()
                return
            self._send_one(self._send)

    def _wait_for_more(self) -> None:
        if self._linger is None:
            self._linger = self._clock.callLater(LINGER_SECONDS, self._lingered)

    def _lingered(self) -> None:
        self._linger = None
        self.pump(flush=True)

    def _send_one(self, send: Send) -> None:
        start = self._sent
        try:
            payload, length = self._source.take(start, CHUNK)
        except OSError as error:
            self.detach()
            self._lost(self._acknowledged, f"what comes after byte {self._acknowledged} cannot be read: {error}")
            return
        self._sent += length
        self._in_flight += 1
        asked = (self._connection, self._epoch, start + length)
        _ = send(start, payload).addCallbacks(self._answered, self._failed, callbackArgs=asked, errbackArgs=asked)

    def _answered(self, held: object, connection: int, epoch: int, end: int) -> None:
        if connection != self._connection:
            return
        self._in_flight -= 1
        if not is_int(held) or not 0 <= held <= self._source.end:
            self._log.error("the master answered {held!r}, which is no position; asking again", held=held)
            self._go_back(epoch)
        elif held < self._source.base:
            self.detach()
            self._lost(held, f"the master holds {held} bytes and the slave none before {self._source.base}")
            return
        else:
            self._advance(held)
            if held < end and epoch == self._epoch:
                self._acknowledged = held
                self._go_back(epoch)
        self.pump()

    def _advance(self, held: int) -> None:
        if held <= self._acknowledged:
            return
        self._acknowledged = held
        self._sent = max(self._sent, held)
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._source.acknowledge(held)
        self._tell()

    def _failed(self, failure: Failure, connection: int, epoch: int, end: int) -> None:
        if connection != self._connection:
            return
        self._in_flight -= 1
        if lost_with_connection(failure):
            return
        self._log.warn("the master could not take output: {why}; trying again", why=failure.getErrorMessage())
        self._go_back(epoch)

    def _go_back(self, epoch: int) -> None:
        """Send again from what is acknowledged, after a pause; once for all the calls that were in flight together."""
        if epoch != self._epoch:
            return
        self._epoch += 1
        self._sent = self._acknowledged
        self._retry = self._clock.callLater(self._retry_seconds, self._go_on)
        self._retry_seconds = min(max(self._retry_seconds * 2, SECOND_RETRY_SECONDS), LAST_RETRY_SECONDS)

    def _go_on(self) -> None:
        self._retry = None
        self.pump(flush=True)

    def _cancel_timers(self) -> None:
        for timer in (self._linger, self._retry):
            if timer is not None and timer.active():
                timer.cancel()
        self._linger = self._retry = None
