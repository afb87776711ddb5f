"""What people may do to builds and requests. Each action is durable and written down with who did it and why."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from buildbot.model import BuilderID, BuildID, BuildRequestID, BuildsetID, EventKind
from buildbot.process.assigning import RunningBuilds
from buildbot.process.progress import Progress
from buildbot.store import Store, actions, builders, builds, buildsets, events, properties, requests, sourcestamps


class NoSuchBuild(LookupError):
    """There is no such build."""


class Control:
    """Stop, rebuild, cancel. `progress` tells of running builds."""

    _log = Logger()

    def __init__(self, store: Store, running: RunningBuilds, progress: Progress, now: Callable[[], float]) -> None:
        self._store = store
        self._running = running
        self._now = now
        self.progress = progress

    def stop_build(self, id: BuildID, who: str, why: str) -> bool:
        """Stop a running build. False when it is not running (any more)."""
        build = self._running.by_id.get(id)
        if build is None:
            return False
        subject = f"{build.builder_name}/{build.number}"
        self._store.transact_durable(
            actions.add, who=who, what="stop build", subject=subject, why=why, now=self._now()
        )
        reason = f"stopped by {who}" + (f": {why}" if why else "")

        def failed(failure: object) -> None:
            self._log.error("stopping {build} failed: {failure}", build=subject, failure=failure)

        ensureDeferred(build.stopBuild(reason)).addErrback(failed)  # type: ignore[unused-awaitable]  # logged
        return True

    def rebuild(self, id: BuildID, who: str, why: str) -> BuildsetID:
        """Build the same source again, with what the first build was given. Raises NoSuchBuild."""
        return self._store.transact_durable(self._rebuild, id, who, why)

    def _rebuild(self, store: Store, id: BuildID, who: str, why: str) -> BuildsetID:
        build = builds.get(store, id)
        served = requests.of_build(store, id)
        if build is None or not served:
            raise NoSuchBuild(f"there is no build {id} whose request is still known")
        request = served[-1]
        given = properties.of(store, "buildset", request.buildset_id)
        builder = builders.get(store, build.builder_id)
        reason = f"rebuild of {builder.name if builder else '?'}/{build.number} by {who}" + (f": {why}" if why else "")
        buildset, _ = buildsets.submit(
            store,
            builders=[BuilderID(build.builder_id)],
            source_stamps=[stamp.id for stamp in sourcestamps.of_buildset(store, request.buildset_id)],
            reason=reason,
            given=given,
            now=self._now(),
        )
        subject = f"{builder.name if builder else '?'}/{build.number}"
        actions.add(store, who=who, what="rebuild", subject=subject, why=why, now=self._now())
        return buildset

    def cancel_request(self, id: BuildRequestID, who: str, why: str) -> bool:
        """Cancel a request that waits. False when it is too late."""
        return self._store.transact_durable(self._cancel, id, who, why)

    def _cancel(self, store: Store, id: BuildRequestID, who: str, why: str) -> bool:
        if not requests.cancel(store, id, self._now(), who, why):
            return False
        request = requests.get(store, id)
        assert request is not None
        buildsets.complete_if_done(store, request.buildset_id, self._now())
        actions.add(store, who=who, what="cancel request", subject=str(id), why=why, now=self._now())
        return True

    def retry_request(self, id: BuildRequestID, who: str, why: str) -> bool:
        """Let a request that was parked after too many retries be tried again. False when it is not parked."""
        return self._store.transact_durable(self._retry, id, who, why)

    def _retry(self, store: Store, id: BuildRequestID, who: str, why: str) -> bool:
        if not requests.unpark(store, id):
            return False
        events.add(store, self._now(), EventKind.REQUEST_REQUEUED, id, why=f"asked for by {who}")
        actions.add(store, who=who, what="retry request", subject=str(id), why=why, now=self._now())
        return True
