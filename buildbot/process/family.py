"""Parents and children: the builds that a build asked for with a Trigger step, and what becomes of them with it.

A child knows its parent in the store (`buildsets.parent_build_id`), and whether the parent waits for it
(`build_requests.waited_for`). The rule: whatever ends the parent ends the children that it waits for, and only those.
Those that wait in the queue are cancelled in the transaction that ends the parent; those that run are stopped by
`Family.run`, which the doorbell calls, so that a restart in between loses none. The others are builds like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from buildbot.model import BuildID, BuildRequestID, BuildsetID, Event, EventKind
from buildbot.process.running import RunningBuilds
from buildbot.store import Store, builders, builds, buildsets, requests

_OF_BUILDSETS = (EventKind.BUILDSET_COMPLETE,)
_OF_REQUESTS = (EventKind.REQUEST_CLAIMED, EventKind.REQUEST_REQUEUED, EventKind.REQUEST_PARKED)

Heard = Callable[[], object]


class Interrupt(Protocol):
    """Stops a running build; says who wants it and why."""

    def __call__(self, id: BuildID, who: str, why: str, /) -> bool: ...


class Family:
    """What a Trigger step asks of the running master. `interrupt` stops builds, `running` are those that run."""

    def __init__(self, store: Store, running: RunningBuilds, interrupt: Interrupt, now: Callable[[], float]) -> None:
        self._store = store
        self._running = running
        self._interrupt = interrupt
        self._now = now
        self._by_buildset: dict[int, Heard] = {}
        self._by_request: dict[int, Heard] = {}
        store.event_listeners.append(self._tell)

    def watch(self, buildsets_of_one: Sequence[BuildsetID], heard: Heard) -> Callable[[], None]:
        """Call `heard` whenever something happened to one of these buildsets. Returns how to end that."""
        asked = [
            request.id for buildset in buildsets_of_one for request in requests.of_buildset(self._store, buildset)
        ]
        self._by_buildset.update(dict.fromkeys(buildsets_of_one, heard))
        self._by_request.update(dict.fromkeys(asked, heard))

        def end() -> None:
            for buildset in buildsets_of_one:
                self._by_buildset.pop(buildset, None)
            for request in asked:
                self._by_request.pop(request, None)

        return end

    def _tell(self, event: Event) -> None:
        known = self._by_buildset if event.kind in _OF_BUILDSETS else self._by_request
        if event.subject_id is None or event.kind not in (*_OF_BUILDSETS, *_OF_REQUESTS):
            return
        heard = known.get(event.subject_id)
        if heard is not None:
            heard()

    def stop_children(self, parent: BuildID, who: str, why: str) -> None:
        """End what this build waits for: what is in the queue is cancelled, what runs is stopped."""
        late = self._store.transact(buildsets.cancel_children, parent, self._now(), who, why)
        self._stop_builds_of(late, who, why)

    def _stop_builds_of(self, late: Sequence[BuildRequestID], who: str, why: str) -> None:
        for request in late:
            for build in requests.running_builds(self._store, request):
                self._stop(build, who, why)

    def _stop(self, id: BuildID, who: str, why: str) -> None:
        build = self._running.by_id.get(id)
        if build is not None and not build.stopped:
            self._interrupt(id, who, why)

    def run(self, now: float) -> None:
        """The doorbell's worker: stop the running builds for which a build waited that has ended."""
        for orphan, parent in builds.running_orphans(self._store):
            self._stop(orphan, f"its parent build {self._name(parent)}", "that build has ended")

    def _name(self, id: BuildID) -> str:
        build = builds.get(self._store, id)
        builder = None if build is None else builders.get(self._store, build.builder_id)
        return str(id) if build is None or builder is None else f"{builder.name}/{build.number}"
