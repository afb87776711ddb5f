"""Graceful shutdown: somebody at the slave's machine asks, by a signal or by touching a file, that it be retired."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

ALLOW_SIGNAL = "signal"
ALLOW_FILE = "file"
STAMP = "shutdown.stamp"
LOOK_SECONDS = 10.0


class Shutdown:
    """Watches for the request and passes it on, each time it is made."""

    _log = Logger()

    def __init__(self, *, how: str | None, basedir: Path, clock: Any, ask: Callable[[], None]) -> None:
        """`clock` is the reactor; `ask()` is called in its thread."""
        self._how = how
        self._stamp = basedir / STAMP
        self._clock = clock
        self._ask = ask
        self._seen: float | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._former: Any = None

    def start(self) -> None:
        if self._how == ALLOW_SIGNAL and hasattr(signal, "SIGHUP"):
            self._former = signal.signal(signal.SIGHUP, self._signalled)
        elif self._how == ALLOW_FILE:
            self._seen = self._touched()
            _ = self._looking.start(LOOK_SECONDS, now=False).addErrback(
                lambda failure: self._log.failure("cannot look for {stamp}", failure=failure, stamp=STAMP)
            )

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()
        if self._former is not None:
            signal.signal(signal.SIGHUP, self._former)
            self._former = None

    def _signalled(self, *_: object) -> None:
        self._clock.callFromThread(self._ask)

    def _look(self) -> None:
        touched = self._touched()
        if touched is not None and touched != self._seen:
            self._seen = touched
            self._ask()

    def _touched(self) -> float | None:
        try:
            return self._stamp.stat().st_mtime
        except OSError:
            return None
