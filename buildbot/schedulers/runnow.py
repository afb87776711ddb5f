"""A scheduler that a person wants to run at once, whatever it waits for."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Protocol, runtime_checkable

from buildbot.model import BuildsetID
from buildbot.schedulers.base import Settled, Unsettled
from buildbot.store import Store, actions
from buildbot.store.store import Queries


class CannotRun(Exception):
    """Nothing was built; the text says why."""


@runtime_checkable
class RunsNow(Protocol):
    """What a scheduler has that can be run by hand."""

    name: str

    async def settle_now(self, store: Queries) -> Settled | Unsettled:
        """Ask the user's callables about what would be built now."""

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """Build what waits, or else the newest source. None: there is nothing to build."""


async def run_now(
    store: Store, scheduler: Any, who: str, why: str, now: float, may: Callable[[str], Any] | None = None
) -> BuildsetID:
    """Run it, durably and written down. `may(builder)` says whether this person may force it. Raises CannotRun."""
    if not isinstance(scheduler, RunsNow):
        raise CannotRun(f"a {type(scheduler).__name__} builds only what it is given")
    settled = await scheduler.settle_now(store)
    if isinstance(settled, Unsettled):
        raise CannotRun(settled.reason)
    for builder in settled.builder_names:
        allowed = True if may is None else may(builder)
        if not (await allowed if isawaitable(allowed) else allowed):
            raise CannotRun(f"{who} may not force {builder}: the configuration's authz says so")
    buildset = store.transact_durable(_run, scheduler, settled, who, why, now)
    if buildset is None:
        raise CannotRun("there is nothing to build yet")
    return buildset


def _run(store: Store, scheduler: RunsNow, settled: Settled, who: str, why: str, now: float) -> BuildsetID | None:
    reason = f"scheduler {scheduler.name} was run by {who}" + (f": {why}" if why else "")
    buildset = scheduler.build_now(store, settled, reason, now)
    if buildset is not None:
        actions.add(store, who=who, what="run scheduler", subject=f"scheduler {scheduler.name}", why=why, now=now)
    return buildset
