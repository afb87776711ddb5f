"""Why a request waits, in words, and about when its build begins. Pure: everything comes in as a `Snapshot`.

The reasons are told in the order in which one must be dealt with before the next one matters: what concerns every
builder, then the builder itself, its slaves, its locks, its own functions, and last who goes before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildRequestID
from buildbot.process.assignment import Board, Head
from buildbot.process.estimates import usual_of
from buildbot.process.running import Busy
from buildbot.store.pauses import Pause
from buildbot.store.queue import Running, SlaveNow

SHOWN = 4  # of what may be many, such as slaves


# why a function of the user's let nothing start on a free slave: of one request, or (None) of all that wait
Refusals = Mapping[BuildRequestID | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InTheWay:
    """What only the running process knows. locks: for each slave, in words, who holds what its builds would need."""

    draining: bool = False
    refusals: Refusals = field(default_factory=dict)
    locks: Mapping[str, Sequence[str]] = field(default_factory=dict)


def nothing_in_the_way(builder: BuilderConfig) -> InTheWay:
    """Where no process runs that could know."""
    return InTheWay()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one builder's requests wait for, at one moment.

    builder: None when the configuration does not name it any more. most: the max_builds of its slaves. rivals: the next
    requests of other builders that nobody has paused and that could use those of its slaves that are here, in the
    order in which they are served; their priorities are those of request and builder together.
    """

    now: float
    builder: BuilderConfig | None
    most: Mapping[str, int | None]
    slaves: Mapping[str, SlaveNow]
    running: Sequence[Running]
    pause: Pause | None
    rivals: Sequence[Head]
    usual_seconds: float | None
    in_the_way: InTheWay


class Place(NamedTuple):
    """A request's place in its builder's queue. first: what is built before it. more: at least
    `ahead` go before it.
    waited_for: by a running build."""

    request: BuildRequestID
    priority: int
    submitted_at: float
    ahead: int
    first: BuildRequestID | None
    first_priority: int
    parked_reason: str | None = None
    waited_for: bool = False
    more: bool = False


class Why(NamedTuple):
    """reasons: sentences, the most important first. starts_at: about when (epoch seconds); None: nobody knows."""

    reasons: tuple[str, ...]
    starts_at: float | None

    @property
    def text(self) -> str:
        return "; ".join(self.reasons)


def why_waiting(place: Place, at: Snapshot) -> Why:
    """Why this request is not being built."""
    builder = at.builder
    if place.parked_reason is not None:
        return Why((f"parked: {place.parked_reason}",), None)
    if builder is None:
        return Why(("the configuration does not name its builder any more",), None)
    if at.in_the_way.draining and not place.waited_for:
        return Why(("the master is being shut down: nothing new begins",), None)
    if at.pause is not None:
        return Why((f"the builder is {_paused(at.pause)}",), None)
    usable = [name for name in builder.slavenames if _usable(at, name)]
    if not usable:
        return Why((_nobody_here(builder, at),), None)
    refusal = at.in_the_way.refusals.get(place.request)
    if refusal is not None:
        return Why((refusal,), None)
    head = _of_the_builder(builder, usable, at)
    before = _outdone_by(place, builder, at) if head.contested else ()
    reasons = [head.reason] if head.reason else []
    if place.ahead:
        reasons.append(_behind(place))
    else:
        reasons.extend(_outdone(place, builder, before))
    start = None if head.open_ended or place.more else _start(builder, usable, at, place.ahead + len(before))
    return Why(tuple(reasons) or ("its turn comes now",), start)


class _First(NamedTuple):
    """What keeps the first of the queue waiting. open_ended: nobody knows how long that will last. contested: others
    may get the place that it waits for."""

    reason: str | None
    open_ended: bool
    contested: bool


def _of_the_builder(builder: BuilderConfig, usable: Sequence[str], at: Snapshot) -> _First:
    board = Board({name: at.most.get(name) for name in usable}, [Busy(b.builder, b.slave or "") for b in at.running])
    mine = [build for build in at.running if build.builder == builder.name]
    if board.is_at_its_limit(builder):
        return _First(f"as many of its builds run as max_running allows: {_builds(mine, at)}", False, False)
    free = board.free_for(builder)
    if not free:
        roomy = [name for name in usable if board.has_room(name)]  # only the builder's own builds keep it from these
        there = [b for b in at.running if b.slave in usable and (b.slave not in roomy or b.builder == builder.name)]
        what = "its slave is busy" if len(usable) == 1 else "all its slaves that are here are busy"
        most = builder.max_builds_per_slave
        if most > 1 and len(roomy) == len(usable):
            where = "its slave" if len(usable) == 1 else "each of its slaves that are here"
            what = f"as many of its builds run on {where} as max_builds_per_slave ({most}) allows"
        return _First(f"{what}: {_builds(there, at)}", False, len(roomy) < len(usable))
    locks = at.in_the_way.locks
    if all(locks.get(name) for name in free):
        held = list(dict.fromkeys(text for name in free for text in locks[name]))
        return _First(f"it waits for {_listed(held)}", True, False)
    refusal = at.in_the_way.refusals.get(None)
    return _First(refusal, refusal is not None, refusal is None)


def _usable(at: Snapshot, slave: str) -> bool:
    state = at.slaves.get(slave)
    return state is not None and state.connected_at is not None and state.pause is None


def _nobody_here(builder: BuilderConfig, at: Snapshot) -> str:
    said = []
    for name in builder.slavenames:
        state = at.slaves.get(name)
        if state is None or (state.connected_at is None and state.lost_at is None):
            said.append(f"{name} has never been here")
        elif state.connected_at is None and state.lost_at is not None:
            said.append(f"{name} has been away for {_span(at.now - state.lost_at)}")
        elif state.pause is not None:
            said.append(f"{name} is {_paused(state.pause)}")
    none = all((state := at.slaves.get(name)) is None or state.connected_at is None for name in builder.slavenames)
    return f"{'none of its slaves is connected' if none else 'no slave may build it now'}: {_listed(said)}"


def _paused(pause: Pause) -> str:
    what = "to be shut down" if pause.graceful else "paused"
    return f"{what} by {pause.who}" + (f" ({pause.why})" if pause.why else "")


def _builds(builds: Sequence[Running], at: Snapshot) -> str:
    said = []
    for build in sorted(builds, key=lambda build: _end(build, at) or float("inf")):
        end = _end(build, at)
        if end is None:
            until = f", for {_span(at.now - build.started_at)} so far"
        elif end > at.now:
            until = f", for about {_span(end - at.now)} more"
        else:
            until = f", {_span(at.now - end)} longer than usual"
        said.append(f"{build.builder} #{build.number} on {build.slave or 'a slave'}{until}")
    return _listed(said)


def _behind(place: Place) -> str:
    """Who goes before it in its own builder's queue."""
    some = "1 request" if place.ahead == 1 else f"{'at least ' if place.more else ''}{place.ahead} requests"
    higher = place.first_priority > place.priority
    why = f" (priority {place.first_priority} over {place.priority})" if higher else " (asked for earlier)"
    which = f"request {place.first}" if place.ahead == 1 else f"{some}, the first of them request {place.first},"
    return f"{which} of this builder go{'es' if place.ahead == 1 else ''} before it{why}"


def _outdone(place: Place, builder: BuilderConfig, before: Sequence[Head]) -> list[str]:
    """Who goes before it for a slave that both could use."""
    if not before:
        return []
    first, total = before[0], place.priority + builder.priority
    why = f"priority {first.priority} over {total}" if first.priority > total else "asked for earlier"
    more = f", and {len(before) - 1} more" if len(before) > 1 else ""
    return [f"request {first.request} of {first.builder} goes before it ({why}){more}"]


def _start(builder: BuilderConfig, usable: Sequence[str], at: Snapshot, turns: int) -> float | None:
    """About when its build begins, if every build takes as long as usual and each of those before it needs one."""
    ends = _free_at(builder, usable, at)
    if turns and at.usual_seconds is None:
        return None
    for _ in range(turns):
        if not ends:
            return None
        heappush(ends, heappop(ends) + (at.usual_seconds or 0.0))
    return max(ends[0], at.now) if ends else None


def _outdone_by(place: Place, builder: BuilderConfig, at: Snapshot) -> Sequence[Head]:
    mine = (-(place.priority + builder.priority), place.submitted_at)
    return at.rivals[: bisect_left(at.rivals, mine, key=order_of)]


def order_of(head: Head) -> tuple[int, float]:
    """What rivals are sorted by."""
    return -head.priority, head.submitted_at


def _free_at(builder: BuilderConfig, usable: Sequence[str], at: Snapshot) -> list[float]:
    """When each place in which its builds may run is free, as a heap. Builds that nobody can estimate are left out."""
    places: list[float] = []
    on_slave = Counter(build.slave for build in at.running)
    for slave in usable:
        mine = [build for build in at.running if build.slave == slave and build.builder == builder.name]
        there = [build for build in at.running if build.slave == slave]
        most = at.most.get(slave)
        room = builder.max_builds_per_slave - len(mine)
        if most is not None and most - on_slave[slave] < room:
            room, mine = most - on_slave[slave], there
        places += [at.now] * max(room, 0)
        places += [max(end, at.now) for build in mine if (end := _end(build, at)) is not None]
    if builder.max_running is not None:
        all_mine = [build for build in at.running if build.builder == builder.name]
        ends = sorted(max(end, at.now) for build in all_mine if (end := _end(build, at)) is not None)
        places = sorted(places)[: max(builder.max_running - len(all_mine), 0)] + ends
    heapify(places)
    return places


def _end(build: Running, at: Snapshot) -> float | None:
    usual = usual_of(build.earlier)
    return None if usual is None else build.started_at + usual


def _listed(texts: Sequence[str]) -> str:
    shown = list(texts[:SHOWN])
    if len(texts) > SHOWN:
        shown.append(f"and {len(texts) - SHOWN} more")
    return ", ".join(shown)


def _span(seconds: float) -> str:
    whole = max(round(seconds), 0)
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {name}"
    return f"{whole} s"
