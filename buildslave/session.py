"""One login to the master: the calls that go to the master's avatar of this slave, while it lasts.

A call is refused at once when the connection is gone; everything that must survive a lost connection is
repeated by its owner (a command's window) on the next session.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread.pb import DeadReferenceError, PBConnectionLost

ANSWER_SECONDS = 300.0
"""A master that takes longer to answer one call is taken for dead: the connection is dropped and made anew."""


def lost_with_connection(failure: Failure) -> bool:
    """True if a call failed only because the connection is gone: its owner repeats it on the next session."""
    return bool(failure.check(ConnectionLost, PBConnectionLost, DeadReferenceError, TimeoutError))


class Remote(Protocol):
    """An object of the master's: a reference of Perspective Broker, or what stands for one."""

    def callRemote(self, method: str, /, *args: Any) -> Deferred[Any]:
        """The master's answer. Fails with what the master says against it, or with the lost connection."""


class Session:
    """A connection that is being logged in, logged in, or lost."""

    _log = Logger()

    def __init__(self, *, clock: IReactorTime, abort: Callable[[], None]) -> None:
        """`abort` drops the connection."""
        self._clock = clock
        self._abort = abort
        self._avatar: Remote | None = None
        self._waiting: list[Callable[[], None]] = []
        self.lost = False

    def logged_in(self, avatar: Remote) -> None:
        """The master has given its avatar. It may have called us before: what was kept back begins now."""
        self._avatar = avatar
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    def when_ready(self, call: Callable[[], None]) -> None:
        """Run `call` as soon as the master can be called; never, if the connection is lost before."""
        if self._avatar is not None:
            call()
        elif not self.lost:
            self._waiting.append(call)

    def connection_lost(self) -> None:
        self.lost = True
        self._avatar = None
        self._waiting = []

    def call(self, method: str, *args: Any, timeout_seconds: float = ANSWER_SECONDS) -> Deferred[Any]:
        """Call the avatar. The Deferred always fires: with the answer, the master's error, or the lost connection."""
        return self.call_on(self._avatar, method, *args, timeout_seconds=timeout_seconds)

    def call_on(
        self,
        reference: Remote | None,
        method: str,
        *args: Any,
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Deferred[Any]:
        """The same for another object of the master's."""
        if reference is None or self.lost:
            return fail(DeadReferenceError("not connected to the master"))
        try:
            answer = reference.callRemote(method, *args)
        except Exception:
            return fail(Failure())
        _ = answer.addTimeout(timeout_seconds, self._clock)
        _ = answer.addErrback(self._gave_up, method)
        return answer

    def abort(self) -> None:
        """Drop the connection; the slave makes a new one."""
        self._abort()

    def _gave_up(self, failure: Failure, method: str) -> Failure:
        if failure.check(TimeoutError) and not self.lost:
            self._log.warn("the master did not answer {method!r} in time; dropping the connection", method=method)
            self.abort()
        return failure
