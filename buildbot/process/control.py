"""What people may do to builds, requests, builders and slaves.

Each action is one durable transaction (a long one: a slice each) and is written down with who did it and why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.model import BuilderID, BuildID, BuildRequestID, BuildsetID, ChangeID, EventKind
from buildbot.process.cleanstop import CleanStop
from buildbot.process.progress import Progress
from buildbot.process.running import RunningBuilds
from buildbot.store import (
    Store,
    actions,
    builders,
    builds,
    buildsets,
    commands,
    events,
    pauses,
    properties,
    requests,
    slaves,
    sourcestamps,
)

SLICE = 100  # requests in one transaction


class NoSuchBuild(LookupError):
    """There is no such build."""


class Cancelled(NamedTuple):
    """What came of cancelling many: requests that waited, and builds that are being stopped."""

    requests: int
    builds: int


class Control:
    """Stop, rebuild, cancel, pause. `progress` tells of running builds; `clock` lets others in between two slices.

    `clean_stop` begins, tells of and calls off a clean shutdown; `give_up(slave, why)` ends the builds that wait for a
    slave, and says how many.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        running: RunningBuilds,
        progress: Progress,
        now: Callable[[], float],
        clock: IReactorTime,
        clean_stop: CleanStop,
        give_up: Callable[[str, str], int],
    ) -> None:
        self._store = store
        self._running = running
        self._now = now
        self._clock = clock
        self._give_up = give_up
        self.progress = progress
        self.clean_stop = clean_stop

    # -- builds

    def stop_build(self, id: BuildID, who: str, why: str) -> bool:
        """Stop a running build. False when it is not running (any more)."""
        build = self._running.by_id.get(id)
        if build is None:
            return False
        self._act(who, "stop build", f"build {build.builder_name}/{build.number}", why)
        return self.interrupt(id, who, why)

    def interrupt(self, id: BuildID, who: str, why: str) -> bool:
        """Stop a running build as part of something that is written down elsewhere."""
        build = self._running.by_id.get(id)
        if build is None:
            return False
        reason = f"stopped by {who}" + (f": {self._store.hide(why)}" if why else "")

        def failed(failure: object) -> None:
            self._log.error("stopping {build} failed: {failure}", build=build, failure=failure)

        maybeDeferred(build.stopBuild, reason).addErrback(failed)  # type: ignore[unused-awaitable]  # logged
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
        name = f"{builder.name if builder else '?'}/{build.number}"
        buildset, _ = buildsets.submit(
            store,
            builders=[BuilderID(build.builder_id)],
            source_stamps=[stamp.id for stamp in sourcestamps.of_build(store, id)],
            reason=f"rebuild of {name} by {who}" + (f": {why}" if why else ""),
            given=given,
            now=self._now(),
        )
        actions.add(store, who=who, what="rebuild", subject=f"build {name}", why=why, now=self._now())
        return buildset

    # -- requests

    def cancel_request(self, id: BuildRequestID, who: str, why: str) -> bool:
        """Cancel a request that waits. False when it is too late."""
        return self._store.transact_durable(self._cancel, id, who, why)

    def _cancel(self, store: Store, id: BuildRequestID, who: str, why: str) -> bool:
        if not buildsets.cancel_request(store, id, self._now(), who, why):
            return False
        actions.add(store, who=who, what="cancel request", subject=f"request {id}", why=why, now=self._now())
        return True

    async def cancel_requests(self, ids: Sequence[BuildRequestID], who: str, why: str) -> int:
        """Cancel those of these requests that wait. How many did."""
        done = 0
        for start in range(0, len(ids), SLICE):
            if start:
                await self._breathe()
            done += self._store.transact_durable(self._cancel_some, ids[start : start + SLICE], who, why)
        return done

    def _cancel_some(self, store: Store, ids: Sequence[BuildRequestID], who: str, why: str) -> int:
        return sum(self._cancel(store, id, who, why) for id in ids)

    async def cancel_pending(self, wanted: Sequence[BuilderID], who: str, why: str) -> int:
        """Cancel all that waits for these builders now. How many did."""
        up_to = requests.last_id(self._store)
        for id in wanted:
            builder = builders.get(self._store, id)
            if builder is not None:
                self._act(who, "cancel all pending", f"builder {builder.name}", why)
        return sum([await cancel_waiting(self._store, id, up_to, self._now, self._breathe, who, why) for id in wanted])

    async def stop_change(self, change: ChangeID, builder: BuilderID | None, who: str, why: str) -> Cancelled:
        """Cancel what waits to build a change or its revision, and stop what builds it; of one builder, or of all."""
        self._act(who, "stop change", f"change {change}", why)
        because = f"change {change} was stopped" + (f": {why}" if why else "")
        after, cancelled, stopped = BuildRequestID(0), 0, 0
        while True:
            found = requests.open_of_change(self._store, change, builder, after, SLICE)
            ids = [request.id for request in found]
            cancelled += self._store.transact_durable(_cancel_all, ids, self._now(), who, because)
            for request in found:
                for build in requests.running_builds(self._store, request.id):
                    stopped += self.interrupt(build, who, because)
            if len(found) < SLICE:
                return Cancelled(cancelled, stopped)
            after = found[-1].id
            await self._breathe()

    async def end_requests(self, ids: Sequence[BuildRequestID], who: str, why: str) -> Cancelled:
        """End these at the word of a policy: those that wait are cancelled, and what builds nothing else is stopped."""
        cancelled, stopped = await self.cancel_requests(ids, who, why), 0
        ending = set(ids)
        for build in {build for id in ids for build in requests.running_builds(self._store, id)}:
            if all(request.id in ending for request in requests.of_build(self._store, build)):
                stopped += self.stop_build(build, who, why)
        return Cancelled(cancelled, stopped)

    def retry_request(self, id: BuildRequestID, who: str, why: str) -> bool:
        """Let a request that was parked after too many retries be tried again. False when it is not parked."""
        return self._store.transact_durable(self._retry, id, who, why)

    def _retry(self, store: Store, id: BuildRequestID, who: str, why: str) -> bool:
        if not requests.unpark(store, id):
            return False
        events.add(store, self._now(), EventKind.REQUEST_REQUEUED, id, why=f"asked for by {who}")
        actions.add(store, who=who, what="retry request", subject=f"request {id}", why=why, now=self._now())
        return True

    # -- builders and slaves

    def pause(self, kind: pauses.Kind, name: str, who: str, why: str, *, graceful: bool = False) -> bool:
        """Start no more builds on it; what runs goes on. False when it is so already.

        graceful: a slave's process ends when nothing runs on it.
        """
        return self._store.transact_durable(self._pause, kind, name, who, why, graceful)

    def _pause(self, store: Store, kind: pauses.Kind, name: str, who: str, why: str, graceful: bool) -> bool:
        if not pauses.begin(store, kind, name, self._now(), who=who, why=why, graceful=graceful):
            return False
        what = "shut down gracefully" if graceful else "pause"
        actions.add(store, who=who, what=what, subject=f"{kind} {name}", why=why, now=self._now())
        return True

    def unpause(self, kind: pauses.Kind, name: str, who: str, why: str) -> bool:
        """It goes on. False when it was not paused."""
        return self._store.transact_durable(self._unpause, kind, name, who, why)

    def _unpause(self, store: Store, kind: pauses.Kind, name: str, who: str, why: str) -> bool:
        if not pauses.end(store, kind, name, self._now(), who=who, why=why):
            return False
        actions.add(store, who=who, what="unpause", subject=f"{kind} {name}", why=why, now=self._now())
        return True

    def give_up_slave(self, name: str, who: str, why: str) -> int:
        """End the builds that wait for a slave that is away; they are tried again. How many there were."""
        if not any(build.session is None for build in self._running.on_slave(name)):
            return 0
        self._act(who, "give up slave", f"slave {name}", why)
        said = f": {self._store.hide(why)}" if why else ""
        return self._give_up(name, f"slave {name} was given up by {who}{said}")

    def free_slave(self, name: str, who: str, why: str) -> int:
        """Take it that nothing of what was given up runs on this slave any more. How many commands that were."""
        return self._store.transact_durable(self._free, name, who, why)

    def _free(self, store: Store, name: str, who: str, why: str) -> int:
        slave = slaves.by_name(store, name)
        count = 0 if slave is None else commands.let_go_of(store, slave.id)
        if count:
            actions.add(store, who=who, what="free slave", subject=f"slave {name}", why=why, now=self._now())
        return count

    def retire(self, name: str) -> bool:
        """Somebody at this slave's machine wants it to be shut down."""
        return self.pause(pauses.Kind.SLAVE, name, f"slave {name}", "asked for at its machine", graceful=True)

    # -- inside

    def _act(self, who: str, what: str, subject: str, why: str) -> None:
        self._store.transact_durable(actions.add, who=who, what=what, subject=subject, why=why, now=self._now())

    async def _breathe(self) -> None:
        await deferLater(self._clock, 0)


async def cancel_waiting(
    store: Store,
    builder: BuilderID,
    up_to: BuildRequestID,
    now: Callable[[], float],
    breathe: Callable[[], Awaitable[None]],
    who: str,
    why: str,
) -> int:
    """Cancel what waits for a builder and is not newer than `up_to`, a slice in a transaction. How many there were."""
    done = 0
    while True:
        part = requests.waiting_ids(store, builder, up_to, SLICE)
        done += store.transact_durable(_cancel_all, part, now(), who, why)
        if len(part) < SLICE:
            return done
        await breathe()


def _cancel_all(store: Store, ids: Sequence[BuildRequestID], now: float, who: str, why: str) -> int:
    return sum(buildsets.cancel_request(store, id, now, who, why) for id in ids)
