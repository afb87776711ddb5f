"""The scheduler that builds once another scheduler's builds went well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import BuildsetID, ChangeID, EventID
from buildbot.schedulers.base import Answers, BaseScheduler, Settled, Unsettled
from buildbot.schedulers.judging import REASON, formatted, seen
from buildbot.store import Store, buildsets, changes, events, schedulers, sourcestamps
from buildbot.store.buildsets import Ended
from buildbot.store.store import Queries

MOST_ENDED = 50  # buildsets that one pass looks at

_log = Logger()


@configurable
class Dependent(BaseScheduler):
    """Builds the source of each buildset of another scheduler that ended as SUCCESS or WARNINGS.

    name, builderNames, properties, codebases, priority: as every scheduler; what the other buildset does not have of
    the codebases is built as they say. upstream: the other scheduler, or its name. reason: a template with %(name)s and
    %(classname)s. A buildset counts when it ends while this scheduler is in the configuration.
    """

    listens = False

    def __init__(
        self,
        name: str,
        upstream: Any,
        builderNames: Any,
        properties: Mapping[str, Any] | None = None,
        codebases: Any = None,
        priority: Any = None,
        reason: str = REASON,
    ) -> None:
        super().__init__(name, builderNames, properties, codebases, priority)
        self.reason = formatted(name, type(self).__name__, reason)
        self.upstream = upstream
        self.upstream_name: Any = upstream if isinstance(upstream, str) else getattr(upstream, "name", None)
        if not isinstance(self.upstream_name, str):
            error(f"scheduler {name!r}: upstream is a scheduler or the name of one, not {upstream!r}")

    # -- deciding

    async def ask(self, store: Store, now: float) -> Answers:
        if not self.asks:
            return {}
        return {
            each.event: await self._settle_after(store, each.buildset)
            for each in self._ended(store)
            if each.result in buildsets.GOOD
        }

    async def _settle_after(self, store: Queries, upstream: BuildsetID) -> Settled | Unsettled:
        sources = [stamp._asdict() for stamp in sourcestamps.of_buildset(store, upstream)]
        sources += [{"codebase": name, **self.codebases[name]} for name in self._others(store, upstream)]
        made_of: dict[str, list[ChangeID]] = {}
        for change in changes.of_buildset(store, upstream):
            made_of.setdefault(change.codebase, []).append(change.id)
        return await self.settle(seen(store, made_of), sources)

    def _others(self, store: Queries, upstream: BuildsetID) -> list[str]:
        """The codebases that the other buildset does not have."""
        there = {stamp.codebase for stamp in sourcestamps.of_buildset(store, upstream)}
        return [name for name, given in self.codebases.items() if name not in there and (name or given)]

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        ended = self._ended(store)
        for each in ended:
            if each.result in buildsets.GOOD:
                settled = (answers or {}).get(each.event) if self.asks else self.settle_plain()
                if settled is None:
                    return now  # it was not asked about this one
                self._build(store, settled, each.buildset, now)
        newest = ended[-1].event if len(ended) == MOST_ENDED else events.last_id(store)
        schedulers.set_state(store, self.name, schedulers.SEEN_EVENT, newest)
        return now if len(ended) == MOST_ENDED else None

    def _ended(self, store: Queries) -> list[Ended]:
        seen = schedulers.state(store, self.name, schedulers.SEEN_EVENT)
        if seen is None:
            return []  # from now on
        return buildsets.ended_since(store, self.upstream_name, EventID(seen), MOST_ENDED)

    def _build(self, store: Store, settled: Settled | Unsettled, upstream: BuildsetID, now: float) -> None:
        if isinstance(settled, Unsettled):
            _log.error(
                "scheduler {scheduler} does not build what buildset {upstream} was: {why}",
                scheduler=self.name,
                upstream=upstream,
                why=settled.reason,
            )
            return
        self.build_after(store, settled, upstream, self.reason, now)

    async def settle_now(self, store: Queries) -> Settled | Unsettled:
        newest = buildsets.newest_good(store, self.upstream_name)
        return await self.settle({}) if newest is None else await self._settle_after(store, newest)

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """Build the source of the last buildset of the other scheduler that ended well; None: there is none."""
        newest = buildsets.newest_good(store, self.upstream_name)
        return None if newest is None else self.build_after(store, settled, newest, reason, now)

    def build_after(self, store: Store, settled: Settled, upstream: BuildsetID, reason: str, now: float) -> BuildsetID:
        source = [stamp.id for stamp in sourcestamps.of_buildset(store, upstream)]
        for name in self._others(store, upstream):
            source.append(sourcestamps.add(store, codebase=name, now=now, **self.codebases[name]))
        return self.submit(store, settled, source, newest=None, reason=reason, now=now)
