"""The scheduler that builds when a Trigger step of another build says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import BuildsetID, Property
from buildbot.schedulers import stamps
from buildbot.schedulers.base import BaseScheduler, Parent, Settled, Unsettled
from buildbot.schedulers.stamps import Stamp
from buildbot.store import Store
from buildbot.store.store import Queries


@configurable
class Triggerable(BaseScheduler):
    """Builds when a Trigger step names it.

    name, builderNames, properties, codebases: as every scheduler; the properties that the step sets go over these.
    reason: of its builds (default: the property `reason` that the step sets, or a sentence with the scheduler's name).
    priority: as every scheduler; None: that of the build with the step.
    """

    listens = False

    def __init__(
        self,
        name: str,
        builderNames: Any,
        properties: Mapping[str, Any] | None = None,
        reason: Any = None,
        codebases: Any = None,
        priority: Any = None,
    ) -> None:
        super().__init__(name, builderNames, properties, codebases, priority)
        self.inherits_priority = priority is None
        self.reason: str | None = reason
        if reason is not None and not isinstance(reason, str):
            error(f"scheduler {name!r}: reason is a string, not {reason!r}")

    async def prepare(
        self, given: Sequence[Property], priority: int, source: Sequence[Stamp] = ()
    ) -> Settled | Unsettled:
        """What a buildset of this source with these properties gets; `priority` is that of the build that asks."""
        planned = [stamp._asdict() for stamp in stamps.with_defaults(self.codebases, source)]
        settled = await self.settle({}, planned, given)
        if isinstance(settled, Settled) and self.inherits_priority:
            return settled._replace(priority=priority)
        return settled

    def trigger(
        self, store: Store, settled: Settled, given: Sequence[Stamp], parent: Parent, now: float
    ) -> BuildsetID | None:
        """Make the buildset, in the transaction in which the step remembers it. None: it is made at another time."""
        return self.make(store, settled, given, parent, self.reason_for(settled), now)

    def make(
        self,
        store: Store,
        settled: Settled,
        given: Sequence[Stamp],
        parent: Parent | None,
        reason: str,
        now: float,
    ) -> BuildsetID:
        source = [stamps.add(store, stamp, now) for stamp in stamps.with_defaults(self.codebases, given)]
        return self.submit(store, settled, source, newest=None, reason=reason, parent=parent, now=now)

    async def settle_now(self, store: Queries) -> Settled | Unsettled:
        return await self.prepare((), 0)

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """Build the newest source."""
        return self.make(store, settled, (), None, reason, now)

    def reason_for(self, settled: Settled) -> str:
        given = {each.name: each.value for each in settled.properties}
        kind = type(self).__name__
        return self.reason or str(
            given.get("reason") or f"The {kind} scheduler named '{self.name}' triggered this build"
        )
