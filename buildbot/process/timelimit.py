"""A limit for a piece of work in the reactor's thread that may not come to its end: a regular expression of somebody's.

Python's own engine holds the interpreter while it matches, so that neither a thread nor a timer of the reactor ends
it; but it looks for signals. The one that is used here counts the time that this process computes, so that a busy
machine ends nothing earlier; what other threads compute, and what the garbage collector does, is taken off. Where there
is no such signal (on Windows), and in other threads, there is no limit.
"""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class TookTooLong(Exception):
    """The work was broken off at its limit."""


class _Now(BaseException):
    """Ends the work wherever it is; no `except Exception` of a configuration keeps it."""


class TimeLimit:
    """Breaks off what takes too long. One for the process, because its signal is."""

    def __init__(self) -> None:
        self._armed = False
        self._end_at = 0.0  # of the time of this thread
        self._collects_since: float | None = None  # the same time; None: the garbage collector does not run
        self._signal: Any = getattr(signal, "SIGVTALRM", None)

    def within(self, seconds: float, work: Callable[[], T]) -> T:
        """What `work()` gives. Raises TookTooLong when it has computed for so long; then a part of it was done."""
        if self._signal is None or threading.current_thread() is not threading.main_thread():
            return work()
        if signal.getsignal(self._signal) != self._end:
            signal.signal(self._signal, self._end)
        if self._collecting not in gc.callbacks:
            gc.callbacks.append(self._collecting)
        self._end_at = time.thread_time() + seconds
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        self._armed = True
        try:
            try:
                return work()
            finally:
                self._armed = False
        except _Now:
            raise TookTooLong(f"it was broken off after {seconds} s") from None
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _collecting(self, phase: str, _: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if phase == "start":
            self._collects_since = time.thread_time()
        elif self._collects_since is not None:
            self._end_at += time.thread_time() - self._collects_since
            self._collects_since = None

    def _end(self, *_: object) -> None:
        if not self._armed:
            return
        left = self._end_at - time.thread_time()
        if left > 0 or self._collects_since is not None:  # what is raised in the collector's call is lost
            signal.setitimer(signal.ITIMER_VIRTUAL, max(left, 0.001))
            return
        self._armed = False
        raise _Now


LIMIT = TimeLimit()
