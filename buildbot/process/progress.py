"""Who hears that a running build has moved: in memory only, because only someone who looks now wants to know."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from buildbot.model import BuildID


class Progress:
    """Tells subscribers which build moved on (a step began or ended, a text changed)."""

    _log = Logger()

    def __init__(self) -> None:
        self._subscribers: list[Callable[[BuildID], object]] = []

    def subscribe(self, call: Callable[[BuildID], object]) -> Callable[[], None]:
        """Call this with the id of each build that moves. Returns what ends the subscription."""
        self._subscribers.append(call)

        def forget() -> None:
            if call in self._subscribers:
                self._subscribers.remove(call)

        return forget

    def tell(self, build: BuildID) -> None:
        for call in list(self._subscribers):
            try:
                call(build)
            except Exception:
                self._log.failure("telling of progress failed")
