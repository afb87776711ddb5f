"""Builders that the configuration no longer names: what waits for them is cancelled, with that as the reason."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.process.control import cancel_waiting
from buildbot.store import Store, actions, builders, requests

WHO = "the configuration"
WHY = "it no longer names this builder"


class RemovedBuilders:
    """The doorbell's worker. `settled` says whether the configuration in force is there to stay: one that is just
    being tried may still be refused, and then its builders come back."""

    _log = Logger()

    def __init__(
        self, store: Store, settled: Callable[[], bool], now: Callable[[], float], clock: IReactorTime
    ) -> None:
        self._store = store
        self._settled = settled
        self._now = now
        self._clock = clock

    async def run(self, now: float) -> None:
        """Cancel all that waits for removed builders."""
        if not self._settled():
            return
        for builder in builders.removed_with_waiting(self._store):
            up_to = requests.last_id(self._store)
            self._store.transact_durable(
                actions.add, who=WHO, what="cancel all pending", subject=f"builder {builder.name}", why=WHY, now=now
            )
            count = await cancel_waiting(self._store, builder.id, up_to, self._now, self._breathe, WHO, WHY)
            self._log.warn(
                "{count} requests of builder {name} are cancelled: the configuration no longer names it",
                count=count,
                name=builder.name,
            )

    async def _breathe(self) -> None:
        await deferLater(self._clock, 0)
