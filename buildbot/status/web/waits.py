"""What the pages that say why requests wait have in common: the situation of their builders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildRequestID
from buildbot.process.assignment import Head
from buildbot.process.estimates import usual_of
from buildbot.process.waiting import InTheWay, Place, Snapshot, Why, order_of, why_waiting
from buildbot.status.web.pages import Master
from buildbot.store import queue

LONGEST_LINE = 1000  # requests of a builder that are looked at, or fewer of each when there are many builders
SHORTEST_LINE = 50


class Request(Protocol):
    """What is asked of a request, whatever row it comes from."""

    @property
    def id(self) -> BuildRequestID: ...
    @property
    def priority(self) -> int: ...
    @property
    def submitted_at(self) -> float: ...
    @property
    def parked_reason(self) -> str | None: ...
    @property
    def waited_for(self) -> int: ...


class Waits:
    """Why requests of some builders wait. One statement, however many there are."""

    def __init__(self, master: Master, builders: Iterable[str], now: float) -> None:
        self._master = master
        self._now = now
        self._most = {slave.name: slave.max_builds for slave in master.config.slaves}
        configs = {name: master.config.builder(name) for name in builders}
        self._all = {each.name: each for each in master.config.builders}
        self._alike: dict[tuple[str, ...], set[str]] = {}  # builders with the same slaves, of which there are many
        for each in master.config.builders:
            self._alike.setdefault(each.slavenames, set()).add(each.name)
        self._users: dict[str, set[tuple[str, ...]]] = {}  # of each slave: who is alike
        for names in self._alike:
            for slave in names:
                self._users.setdefault(slave, set()).add(names)
        self._rivals_on: dict[tuple[str, ...], set[str]] = {}
        used = {slave for config in configs.values() if config is not None for slave in config.slavenames}
        wanted = self._rivals(tuple(used))
        self._line = max(LONGEST_LINE // max(len(configs), 1), SHORTEST_LINE)
        self._found = queue.situation(master.store, list(configs), sorted(used), sorted(wanted), line=self._line)
        heads = [
            Head(name, priority + self._all[name].priority, submitted_at, request)
            for name, request, priority, submitted_at in self._found.heads
        ]
        self._heads = sorted(heads, key=order_of)
        self._snapshots = {name: self._snapshot(name, config) for name, config in configs.items()}

    def why(self, builder: str, request: Request) -> Why:
        """Why this request of one of the builders is not being built."""
        return why_waiting(self._place(builder, request), self._snapshots[builder])

    def _place(self, builder: str, request: Request) -> Place:
        first = self._found.lines[builder].first
        ahead = 0
        if request.parked_reason is None:
            ahead = next((at for at, (id, _) in enumerate(first) if id == request.id), len(first))
        before, priority = first[0] if ahead else (None, 0)
        return Place(
            request.id,
            request.priority,
            request.submitted_at,
            ahead,
            before,
            priority,
            parked_reason=request.parked_reason,
            waited_for=bool(request.waited_for),
            more=ahead == self._line,
        )

    def _snapshot(self, name: str, config: BuilderConfig | None) -> Snapshot:
        names = {} if config is None else dict.fromkeys(config.slavenames)
        line = self._found.lines[name]
        states = {slave: self._found.slaves[slave] for slave in names if slave in self._found.slaves}
        here = [each for each, state in states.items() if state.connected_at is not None and state.pause is None]
        rivals = self._rivals(tuple(here)) - {name}
        return Snapshot(
            now=self._now,
            builder=config,
            most=self._most,
            slaves=states,
            running=[build for build in self._found.running if build.builder == name or build.slave in names],
            pause=line.pause,
            rivals=[head for head in self._heads if head.builder in rivals],
            usual_seconds=usual_of(line.earlier),
            in_the_way=InTheWay() if config is None else self._master.in_the_way(config),
        )

    def _rivals(self, slaves: tuple[str, ...]) -> set[str]:
        """The builders that could use one of these slaves."""
        if slaves not in self._rivals_on:
            alike = set().union(*(self._users.get(slave, ()) for slave in slaves))
            self._rivals_on[slaves] = set().union(*(self._alike[names] for names in alike))
        return self._rivals_on[slaves]
