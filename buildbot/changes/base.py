"""What a change source is given, what it must be able to do, and the poll loop that several of them share."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from buildbot.config.errors import error
from buildbot.model import ChangeID, NewChange
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.store import sources
from buildbot.store.store import Store

LONGEST_BACK_OFF_SECONDS = 3600.0
STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceContext:
    """The running master, as far as a change source may know it.

    store: heads and the like are kept in `store.sources`, in the transaction that stores their changes.
    reactor: the clock, and what starts processes.
    now: the time of day.
    add_change: stores a change durably; raises when it is not stored, and then nobody may be told that it is.
    basedir: the master's directory.
    pb: the Perspective Broker ports.
    pb_ports: the endpoint strings of the slaves' ports (`c['protocols']`, `c['slavePortnum']`).
    git_slots: taken for as long as a git process runs, so that only a few run at once.
    secrets: what passwords in the configuration are asked of.
    """

    store: Store
    reactor: Any
    now: Callable[[], float]
    add_change: Callable[[NewChange], tuple[ChangeID, bool]]
    basedir: Path
    pb: PBPorts
    pb_ports: tuple[str, ...]
    git_slots: DeferredSemaphore
    secrets: Secrets


class ChangeSource:
    """Something that brings changes. `name` is unique in a configuration and the key of what the source remembers.

    Two sources of one class made with equal arguments are equal: a reconfiguration leaves the running one alone.
    """

    def __init__(self, *, name: str, settings: dict[str, Any]) -> None:
        if not name or not isinstance(name, str):
            error(f"{type(self).__name__}(): name must be a non-empty string, not {name!r}")
        self.name = str(name)
        self._settings = settings

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.name == other.name and self._settings == other._settings

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    async def start(self, context: SourceContext) -> None:
        """Begin to bring changes."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Bring no more changes; when this returns, nothing of the source runs any more."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for people."""
        return f"{type(self).__name__} {self.name}"


class PollingChangeSource(ChangeSource):
    """A source that looks for changes again and again; subclasses say how in `poll`.

    One poll at a time. The first comes at a point of the interval that depends on the name, so that hundreds of pollers
    do not all look at once. After a failure the interval doubles, up to an hour, until a poll succeeds.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        name: str,
        settings: dict[str, Any],
        pollInterval: float,
        pollAtLaunch: bool,
        pollRandomDelayMin: float = 0,
        pollRandomDelayMax: float = 0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(name=name, settings=settings)
        what = type(self).__name__
        if not _is_seconds(pollInterval) or pollInterval == 0:
            error(f"{what}(): pollInterval must be a number of seconds, not {pollInterval!r}")
            pollInterval = 600
        for argument, value in (("pollRandomDelayMin", pollRandomDelayMin), ("pollRandomDelayMax", pollRandomDelayMax)):
            if not _is_seconds(value) or value >= pollInterval:
                error(f"{what}(): {argument} must be seconds from 0 to below pollInterval, not {value!r}")
        if pollRandomDelayMin > pollRandomDelayMax:
            error(f"{what}(): pollRandomDelayMin is larger than pollRandomDelayMax")
        self.pollInterval = pollInterval
        self.pollAtLaunch = pollAtLaunch
        self._random_delay = (pollRandomDelayMin, pollRandomDelayMax)
        self._uniform = uniform
        self._timer: IDelayedCall | None = None
        self._polling: Deferred[None] | None = None
        self._failures = 0
        self._context: SourceContext | None = None

    async def poll(self) -> None:
        """Look once, and store what is new. Whatever it raises is shown as this source's last error."""
        raise NotImplementedError

    @property
    def context(self) -> SourceContext:
        assert self._context is not None, f"{self.name} is not started"
        return self._context

    async def start(self, context: SourceContext) -> None:
        self._context = context
        phase = zlib.crc32(self.name.encode("utf-8", "replace")) / 2**32
        self._plan(0 if self.pollAtLaunch else self.pollInterval * (1 - phase))

    async def stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._polling is not None:
            polling = self._polling
            polling.cancel()
            await polling

    def poll_soon(self) -> None:
        """Poll now rather than later; a poll that runs is not disturbed."""
        if self._timer is not None and self._timer.active():
            self._timer.reset(0)

    def poll_state(self) -> dict[str, Any]:
        """How it fares: `polled_at`, `succeeded_at`, `failed_at`, `failures` in a row, `error` (None), `interval`."""
        state: dict[str, Any] = sources.state(self.context.store, self.name, sources.POLL_STATE, {})
        return {"polled_at": None, "succeeded_at": None, "failed_at": None, "failures": 0, "error": None} | state

    # -- inside

    def _plan(self, delay: float) -> None:
        delay += self._uniform(*self._random_delay)
        self._timer = self.context.reactor.callLater(delay, self._begin)

    def _begin(self) -> None:
        polling = self._polling = ensureDeferred(self._poll_and_plan())
        if polling.called:
            self._polling = None

    async def _poll_and_plan(self) -> None:
        started_at = self.context.now()
        try:
            await self.poll()
        except CancelledError:
            return  # only `stop` cancels
        except Exception as problem:
            self._failed(started_at, problem)
        else:
            self._note(polled_at=started_at, succeeded_at=started_at, failures=0, error=None)
            if self._failures:
                self._log.info("{source} works again", source=self.name)
            self._failures = 0
        finally:
            self._polling = None
        backed_off = self.pollInterval * 2 ** min(self._failures, 12)
        longest = max(self.pollInterval, LONGEST_BACK_OFF_SECONDS)
        elapsed = self.context.now() - started_at
        self._plan(max(0.0, min(backed_off, longest) - max(elapsed, 0)))

    def _failed(self, started_at: float, problem: Exception) -> None:
        self._failures += 1
        text = self.error_text(problem)
        self._note(polled_at=started_at, failed_at=started_at, failures=self._failures, error=text)
        if self._failures in (1, STALE_INTERVALS) or self._failures % 100 == 0:
            self._log.error(
                "{source}: poll failed {failures} times in a row, trying again in a while: {problem}",
                source=self.name,
                failures=self._failures,
                problem=text,
            )
        if not isinstance(problem, PollFailed) and self._failures == 1:
            self._log.failure("{source}: the poll failed unexpectedly", source=self.name)

    def error_text(self, problem: Exception) -> str:
        """What is shown of an error. Override it to leave secrets out."""
        return f"{problem}" if isinstance(problem, PollFailed) else f"{type(problem).__name__}: {problem}"

    def _note(self, **facts: Any) -> None:
        store = self.context.store
        state = sources.state(store, self.name, sources.POLL_STATE, {}) | facts | {"interval": self.pollInterval}
        try:
            store.transact(sources.set_state, self.name, sources.POLL_STATE, state)
        except Exception:
            self._log.failure("{source}: how it fares could not be stored", source=self.name)


class PollFailed(Exception):
    """Looking for changes failed for a reason outside of us; the text is shown to people."""


def _is_seconds(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
