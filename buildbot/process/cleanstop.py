"""A clean shutdown: nothing new begins, what runs comes to its end, then the process stops.

It is bounded: when its time is up the process stops all the same, and what still runs is left to its slaves. Until then
it can be called off. It lives in memory: a master that is started again knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twisted.logger import Logger

from buildbot.process.running import RunningBuilds
from buildbot.store import Store, actions

CLEAN_SECONDS = 3600.0
LOOK_SECONDS = 0.25


class Waiting(NamedTuple):
    """A build that is waited for."""

    builder: str
    number: int
    slave: str
    started_at: float


class Stopping(NamedTuple):
    """A clean shutdown that is under way."""

    who: str
    why: str
    since: float
    until: float  # then the process stops without waiting
    waits_for: tuple[Waiting, ...]


class CleanStop:
    """The doorbell's worker. `stop()` ends the process; `changed(stopping, who)` is told when one begins, goes on to
    wait for other builds, or (None, and by whom) is called off."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        running: RunningBuilds,
        now: Callable[[], float],
        stop: Callable[[], object],
        changed: Callable[[Stopping | None, str], object],
    ) -> None:
        self._store = store
        self._running = running
        self._now = now
        self._stop = stop
        self._changed = changed
        self._asked: Stopping | None = None
        self._told: Sequence[Waiting] = ()

    @property
    def under_way(self) -> Stopping | None:
        """What is waited for now; None when no clean shutdown was asked for."""
        return None if self._asked is None else self._asked._replace(waits_for=self._waits_for())

    def begin(self, who: str, why: str, seconds: float = CLEAN_SECONDS) -> bool:
        """Start nothing new, and stop the process when nothing runs, at the latest in so many seconds.

        False when that is so already: the first time limit stays.
        """
        if self._asked is not None:
            self._log.info("{who} asks for a clean shutdown, which is under way already", who=who)
            return False
        self._store.transact_durable(
            actions.add, who=who, what="clean shutdown", subject="master", why=why, now=self._now()
        )
        self._running.draining = True
        self._asked = Stopping(who, self._store.hide(why), self._now(), self._now() + seconds, ())
        self._log.info(
            "clean shutdown, asked for by {who}: no new builds; it waits at most {seconds:.0f} s",
            who=who,
            seconds=seconds,
        )
        self._tell()
        return True

    def call_off(self, who: str, why: str) -> bool:
        """Go on as before. False when no clean shutdown is under way."""
        if self._asked is None:
            return False
        self._store.transact_durable(
            actions.add, who=who, what="call off the clean shutdown", subject="master", why=why, now=self._now()
        )
        self._asked = None
        self._running.draining = False
        self._log.info("the clean shutdown is called off by {who}", who=who)
        self._changed(None, who)
        return True

    def run(self, now: float) -> float | None:
        """Stop if it is time to; otherwise say what is waited for."""
        if self._asked is None:
            return None
        waits_for = self._waits_for()
        if waits_for and now < self._asked.until:
            if waits_for != self._told:
                self._tell()
            return now + LOOK_SECONDS
        if waits_for:
            self._log.warn(
                "clean shutdown: the time is up and {builds} still runs; the master stops, the slaves are left with it",
                builds=in_words(waits_for),
            )
        else:
            self._log.info("clean shutdown: nothing runs any more")
        self._asked = None  # once is enough
        self._stop()
        return None

    def _waits_for(self) -> tuple[Waiting, ...]:
        running = self._running.by_id.values()
        return tuple(
            Waiting(build.builder_name, build.number, build.slavename, build.row.started_at) for build in running
        )

    def _tell(self) -> None:
        self._told = self._waits_for()
        self._log.info("clean shutdown: waiting for {builds}", builds=in_words(self._told) or "nothing")
        self._changed(self.under_way, "")


def in_words(waits_for: Sequence[Waiting]) -> str:
    """The builds with their slaves."""
    return ", ".join(f"{each.builder} #{each.number} on {each.slave}" for each in waits_for)
