"""The rule by which builds get slaves: who may have which slave, and whose turn it is. Nothing here waits or stores.

- Of all builders that have a request and a free slave, the one whose next request has the highest priority goes first
  (the request's own priority and its builder's together). Among equals each gets one slave before any gets a second,
  and then the one with the oldest request goes first. Where the user orders the builders, that order comes first.
- A slave is free for a builder when it has room for one more build (`max_builds`), fewer of this builder's builds than
  `max_builds_per_slave` run on it, and fewer than `max_running` of them run anywhere.

So no builder waits while a neighbour with newer requests of no higher priority gets a second slave that it could use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from buildbot.config.builder import BuilderConfig
from buildbot.process.running import Busy


class Head(NamedTuple):
    """The next request of a builder. priority: the request's and the builder's together."""

    builder: str
    priority: int
    submitted_at: float
    request: int


class Given(NamedTuple):
    """A slave was given away. next: what the builder has to build after that, if anything."""

    slave: str | None  # None: to nobody, after all
    next: Head | None


class Board:
    """Which slaves are free for whom. `take` is told of each build that starts.

    here: the slaves that may get builds, each with how many it takes at once (None: no limit). busy: what runs.
    """

    def __init__(self, here: Mapping[str, int | None], busy: Iterable[Busy]) -> None:
        running = list(busy)
        self._most = dict(here)
        self._of_builder = Counter(build.builder for build in running)
        self._on_slave = Counter(build.slave for build in running)
        self._pairs = Counter(running)
        self._roomy = {name for name in here if self.has_room(name)}

    def has_room(self, slave: str) -> bool:
        """Whether fewer builds run on this slave than its `max_builds` says."""
        most = self._most[slave]
        return most is None or self._on_slave[slave] < most

    def free_for(self, builder: BuilderConfig) -> list[str]:
        """The slaves on which this builder may start a build now, in the order of its configuration."""
        if self._roomy.isdisjoint(builder.slavenames) or self.is_at_its_limit(builder):
            return []
        return [
            name
            for name in builder.slavenames
            if name in self._roomy and self._pairs[Busy(builder.name, name)] < builder.max_builds_per_slave
        ]

    def is_at_its_limit(self, builder: BuilderConfig) -> bool:
        """Whether as many of its builds run as its `max_running` says."""
        return builder.max_running is not None and self._of_builder[builder.name] >= builder.max_running

    def take(self, builder: str, slave: str) -> None:
        """A build of this builder starts on this slave."""
        self._of_builder[builder] += 1
        self._on_slave[slave] += 1
        self._pairs[Busy(builder, slave)] += 1
        if slave in self._roomy and not self.has_room(slave):
            self._roomy.remove(slave)


async def hand_out(
    board: Board,
    builders: Mapping[str, BuilderConfig],
    heads: Iterable[Head],
    start: Callable[[BuilderConfig, list[str], Head], Awaitable[Given | None]],
    rank: Mapping[str, int] | None = None,
) -> None:
    """Give slaves to builders until nothing is left to give.

    start: has a builder start a build of a request on one of the slaves that are free for it. None: it does not want
    one now, and is asked no more in this pass. rank: the user's order of the builders.
    """

    def turn(head: Head, had: int) -> tuple[int, int, int, float, int, str]:
        first = 0 if rank is None else rank.get(head.builder, len(rank))
        return first, -head.priority, had, head.submitted_at, head.request, head.builder

    queue = [(turn(head, 0), head, 0) for head in heads]
    heapify(queue)
    while queue:
        _, head, had = heappop(queue)
        builder = builders[head.builder]
        free = board.free_for(builder)
        given = await start(builder, free, head) if free else None
        if given is None:
            continue
        if given.slave is not None:
            board.take(builder.name, given.slave)
        if given.next is not None:
            had += given.slave is not None
            heappush(queue, (turn(given.next, had), given.next, had))
