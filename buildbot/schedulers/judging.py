"""Schedulers that look at changes: which are theirs, which start a build, and what a build of them is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from buildbot.config.errors import error
from buildbot.model import BuildsetID, Change, ChangeID, Property, SourceStampID, Verdict
from buildbot.process.userchange import UserChange
from buildbot.schedulers.base import BaseScheduler, Settled, Unsettled, ask_user
from buildbot.store import Store, changes, properties, schedulers, sourcestamps
from buildbot.store.schedulers import Tree
from buildbot.store.store import Queries

MOST_CHANGES = 2_000  # in one buildset; the next one takes the rest
MOST_ASKED = 100  # changes shown to a priority function
REASON = "The %(classname)s scheduler named '%(name)s' triggered this build"
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


class JudgingScheduler(BaseScheduler):
    """What the kinds that look at changes have in common; `BaseBasicScheduler` says what the arguments mean."""

    def __init__(
        self,
        name: str,
        builderNames: Any,
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
        self.branches: tuple[str | None, ...] | None = _as_branches(name, branches)
        self.categories = None if categories is None else tuple(categories)
        self.change_filter = change_filter
        self.fileIsImportant: Any = fileIsImportant
        self.onlyImportant = bool(onlyImportant)
        self.createAbsoluteSourceStamps = bool(createAbsoluteSourceStamps)
        self.reason = formatted(name, type(self).__name__, reason)
        if fileIsImportant is not None and not callable(fileIsImportant):
            error(f"scheduler {name!r}: fileIsImportant is a function of a change, not {fileIsImportant!r}")
        if change_filter is not None and not callable(getattr(change_filter, "filter_change", None)):
            error(f"scheduler {name!r}: change_filter is a ChangeFilter, not {change_filter!r}")

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

    # -- what a build is made of

    def waiting_changes(self, store: Queries, tree: Tree | None) -> dict[str, list[ChangeID]]:
        """The changes that wait in a tree (None: in all), by codebase, oldest first."""
        by_codebase: dict[str, list[ChangeID]] = {}
        for id, codebase in schedulers.waiting_in(store, self.name, tree, MOST_CHANGES):
            by_codebase.setdefault(codebase, []).append(id)
        return by_codebase

    def stamps_of(self, store: Store, by_codebase: Mapping[str, Sequence[ChangeID]], now: float) -> list[SourceStampID]:
        """A stamp for each codebase: at its newest change, or else what is built of it without one."""
        found = []
        for codebase, source in self.sources_of(store, by_codebase).items():
            ids = by_codebase.get(codebase, [])
            if ids and self.createAbsoluteSourceStamps:
                last = schedulers.state(store, self.name, _LAST_STAMPS, {})
                schedulers.set_state(store, self.name, _LAST_STAMPS, {**last, codebase: source})
            found.append(sourcestamps.add(store, codebase=codebase, changes=ids, now=now, **source))
        return found

    def sources_of(self, store: Queries, by_codebase: Mapping[str, Sequence[ChangeID]]) -> dict[str, dict[str, Any]]:
        """What is built of each codebase when these changes are."""
        return {
            codebase: self._source(store, codebase, by_codebase.get(codebase, []))
            for codebase in dict.fromkeys([*self.codebases, *by_codebase])
        }

    def _source(self, store: Queries, codebase: str, ids: Sequence[ChangeID]) -> dict[str, Any]:
        if not ids:
            return self._without_change(store, codebase)
        newest = changes.get(store, max(ids))
        assert newest is not None
        return {name: getattr(newest, name) for name in ("repository", "project", "branch", "revision")}

    def _without_change(self, store: Queries, codebase: str) -> dict[str, Any]:
        """What is built of a codebase in which nothing changed."""
        if self.createAbsoluteSourceStamps:
            last = schedulers.state(store, self.name, _LAST_STAMPS, {}).get(codebase)
            if last is not None:
                return dict(last)
        return self.codebases.get(codebase, {})

    async def settle_changes(
        self, store: Queries, by_codebase: Mapping[str, Sequence[ChangeID]]
    ) -> Settled | Unsettled:
        """Ask the user's callables about a buildset of these changes."""
        sources = self.sources_of(store, by_codebase) if by_codebase else self._newest(store)
        planned = [{"codebase": codebase, **source} for codebase, source in sources.items()]
        settled = await self.settle(seen(store, by_codebase), planned)
        if isinstance(settled, Settled) and not settled.builder_names:
            return Unsettled("its builderNames gives no builder for it", Verdict.NOT_MINE)
        return settled

    async def settle_now(self, store: Queries) -> Settled | Unsettled:
        return await self.settle_changes(store, self.waiting_changes(store, None))

    def build_now(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID | None:
        """A buildset of all that has changed, and of the newest of what has not."""
        waiting = self.waiting_changes(store, None)
        if not waiting:
            return self.build_newest(store, settled, reason, now)
        return self.build_changes(store, settled, waiting, reason, now)

    def build_newest(self, store: Store, settled: Settled, reason: str, now: float) -> BuildsetID:
        """A buildset of the newest source, on the scheduler's branch if it has one."""
        source = [
            sourcestamps.add(store, codebase=codebase, now=now, **source)
            for codebase, source in self._newest(store).items()
        ]
        return self.submit(store, settled, source, newest=None, reason=reason, now=now)

    def _newest(self, store: Queries) -> dict[str, dict[str, Any]]:
        branch = {"branch": self.branches[0]} if self.branches is not None and len(self.branches) == 1 else {}
        return {codebase: branch | self._without_change(store, codebase) for codebase in self.codebases}

    def build_changes(
        self, store: Store, settled: Settled, by_codebase: Mapping[str, Sequence[ChangeID]], reason: str, now: float
    ) -> BuildsetID:
        """One buildset for these changes, which are retired with it."""
        ids = ids_of(by_codebase)
        source = self.stamps_of(store, by_codebase, now)
        buildset = self.submit(store, settled, source, newest=max(ids, default=None), reason=reason, now=now)
        schedulers.retire(store, self.name, ids, buildset)
        return buildset


def seen(store: Queries, by_codebase: Mapping[str, Sequence[ChangeID]]) -> dict[str, list[UserChange]]:
    """The changes as the user's functions get them, the newest of each codebase."""
    found: dict[str, list[UserChange]] = {}
    for codebase, ids in by_codebase.items():
        for id in ids[-MOST_ASKED:]:
            change = changes.get(store, id)
            if change is not None:
                given = properties.of(store, "change", id)
                found.setdefault(codebase, []).append(UserChange(change, changes.files(store, id), given))
    return found


def _as_branches(scheduler: str, branches: Any) -> tuple[str | None, ...] | None:
    if not is_given(branches):
        return None
    if isinstance(branches, (list, tuple, set, frozenset)) and all(
        branch is None or isinstance(branch, str) for branch in branches
    ):
        return tuple(branches)
    error(f"scheduler {scheduler!r}: branches is a list of names, not {branches!r}")
    return None


def formatted(scheduler: str, classname: str, template: Any) -> str:
    """A reason of its template."""
    try:
        return str(template % {"name": scheduler, "classname": classname})
    except (KeyError, TypeError, ValueError) as wrong:
        error(f"scheduler {scheduler!r}: reason takes %(name)s and %(classname)s, and %% for a %: {wrong!r}")
        return str(template)


def ids_of(by_codebase: Mapping[str, Sequence[ChangeID]]) -> list[ChangeID]:
    """All of them."""
    return [id for several in by_codebase.values() for id in several]


def _branch(branch: str | None) -> str:
    return "None (the trunk)" if branch is None else repr(branch)


def _listed(values: Any) -> str:
    return ", ".join(map(repr, values)) or "none at all"
