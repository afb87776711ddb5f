"""Services that cancel what nobody needs any more: builds that a newer change supersedes, siblings of a failed build.

Both are receivers of events, with a cursor of their own in the store: what happened while the master was away is dealt
with after its start, and what was dealt with is not repeated. They ask the running master's control (`context.control`)
to end requests; each is written down with the service's name and the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.model import BuildID, BuildRequestID, BuildsetID, Event, EventKind, Result
from buildbot.store import builders, requests, superseding
from buildbot.store.superseding import OpenStamp

SLICE = 100
_PATCH_SET = re.compile(r"^(refs/changes/\d+/\d+)/\d+$")


class Rule(NamedTuple):
    """One entry of `filters`: for which builders it counts, what it cancels (None: whatever there is), which stamps."""

    builders: frozenset[str]
    to_cancel: frozenset[str] | None
    stamps: Any

    def is_about(self, builder: str, stamps: Iterable[OpenStamp]) -> bool:
        return builder in self.builders and any(self.stamps.is_matched(stamp) for stamp in stamps)


def default_branch_key(stamp: Any) -> str:
    """What makes two stamps the same branch: its name; the patch sets of one Gerrit change are one branch."""
    branch = stamp.branch or ""
    found = _PATCH_SET.match(branch)
    return found[1] if found else branch


@configurable
class OldBuildCanceller:
    """Cancels builds and requests of a branch that a newer change of it makes needless.

    When a buildset made of changes is submitted, each older open request of the same builder is ended (a waiting one is
    cancelled, a running build is stopped), if it was made of older changes and if each of its source stamps that
    `filters` matches is of the same codebase, project, repository and branch as one of the new buildset. A request that
    no change has made (a forced build, a try job) neither supersedes nor is superseded. A running build that also
    serves a request which is still needed goes on.

    name: of the service; unique, its place in the events is kept under it. filters: a list of (builder or list of
    builders, SourceStampFilter). branch_key: a function of a source stamp (with codebase, project, repository, branch,
    revision) whose value is the same for what is one branch; by default the branch, in which the patch sets of a Gerrit
    change are one.
    """

    def __init__(self, name: str, filters: Sequence[Any], branch_key: Any = None) -> None:
        self.name = _name_of(self, name)
        self.rules = tuple(_rules(self, filters, 2))
        if branch_key is not None and not callable(branch_key):
            error(f"OldBuildCanceller(): branch_key is a function of a source stamp, not {branch_key!r}")
        self.branch_key: Callable[[Any], Hashable] = branch_key or default_branch_key
        self.filtered_builders = sorted({builder for rule in self.rules for builder in rule.builders})

    def wants(self, event: Event) -> bool:
        """Whether an event is of interest: something new is to be built."""
        return event.kind is EventKind.BUILDSET_SUBMITTED

    async def tell(self, event: Event, context: Any) -> None:
        """End what this buildset makes needless."""
        store = context.store
        asked: dict[Any, list[OpenStamp]] = {}
        for builder, stamp in superseding.stamps_of_buildset(store, BuildsetID(event.subject_id or 0)):
            asked.setdefault(builder, []).append(stamp)
        for builder, stamps in asked.items():
            row = builders.get(store, builder)
            keys = self._keys(row.name, stamps) if row is not None else frozenset()
            newest = _newest_change(stamps)
            if row is None or not keys or newest is None:
                continue
            after = BuildRequestID(0)
            while found := superseding.older_open(store, builder, stamps[0].request, after, SLICE):
                after = found[-1]
                old = [id for id in found if self._is_superseded(store, row.name, id, keys, newest)]
                if old:
                    why = f"change {newest} of the same branch supersedes it"
                    await context.control.end_requests(old, f"OldBuildCanceller {self.name}", why)

    def _keys(self, builder: str, stamps: Iterable[OpenStamp]) -> frozenset[Hashable]:
        """What the stamps that a rule matches are of."""
        rules = [rule for rule in self.rules if builder in rule.builders]
        return frozenset(
            (stamp.codebase, stamp.project, stamp.repository, self.branch_key(stamp))
            for stamp in stamps
            if any(rule.stamps.is_matched(stamp) for rule in rules)
        )

    def _is_superseded(
        self, store: Any, builder: str, request: BuildRequestID, newer: frozenset[Hashable], newest: int
    ) -> bool:
        stamps = superseding.stamps_of_request(store, request)
        change = _newest_change(stamps)
        if change is None or change >= newest:
            return False
        keys = self._keys(builder, stamps)
        return bool(keys) and keys <= newer


@configurable
class FailingBuildsetCanceller:
    """Cancels the other builds of a buildset when one of them fails.

    name: of the service; unique. filters: a list of (builder or list of builders whose failure counts, builder or list
    of builders whose builds of the same buildset are then cancelled or None for all, SourceStampFilter). A build fails
    with FAILURE or EXCEPTION. A running build that also serves a request of another buildset goes on.
    """

    def __init__(self, name: str, filters: Sequence[Any]) -> None:
        self.name = _name_of(self, name)
        self.rules = tuple(_rules(self, filters, 3))
        named = {builder for rule in self.rules for builder in (*rule.builders, *(rule.to_cancel or ()))}
        self.filtered_builders = sorted(named)

    def wants(self, event: Event) -> bool:
        """Whether an event is of interest: a build has failed."""
        failed = (Result.FAILURE, Result.EXCEPTION)
        return event.kind is EventKind.BUILD_FINISHED and event.detail.get("result") in failed

    async def tell(self, event: Event, context: Any) -> None:
        """End the siblings of this build."""
        store = context.store
        builder = builders.get(store, event.detail["builder_id"])
        if builder is None:
            return
        for request in requests.of_build(store, BuildID(event.subject_id or 0)):
            stamps = superseding.stamps_of_request(store, request.id)
            rules = [rule for rule in self.rules if rule.is_about(builder.name, stamps)]
            after = BuildRequestID(0)
            while rules and (found := superseding.open_siblings(store, request.buildset_id, after, SLICE)):
                after = found[-1][0]
                ending = [id for id, name in found if any(_cancels(rule, name) for rule in rules)]
                why = f"{builder.name}/{event.detail['number']} of the same buildset failed"
                await context.control.end_requests(ending, f"FailingBuildsetCanceller {self.name}", why)


def _cancels(rule: Rule, builder: str) -> bool:
    return rule.to_cancel is None or builder in rule.to_cancel


def _newest_change(stamps: Iterable[OpenStamp]) -> int | None:
    return max((stamp.newest_change for stamp in stamps if stamp.newest_change is not None), default=None)


def _name_of(service: Any, name: Any) -> str:
    if not isinstance(name, str) or not name:
        error(f"{type(service).__name__}(): name is a string, not {name!r}")
    return str(name)


def _rules(service: Any, filters: Any, length: int) -> Iterable[Rule]:
    kind = type(service).__name__
    shape = "(builders, SourceStampFilter)" if length == 2 else "(builders, builders to cancel, SourceStampFilter)"
    if not isinstance(filters, (list, tuple)):
        error(f"{kind}(): filters is a list of {shape}, not {filters!r}")
        return
    for entry in filters:
        fits = isinstance(entry, (list, tuple)) and len(entry) == length and hasattr(entry[-1], "is_matched")
        if not fits:
            error(f"{kind}(): each of filters is {shape}, not {entry!r}")
            continue
        cancelled = None if length == 2 or entry[1] is None else _names(kind, entry[1])
        yield Rule(_names(kind, entry[0]), cancelled, entry[-1])


def _names(kind: str, given: Any) -> frozenset[str]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(name, str) for name in names):
        error(f"{kind}(): builders are a name or a list of names, not {given!r}")
        return frozenset()
    return frozenset(names)
