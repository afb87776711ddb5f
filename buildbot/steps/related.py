"""Steps that end what a build makes needless: requests and running builds, for older versions of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet.task import deferLater

from buildbot.config.errors import error
from buildbot.model import BuilderID, BuildRequestID
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildsetup import sources_of
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import CANCELLED, SUCCESS
from buildbot.store import builders, builds, requests

SLICE = 50  # requests between two turns of the reactor


class _RelatedBuilds(BuildStep):
    """builderNames: whose builds are looked at (default: all). isRelevant(ours, theirs): whether something is related:
    `ours` is what preProcess has made of this build's source stamps, `theirs` the list of its source stamps.
    preProcess(stamps): called once (default: gives them as they are)."""

    description: Any = "Checking"
    descriptionDone: Any = "Checked"

    def __init__(
        self,
        builderNames: Any = None,
        isRelevant: Any = None,
        preProcess: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.builderNames = builderNames
        self.isRelevant = isRelevant
        self.preProcess = preProcess
        kind = type(self).__name__
        if not callable(isRelevant):
            error(f"{kind} needs isRelevant, a function (ours, theirs) that says what is related")
        if preProcess is not None and not callable(preProcess):
            error(f"{kind}: preProcess is a function of a list of source stamps, not {preProcess!r}")
        if builderNames is not None and (
            not isinstance(builderNames, (list, tuple)) or not all(isinstance(each, str) for each in builderNames)
        ):
            error(f"{kind}: builderNames is a list of names, not {builderNames!r}")
        self._ended = 0

    async def run(self) -> int:
        # safe to repeat: what was ended is not there any more
        stamps = self.build.getAllSourceStamps()
        ours = stamps if self.preProcess is None else self.preProcess(stamps)
        wanted = {
            each.id: each.name
            for each in builders.present(self.build.store)
            if self.builderNames is None or each.name in self.builderNames
        }
        await self.end_related(ours, wanted)
        return CANCELLED if self.stopped else SUCCESS

    async def end_related(self, ours: Any, wanted: Mapping[BuilderID, str]) -> None:
        raise NotImplementedError

    def is_related(self, ours: Any, theirs: list[Any]) -> bool:
        return bool(self.isRelevant(ours, theirs))

    @property
    def who(self) -> str:
        return f"build {self.build.builder_name}/{self.build.number}"

    async def breathe(self) -> None:
        await deferLater(self.build.clock, 0)


class CancelRelatedBuilds(_RelatedBuilds):
    """Cancel the requests that wait and are related to this build. Arguments:

    builderNames: list of names of builders, whose requests are looked at (default None: all). isRelevant(ours,
    theirs): a function that says whether a request is to be cancelled; `theirs` is the list of its source stamps,
    `ours` what preProcess(source stamps of this build) gives (default: these). The step is always SUCCESS.
    """

    name = "CancelRelatedBuilds"

    async def end_related(self, ours: Any, wanted: Mapping[BuilderID, str]) -> None:
        after = BuildRequestID(0)
        while not self.stopped:
            found = requests.waiting_after(self.build.store, after, SLICE)
            ids = [
                row.id
                for row in found
                if row.builder_id in wanted
                and self.is_related(
                    ours, list(BuildRequest(row, wanted[row.builder_id], self.build.store).sources.values())
                )
            ]
            self._ended += await self.build.services.control.cancel_requests(ids, self.who, "it is superseded")
            if len(found) < SLICE:
                return
            after = found[-1].id
            await self.breathe()

    def own_words(self) -> str:
        return f"{self.descriptionDone}, cancelled {self._ended}"


class StopRelatedBuilds(_RelatedBuilds):
    """Stop the other builds that run and are related to this one. Arguments:

    builderNames, isRelevant, preProcess: as CancelRelatedBuilds's. reason: what the builds are told (default
    "Stopped by StopRelatedBuilds"). The step is always SUCCESS.
    """

    name = "StopRelatedBuilds"

    def __init__(
        self,
        builderNames: Any = None,
        isRelevant: Any = None,
        preProcess: Any = None,
        reason: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(builderNames, isRelevant, preProcess, **kwargs)
        self.reason = "Stopped by StopRelatedBuilds" if reason is None else reason

    async def end_related(self, ours: Any, wanted: Mapping[BuilderID, str]) -> None:
        store = self.build.store
        for row in builds.running(store):
            if (
                row.id != self.build.id
                and row.builder_id in wanted
                and self.is_related(ours, sources_of(store, row.id))
            ):
                self._ended += self.build.services.control.stop_build(row.id, self.who, str(self.reason))
            await self.breathe()


Patchset = tuple[Any, int]  # a change of Gerrit's, and its number in the order of versions


def patchsets(stamps: list[Any]) -> dict[str, Patchset]:
    """What of Gerrit's is in these source stamps, by codebase."""
    return {codebase: found for stamp in stamps for codebase, found in _patchsets(stamp)}


def _patchsets(stamp: Any) -> Iterator[tuple[str, Patchset]]:
    for change in stamp.changes:
        given = change.properties
        id = given.getProperty("event.change.id") or given.getProperty("event.change.number")
        try:
            yield change.codebase, (id, int(given.getProperty("event.patchSet.number")))
        except (TypeError, ValueError):
            continue


def is_older_patchset(ours: dict[str, Patchset], theirs: list[Any]) -> bool:
    """Whether it is for an older version of all the changes that we have."""
    found = patchsets(theirs)
    return bool(ours) and all(
        codebase in found and found[codebase][0] == id and found[codebase][1] < number
        for codebase, (id, number) in ours.items()
    )


class CancelGerritRelatedBuilds(CancelRelatedBuilds):
    """Cancel the requests that wait for older patch sets of the change of Gerrit's that this build is of. builderNames:
    as CancelRelatedBuilds's."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(isRelevant=is_older_patchset, preProcess=patchsets, **kwargs)


class StopGerritRelatedBuilds(StopRelatedBuilds):
    """Stop the builds of older patch sets of the change of Gerrit's that this build is of. builderNames: as
    StopRelatedBuilds's."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = {"reason": "a new patch set of the same change is there", **kwargs}
        super().__init__(isRelevant=is_older_patchset, preProcess=patchsets, **kwargs)
