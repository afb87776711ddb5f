"""The builds of this process that are under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredList, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from buildbot.model import BuildID
from buildbot.process.build import Build
from buildbot.process.lockqueue import Locks

SETTLE_SECONDS = 10.0  # for builds to hold again what they held before a restart


class Busy(NamedTuple):
    """One running build, as far as it keeps others from starting."""

    builder: str
    slave: str


class RunningBuilds:
    """By their ids. A build is here from before it runs until its end is stored, also while its slave is away.

    `locks` are what they hold.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.by_id: dict[BuildID, Build] = {}
        self.locks = Locks()
        self.draining = False  # a clean shutdown: nothing new starts but what running builds wait for
        self.closed = False  # the process ends: nothing starts any more
        self._tasks: dict[BuildID, Deferred[None]] = {}

    def busy(self) -> list[Busy]:
        return [Busy(build.builder_name, build.slavename) for build in self.by_id.values()]

    def on_slave(self, slave: str) -> list[Build]:
        return [build for build in self.by_id.values() if build.slavename == slave]

    def launch(self, build: Build) -> None:
        """Let it run to its end."""
        self.by_id[build.id] = build

        def over(value: object) -> None:
            self.by_id.pop(build.id, None)
            self._tasks.pop(build.id, None)
            self.locks.end_build(build.id)
            if value is not None and not value.check(CancelledError):  # type: ignore[attr-defined]  # a Failure
                self._log.failure("{build} could not be finished", value, build=build)  # type: ignore[arg-type]

        task = ensureDeferred(build.run())
        self._tasks[build.id] = task
        task.addBoth(over)  # type: ignore[unused-awaitable]  # ends in the store

    async def go_on_with(self, builds: Sequence[Build], clock: IReactorTime) -> None:
        """Let builds run that a restart of the master cut off; they have what they held before anybody else."""
        self.locks.freeze()
        for build in builds:
            self.launch(build)
        holding = DeferredList([build.settled for build in builds])
        await holding.addTimeout(SETTLE_SECONDS, clock, onTimeoutCancel=lambda *_: None)
        self.locks.thaw()

    def leave(self) -> None:
        """This process ends. What runs goes on on the slaves, and the next process takes it up."""
        self.closed = True
        self.locks.freeze()
        for build in list(self.by_id.values()):
            build.leave()
        for task in list(self._tasks.values()):
            task.cancel()
        self.by_id.clear()
