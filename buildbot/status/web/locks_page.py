"""Every lock: how many may hold it, who does, and who waits for it, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from buildbot.config.builder import BuilderConfig
from buildbot.config.checks import locks_of_builder
from buildbot.process.lockqueue import Claim, LockState
from buildbot.process.locks import LockKey
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View

MOST_LOCKS = 200
MOST_USES = 50  # of a lock


class Use(NamedTuple):
    """Who has a lock or waits for it. how: what of it; "": one counting use. since: epoch seconds."""

    text: str
    href: str
    how: str
    since: float


class ShownLock(NamedTuple):
    key: LockKey
    limit: int
    holders: list[Use]
    queue: list[Use]
    more: int  # that hold or wait and are not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class LocksView(View):
    locks: list[ShownLock]
    more: int


def shown_lock(state: LockState) -> ShownLock:
    """A lock as pages show it; long lists are cut."""
    more = max(len(state.holders) - MOST_USES, 0) + max(len(state.queue) - MOST_USES, 0)
    holders, queue = _uses(state.key, state.holders), _uses(state.key, state.queue)
    return ShownLock(state.key, state.limit, holders, queue, more)


def _uses(key: LockKey, claims: Iterable[Claim]) -> list[Use]:
    return [_use(key, claim) for claim, _ in zip(claims, range(MOST_USES), strict=False)]


def _use(key: LockKey, claim: Claim) -> Use:
    user, access = claim.user, claim.wants[key]
    if user.number is None:
        href = urls.builder(user.builder)
    elif user.step is None:
        href = urls.build(user.builder, user.number)
    else:
        href = urls.step(user.builder, user.number, user.step)
    how = "exclusive" if access.mode == "exclusive" else "" if access.count == 1 else f"{access.count} of it"
    return Use(str(user), href, how, claim.since)


def locks_of_page(master: Master, builder: BuilderConfig | None) -> list[ShownLock]:
    """The locks that this builder and its steps name."""
    if builder is None:
        return []
    named = {lock.key_on("")[:2] for lock in locks_of_builder(builder)}
    states = [state for state in master.locks.overview() if state.key[:2] in named] if named else []
    return [shown_lock(state) for state in states[:MOST_LOCKS]]


def locks(asked: Asked, master: Master) -> View:
    states = master.locks.overview()
    return LocksView(
        title="Locks",
        events="/events",
        locks=[shown_lock(state) for state in states[:MOST_LOCKS]],
        more=max(len(states) - MOST_LOCKS, 0),
    )


ROUTES = (Page("/locks", "locks.html", locks),)
