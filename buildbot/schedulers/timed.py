"""Schedulers that build at certain times: every so often, or by a schedule like cron's.

What each remembers is the last of its times that it has dealt with (`LAST_TIME`), and nothing else: whatever lies
between that and now is due. So a restart neither loses a build nor makes one twice. Of several times that have passed,
because the master was down, the newest stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twisted.logger import Logger

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, warning
from buildbot.model import BuildsetID, ChangeID, Property
from buildbot.schedulers import stamps
from buildbot.schedulers.base import Answers, BaseScheduler, Parent, Settled, Unsettled
from buildbot.schedulers.cron import Cron
from buildbot.schedulers.judging import REASON, ChangeFilter, JudgingScheduler, NotABranch, ids_of, is_given
from buildbot.schedulers.stamps import Stamp
from buildbot.schedulers.triggerable import Triggerable
from buildbot.store import Store, builds, schedulers
from buildbot.store.schedulers import LAST_TIME
from buildbot.store.store import Queries

NoBranch = NotABranch

LATE_SECONDS = 60.0  # a time that passed longer ago was missed: the master was down
SET_BACK_SECONDS = 3600.0  # a last time that lies further in the future was told by a wrong clock
_TRIGGER = "last trigger"

_log = Logger()


class Timing(BaseScheduler):
    """What the kinds have in common: which time is due, and that it is dealt with once."""

    buildMissed = True

    # -- for the kinds

    def schedule(self) -> str:
        """What decides its times, as text: when that changes, the times before are over and done with."""
        raise NotImplementedError

    def first(self, now: float) -> float:
        """What counts as the last time when the scheduler is new."""
        raise NotImplementedError

    def latest(self, last: float, now: float) -> float | None:
        """The newest time after `last` that is not later than now; None: there is none."""
        raise NotImplementedError

    def after(self, last: float) -> float:
        """The next time."""
        raise NotImplementedError

    def dealt_with(self, due: float, now: float) -> float:
        """What counts as the last time when the build of this one has been made."""
        return due

    def is_wrong(self, last: float, now: float) -> bool:
        """Whether that last time was told by a clock that has been set back since."""
        return last > now + SET_BACK_SECONDS

    def has_something(self, store: Queries, due: float) -> bool:
        """Whether there is anything to build at this time."""
        raise NotImplementedError

    async def settle_due(self, store: Queries) -> Settled | Unsettled:
        raise NotImplementedError

    def fire(self, store: Store, settled: Settled | Unsettled, now: float) -> None:
        """Build."""
        raise NotImplementedError

    # -- deciding

    def times(self, remembered: Any, now: float, count: int) -> list[float]:
        found, last = [], self._last_of(remembered, now)
        for _ in range(count):
            last = self.after(last)
            found.append(max(last, now))
        return found

    async def ask(self, store: Store, now: float) -> Answers:
        due = self._due(store, now)
        wanted = self.asks and due is not None and self.has_something(store, due)
        return {due: await self.settle_due(store)} if wanted else {}

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        due = self._due(store, now)
        if due is None:
            return self._keep(store, self._last(store, now))
        if self.listens and schedulers.unclassified(store, self.name, 1):
            return now  # what is still to be judged came before this time, or just after it
        if now - due > LATE_SECONDS and not self.buildMissed:
            _log.info("scheduler {scheduler} missed a time while the master was down", scheduler=self.name)
        elif self.has_something(store, due):
            settled = (answers or {}).get(due) if self.asks else self.settle_plain()
            if settled is None:
                return now  # it was not asked about this time
            self.fire(store, settled, now)
            return self._keep(store, self.dealt_with(due, now))
        return self._keep(store, due)

    def pass_over(self, store: Store, now: float) -> None:
        """It is paused: its times pass without a build."""
        self._keep(store, max(now, self._last(store, now)))

    def _last(self, store: Queries, now: float) -> float:
        return self._last_of(schedulers.state(store, self.name, LAST_TIME), now)

    def _last_of(self, kept: Any, now: float) -> float:
        if kept is None or kept["schedule"] != self.schedule():
            return self.first(now)
        last = float(kept["at"])
        return now if self.is_wrong(last, now) else last

    def _keep(self, store: Store, last: float) -> float:
        kept = {"at": last, "schedule": self.schedule()}
        if schedulers.state(store, self.name, LAST_TIME) != kept:
            schedulers.set_state(store, self.name, LAST_TIME, kept)
        return self.after(last)

    def _due(self, store: Queries, now: float) -> float | None:
        return self.latest(self._last(store, now), now)


class Timed(Timing, JudgingScheduler):
    """Those that look at changes: they build the newest source, or only what has changed."""

    def __init__(
        self,
        name: str,
        builderNames: Any,
        *,
        branch: Any = NoBranch,
        onlyIfChanged: bool = False,
        buildMissed: bool = True,
        **others: Any,
    ) -> None:
        branches = [branch] if is_given(branch) else NotABranch
        super().__init__(name, builderNames, branches=branches, categories=None, **others)
        if is_given(branch) and branch is not None and not isinstance(branch, str):
            error(f"scheduler {name!r}: branch is a string or None, not {branch!r}")
        self.branch = branch
        self.onlyIfChanged = bool(onlyIfChanged)
        self.buildMissed = bool(buildMissed)
        self.listens = self.onlyIfChanged or self.createAbsoluteSourceStamps
        for argument in ("fileIsImportant", "change_filter", "onlyImportant"):
            if getattr(self, argument) and not self.listens:
                warning(f"scheduler {name!r}: {argument} has no effect without onlyIfChanged=True")
        if is_given(branch):
            self.codebases = {codebase: {**given, "branch": branch} for codebase, given in self.codebases.items()}

    def is_forced(self, due: float) -> bool:
        """Whether it builds at this time even when nothing has changed."""
        return not self.onlyIfChanged

    def has_something(self, store: Queries, due: float) -> bool:
        return self.is_forced(due) or bool(schedulers.important(store, self.name, 1))

    async def settle_due(self, store: Queries) -> Settled | Unsettled:
        return await self.settle_now(store)

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        if self.listens:
            schedulers.retire_unimportant(store, self.name, schedulers.MOST_UNIMPORTANT)
        return super().run(store, now, answers)

    def fire(self, store: Store, settled: Settled | Unsettled, now: float) -> None:
        if isinstance(settled, Settled):
            self.build_changes(store, settled, self._changes(store), self.reason, now)
        else:
            _log.error("scheduler {scheduler} builds nothing: {why}", scheduler=self.name, why=settled.reason)
            schedulers.turn_down(store, self.name, ids_of(self._changes(store)), settled.verdict, settled.reason)

    def _changes(self, store: Queries) -> dict[str, list[ChangeID]]:
        return self.waiting_changes(store, None) if self.listens else {}


@configurable
class Periodic(Timed):
    """Builds every so often; for the first time as soon as it is in the configuration.

    name, builderNames, properties, codebases, priority, reason: as other schedulers. periodicBuildTimer: seconds from
    one build to the next. branch: of the source (default: each codebase's own); with onlyIfChanged also of the
    changes. onlyIfChanged: True: only when an important change has come since the last build. fileIsImportant,
    change_filter, onlyImportant: which changes those are. createAbsoluteSourceStamps: build each codebase at the newest
    change that was seen there. buildMissed: False: a build whose time came while the master was down is left out
    (True: there is one when the master is back).
    """

    def __init__(
        self,
        name: str,
        builderNames: Any,
        periodicBuildTimer: float,
        branch: Any = NoBranch,
        properties: Mapping[str, Any] | None = None,
        onlyImportant: bool = False,
        codebases: Any = None,
        reason: str = REASON,
        change_filter: ChangeFilter | None = None,
        onlyIfChanged: bool = False,
        fileIsImportant: Callable[..., Any] | None = None,
        createAbsoluteSourceStamps: bool = False,
        priority: Any = None,
        buildMissed: bool = True,
    ) -> None:
        super().__init__(
            name,
            builderNames,
            branch=branch,
            properties=properties,
            onlyImportant=onlyImportant,
            codebases=codebases,
            reason=reason,
            change_filter=change_filter,
            onlyIfChanged=onlyIfChanged,
            fileIsImportant=fileIsImportant,
            createAbsoluteSourceStamps=createAbsoluteSourceStamps,
            priority=priority,
            buildMissed=buildMissed,
        )
        timer: Any = periodicBuildTimer
        if isinstance(timer, bool) or not isinstance(timer, (int, float)) or not timer > 0:
            error(f"scheduler {name!r}: periodicBuildTimer is a number of seconds, more than 0, not {timer!r}")
            timer = 86400.0
        self.periodicBuildTimer = float(timer)

    def schedule(self) -> str:
        return "periodic"  # another timer counts from the last build as well

    def first(self, now: float) -> float:
        return now - self.periodicBuildTimer

    def latest(self, last: float, now: float) -> float | None:
        due = last + self.periodicBuildTimer * ((now - last) // self.periodicBuildTimer)
        return due if due > last else None

    def after(self, last: float) -> float:
        return last + self.periodicBuildTimer

    def dealt_with(self, due: float, now: float) -> float:
        return due if now - due <= LATE_SECONDS else now

    def is_wrong(self, last: float, now: float) -> bool:
        return last > now + self.periodicBuildTimer


class ByCron(Timing):
    """Times by a schedule like cron's, and perhaps by a second one."""

    cron: Cron
    forced: Cron | None = None

    def schedule(self) -> str:
        return f"{self.cron} {self.forced}"

    def first(self, now: float) -> float:
        return now

    def latest(self, last: float, now: float) -> float | None:
        due = max(cron.latest(now) for cron in self._crons())
        return due if due > last else None

    def after(self, last: float) -> float:
        return min(cron.after(last) for cron in self._crons())

    def _crons(self) -> list[Cron]:
        return [self.cron] if self.forced is None else [self.cron, self.forced]


@configurable
class Nightly(ByCron, Timed):
    """Builds at certain times, as cron does.

    name, builderNames, properties, codebases, priority, reason: as other schedulers. minute, hour, dayOfMonth, month,
    dayOfWeek: each a number, a list of numbers, '*', or a string as crontab(5) has it; of days of the week Monday is 0.
    timezone: the name of the zone whose clock counts, such as 'Europe/Berlin' (default: the machine's local time).
    branch, onlyIfChanged, fileIsImportant, change_filter, onlyImportant, createAbsoluteSourceStamps, buildMissed: as
    Periodic. force_at_minute, force_at_hour, force_at_day_of_month, force_at_month, force_at_day_of_week: further
    times, at which it builds even when nothing has changed.
    """

    def __init__(
        self,
        name: str,
        builderNames: Any,
        minute: Any = 0,
        hour: Any = "*",
        dayOfMonth: Any = "*",
        month: Any = "*",
        dayOfWeek: Any = "*",
        branch: Any = NoBranch,
        properties: Mapping[str, Any] | None = None,
        fileIsImportant: Callable[..., Any] | None = None,
        onlyIfChanged: bool = False,
        createAbsoluteSourceStamps: bool = False,
        change_filter: ChangeFilter | None = None,
        onlyImportant: bool = False,
        reason: str = REASON,
        codebases: Any = None,
        priority: Any = None,
        force_at_minute: Any = None,
        force_at_hour: Any = None,
        force_at_day_of_month: Any = None,
        force_at_month: Any = None,
        force_at_day_of_week: Any = None,
        timezone: str | None = None,
        buildMissed: bool = True,
    ) -> None:
        super().__init__(
            name,
            builderNames,
            branch=branch,
            properties=properties,
            onlyImportant=onlyImportant,
            codebases=codebases,
            reason=reason,
            change_filter=change_filter,
            onlyIfChanged=onlyIfChanged,
            fileIsImportant=fileIsImportant,
            createAbsoluteSourceStamps=createAbsoluteSourceStamps,
            priority=priority,
            buildMissed=buildMissed,
        )
        self.cron = _cron(name, (minute, hour, dayOfMonth, month, dayOfWeek), timezone)
        forced = (force_at_minute, force_at_hour, force_at_day_of_month, force_at_month, force_at_day_of_week)
        if any(field is not None for field in forced):
            fields = [
                (0 if number == 0 else "*") if field is None else field for number, field in enumerate(forced)
            ]
            self.forced = _cron(name, fields, timezone)

    def is_forced(self, due: float) -> bool:
        return super().is_forced(due) or (self.forced is not None and self.forced.latest(due) == due)


@configurable
class NightlyTriggerable(ByCron, Triggerable):
    """Builds at certain times, but only if a Trigger step has named it since; of several triggers, the last one.

    name, builderNames, properties, reason, codebases, priority: as Triggerable. The times, timezone and buildMissed: as
    Nightly. A Trigger step does not wait for it.
    """

    def __init__(
        self,
        name: str,
        builderNames: Any,
        minute: Any = 0,
        hour: Any = "*",
        dayOfMonth: Any = "*",
        month: Any = "*",
        dayOfWeek: Any = "*",
        reason: Any = None,
        properties: Mapping[str, Any] | None = None,
        codebases: Any = None,
        priority: Any = None,
        timezone: str | None = None,
        buildMissed: bool = True,
    ) -> None:
        super().__init__(name, builderNames, properties, reason, codebases, priority)
        self.asks = True
        self.buildMissed = bool(buildMissed)
        self.cron = _cron(name, (minute, hour, dayOfMonth, month, dayOfWeek), timezone)

    def trigger(
        self, store: Store, settled: Settled, given: Sequence[Stamp], parent: Parent, now: float
    ) -> BuildsetID | None:
        """Remember it for the next time."""
        kept = {
            "stamps": [stamps.as_data(store, stamp) for stamp in given],
            "properties": [list(each) for each in settled.properties],
            "priority": settled.priority,
            "parent": parent.build,
            "relationship": parent.relationship,
        }
        schedulers.set_state(store, self.name, _TRIGGER, kept)
        return None

    def has_something(self, store: Queries, due: float) -> bool:
        return schedulers.state(store, self.name, _TRIGGER) is not None

    async def settle_due(self, store: Queries) -> Settled | Unsettled:
        kept = schedulers.state(store, self.name, _TRIGGER) or {"properties": [], "priority": 0, "stamps": []}
        given = [Property(*each) for each in kept["properties"]]
        return await self.prepare(given, kept["priority"], [stamps.from_data(data) for data in kept["stamps"]])

    def fire(self, store: Store, settled: Settled | Unsettled, now: float) -> None:
        if isinstance(settled, Settled):
            self.build_now(store, settled, self.reason_for(settled), now)
        else:
            schedulers.set_state(store, self.name, _TRIGGER, None)
            _log.error("scheduler {scheduler} builds nothing: {why}", scheduler=self.name, why=settled.reason)

    async def settle_now(self, store: Queries) -> Settled | Unsettled:
        return await self.settle_due(store)

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """Build what it was given last; without that, the newest source."""
        kept = schedulers.state(store, self.name, _TRIGGER)
        if kept is None:
            return super().build_now(store, settled, reason, now)
        schedulers.set_state(store, self.name, _TRIGGER, None)
        given = [stamps.from_data(data) for data in kept["stamps"]]
        known = builds.get(store, kept["parent"]) is not None
        parent = Parent(kept["parent"], kept["relationship"], False) if known else None
        return self.make(store, settled, given, parent, reason, now)


def _cron(scheduler: str, fields: Sequence[Any], timezone: str | None) -> Cron:
    zone = None
    try:
        zone = None if timezone is None else ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        error(f"scheduler {scheduler!r}: there is no time zone {timezone!r}", "one is called 'Europe/Berlin', say")
    try:
        return Cron(fields, zone)
    except ValueError as wrong:
        error(f"scheduler {scheduler!r}: {wrong}")
        return Cron((0, "*", "*", "*", "*"), zone)
