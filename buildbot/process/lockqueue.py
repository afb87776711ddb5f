"""Who holds which lock, and who waits for it in which order.

Nothing of this is stored: builds and steps hold locks while they run, and what ends them ends what they hold and what
they wait for (`end`, `end_build`), whatever the reason. A restarted master has the builds that go on say again what
they hold.

The order: whoever waits gets all the locks that he wants at once, as soon as they admit him *beside everybody who
waits since before him*. So nobody is passed by later ones, an exclusive use is not starved by counting ones, and
who wants several locks gets them. One exception: who holds a lock already passes those ahead that (perhaps through
others) wait for him; else both would wait for ever.

Builds that wait for each other's locks do so for ever. That is noticed when the last of them begins to wait, and the
one that waits the shortest time is told so instead (`LockDeadlock`).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from buildbot.model import BuildID
from buildbot.process.locks import LockAccess, LockKey, Wants, fits

MOST_TOLD = 20  # of those that wait for a lock: who is farther back is not told each change
SHOWN = 3  # names in a sentence


class LockRefused(Exception):
    """A lock that can never be had: the text says why."""


class LockDeadlock(Exception):
    """Builds wait for each other's locks; the text says which."""


class LockUser(NamedTuple):
    """Who holds or wants locks: a running build, a step of it, or (without a number) the next build of a builder."""

    builder: str
    number: int | None = None
    step: str | None = None
    build: BuildID | None = None

    def __str__(self) -> str:
        if self.number is None:
            return f"the next build of {self.builder}"
        build = f"{self.builder}/{self.number}"
        return f"{build} (step {self.step})" if self.step is not None else build


class Claim:
    """What one user holds or waits for. since: epoch seconds at which that began. decided: fires when he has it."""

    __slots__ = ("decided", "held", "order", "since", "tell", "text", "user", "wants")

    def __init__(self, user: LockUser, wants: Wants, since: float, serial: int) -> None:
        self.user = user
        self.wants = wants
        self.since = since
        self.order = (since, serial)
        self.held = False
        self.decided: Deferred[None] | None = None
        self.tell: Callable[[str], object] | None = None
        self.text = ""

    def __lt__(self, other: Claim) -> bool:
        return self.order < other.order


class Obstacle(NamedTuple):
    """A lock that cannot be had now, and because of whom."""

    key: LockKey
    claims: Sequence[Claim]

    def __str__(self) -> str:
        if not self.claims:
            return f"lock {self.key}, which never admits so much at once"
        names = [str(claim.user) for claim in self.claims[:SHOWN]]
        more = f" and {len(self.claims) - SHOWN} more" if len(self.claims) > SHOWN else ""
        return f"lock {self.key} {'held by' if self.claims[0].held else 'after'} {', '.join(names)}{more}"


class LockState(NamedTuple):
    """A lock, for people: how many may hold it, who does, and who waits for it, in order."""

    key: LockKey
    limit: int
    holders: list[Claim]
    queue: list[Claim]


class Locks:
    """Of one master. `released`: each is called when something became free that builders may wait for."""

    def __init__(self) -> None:
        self.released: list[Callable[[], object]] = []
        self._limits: dict[tuple[str, str], Any] = {}  # the locks that the configuration names
        self._claims: dict[LockUser, Claim] = {}
        self._of_build: dict[BuildID, set[LockUser]] = {}
        self._held: dict[LockKey, dict[LockUser, Claim]] = {}
        self._queues: dict[LockKey, list[Claim]] = {}
        self._serial = 0
        self._frozen = False

    # -- limits

    def configure(self, locks: Iterable[Any]) -> None:
        """These are the locks of the configuration that is in force now. Whoever holds one goes on holding it."""
        self._limits = {key[:2]: lock for lock in locks for key in [lock.key_on("")]}
        self._review(self._waiting())
        self._rang()

    def limit(self, key: LockKey, wanted: LockAccess) -> int:
        """How many may hold this lock: as the configuration says, or as `wanted` if only a renderable names it."""
        lock = self._limits.get(key[:2], wanted.lock)
        return int(lock.limit_on(key.slave))

    # -- having and waiting

    def hold(self, user: LockUser, wants: Wants, now: float) -> None:
        """Have these locks at once, whoever else has or wants them: they were found free, or held before a restart."""
        if wants:
            claim = self._enter(user, wants, now)
            self._grant(claim)

    def ask(
        self, user: LockUser, wants: Wants, since: float, tell: Callable[[str], object] | None = None
    ) -> Deferred[None]:
        """Wait for these locks; fires at once if they are free. Cancelling it ends the waiting.

        since: epoch seconds; who waits longer comes first. tell: called with what he waits for, in words, and again
        when that changes. Fails with LockRefused, LockDeadlock.
        """
        decided: Deferred[None] = Deferred(lambda _: self.end(user))
        claim = self._enter(user, wants, since)
        claim.decided, claim.tell = decided, tell
        for key in wants:
            insort(self._queues.setdefault(key, []), claim)
        entangled = self._holds_any(user.build)
        self._review([each for each in self._waiting() if self._holds_any(each.user.build)] if entangled else [claim])
        return decided

    async def acquire(
        self,
        user: LockUser,
        wants: Wants,
        now: float,
        *,
        already_held: bool = False,
        tell: Callable[[str], object] | None = None,
    ) -> None:
        """Have these locks, after waiting for them.

        already_held: it had them before a restart of the master and has them at once. Raises as `ask` does.
        """
        if already_held:
            self.hold(user, wants, now)
        elif wants:
            await self.ask(user, wants, now, tell)

    def end(self, user: LockUser) -> None:
        """Whatever he held or waited for is over; others go on."""
        claim = self._claims.get(user)
        if claim is not None:
            self._leave(claim)
            self._review(self._waiting_for(claim.wants))
            self._rang()

    def end_build(self, build: BuildID) -> None:
        """The build is over, and every step of it."""
        for user in list(self._of_build.get(build, ())):
            self.end(user)

    def fail(self, user: LockUser, why: Exception) -> None:
        """End his waiting: it fails with this."""
        claim = self._claims.get(user)
        if claim is not None and not claim.held:
            self.end(user)
            _decide(claim, why)

    # -- when the master is restarted

    def freeze(self) -> None:
        """Nobody gets anything by waiting: this process ends, or builds of the last one still say what they hold."""
        self._frozen = True

    def thaw(self) -> None:
        """Those that wait get their turn."""
        self._frozen = False
        self._review(self._waiting())
        self._rang()

    # -- builders, which wait with their next build

    def available(self, user: LockUser, wants: Wants, before: Sequence[Claim] = ()) -> list[Obstacle]:
        """What keeps a build from starting with these locks; empty: nothing does.

        before: entries of other builders that have their turn before this one.
        """
        known = self._claims.get(user)
        probe = Claim(user, wants, 0.0, 0)
        probe.order = (float("inf"), 0) if known is None else known.order
        return list(self._obstacles(probe, [claim for claim in before if claim.user != user]))

    def expect(self, entries: Sequence[tuple[LockUser, Wants]], now: float) -> None:
        """The builders whose next build found its locks taken, in the order of their turns; those before are forgotten.

        They are waited behind, but nothing is given to them here: assigning starts their builds.
        """
        before = {user: claim for user, claim in self._claims.items() if user.number is None}
        for claim in before.values():
            self._leave(claim)
        for user, wants in entries:
            claim = self._enter(user, wants, now)
            if user in before:
                claim.since, claim.order = before[user].since, before[user].order
            for key in wants:
                insort(self._queues.setdefault(key, []), claim)
        self._review(self._waiting_for([key for claim in before.values() for key in claim.wants]))

    def expected(self, builder: str) -> Claim | None:
        """What the next build of this builder waits for, if it waits for locks."""
        return self._claims.get(LockUser(builder))

    # -- for people

    def obstacles(self, claim: Claim) -> list[Obstacle]:
        """What a waiting one waits for."""
        return list(self._obstacles(claim, ()))

    def claims_of(self, build: BuildID) -> list[Claim]:
        """What a build and its steps hold and wait for."""
        return sorted(self._claims[user] for user in self._of_build.get(build, ()))

    def overview(self) -> list[LockState]:
        """Every lock that is held or waited for, or that the configuration names."""
        busy = self._held.keys() | self._queues.keys()
        named = {lock.key_on("") for lock in self._limits.values()}
        seen = {key[:2] for key in busy}
        return [self.state(key) for key in sorted(busy | {key for key in named if key[:2] not in seen})]

    def state(self, key: LockKey) -> LockState:
        holders, queue = sorted(self._held.get(key, {}).values()), list(self._queues.get(key, ()))
        lock = self._limits.get(key[:2]) or (queue[-1:] + holders[-1:])[0].wants[key].lock
        return LockState(key, lock.limit_on(key.slave), holders, queue)

    # -- inside

    def _enter(self, user: LockUser, wants: Wants, since: float) -> Claim:
        assert user not in self._claims, f"{user} has asked for locks already"
        self._serial += 1
        claim = self._claims[user] = Claim(user, wants, since, self._serial)
        if user.build is not None:
            self._of_build.setdefault(user.build, set()).add(user)
        return claim

    def _leave(self, claim: Claim) -> None:
        del self._claims[claim.user]
        build = claim.user.build
        if build is not None:
            self._of_build[build].discard(claim.user)
            if not self._of_build[build]:
                del self._of_build[build]
        for key in claim.wants:
            if claim.held:
                del self._held[key][claim.user]
            else:
                self._queues[key].remove(claim)
            if not self._held.get(key):
                self._held.pop(key, None)
            if not self._queues.get(key):
                self._queues.pop(key, None)

    def _grant(self, claim: Claim) -> None:
        claim.held = True
        for key in claim.wants:
            self._held.setdefault(key, {})[claim.user] = claim

    def _waiting(self) -> list[Claim]:
        return sorted(claim for claim in self._claims.values() if not claim.held)

    def _waiting_for(self, keys: Iterable[LockKey]) -> list[Claim]:
        found = {claim.user: claim for key in keys for claim in self._queues.get(key, ())}
        return sorted(found.values())

    def _holds_any(self, build: BuildID | None) -> bool:
        return build is not None and any(self._claims[user].held for user in self._of_build.get(build, ()))

    def _rang(self) -> None:
        for call in self.released:
            call()

    def _review(self, candidates: Sequence[Claim]) -> None:
        """Give what can be given, in order, and tell the others what they wait for: once all of it is decided."""
        if self._frozen:
            return
        refused: list[tuple[Claim, Exception | None]] = []
        for claim in candidates:
            if claim.decided is None:
                continue  # a builder
            never = self._never(claim)
            if never is not None:
                self._leave(claim)
                refused.append((claim, never))
            elif next(self._obstacles(claim, ()), None) is None:
                for key in claim.wants:
                    self._queues[key].remove(claim)
                    if not self._queues[key]:
                        del self._queues[key]
                self._grant(claim)
                refused.append((claim, None))
        waiting = [claim for claim in candidates if claim.decided is not None and self._claims.get(claim.user) is claim]
        circle = self._circle(waiting)
        if circle:
            victim = max(circle)
            why = LockDeadlock(_circle_in_words([(claim, self.obstacles(claim)) for claim in sorted(circle)]))
            self._leave(victim)
            refused.append((victim, why))
        self._tell([claim for claim in waiting if not claim.held])
        for claim, why_not in refused:
            _decide(claim, why_not)
        if circle:
            self._review(self._waiting_for(victim.wants))

    def _never(self, claim: Claim) -> LockRefused | None:
        for key, access in claim.wants.items():
            limit = self.limit(key, access)
            if not fits(limit, access, ()):
                wanted = f"lock {key} admits {limit} at once, and {access.count} are wanted"
                return LockRefused(f"{wanted}: it would wait for ever")
        return None

    def _obstacles(self, claim: Claim, before: Sequence[Claim]) -> Iterator[Obstacle]:
        """What is in the way of a claim: who holds, or else who waits since before it."""
        for key, access in claim.wants.items():
            limit = self.limit(key, access)
            holders = [each for each in self._held.get(key, {}).values() if each is not claim]
            uses = [each.wants[key] for each in holders]
            if not fits(limit, access, uses):
                yield Obstacle(key, holders)
                continue
            ahead = []
            for other in self._ahead(key, claim, before):
                if self._may_pass(claim, other):
                    continue
                ahead.append(other)
                uses.append(other.wants[key])
                if not fits(limit, access, uses):
                    yield Obstacle(key, ahead)
                    break

    def _ahead(self, key: LockKey, claim: Claim, before: Sequence[Claim] = ()) -> Iterator[Claim]:
        """Who waits for this lock and comes first. Of builders, only their turns in the pass of assigning say that."""
        for other in self._queues.get(key, ()):
            if other.order >= claim.order:
                break
            if claim.user.number is not None or other.user.number is not None:
                yield other
        yield from (other for other in before if key in other.wants)

    def _may_pass(self, claim: Claim, other: Claim) -> bool:
        build = claim.user.build
        return build is not None and self._holds_any(build) and self._waits_for(other, build)

    def _waits_for(self, claim: Claim, build: BuildID) -> bool:
        """Whether a waiting one cannot go on before this build does."""
        seen, left = {claim.user}, [claim]
        while left:
            current = left.pop()
            for key, access in current.wants.items():
                holders = list(self._held.get(key, {}).values())
                next_ones = list(self._ahead(key, current))
                if not fits(self.limit(key, access), access, [each.wants[key] for each in holders]):
                    for holder in holders:
                        if holder.user.build == build:
                            return True
                        next_ones += self._waiting_of(holder.user.build)
                for other in next_ones:
                    if other.user not in seen and other.user.build != build:
                        seen.add(other.user)
                        left.append(other)
        return False

    def _waiting_of(self, build: BuildID | None) -> list[Claim]:
        users = () if build is None else self._of_build.get(build, ())
        return [self._claims[user] for user in users if not self._claims[user].held]

    def _circle(self, waiting: Iterable[Claim]) -> list[Claim]:
        """Those of the waiting builds that only wait for one another. Only builds that hold something can be in one."""
        if not any(self._holds_any(claim.user.build) for claim in waiting):
            return []
        stuck: dict[BuildID | None, Claim] = {claim.user.build: claim for claim in self._waiting() if claim.user.build}
        free: list[Claim] = list(stuck.values())
        while free:
            free = [claim for claim in stuck.values() if self._fits_without(claim, stuck)]
            for claim in free:
                del stuck[claim.user.build]
        return [claim for claim in stuck.values() if self._holds_any(claim.user.build)]

    def _fits_without(self, claim: Claim, stuck: dict[BuildID | None, Claim]) -> bool:
        """Whether it gets its locks once every build that is not stuck has ended."""
        return all(
            fits(
                self.limit(key, access),
                access,
                [
                    other.wants[key]
                    for other in self._held.get(key, {}).values()
                    if other.user.build in stuck and other.user.build != claim.user.build
                ],
            )
            for key, access in claim.wants.items()
        )

    def _tell(self, waiting: Sequence[Claim]) -> None:
        told = 0
        for claim in waiting:
            if claim.tell is None or (told >= MOST_TOLD and claim.text):
                continue
            told += 1
            text = "; ".join(map(str, self._obstacles(claim, ())))
            if text != claim.text:
                claim.text = text
                claim.tell(text)


def _decide(claim: Claim, why_not: Exception | None) -> None:
    decided, claim.decided = claim.decided, None
    if decided is None or decided.called:
        return
    if why_not is None:
        decided.callback(None)
    else:
        decided.errback(why_not)


def _circle_in_words(circle: Sequence[tuple[Claim, Sequence[Obstacle]]]) -> str:
    said = [f"{claim.user} waits for {'; '.join(map(str, obstacles))}" for claim, obstacles in circle]
    return f"builds wait for each other's locks: {', and '.join(said[:SHOWN])}"
