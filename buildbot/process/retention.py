"""Takes away what the configuration does not keep, a little at a time, while builds run.

A doorbell worker. In a pass it asks, rule by rule and builder by builder, what is too old (in a reader's thread), and
removes it in transactions of a few milliseconds with pauses between them (`Slices`). A log's row is marked first, then
its file goes, and the rows of a build go last, so whatever moment the process dies at, the next pass finds the rest.
When all is done the file is shortened by the pages that have become free.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.config.retention import Keep, RetentionPlan
from buildbot.model import Builder, BuilderID, BuildID, ChangeID, EventID, LogID
from buildbot.process.slices import Delete, Slices
from buildbot.store import Store, builddata, builders, passes, retention, testresults
from buildbot.store.logfiles import LogFiles
from buildbot.store.retention import Age, Told, Window

PAUSE_SECONDS = 0.02
FEW_PAGES = 256  # free ones that are left in the file, to be used again
_UNFINISHED_SECONDS = 3600.0  # files of logs marked so long before the last pass's end may still be there

InThread = Callable[[Callable[[], object]], Awaitable[Any]]


class Retention:
    """plan: of the configuration in force. receivers: names of those who must be told of events before they go.
    seconds: a clock for durations."""

    _log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        log_files: LogFiles,
        clock: IReactorTime,
        in_thread: InThread,
        plan: Callable[[], RetentionPlan],
        receivers: Callable[[], Sequence[str]],
        seconds: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._seconds = seconds
        self._store = store
        self._files = log_files
        self._clock = clock
        self._in_thread = in_thread
        self._plan = plan
        self._receivers = receivers

    async def run(self, now: float) -> float | None:
        """A pass, when it is time for one."""
        plan = self._plan()
        if not plan.rules:
            return None
        due = next_look(plan, passes.last(self._store), now)
        if due > now:
            return due
        row = self._store.transact(passes.begin, now)
        removed: Counter[str] = Counter()
        problem = None
        try:
            slices = Slices(self._store, self._pause, self._seconds)
            await _Pass(self._store, self._files, slices, self._in_thread, plan, now, removed).go(self._receivers)
        except CancelledError:
            problem = "the master was stopped"
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._store.transact(passes.end, row, time.time(), dict(removed), problem)
        if removed:
            told = ", ".join(f"{count} {what}" for what, count in sorted(removed.items()))
            self._log.info("retention removed {told}", told=told)
        return plan.next_after(now)

    def _pause(self) -> Awaitable[None]:
        return deferLater(self._clock, PAUSE_SECONDS, lambda: None)


def next_look(plan: RetentionPlan, last: passes.Pass | None, now: float) -> float:
    """When the next pass is due. One that did not come to its end is followed by another one at once."""
    if last is None:
        return plan.next_after(now) if plan.cron else now
    if last.ended_at is None or last.began_at > now:  # the process died in it, or the clock was set back
        return now
    return plan.next_after(last.began_at)


class _Pass:
    def __init__(
        self,
        store: Store,
        files: LogFiles,
        slices: Slices,
        in_thread: InThread,
        plan: RetentionPlan,
        now: float,
        removed: Counter[str],
    ) -> None:
        self.store = store
        self.files = files
        self.slices = slices
        self.in_thread = in_thread
        self.plan = plan
        self.now = now
        self.removed = removed
        self.told: Told

    async def go(self, receivers: Callable[[], Sequence[str]]) -> None:
        self.told = await self.store.read(retention.told, receivers())
        await self._finish_files()
        for builder in await self.store.read(builders.all_of):
            await self._builder(builder)
        await self._all_builders()
        await self._give_back()

    def _age(self, rule: Keep) -> Age:
        return Age(rule.newest, None if rule.seconds is None else self.now - rule.seconds)

    # -- what belongs to a builder

    async def _builder(self, builder: Builder) -> None:
        id = builder.id
        if rule := self.plan.rule("builds", builder.name, builder.tags):
            requests = self.plan.rule("requests", builder.name, builder.tags) is None
            old = partial(retention.old_builds, builder=id, age=self._age(rule), told=self.told)
            await self._each(old, partial(self._remove_build, id, rule, with_requests=requests))
        if rule := self.plan.rule("steps", builder.name, builder.tags):
            old = partial(retention.builds_with_old, what="steps", builder=id, age=self._age(rule), told=self.told)
            await self._each(old, partial(self._remove_steps_of, id, rule))
        await self.slices.work_off("texts", lambda store, rows: testresults.delete_texts(store, id, rows))
        if rule := self.plan.rule("logs", builder.name, builder.tags):
            old = partial(retention.builds_with_old, what="logs", builder=id, age=self._age(rule), told=self.told)
            await self._each(old, partial(self._remove_logs, id, rule))
        if rule := self.plan.rule("data", builder.name, builder.tags):
            old = partial(retention.builds_with_old, what="data", builder=id, age=self._age(rule), told=self.told)
            await self._each(old, partial(self._remove_data_of, id))
        if rule := self.plan.rule("requests", builder.name, builder.tags):
            old = partial(retention.old_requests, builder=id, age=self._age(rule), told=self.told)
            await self._lists(old, "requests", lambda store, ids: retention.delete_requests(store, ids, self.told))

    async def _each(self, old: Callable[..., Window], remove: Callable[[int], Awaitable[None]]) -> None:
        """Remove what belongs to each build whose number the question finds."""
        after: int | None = 0
        while after is not None:
            window = await self.store.read(partial(old, after=after))
            for number in window.found:
                await remove(number)
            after = window.after

    async def _remove_logs(self, builder: BuilderID, rule: Keep, number: int) -> None:
        """Mark the logs of a build as removed, then remove their files."""
        logs = await self.store.read(retention.logs_of, builder, number)
        ids = [log.id for log in logs]
        mark = partial(_mark_logs, rule=repr(rule), now=self.now)
        self.removed["logs"] += await self.slices.delete("marks of logs", ids, mark)
        await self.in_thread(partial(self._remove_files, [log.path for log in logs]))

    def _remove_files(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.files.remove(path)

    async def _remove_steps_of(self, builder: BuilderID, rule: Keep, number: int) -> None:
        if await self._remove_steps(builder, rule, number) is not None:
            self.removed["steps of builds"] += 1

    async def _remove_steps(self, builder: BuilderID, rule: Keep, number: int) -> BuildID | None:
        await self._remove_logs(builder, rule, number)
        build = retention.build_id(self.store, builder, number)
        if build is not None:
            await self.slices.work_off("steps", lambda store, rows: retention.delete_steps(store, build, rows) > 0)
        return build

    async def _remove_data_of(self, builder: BuilderID, number: int) -> None:
        build = retention.build_id(self.store, builder, number)
        if build is not None:
            await self._remove_data(build)
            self.removed["data of builds"] += 1

    async def _remove_data(self, build: BuildID) -> None:
        await self.slices.work_off("data of builds", lambda store, _: builddata.delete_one(store, build))

    async def _remove_build(self, builder: BuilderID, rule: Keep, number: int, *, with_requests: bool) -> None:
        build = await self._remove_steps(builder, rule, number)
        if build is None:
            return
        await self._remove_data(build)
        await self.slices.delete("builds", [build], partial(self._delete_build, with_requests=with_requests))

    def _delete_build(self, store: Store, ids: Sequence[int], *, with_requests: bool) -> int:
        (id,) = ids
        gone = retention.delete_build(store, BuildID(id), self.told, with_requests=with_requests)
        if gone < 0:
            return 0
        self.removed["builds"] += 1
        self.removed["buildsets"] += gone
        return 1

    # -- what belongs to no builder

    async def _all_builders(self) -> None:
        if (rule := self.plan.rule("requests")) and not rule.builders and not rule.tags:
            old = partial(retention.old_buildsets, age=self._age(rule), told=self.told)
            await self._lists(old, "buildsets", lambda store, ids: retention.delete_buildsets(store, ids, self.told))
        if rule := self.plan.rule("changes"):
            old = partial(retention.old_changes, age=self._age(rule), told=self.told)
            await self._lists(old, "changes", _delete_changes)
        if rule := self.plan.rule("events"):
            old = partial(retention.old_events, age=self._age(rule), told=self.told)
            await self._lists(old, "events", self._delete_events)
            for records in retention.RECORDS:
                old = partial(retention.old_records, records=records, age=self._age(rule))
                await self._lists(old, records.name, partial(retention.delete_records, records=records))

    def _delete_events(self, store: Store, ids: Sequence[int]) -> int:
        return retention.delete_events(store, [EventID(id) for id in ids], self.told)

    async def _lists(self, old: Callable[..., Window], what: str, delete: Delete) -> None:
        """Remove what the question finds, some ids in each transaction."""
        after: int | None = 0
        while after is not None:
            window = await self.store.read(partial(old, after=after))
            self.removed[what] += await self.slices.delete(what, window.found, delete)
            after = window.after

    # -- files

    async def _finish_files(self) -> None:
        """What the last pass marked but did not come to remove, because its process ended."""
        since = self.now - _UNFINISHED_SECONDS
        last = await self.store.read(passes.unended)
        if last is not None:
            since = min(since, last)
        after: LogID | None = LogID(0)
        while after is not None:
            logs = await self.store.read(retention.logs_removed_since, since, after, retention.FOUND_AT_ONCE)
            if logs:
                await self.in_thread(partial(self._remove_files, [log.path for log in logs]))
            after = logs[-1].id if len(logs) == retention.FOUND_AT_ONCE else None

    async def _give_back(self) -> None:
        """Shorten the store's file, but for some pages that will be used again."""
        await self.slices.work_off("pages", _give_back)


def _give_back(store: Store, pages: int) -> bool:
    before = retention.free_pages(store)
    left = retention.give_back(store, min(pages, before - FEW_PAGES)) if before > FEW_PAGES else before
    return left < before  # they are as many as before in a file made without incremental vacuum


def _mark_logs(store: Store, ids: Sequence[int], rule: str, now: float) -> int:
    return retention.mark_logs(store, [LogID(id) for id in ids], rule, now)


def _delete_changes(store: Store, ids: Sequence[int]) -> int:
    return retention.delete_changes(store, [ChangeID(id) for id in ids])
