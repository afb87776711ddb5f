"""Who is called when: the one bell that wakes everything that decides.

A *worker* is a function of the time: it looks into the store, does what is due, and answers the absolute time at which
it wants to be called again (None: not before someone rings). The rules:

- rings coalesce: any number of them before a worker's next run make one run;
- a full run begins after the last ring: a ring during a run makes another run after it;
- a worker never runs twice at once, and workers take turns: each run is a reactor turn of its own;
- a worker that answers a time in the past is called again after `FLOOR_SECONDS`, not at once;
- a worker that raises is logged, and called again by the next ring or after `RETRY_SECONDS`; the others run;
- once in `SWEEP_SECONDS` every worker runs, so that a lost ring heals: nothing important is only in the ring.

The idea is that of Buildbot 0.8's `util/loop.py` and of Concourse's scheduler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

Worker = Callable[[float], "float | Awaitable[float | None] | None"]

FLOOR_SECONDS = 0.05
RETRY_SECONDS = 10.0
SWEEP_SECONDS = 60.0


class Doorbell:
    """Wakes named workers. `clock` gives the delays, `now` the time of day that workers are told."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._workers: dict[str, Worker] = {}
        self._groups: dict[str, set[str]] = {}
        self._rung: dict[str, None] = {}  # in the order of their first ring
        self._running: dict[str, Deferred[None]] = {}
        self._timers: dict[str, IDelayedCall] = {}
        self._turn: IDelayedCall | None = None
        self._sweep: IDelayedCall | None = None
        self._open = False

    def add(self, name: str, worker: Worker, group: str | None = None) -> None:
        """Add a worker; it is rung at once. `group` is a second name under which several can be rung."""
        if name in self._workers:
            raise ValueError(f"there is a worker named {name!r} already")
        self._workers[name] = worker
        if group is not None:
            self._groups.setdefault(group, set()).add(name)
        self.ring(name)

    def remove(self, name: str) -> None:
        """The worker is not called any more; a run that is under way goes on to its end."""
        self._workers.pop(name, None)
        self._rung.pop(name, None)
        for members in self._groups.values():
            members.discard(name)
        self._forget_timer(name)

    def names(self) -> list[str]:
        return list(self._workers)

    def ring(self, *names: str) -> None:
        """Wake these workers or groups; without names, everyone. Names that nobody has are ignored."""
        for name in names or tuple(self._workers):
            if name in self._workers:
                self._rung[name] = None
            for member in sorted(self._groups.get(name, ())):
                self._rung[member] = None
        self._plan_turn()

    def start(self) -> None:
        """Begin to call workers. What was rung before is called first."""
        self._open = True
        self._plan_turn()
        self._sweep = self._clock.callLater(SWEEP_SECONDS, self._sweep_all)

    async def stop(self) -> None:
        """Call nobody any more, and wait for the runs that are under way."""
        self._open = False
        for timer in (self._turn, self._sweep, *self._timers.values()):
            if timer is not None and timer.active():
                timer.cancel()
        self._timers.clear()
        for running in list(self._running.values()):
            running.cancel()
            await running

    # -- inside

    def _plan_turn(self) -> None:
        if self._open and self._rung and (self._turn is None or not self._turn.active()):
            self._turn = self._clock.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        for name in self._rung:
            if name not in self._running:
                del self._rung[name]
                self._run(name)
                break
        else:
            return  # whoever is rung is running; its end plans the next turn
        self._plan_turn()

    def _run(self, name: str) -> None:
        self._forget_timer(name)
        try:
            answer = self._workers[name](self._now())
        except Exception:
            self._failed(name)
            return
        if isawaitable(answer):
            self._running[name] = ensureDeferred(self._await(name, answer))
            if self._running[name].called:
                del self._running[name]
            return
        try:
            self._plan_wake(name, answer)
        except Exception:  # what it answered is no time
            self._failed(name)

    async def _await(self, name: str, answer: Awaitable[float | None]) -> None:
        try:
            self._plan_wake(name, await answer)
        except CancelledError:
            if self._open:  # not by `stop`: something that the worker waited for was cancelled
                self._failed(name)
        except Exception:
            self._failed(name)
        finally:
            self._running.pop(name, None)
            self._plan_turn()

    def _failed(self, name: str) -> None:
        self._log.failure("the worker {name} failed; it runs again in {delay} s", name=name, delay=RETRY_SECONDS)
        self._plan_wake(name, self._now() + RETRY_SECONDS)

    def _plan_wake(self, name: str, wake_at: float | None) -> None:
        if wake_at is None or not self._open or name not in self._workers:
            return
        self._forget_timer(name)
        delay = max(wake_at - self._now(), FLOOR_SECONDS)
        self._timers[name] = self._clock.callLater(delay, self._wake, name)

    def _wake(self, name: str) -> None:
        self._timers.pop(name, None)
        self.ring(name)

    def _forget_timer(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _sweep_all(self) -> None:
        self._sweep = self._clock.callLater(SWEEP_SECONDS, self._sweep_all)
        self.ring()
