"""Which request is built next, where: the worker that turns pending requests and free slaves into running builds.

`free_slaves` is the rule, a pure function of who is here and what runs. `Assigning` carries it out: it takes the next
request, lets the user's own functions choose, claims the request and makes the build in one transaction, and starts it
after the commit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.logger import Logger

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuilderID, BuildID, BuildRequest
from buildbot.process.build import Build, BuildServices
from buildbot.process.slaveport import SlaveSession
from buildbot.store import Store, builds, buildsets, pauses, requests
from buildbot.store.requests import AlreadyClaimed


class Busy(NamedTuple):
    """One running build, as far as it keeps others from starting."""

    builder: str
    slave: str


def free_slaves(builder: BuilderConfig, here: Mapping[str, int | None], busy: Collection[Busy]) -> list[str]:
    """The slaves on which this builder may start a build now: connected, with room, not building it already.

    here: the connected slaves, each with how many builds it takes at once (None: no limit). busy: what runs.
    """
    if builder.max_running is not None and sum(b.builder == builder.name for b in busy) >= builder.max_running:
        return []
    free = []
    for name in builder.slavenames:
        if name not in here:
            continue
        most, builds_there = here[name], [b.builder for b in busy if b.slave == name]
        if (most is None or len(builds_there) < most) and builder.name not in builds_there:
            free.append(name)
    return free


class RunningBuilds:
    """The builds of this process that are under way."""

    def __init__(self) -> None:
        self.by_id: dict[BuildID, Build] = {}
        self.draining = False  # a clean shutdown: nothing new starts

    def busy(self) -> list[Busy]:
        return [Busy(build.builder_name, build.slavename) for build in self.by_id.values()]

    def on_slave(self, slave: str) -> list[Build]:
        return [build for build in self.by_id.values() if build.slavename == slave]


class Assigning:
    """The doorbell's worker. `sessions` gives the connected slaves by name, `config` the builders and slaves."""

    _log = Logger()

    def __init__(
        self,
        *,
        running: RunningBuilds,
        services: Callable[[], BuildServices],
        sessions: Callable[[], Mapping[str, SlaveSession]],
        config: Callable[[], Any],
        builder_ids: Callable[[], Mapping[str, BuilderID]],
        pick: Callable[[Sequence[str]], str] = random.choice,
    ) -> None:
        self._running = running
        self._services = services
        self._sessions = sessions
        self._config = config
        self._builder_ids = builder_ids
        self._pick = pick

    async def run(self, now: float) -> float | None:
        """Start whatever can be started. Each builder gets one slave before any gets a second."""
        if self._running.draining:
            return None
        store = self._services().store
        waiting = await self._in_order(requests.builders_with_pending(store))
        while waiting:
            again = []
            for builder in waiting:
                if await self._start_one(store, builder):
                    again.append(builder)
            waiting = again
        return None

    async def _in_order(self, pending: Iterable[BuilderID]) -> list[BuilderConfig]:
        config = self._config()
        names = {id: name for name, id in self._builder_ids().items()}
        found = [config.builder(names[id]) for id in pending if id in names]
        builders = [builder for builder in found if builder is not None]
        prioritize = config.other.get("prioritizeBuilders")
        if prioritize is None or not builders:
            return builders
        try:
            ordered = await _answer(prioritize(None, list(builders)))
            return [builder for builder in ordered if builder in builders]
        except CancelledError:
            raise
        except Exception:
            self._log.failure("prioritizeBuilders failed; the builders go by their oldest requests")
            return builders

    async def _start_one(self, store: Store, config: BuilderConfig) -> bool:
        """Start one build of this builder, if it has a request and a slave."""
        if pauses.get(store, pauses.Kind.BUILDER, config.name) is not None:
            return False
        slaves = {slave.name: slave for slave in self._config().slaves}
        here = {name: slaves[name].max_builds for name in self._here(store) if name in slaves}
        free = free_slaves(config, here, self._running.busy())
        if not free:
            return False
        request = await self._next_request(store, config)
        if request is None:
            return False
        slave = await self._choose_slave(config, free, request)
        if slave is None or slave not in self._here(store):
            return False
        session = self._sessions()[slave]
        try:
            row = store.transact(
                builds.start,
                builder=self._builder_ids()[config.name],
                slave=session.id,
                claimed=[request.id],
                reason=_reason(store, request),
                now=self._services().now(),
            )
        except AlreadyClaimed:
            return True  # someone cancelled it meanwhile; there may be another
        self._launch(
            Build(
                row,
                config=config,
                slave=slaves[slave],
                session=session,
                requests=[request],
                services=self._services(),
            )
        )
        return True

    def _here(self, store: Store) -> list[str]:
        """The connected slaves that nobody has paused."""
        paused = pauses.all_of(store, pauses.Kind.SLAVE)
        return [name for name in self._sessions() if name not in paused]

    def _launch(self, build: Build) -> None:
        self._running.by_id[build.id] = build
        self._log.info("{build} started on {slave}", build=build, slave=build.slavename)

        def over(value: Any) -> None:
            self._running.by_id.pop(build.id, None)
            if value is not None and not value.check(CancelledError):
                self._log.failure("{build} could not be finished", value, build=build)

        ensureDeferred(build.run()).addBoth(over)  # type: ignore[unused-awaitable]  # ends in the store

    async def _next_request(self, store: Store, config: BuilderConfig) -> BuildRequest | None:
        builder = self._builder_ids()[config.name]
        if config.nextBuild is None:
            return requests.next_pending(store, builder)
        pending = [request for request in requests.pending(store, builder) if request.parked_reason is None]
        if not pending:
            return None
        try:
            chosen: BuildRequest | None = await _answer(config.nextBuild(config, pending))
        except CancelledError:
            raise
        except Exception:
            self._log.failure("nextBuild of {builder} failed; it builds nothing", builder=config.name)
            return None
        return chosen if chosen in pending else None

    async def _choose_slave(self, config: BuilderConfig, free: list[str], request: BuildRequest) -> str | None:
        sessions = self._sessions()
        try:
            if config.canStartBuild is not None:
                allowed = []
                for name in free:
                    if await _answer(config.canStartBuild(config, sessions[name], request)):
                        allowed.append(name)
                free = allowed
            choose = config.choose_slave() or self._config().other.get("select_next_worker")
            if choose is None:
                return self._pick(free) if free else None
            chosen = await _answer(choose(config, [sessions[name] for name in free], request))
        except CancelledError:
            raise
        except Exception:
            self._log.failure("choosing a slave for {builder} failed; it builds nothing", builder=config.name)
            return None
        return next((name for name in free if name == getattr(chosen, "name", None)), None)


def _reason(store: Store, request: BuildRequest) -> str:
    buildset = buildsets.get(store, request.buildset_id)
    return "" if buildset is None else buildset.reason


async def _answer(value: Any) -> Any:
    return await value if isawaitable(value) else value
