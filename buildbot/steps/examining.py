"""Looking at each line of a step's output with what the configuration gives for it: patterns, functions.

Such a pattern may take for ever with a line that nobody thought of, and its output comes from outside. So a line is
given up after some milliseconds, a turn of the reactor is used for no more than a part of it, and after too many lines
that were given up the rest is not looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from twisted.internet.defer import Deferred

from buildbot.process.observers import LogLineObserver
from buildbot.process.timelimit import LIMIT, TookTooLong
from buildbot.store.logfiles import Channel

MOST_EXAMINED = 4096  # characters of a line
LINE_SECONDS = 0.02
TURN_SECONDS = 0.01  # then the reactor has its turn; a line that is begun comes on top
MOST_GIVEN_UP = 50
MOST_WAITING = 4 << 20  # characters of lines that wait for another turn


class LineWatcher(LogLineObserver):
    """Calls `see(line)` for each line of both streams, at once: for code of ours, whose patterns are harmless."""

    def __init__(self, see: Callable[[str], object]) -> None:
        super().__init__()
        self._see = see

    def outLineReceived(self, line: str) -> None:
        self._see(line[:MOST_EXAMINED])

    errLineReceived = outLineReceived


class LineExaminer(LogLineObserver):
    """Calls `examine(line)` for each line of both streams. The step awaits `done()` when its command has ended."""

    def __init__(self, examine: Callable[[str], object]) -> None:
        super().__init__()
        self._examine = examine
        self._waiting: deque[str] = deque()
        self._size = 0
        self._spent = 0.0  # in this turn
        self._next: Any = None
        self._done: Deferred[None] | None = None
        self.given_up = 0
        self.left_out = 0
        self.problem: Exception | None = None  # what `examine` raised first

    def got(self, channel: Channel, text: str) -> None:
        super().got(channel, text)
        self._work()

    def command_ended(self) -> None:
        super().command_ended()
        self._work()

    def outLineReceived(self, line: str) -> None:
        if self.given_up >= MOST_GIVEN_UP or self._size > MOST_WAITING:
            self.left_out += 1
        else:
            self._waiting.append(line[:MOST_EXAMINED])
            self._size += min(len(line), MOST_EXAMINED)

    errLineReceived = outLineReceived

    async def done(self) -> None:
        """When all that came has been looked at. Raises what looking at a line raised."""
        if self._waiting:
            self._done = Deferred()
            await self._done
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self.problem is not None:
            raise self.problem

    def what_was_missed(self) -> str | None:
        """A sentence about the lines that were not looked at, if there are any."""
        missed = self.given_up + self.left_out
        if not missed:
            return None
        return f"{missed} lines were not examined: the patterns of this step take too long with them"

    def _work(self) -> None:
        """Look at what waits, as long as there is time in this turn."""
        if not self._waiting:
            return
        if self._next is None:
            self._next = self.step.build.clock.callLater(0, self._another_turn)
        begun = perf_counter()
        left = TURN_SECONDS - self._spent
        if left > 0:
            try:
                LIMIT.within(left + LINE_SECONDS, partial(self._look_until, begun + left))
            except TookTooLong:  # the line that was begun last has had its time, and more
                self.given_up += 1
        if self.given_up >= MOST_GIVEN_UP:
            self.left_out += len(self._waiting)
            self._waiting.clear()
        self._spent += perf_counter() - begun

    def _look_until(self, end: float) -> None:
        waiting, examine = self._waiting, self._examine
        while waiting and perf_counter() <= end:
            line = waiting.popleft()
            self._size -= len(line)
            try:
                examine(line)
            except Exception as bug:
                self.problem = self.problem or bug

    def _another_turn(self) -> None:
        self._next = None
        self._spent = 0.0
        if self.step.over or self.step.build.left:  # nobody waits for it any more
            self._waiting.clear()
        self._work()
        if not self._waiting and self._done is not None:
            done, self._done = self._done, None
            done.callback(None)
