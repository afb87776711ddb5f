"""The one way to start what nobody awaits."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


def in_background(work: Coroutine[Deferred[Any], Any, Any], *, doing: str) -> Deferred[None]:
    """Run `work`; a failure is logged as a bug of whoever was `doing` it. Cancel the answer to stop the work."""

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("failed while {doing}", failure=failure, doing=doing)

    return Deferred.fromCoroutine(work).addCallbacks(lambda _: None, failed)
