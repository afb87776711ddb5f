"""A build request as the functions of a master.cfg know it: nextBuild, canStartBuild, nextWorker, mergeRequests ..."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from twisted.internet.defer import Deferred, succeed

from buildbot import model
from buildbot.process import merging
from buildbot.process.properties import Properties
from buildbot.process.sourcestamp import SourceStampView
from buildbot.process.userchange import UserChange
from buildbot.store import buildsets, changes, properties, queue, sourcestamps
from buildbot.store.store import Queries


class BuildRequest:
    """What is asked for. Its items (`request["buildsetid"]`) are what newer versions of Buildbot give as a dict.

    id, bsid: of the request and its buildset. buildername, priority, submittedAt (epoch seconds), waitedFor: whether a
    running build waits for it. reason: of its buildset. sources: {codebase: source stamp}; source: the first of them.
    properties: a Properties object. What is not part of the request's own row is read when it is first asked for.
    """

    def __init__(self, row: model.BuildRequest, buildername: str, store: Queries) -> None:
        self.row = row
        self.id = int(row.id)
        self.bsid = int(row.buildset_id)
        self.buildername = buildername
        self.priority = row.priority
        self.submittedAt = row.submitted_at
        self.waitedFor = row.waited_for
        self._store = store

    def __repr__(self) -> str:
        return f"<BuildRequest {self.id} of {self.buildername}>"

    @cached_property
    def sources(self) -> dict[str, SourceStampView]:
        views = [
            UserChange(
                change, changes.files(self._store, change.id), properties.of(self._store, "change", change.id)
            )
            for change in changes.of_buildset(self._store, self.row.buildset_id)
        ]
        return {
            stamp.codebase: SourceStampView(
                stamp,
                [view for view in views if view.codebase == stamp.codebase],
                None if stamp.patch_id is None else sourcestamps.patch(self._store, stamp.patch_id),
            )
            for stamp in sourcestamps.of_buildset(self._store, self.row.buildset_id)
        }

    @property
    def source(self) -> SourceStampView | None:
        return next(iter(self.sources.values()), None)

    @cached_property
    def properties(self) -> Properties:
        given = properties.of(self._store, "buildset", self.row.buildset_id)
        return Properties.fromDict({each.name: (each.value, each.source) for each in given})

    @cached_property
    def reason(self) -> str:
        buildset = buildsets.get(self._store, self.row.buildset_id)
        return "" if buildset is None else buildset.reason

    @cached_property
    def asked(self) -> queue.Asked | None:
        """What the rule of merging looks at."""
        return queue.asked(self._store, self.row.id)

    def canBeMergedWith(self, other: BuildRequest) -> bool:
        """What happens with mergeRequests=True."""
        mine, yours = self.asked, other.asked
        return mine is not None and yours is not None and merging.why_compatible(mine, yours) is not None

    @staticmethod
    def canBeCollapsed(master: Any, one: BuildRequest, other: BuildRequest) -> Deferred[bool]:
        """What happens with collapseRequests=True."""
        return succeed(one.canBeMergedWith(other))

    def getSubmitTime(self) -> float:
        return self.submittedAt

    def __getitem__(self, name: str) -> Any:
        return self._as_dict()[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self._as_dict().get(name, default)

    def keys(self) -> Any:
        return self._as_dict().keys()

    def _as_dict(self) -> Mapping[str, Any]:
        return {
            "buildrequestid": self.id,
            "buildsetid": self.bsid,
            "builderid": int(self.row.builder_id),
            "buildername": self.buildername,
            "priority": self.priority,
            "submitted_at": datetime.fromtimestamp(self.submittedAt, UTC),
            "claimed": self.row.claimed_at is not None,
            "claimed_at": None,
            "complete": self.row.complete_at is not None,
            "complete_at": None,
            "results": -1 if self.row.result is None else int(self.row.result),
            "waited_for": self.waitedFor,
        }
