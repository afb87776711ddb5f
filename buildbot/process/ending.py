"""A stopped build ends: what it waits for that does not end by itself is not waited for any longer.

A stop reaches a command through its slave, a wait for locks and a Trigger's children at once. All else that is not ours
(a step's own code, renderables, functions of the configuration) is told with `BuildStep.interrupt`; what is still
under way STOP_SECONDS later is cancelled, and if it does not obey even that, its build goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

T = TypeVar("T")

STOP_SECONDS = 45.0  # more than a command gets to obey


class GivenUp(Exception):
    """A stopped build has waited long enough for some code."""


class Waited:
    """Something under way that is not ours. excused: whether it takes its time by right."""

    __slots__ = ("excused", "given_up", "limited", "over")

    def __init__(self, over: Deferred[Any], excused: Callable[[], bool]) -> None:
        self.over = over
        self.excused = excused
        self.limited = False
        self.given_up = False


class Ending:
    """Of one build: what it waits for, and the limits that stops have set. is_due: told when a limit is reached."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, is_due: Callable[[], object]) -> None:
        self._clock = clock
        self._is_due = is_due
        self._waited: Waited | None = None
        self._limits: list[IDelayedCall] = []

    async def wait_for(
        self, work: Coroutine[Any, Any, T], *, limited: bool = False, excused: Callable[[], bool] = lambda: False
    ) -> T:
        """What this comes to. Raises GivenUp when a stop has waited for it in vain, and whatever it raises.

        limited: the stop came before it.
        """
        task = ensureDeferred(work)
        over: Deferred[T] = Deferred(lambda _: task.cancel())
        waited = self._waited = Waited(over, excused)
        task.addBoth(self._came, over)  # type: ignore[unused-awaitable]  # goes on in `over`
        if limited:
            self.limit()
        try:
            return await over
        except CancelledError:
            if waited.given_up:
                raise GivenUp("its code had not ended when it had been stopped for some time") from None
            raise
        finally:
            self._waited = None

    def _came(self, value: Any, over: Deferred[Any]) -> None:
        if not over.called:
            over.callback(value)
        elif isinstance(value, Failure) and not value.check(CancelledError):
            self._log.failure("code that was not waited for any longer has failed", value)

    def limit(self) -> None:
        """It is stopped: what it waits for now has STOP_SECONDS."""
        waited = self._waited
        if waited is not None:
            if waited.limited:
                return
            waited.limited = True
        self._limits.append(self._clock.callLater(STOP_SECONDS, self._limit_is_reached, waited))

    def _limit_is_reached(self, waited: Waited | None) -> None:
        self._is_due()
        if waited is None or waited is not self._waited:
            return
        if waited.excused():
            waited.limited = False
            self.limit()
        else:
            waited.given_up = True
            waited.over.cancel()

    def close(self) -> None:
        """The build is over, or this process is."""
        for limit in self._limits:
            if limit.active():
                limit.cancel()
        self._limits = []
