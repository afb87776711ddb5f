"""Load a configuration beside the running master: in a thread, with a deadline, so that no master.cfg stalls it."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure

from buildbot.config.errors import Collecting, ConfigErrors, Problem
from buildbot.config.loader import load_config
from buildbot.config.master import Config


class _TooLate(BaseException):
    """Raised inside the thread that took too long, to end it."""


class ReactorForLoading(IReactorTime, IReactorFromThreads):
    """What loading asks of the reactor."""


async def load_config_aside(path: str | Path, reactor: ReactorForLoading, timeout_seconds: float = 60) -> Config:
    """Like `load_config`, without holding up the reactor. One at a time.

    Raises ConfigErrors, also when the file is not through after `timeout_seconds`; it then names the line it is at.
    The thread is asked to stop, which a loop in Python does and a call that never returns cannot.
    """
    file = Path(path).absolute()
    answer: Deferred[Config] = Deferred()

    def tell(result: Config | Failure) -> None:
        if not answer.called:
            deadline.cancel()
            answer.callback(result)

    def load() -> None:
        result: Config | Failure
        try:
            result = load_config(file)
        except _TooLate:
            return
        except BaseException:
            result = Failure()
        reactor.callFromThread(tell, result)

    def too_late() -> None:
        problem = _too_late(file, thread, timeout_seconds)
        _stop(thread)
        answer.errback(ConfigErrors([problem]))

    thread = threading.Thread(target=load, name="loading master.cfg", daemon=True)
    deadline = reactor.callLater(timeout_seconds, too_late)
    thread.start()
    return await answer


def _too_late(file: Path, thread: threading.Thread, timeout_seconds: float) -> Problem:
    """Names the deadline and the user's line at which the thread is."""
    frame = sys._current_frames().get(thread.ident or 0)
    place = Collecting(str(file), str(file.parent)).place_in(frame)
    message = f"the configuration did not load within {timeout_seconds:g} seconds"
    if place is None:
        return Problem(message, str(file))
    return Problem(message, place.file, place.line, "it was at this line when the time was over")


def _stop(thread: threading.Thread) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_TooLate))
