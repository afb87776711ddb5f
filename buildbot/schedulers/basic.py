"""Schedulers that build changes: of one branch, or of many, each after its tree has been quiet for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import BuildsetID, ChangeID
from buildbot.schedulers.base import Answers, Settled, Unsettled
from buildbot.schedulers.judging import REASON, ChangeFilter, JudgingScheduler, NotABranch, ids_of, is_given
from buildbot.store import Store, changes, schedulers
from buildbot.store.schedulers import Timer, Tree
from buildbot.store.store import Queries

REQUESTS_A_PASS = 200
DECIDING_SECONDS = 0.02  # a pass; what is left is decided in the next one
DECISIONS_ASKED = 10  # a pass, when the user's functions are asked about each


class Due(NamedTuple):
    """What is to be built now: one change, or all that wait in a tree (None: in all of them)."""

    change: ChangeID | None
    tree: Tree | None
    newest: ChangeID


@configurable
class BaseBasicScheduler(JudgingScheduler):
    """Builds changes that its filters let through.

    treeStableTimer: seconds without another important change in the tree before it builds, counted from the arrival;
    None or 0: each change at once, in a buildset of its own. fileIsImportant(change) -> bool (or a Deferred or
    coroutine of it): only important changes start builds, the others ride along. onlyImportant: True leaves the
    others out. change_filter: a ChangeFilter, instead of branch and categories. categories: list. reason: a template
    with %(name)s and %(classname)s. createAbsoluteSourceStamps: codebases without a change are built at the revision
    that this scheduler last built instead of their newest. name, builderNames, properties, codebases, priority: as
    every scheduler.
    """

    one_timer = True  # for all that waits, or one for each tree

    def __init__(
        self,
        name: str,
        builderNames: Any,
        treeStableTimer: float | None,
        *,
        branches: Any,
        fileIsImportant: Any,
        properties: Mapping[str, Any] | None,
        categories: Sequence[str | None] | None,
        change_filter: ChangeFilter | None,
        onlyImportant: bool,
        createAbsoluteSourceStamps: bool,
        reason: str,
        codebases: Any,
        priority: Any,
    ) -> None:
        super().__init__(
            name,
            builderNames,
            branches=branches,
            fileIsImportant=fileIsImportant,
            properties=properties,
            categories=categories,
            change_filter=change_filter,
            onlyImportant=onlyImportant,
            createAbsoluteSourceStamps=createAbsoluteSourceStamps,
            reason=reason,
            codebases=codebases,
            priority=priority,
        )
        self.treeStableTimer = treeStableTimer or None
        timer: Any = treeStableTimer
        if timer is not None and (isinstance(timer, bool) or not isinstance(timer, (int, float)) or timer < 0):
            error(f"scheduler {name!r}: treeStableTimer is a number of seconds or None, not {timer!r}")
            self.treeStableTimer = None
        if change_filter is not None and (self.branches is not None or self.categories is not None):
            error(f"scheduler {name!r}: give either a change_filter or branches and categories, not both")

    # -- deciding

    def next_builds(self, store: Queries, now: float) -> list[tuple[Tree | None, float]]:
        """For people: which trees wait for their timer, and when each will be built."""
        return [(tree, self._due_at(timer, now)) for tree, timer in self._timers(store)]

    async def ask(self, store: Queries, now: float) -> Answers:
        if not self.asks:
            return {}
        return {due: await self.settle_changes(store, self._changes_of(store, due)) for due in self._due(store, now)}

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        schedulers.retire_unimportant(store, self.name, schedulers.MOST_UNIMPORTANT if self.treeStableTimer else 0)
        if self.treeStableTimer and schedulers.unclassified(store, self.name, 1):
            return now  # a verdict that is still to come may restart a timer
        started = time.perf_counter()
        for due in self._due(store, now):
            match (answers or {}).get(due) if self.asks else self.settle_plain():
                case Settled() as settled:
                    self._build(store, due, settled, now)
                case Unsettled(reason, verdict):
                    schedulers.turn_down(store, self.name, ids_of(self._changes_of(store, due)), verdict, reason)
            if time.perf_counter() - started > DECIDING_SECONDS:
                break
        return self._wake_at(store, now)

    def _due(self, store: Queries, now: float) -> list[Due]:
        """What is to be built now, the oldest first, not more than one pass may do."""
        most = DECISIONS_ASKED if self.asks else max(1, REQUESTS_A_PASS // max(1, len(self.builderNames)))
        if self.treeStableTimer is None:
            return [Due(id, None, id) for id in schedulers.important(store, self.name, most)]
        ripe = [(tree, timer) for tree, timer in self._timers(store) if self._due_at(timer, now) <= now]
        return [Due(None, tree, timer.newest) for tree, timer in ripe[:most]]

    def _wake_at(self, store: Queries, now: float) -> float | None:
        if self.treeStableTimer is None:
            return now if schedulers.important(store, self.name, 1) else None
        return min((self._due_at(timer, now) for _, timer in self._timers(store)), default=None)

    def _timers(self, store: Queries) -> list[tuple[Tree | None, Timer]]:
        if self.treeStableTimer is None:
            return []
        timers = schedulers.timers(store, self.name)
        if not self.one_timer:
            return [(timer.tree, timer) for timer in timers]
        if not timers:
            return []
        newest = max(timer.newest for timer in timers)
        return [(None, Timer(timers[-1].tree, max(timer.important_at for timer in timers), newest))]

    def _due_at(self, timer: Timer, now: float) -> float:
        if timer.important_at > now + 1:
            return now  # the clock was set back: do not wait for a time that was wrong
        return timer.important_at + (self.treeStableTimer or 0)

    def _build(self, store: Store, due: Due, settled: Settled, now: float) -> None:
        """One buildset for what is due; its changes are retired with it."""
        self.build_changes(store, settled, self._changes_of(store, due), self.reason, now)

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """Build what waits for its timer, a buildset for each tree; if nothing does, the newest source."""
        built = None
        for tree, _ in self._timers(store):
            built = self.build_changes(store, settled, self.waiting_changes(store, tree), reason, now)
        return self.build_newest(store, settled, reason, now) if built is None else built

    def _changes_of(self, store: Queries, due: Due) -> dict[str, list[ChangeID]]:
        if due.change is not None:
            change = changes.get(store, due.change)
            assert change is not None
            return {change.codebase: [change.id]}
        return self.waiting_changes(store, due.tree)


@configurable
class SingleBranchScheduler(BaseBasicScheduler):
    """Builds the changes of one branch, with one stable timer for all of them.

    branch: its name, None for the trunk; needed unless there is a change_filter. The rest as `BaseBasicScheduler`.
    The order of the first arguments is that of 0.7's Scheduler.
    """

    def __init__(
        self,
        name: str,
        branch: Any = NotABranch,
        treeStableTimer: float | None = None,
        builderNames: Any = None,
        fileIsImportant: Callable[..., Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        categories: Sequence[str | None] | None = None,
        change_filter: ChangeFilter | None = None,
        onlyImportant: bool = False,
        createAbsoluteSourceStamps: bool = False,
        reason: str = REASON,
        codebases: Any = None,
        priority: int | Callable[..., Any] | None = None,
        branches: Any = NotABranch,
    ) -> None:
        if is_given(branches):
            error(f"scheduler {name!r} takes one branch; for several use an AnyBranchScheduler")
        if not is_given(branch) and change_filter is None:
            error(f"scheduler {name!r} needs a branch or a change_filter", "branch=None is the trunk")
        if is_given(branch) and branch is not None and not isinstance(branch, str):
            error(f"scheduler {name!r}: branch is a string or None, not {branch!r}")
            branch = NotABranch
        super().__init__(
            name,
            builderNames,
            treeStableTimer,
            branches=[branch] if is_given(branch) else NotABranch,
            fileIsImportant=fileIsImportant,
            properties=properties,
            categories=categories,
            change_filter=change_filter,
            onlyImportant=onlyImportant,
            createAbsoluteSourceStamps=createAbsoluteSourceStamps,
            reason=reason,
            codebases=codebases,
            priority=priority,
        )


Scheduler = SingleBranchScheduler  # its name in 0.7


@configurable
class AnyBranchScheduler(BaseBasicScheduler):
    """Builds the changes of many branches; each (branch, project, repository, codebase) has a stable timer of its own.

    branches: list of names, None in it for the trunk; left out or None: all. The rest as `BaseBasicScheduler`.
    """

    one_timer = False

    def __init__(
        self,
        name: str,
        branches: Any = NotABranch,
        treeStableTimer: float | None = None,
        builderNames: Any = None,
        fileIsImportant: Callable[..., Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        categories: Sequence[str | None] | None = None,
        change_filter: ChangeFilter | None = None,
        onlyImportant: bool = False,
        createAbsoluteSourceStamps: bool = False,
        reason: str = REASON,
        codebases: Any = None,
        priority: int | Callable[..., Any] | None = None,
        branch: Any = NotABranch,
    ) -> None:
        if is_given(branch):
            error(f"scheduler {name!r} takes branches, a list; for one branch use a SingleBranchScheduler")
        super().__init__(
            name,
            builderNames,
            treeStableTimer,
            branches=NotABranch if branches is None else branches,
            fileIsImportant=fileIsImportant,
            properties=properties,
            categories=categories,
            change_filter=change_filter,
            onlyImportant=onlyImportant,
            createAbsoluteSourceStamps=createAbsoluteSourceStamps,
            reason=reason,
            codebases=codebases,
            priority=priority,
        )


