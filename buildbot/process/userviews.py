"""Builder, slave and master as the functions of a master.cfg know them that choose what is built next, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed

from buildbot import model
from buildbot.config.builder import BuilderConfig
from buildbot.model import BuilderID, BuildID, BuildRequestID, BuildsetID
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.properties import Properties
from buildbot.process.slaveport import SlaveSession
from buildbot.store import builders, buildsets, properties, requests, sourcestamps
from buildbot.store import builds as stored_builds
from buildbot.store.store import Queries


class BuilderView:
    """A builder. `name`, `config` (the BuilderConfig, whose attributes are also attributes of this), and its queue."""

    def __init__(self, config: BuilderConfig, id: BuilderID, head: model.BuildRequest | None, store: Queries) -> None:
        self.name = config.name
        self.config = config
        self._id = id
        self._head = head
        self._store = store

    def __repr__(self) -> str:
        return f"<Builder {self.name!r}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.config, name)

    def getBuilderId(self) -> Deferred[int]:
        return succeed(int(self._id))

    def getOldestRequestTime(self) -> Deferred[datetime | None]:
        """When the request that it builds next was made; None when none waits."""
        return succeed(None if self._head is None else datetime.fromtimestamp(self._head.submitted_at, UTC))

    def getHighestPriority(self) -> Deferred[int | None]:
        """The priority of the request that it builds next."""
        return succeed(None if self._head is None else self._head.priority)

    def getNewestCompleteTime(self) -> Deferred[datetime | None]:
        """When the newest of its finished builds ended."""
        return maybeDeferred(self._newest_end)

    def _newest_end(self) -> datetime | None:
        ends = [build.complete_at for build in stored_builds.newest(self._store, self._id) if build.complete_at]
        return datetime.fromtimestamp(max(ends), UTC) if ends else None


class SlaveView:
    """A slave that is free for a builder: `name`, `slavename`, `workername`, `properties`, and what it told (`info`).

    `slave` and `worker` are the same again, because functions of other eras ask by way of them.
    """

    def __init__(self, session: SlaveSession, config: Any) -> None:
        self.name = self.slavename = self.workername = session.name
        self.config = config
        given = {**config.defaultProperties, **config.properties}
        given |= {"slavename": session.name, "workername": session.name}
        self.properties = Properties.fromDict({name: (value, "BuildSlave") for name, value in given.items()})
        self.info = Properties.fromDict({name: (value, "Worker") for name, value in session.details.items()})
        self.slave = self.worker = self

    def __repr__(self) -> str:
        return f"<Slave {self.name!r}>"

    def isAvailable(self) -> bool:
        return True

    isIdle = isAvailable


class MasterView:
    """The master, as far as such functions need it: `data.get(path)` of a buildset, a build request, a build or a
    builder."""

    def __init__(self, store: Queries, config: Any) -> None:
        self.config = config
        self.data = self
        self._store = store

    def get(self, path: Sequence[Any]) -> Deferred[Any]:
        """What stands at `("buildsets", id)`, or "buildrequests", "builds", "builders"; None when nothing does."""
        match tuple(path):
            case ("buildsets", id):
                return maybeDeferred(self._buildset, BuildsetID(int(id)))
            case ("buildrequests", id):
                return maybeDeferred(self._request, BuildRequestID(int(id)))
            case ("builds", id):
                return maybeDeferred(self._build, BuildID(int(id)))
            case ("builders", id):
                return maybeDeferred(self._builder, BuilderID(int(id)))
            case _:
                return fail(LookupError(f"no {path!r} in master.data, but buildsets, buildrequests, builds, builders"))

    def _buildset(self, id: BuildsetID) -> Mapping[str, Any] | None:
        found = buildsets.get(self._store, id)
        if found is None:
            return None
        stamps = [
            {
                "ssid": int(stamp.id),
                "codebase": stamp.codebase,
                "repository": stamp.repository,
                "project": stamp.project,
                "branch": stamp.branch,
                "revision": stamp.revision,
                "patch": None if stamp.patch_id is None else {"patchid": int(stamp.patch_id)},
            }
            for stamp in sourcestamps.of_buildset(self._store, id)
        ]
        return {
            "bsid": int(id),
            "reason": found.reason,
            "external_idstring": found.external_id,
            "submitted_at": found.submitted_at,
            "complete": found.complete_at is not None,
            "parent_buildid": found.parent_build_id,
            "parent_relationship": found.parent_relationship,
            "sourcestamps": stamps,
        }

    def _request(self, id: BuildRequestID) -> BuildRequest | None:
        found = requests.get(self._store, id)
        builder = None if found is None else builders.get(self._store, found.builder_id)
        return None if found is None or builder is None else BuildRequest(found, builder.name, self._store)

    def _build(self, id: BuildID) -> Mapping[str, Any] | None:
        found = stored_builds.get(self._store, id)
        if found is None:
            return None
        return {
            "buildid": int(id),
            "number": found.number,
            "builderid": int(found.builder_id),
            "started_at": datetime.fromtimestamp(found.started_at, UTC),
            "complete_at": None if found.complete_at is None else datetime.fromtimestamp(found.complete_at, UTC),
            "complete": found.complete_at is not None,
            "results": None if found.result is None else int(found.result),
            "state_string": found.state_text,
            "properties": {each.name: (each.value, each.source) for each in properties.of(self._store, "build", id)},
        }

    def _builder(self, id: BuilderID) -> Mapping[str, Any] | None:
        found = builders.get(self._store, id)
        return None if found is None else {"builderid": int(id), "name": found.name, "tags": list(found.tags)}


def enforceChosenWorker(builder: Any, slave: Any, request: Any) -> bool:
    """For `canStartBuild`: a request with the property `workername` or `slavename` is built on that slave only."""
    for name in ("workername", "slavename"):
        chosen = request.properties.getProperty(name)
        if isinstance(chosen, str) and chosen:
            return chosen == str(slave.worker.workername)
    return True


enforceChosenSlave = enforceChosenWorker
