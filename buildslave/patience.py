"""The slave's clock: time in which its own process stood still does not count.

A process that is stopped and goes on, a machine that slept, a clock that was set: then many timers are due at once, and
Twisted runs them before it reads what has come meanwhile. The master would be taken for dead, and commands for silent,
though the answer and the output wait in the pipes. On this clock such a time is cut out, and a timer that comes late
waits a moment more, so that what waits is read first.
"""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

LOOK_SECONDS = 1.0
STALL_SECONDS = 3.0
"""Longer than this without a look at the clock, and the process has stood still."""
LATE_SECONDS = 0.5
MOMENT_SECONDS = 1.0
"""How long a timer that comes late waits for what is still to be read."""
EXACT_SECONDS = 0.001


@implementer(IReactorTime)
class PatientClock:
    """Seconds and timers in which a stall of the process is left out."""

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._left_out = 0.0
        self._looked_at = 0.0
        self._looking = LoopingCall(self.seconds)
        self._looking.clock = reactor

    def start(self) -> None:
        """Look out for stalls. Before this, and after `stop`, none is noticed."""
        self._looked_at = self.reactor.seconds()
        _ = self._looking.start(LOOK_SECONDS).addErrback(
            lambda failure: self._log.failure("cannot look at the clock", failure=failure)
        )

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()

    def seconds(self) -> float:
        now: float = self.reactor.seconds()
        if self._looking.running:
            passed, self._looked_at = now - self._looked_at, now
            if passed > STALL_SECONDS or passed < 0:
                self._left_out += passed - (LOOK_SECONDS if passed > 0 else 0.0)
                self._log.warn("this process stood still, or the clock was set: {passed:.1f} s", passed=passed)
        return now - self._left_out

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        return PatientCall(self, delay, lambda: callable(*args, **kwargs))

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        calls: Sequence[IDelayedCall] = self.reactor.getDelayedCalls()
        return calls


@implementer(IDelayedCall)
class PatientCall:
    """One timer of a PatientClock."""

    def __init__(self, clock: PatientClock, delay: float, call: Callable[[], Any]) -> None:
        self._clock = clock
        self._call = call
        self._waited = False
        self._wait(delay)

    def _wait(self, delay: float) -> None:
        self._due = self._clock.seconds() + delay
        self._planned = self._clock.reactor.seconds() + delay
        self._inner: IDelayedCall = self._clock.reactor.callLater(delay, self._fire)

    def _fire(self) -> None:
        left = self._due - self._clock.seconds()
        if not self._waited and self._clock.reactor.seconds() - self._planned > LATE_SECONDS:
            self._waited = True
            left = max(left, MOMENT_SECONDS)
        if left > EXACT_SECONDS:
            self._wait(left)
        else:
            self._call()

    def getTime(self) -> float:
        return self._inner.getTime()

    def cancel(self) -> None:
        self._inner.cancel()

    def delay(self, secondsLater: float) -> None:
        self.reset(self._due - self._clock.seconds() + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        self._inner.cancel()
        self._wait(secondsFromNow)

    def active(self) -> bool:
        return bool(self._inner.active())
