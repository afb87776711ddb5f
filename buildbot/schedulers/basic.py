"""Schedulers that build changes: of one branch, or of many, each after its tree has been quiet for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import Change, ChangeID, Property, SourceStampID, Verdict
from buildbot.process.userchange import UserChange
from buildbot.schedulers.base import Answers, BaseScheduler, Settled, Unsettled, ask_user
from buildbot.store import Store, changes, properties, schedulers, sourcestamps
from buildbot.store.schedulers import Timer, Tree
from buildbot.store.store import Queries

REQUESTS_A_PASS = 200
DECIDING_SECONDS = 0.02  # a pass; what is left is decided in the next one
MOST_CHANGES = 2_000  # in one buildset; the next one takes the rest
DECISIONS_ASKED = 10  # a pass, when the user's functions are asked about each
MOST_ASKED = 100  # changes shown to a priority function
_LAST_STAMPS = "last stamps"


class _NotABranch:
    """What `branch=` is when nobody gave it: None is the trunk."""

    def __repr__(self) -> str:
        return "NotABranch"


NotABranch = _NotABranch()


def is_given(branch: Any) -> bool:
    """Whether somebody gave this argument."""
    return branch is not NotABranch


class ChangeFilter(Protocol):
    """What `change_filter=` must be. One that has `why_not(change) -> str | None` gives its reason in words."""

    def filter_change(self, change: Any) -> Any: ...


class Due(NamedTuple):
    """What is to be built now: one change, or all that wait in a tree (None: in all of them)."""

    change: ChangeID | None
    tree: Tree | None
    newest: ChangeID


@configurable
class BaseBasicScheduler(BaseScheduler):
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
        super().__init__(name, builderNames, properties, codebases, priority)
        self.treeStableTimer = treeStableTimer or None
        self.branches: tuple[str | None, ...] | None = _as_branches(name, branches)
        self.categories = None if categories is None else tuple(categories)
        self.change_filter = change_filter
        self.fileIsImportant: Any = fileIsImportant
        self.onlyImportant = bool(onlyImportant)
        self.createAbsoluteSourceStamps = bool(createAbsoluteSourceStamps)
        self.reason = _formatted(name, type(self).__name__, reason)
        self._check(treeStableTimer)

    def _check(self, timer: Any) -> None:
        who = f"scheduler {self.name!r}"
        if timer is not None and (isinstance(timer, bool) or not isinstance(timer, (int, float)) or timer < 0):
            error(f"{who}: treeStableTimer is a number of seconds or None, not {timer!r}")
            self.treeStableTimer = None
        if self.fileIsImportant is not None and not callable(self.fileIsImportant):
            error(f"{who}: fileIsImportant is a function of a change, not {self.fileIsImportant!r}")
        if self.change_filter is None:
            return
        if self.branches is not None or self.categories is not None:
            error(f"{who}: give either a change_filter or branches and categories, not both")
        if not callable(getattr(self.change_filter, "filter_change", None)):
            error(f"{who}: change_filter is a ChangeFilter, not {self.change_filter!r}")

    # -- judging

    async def classify(
        self, change: Change, files: Sequence[str], properties: Sequence[Property]
    ) -> tuple[Verdict, str]:
        refusal = self._plainly_refused(change)
        if refusal is not None:
            return Verdict.NOT_MINE, refusal
        seen = UserChange(change, files, properties)
        refusal = await self._filtered_out(seen)
        if refusal is not None:
            return Verdict.NOT_MINE, refusal
        if self.fileIsImportant is None:
            return Verdict.IMPORTANT, "it passes the filters, and every change is important"
        if await ask_user("fileIsImportant", self.fileIsImportant, seen):
            return Verdict.IMPORTANT, "fileIsImportant found an important file"
        if self.onlyImportant:
            return Verdict.NOT_MINE, "no important file, and the scheduler takes only important changes"
        return Verdict.UNIMPORTANT, "no important file"

    def _plainly_refused(self, change: Change) -> str | None:
        if change.codebase not in self.codebases:
            return f"codebase {change.codebase!r} is not one of {_listed(self.codebases)}"
        if self.branches is not None and change.branch not in self.branches:
            return f"branch {_branch(change.branch)} does not match: it builds {_listed(self.branches)}"
        if self.categories is not None and change.category not in self.categories:
            return f"category {change.category!r} is not one of {_listed(self.categories)}"
        return None

    async def _filtered_out(self, change: UserChange) -> str | None:
        if self.change_filter is None:
            return None
        if await ask_user("change_filter", self.change_filter.filter_change, change):
            return None
        explain = getattr(self.change_filter, "why_not", None)
        reason = await ask_user("change_filter", explain, change) if callable(explain) else None
        return str(reason) if reason else "the change_filter does not let it through"

    # -- deciding

    def next_builds(self, store: Queries, now: float) -> list[tuple[Tree | None, float]]:
        """For people: which trees wait for their timer, and when each will be built."""
        return [(tree, self._due_at(timer, now)) for tree, timer in self._timers(store)]

    async def ask(self, store: Queries, now: float) -> Answers:
        if not self.asks:
            return {}
        return {due: await self.settle(self._seen(store, due)) for due in self._due(store, now)}

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        schedulers.retire_unimportant(store, self.name, schedulers.MOST_UNIMPORTANT if self.treeStableTimer else 0)
        if self.treeStableTimer and schedulers.unclassified(store, self.name, 1):
            return now  # a verdict that is still to come may restart a timer
        started = time.perf_counter()
        for due in self._due(store, now):
            match (answers or {}).get(due) if self.asks else self.settle_plain():
                case Settled() as settled:
                    self._build(store, due, settled, now)
                case Unsettled(reason):
                    schedulers.fail(store, self.name, _ids(self._changes_of(store, due)), reason)
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
        by_codebase = self._changes_of(store, due)
        stamps = [
            self._stamp(store, codebase, by_codebase.get(codebase, []), now)
            for codebase in [*self.codebases, *(name for name in by_codebase if name not in self.codebases)]
        ]
        ids = _ids(by_codebase)
        buildset = self.submit(store, settled, stamps, newest=max(ids), reason=self.reason, now=now)
        schedulers.retire(store, self.name, ids, buildset)

    def _changes_of(self, store: Queries, due: Due) -> dict[str, list[ChangeID]]:
        by_codebase: dict[str, list[ChangeID]] = {}
        if due.change is not None:
            change = changes.get(store, due.change)
            assert change is not None
            return {change.codebase: [change.id]}
        for id, codebase in schedulers.waiting_in(store, self.name, due.tree, MOST_CHANGES):
            by_codebase.setdefault(codebase, []).append(id)
        return by_codebase

    def _stamp(self, store: Store, codebase: str, ids: Sequence[ChangeID], now: float) -> SourceStampID:
        if not ids:
            return sourcestamps.add(store, codebase=codebase, now=now, **self._without_change(store, codebase))
        newest = changes.get(store, max(ids))
        assert newest is not None
        source = {name: getattr(newest, name) for name in ("repository", "project", "branch", "revision")}
        if self.createAbsoluteSourceStamps:
            last = schedulers.state(store, self.name, _LAST_STAMPS, {})
            schedulers.set_state(store, self.name, _LAST_STAMPS, {**last, codebase: source})
        return sourcestamps.add(store, codebase=codebase, changes=ids, now=now, **source)

    def _without_change(self, store: Queries, codebase: str) -> dict[str, Any]:
        """What is built of a codebase in which nothing changed."""
        if self.createAbsoluteSourceStamps:
            last = schedulers.state(store, self.name, _LAST_STAMPS, {}).get(codebase)
            if last is not None:
                return dict(last)
        return self.codebases.get(codebase, {})

    # -- asking the user's functions

    def _seen(self, store: Queries, due: Due) -> dict[str, list[UserChange]]:
        seen: dict[str, list[UserChange]] = {}
        for codebase, ids in self._changes_of(store, due).items():
            for id in ids[-MOST_ASKED:]:
                change = changes.get(store, id)
                if change is not None:
                    given = properties.of(store, "change", id)
                    seen.setdefault(codebase, []).append(UserChange(change, changes.files(store, id), given))
        return seen


_REASON = "The %(classname)s scheduler named '%(name)s' triggered this build"


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
        reason: str = _REASON,
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
        reason: str = _REASON,
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


def _as_branches(scheduler: str, branches: Any) -> tuple[str | None, ...] | None:
    if not is_given(branches):
        return None
    if isinstance(branches, (list, tuple, set, frozenset)) and all(
        branch is None or isinstance(branch, str) for branch in branches
    ):
        return tuple(branches)
    error(f"scheduler {scheduler!r}: branches is a list of names, not {branches!r}")
    return None


def _formatted(scheduler: str, classname: str, template: Any) -> str:
    try:
        return str(template % {"name": scheduler, "classname": classname})
    except (KeyError, TypeError, ValueError) as wrong:
        error(f"scheduler {scheduler!r}: reason takes %(name)s and %(classname)s, and %% for a %: {wrong!r}")
        return str(template)


def _ids(by_codebase: Mapping[str, Sequence[ChangeID]]) -> list[ChangeID]:
    return [id for several in by_codebase.values() for id in several]


def _branch(branch: str | None) -> str:
    return "None (the trunk)" if branch is None else repr(branch)


def _listed(values: Any) -> str:
    return ", ".join(map(repr, values)) or "none at all"
