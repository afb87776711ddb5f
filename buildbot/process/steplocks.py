"""A step and its locks: it waits for them before its own code runs, and has them until its end is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from buildbot.process.lockqueue import LockDeadlock, LockRefused, LockUser
from buildbot.process.locks import wants_of
from buildbot.store import steps

if TYPE_CHECKING:
    from buildbot.process.buildstep import BuildStep

_log = Logger()


async def take_locks(step: BuildStep, *, already_held: bool) -> None:
    """Have the locks of a step that has its row; meanwhile its text says what it waits for.

    already_held: its own code ran before a restart of the master, so it has them still. One that waited before it
    waits since then. Raises LockRefused, LockDeadlock, and whatever ends the waiting.
    """
    build, locks = step.build, step.build.services.locks
    wants = wants_of(step.locks, build.slavename)
    if not wants:
        return
    for claim in locks.claims_of(build.id):
        for key in claim.wants.keys() & wants.keys():
            raise LockRefused(f"lock {key} is held by its own build already: the step would wait for ever")
    user = lock_user(step)
    store, now = build.store, build.now()

    def tell(text: str) -> None:
        store.transact(steps.wait_for_locks, step.step_id, f"waiting for {text}", now)
        build.moved()

    since = steps.locks_since(store, step.step_id) or now
    try:
        await locks.acquire(user, wants, since, already_held=already_held, tell=tell)
    except LockDeadlock as circle:
        _log.warn("{build} ends, so that others can go on: {circle}", build=build, circle=circle)
        raise
    store.transact(steps.has_locks, step.step_id)


def lock_user(step: BuildStep) -> LockUser:
    """The step, as locks know it."""
    build = step.build
    return LockUser(build.builder_name, build.number, str(step.name), build.id)
