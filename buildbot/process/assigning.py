"""Which request is built next, where: the worker that turns pending requests and free slaves into running builds.

The rule is in `assignment`, a pure function of what waits, who is here and what runs. `Assigning` carries it out: it
lets the user's own functions choose, takes along what may be merged, claims it all and makes the build in one
transaction, and starts it after the commit.

While a clean shutdown drains the master, only those requests are built for which a running build waits: it would never
end without them.

A pass costs the same however many requests wait: it asks for the first of each builder that has a free slave, and
looks at no more than `MOST_OFFERED` requests where a function of the user's chooses among them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from buildbot import model
from buildbot.config.builder import BuilderConfig
from buildbot.model import BuilderID, BuildRequestID
from buildbot.process import merging
from buildbot.process.assignment import Board, Given, Head, hand_out
from buildbot.process.build import BuildServices, new_build
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildsetup import set_up_properties
from buildbot.process.locks import Wants, wants_of
from buildbot.process.lockturns import LockTurns, Prospect, locks_of_build
from buildbot.process.properties import needs_rendering
from buildbot.process.recipe import recipe_of
from buildbot.process.running import RunningBuilds
from buildbot.process.slaveport import SlaveSession
from buildbot.process.userviews import BuilderView, MasterView, SlaveView
from buildbot.process.waiting import InTheWay
from buildbot.store import Store, builds, pauses, queue, requests
from buildbot.store.queue import Asked
from buildbot.store.requests import AlreadyClaimed

MOST_OFFERED = 200  # requests that a function of the user's may choose from
MOST_REFUSED = 50  # requests that it may refuse in one pass


class Stale(Exception):
    """What a pass has looked at has changed while a function of the user's was thinking."""


class Assigning:
    """The doorbell's worker. `sessions` gives the connected slaves by name, `config` the builders and slaves.

    `refusals` says, for builders that had a free slave at their last turn, why the user's functions started nothing: of
    single requests, or (None) of all that wait.
    """

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
        self.refusals: dict[str, dict[BuildRequestID | None, str]] = {}
        self._running = running
        self._services = services
        self._sessions = sessions
        self._config = config
        self._builder_ids = builder_ids
        self._pick = pick
        self._turns = LockTurns(running.locks, 0.0)  # of the last pass

    def in_the_way(self, builder: BuilderConfig) -> InTheWay:
        """What keeps this builder's requests waiting that the store does not know."""
        return InTheWay(
            draining=self._running.draining,
            refusals=self.refusals.get(builder.name, {}),
            locks=self._turns.said_of(builder.name),
        )

    async def run(self, now: float) -> float | None:
        """Start whatever can be started."""
        turns = LockTurns(self._running.locks, now)
        try:
            if not self._running.closed:
                await _Pass(self, turns).run()
        except Stale:
            return now
        turns.end()
        self._turns = turns
        return None


class _Pass:
    """One pass, over one configuration. The board is only ever too careful: builds may end while functions think."""

    def __init__(self, assigning: Assigning, turns: LockTurns) -> None:
        self._of = assigning
        self._turns = turns
        self._log = assigning._log
        self._draining = assigning._running.draining
        self._services = assigning._services()
        self._store: Store = self._services.store
        self._config = assigning._config()
        self._ids = assigning._builder_ids()
        self._slaves = {slave.name: slave for slave in self._config.slaves}
        here = {name: self._slaves[name].max_builds for name in self._here() if name in self._slaves}
        self._board = Board(here, assigning._running.busy())
        self._master = MasterView(self._store, self._config)

    def _here(self) -> list[str]:
        """The connected slaves that nobody has paused."""
        paused = pauses.all_of(self._store, pauses.Kind.SLAVE)
        return [name for name in self._of._sessions() if name not in paused]

    async def run(self) -> None:
        paused = pauses.all_of(self._store, pauses.Kind.BUILDER)
        able = {
            self._ids[builder.name]: builder
            for builder in self._config.builders
            if builder.name in self._ids and builder.name not in paused and self._board.free_for(builder)
        }
        if not able:
            return
        found = queue.heads(self._store, list(able), only_children=self._draining)
        heads = [self._head(able[id], request) for id, request in found.items()]
        for builder in able.values():
            self._of.refusals.pop(builder.name, None)
        rank = await self._ranks(able, found)
        await hand_out(self._board, {b.name: b for b in able.values()}, heads, self._start, rank)

    def _head(self, builder: BuilderConfig, request: model.BuildRequest) -> Head:
        return Head(builder.name, request.priority + builder.priority, request.submitted_at, request.id)

    async def _ranks(
        self, able: Mapping[BuilderID, BuilderConfig], found: Mapping[BuilderID, model.BuildRequest]
    ) -> dict[str, int] | None:
        """The user's own order of the builders, if there is one."""
        prioritize = self._config.other.get("prioritizeBuilders")
        if prioritize is None or not found:
            return None
        views = [BuilderView(able[id], id, request, self._store) for id, request in found.items()]
        views.sort(key=lambda view: self._config.builders.index(view.config))
        try:
            ordered = await _answer(prioritize(self._master, views))
            return {builder.name: place for place, builder in reversed(list(enumerate(ordered)))}
        except CancelledError:
            raise
        except Exception:
            self._log.failure("prioritizeBuilders failed; the builders go by their requests")
            return None

    async def _start(self, builder: BuilderConfig, free: list[str], head: Head) -> Given | None:
        """Start one build of this builder on one of these slaves, if its own functions want that."""
        chosen = await self._choose(builder, free)
        if chosen is None:
            return None
        request, slave, locks = chosen
        one = queue.asked(self._store, request.id)
        merged = {} if one is None else await self._merged(builder, one)
        self._check_still_so(builder, slave)
        if not self._turns.is_open(builder.name, locks):
            raise Stale
        if one is None:
            return self._given(builder, None)
        served = [one, *(other for _, other in merged.values())]
        try:
            row = self._store.transact(
                builds.start,
                builder=self._ids[builder.name],
                slave=self._of._sessions()[slave].id,
                claimed=[each.request.id for each in served],
                because={id: why for id, (why, _) in merged.items()},
                reason=merging.reason_of(served),
                now=self._services.now(),
                recipe=recipe_of(builder),
            )
        except AlreadyClaimed:
            return self._given(builder, None)  # someone cancelled one meanwhile; there may be others
        build = new_build(
            row,
            config=builder,
            slave=self._slaves[slave],
            session=self._of._sessions()[slave],
            requests=sorted((each.request for each in served), key=lambda each: each.id),
            services=self._services,
        )
        self._log.info("{build} started on {slave}", build=build, slave=slave)
        self._of._running.locks.hold(build.lock_user, locks, self._services.now())
        self._of._running.launch(build)
        return self._given(builder, slave)

    def _given(self, builder: BuilderConfig, slave: str | None) -> Given:
        left = queue.heads(self._store, [self._ids[builder.name]], only_children=self._draining)
        return Given(slave, next((self._head(builder, request) for request in left.values()), None))

    def _check_still_so(self, builder: BuilderConfig, slave: str) -> None:
        """Raises Stale when, after the user's functions have thought, nothing may be started so any more."""
        if (
            self._of._running.closed
            or self._of._running.draining is not self._draining
            or self._of._config() is not self._config
            or pauses.get(self._store, pauses.Kind.BUILDER, builder.name) is not None
            or slave not in self._here()
        ):
            raise Stale

    # -- choosing

    async def _choose(self, builder: BuilderConfig, free: list[str]) -> tuple[model.BuildRequest, str, Wants] | None:
        """A request, the slave for it, and the locks that it takes there. One that may start on no free slave does not
        keep the next ones waiting.
        """
        id = self._ids[builder.name]
        asks = builder.nextBuild is not None or builder.canStartBuild is not None or needs_rendering(builder.locks)
        offered = [
            BuildRequest(row, builder.name, self._store)
            for row in requests.pending(
                self._store, id, MOST_OFFERED if asks else 1, only_children=self._draining
            )
        ]
        view = BuilderView(builder, id, offered[0].row if offered else None, self._store)
        for _ in range(MOST_REFUSED):
            try:
                request = await self._choose_request(view, offered)
                locks = {} if request is None else await self._locks_on(builder, free, request)
                lockless = self._turns.open_to(builder.name, locks)
                slave = None if request is None or not lockless else await self._choose_slave(view, lockless, request)
            except (CancelledError, Stale):
                raise
            except Exception as wrong:
                self._log.failure("a function of builder {builder} failed; it builds nothing", builder=builder.name)
                what = type(wrong).__name__  # its text may hold anything
                self._refuse(builder, f"a function of its configuration failed ({what}; the log says more)", None)
                return None
            if request is None:
                return None
            if slave is not None:
                return request.row, slave, locks[slave]
            if not lockless:
                self._turns.wait(builder.name, locks)
                if not needs_rendering(builder.locks):
                    return None  # it is the same for every request
            offered.remove(request)
            if not offered:
                return None
        return None

    async def _locks_on(self, builder: BuilderConfig, free: list[str], request: BuildRequest) -> dict[str, Wants]:
        """The locks that a build of this request takes on each of these slaves."""
        found = {}
        for name in free:
            if needs_rendering(builder.locks):
                session = self._of._sessions().get(name)
                prospect = Prospect(builder, self._slaves[name], session, request, self._services)
                await set_up_properties(prospect)
                found[name] = await locks_of_build(builder, self._slaves[name], prospect)
            else:
                found[name] = wants_of([*builder.locks, *self._slaves[name].locks], name)
        return found

    def _refuse(self, builder: BuilderConfig, text: str, request: BuildRequest | None) -> None:
        about = None if request is None else request.row.id
        self._of.refusals.setdefault(builder.name, {})[about] = text

    async def _choose_request(self, builder: BuilderView, offered: list[BuildRequest]) -> BuildRequest | None:
        if builder.config.nextBuild is None or not offered:
            return offered[0] if offered else None
        chosen = await _answer(builder.config.nextBuild(builder, list(offered)))
        if chosen not in offered:
            self._refuse(builder.config, "its function nextBuild chose no request", None)
            return None
        return offered[offered.index(chosen)]

    async def _choose_slave(self, builder: BuilderView, free: list[str], request: BuildRequest) -> str | None:
        """The slave on which this request is built; None: on none of these."""
        choose = builder.config.choose_slave() or self._config.other.get("select_next_worker")
        may_start = builder.config.canStartBuild
        if choose is None and may_start is None:
            return self._of._pick(free)
        left = {name: self._slave_view(name) for name in free}
        while left:
            if choose is None:
                name: str | None = self._of._pick(list(left))
            else:
                chosen = await _answer(choose(builder, list(left.values()), request))
                name = chosen if isinstance(chosen, str) else getattr(chosen, "name", None)
            if name not in left:
                self._refuse(builder.config, "its function that chooses a slave chose none", request)
                return None
            if may_start is None or await _answer(may_start(builder, left[name], request)):
                return name
            del left[name]
        self._refuse(builder.config, f"its function canStartBuild said no for {_and(free)}", request)
        return None

    def _slave_view(self, name: str) -> SlaveView:
        session = self._of._sessions().get(name)
        if session is None:
            raise Stale
        return SlaveView(session, self._slaves[name])

    async def _merged(self, builder: BuilderConfig, one: Asked) -> dict[BuildRequestID, tuple[str, Asked]]:
        """What is built along with this request, and why."""
        rule, where = merging.rule_for(builder, self._config.other)
        if rule is False:
            return {}
        most = merging.MOST_COMPARED if rule is True else merging.MOST_ASKED
        others = queue.asked_of_builder(self._store, self._ids[builder.name], most)
        if rule is True:
            return await merging.merged_with(one, others, lambda other: _now(merging.why_compatible(one, other)))
        view = BuilderView(builder, self._ids[builder.name], one.request, self._store)
        first = (self._master, view) if merging.takes_the_master(rule) else (view,)
        chosen = BuildRequest(one.request, builder.name, self._store)

        async def ask(other: Asked) -> str | None:
            yes = await _answer(rule(*first, chosen, BuildRequest(other.request, builder.name, self._store)))
            return f"the function of {where} for merging requests says so" if yes else None

        try:
            return await merging.merged_with(one, others, ask)
        except CancelledError:
            raise
        except Exception:
            self._log.failure("merging requests of {builder} failed; it builds one by itself", builder=builder.name)
            return {}


async def _now(value: str | None) -> str | None:
    return value


def _and(names: Sequence[str]) -> str:
    shown = list(names[:3]) + ([f"{len(names) - 3} more"] if len(names) > 3 else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


async def _answer(value: Any) -> Any:
    return await value if isawaitable(value) else value
