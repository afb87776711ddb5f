"""How long connections may keep the reactor busy at a time.

When hundreds of slaves come at once, all that they send is there at once, and the reactor would hand on all of it in
one turn. Here each connection asks whether there is time left in this turn, and goes on in a later one if there is not,
those that have waited longest first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

TURN_SECONDS = 0.025


class Turns:
    """Shares out the turns of one reactor."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._until: float | None = None  # None: nobody has asked in this turn
        self._waiting: deque[Callable[[], None]] = deque()

    def has_time(self) -> bool:
        """Whether something more may be done in this turn."""
        now = self._clock.seconds()
        if self._until is None:
            self._until = now + TURN_SECONDS
            self._clock.callLater(0, self._next_turn)
        return now < self._until

    def later(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` in a later turn. It asks again whether there is time."""
        self._waiting.append(go_on)

    def _next_turn(self) -> None:
        self._until = None
        while self._waiting and self.has_time():
            self._waiting.popleft()()
