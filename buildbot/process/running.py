"""The builds of this process that are under way."""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from buildbot.model import BuildID
from buildbot.process.build import Build


class Busy(NamedTuple):
    """One running build, as far as it keeps others from starting."""

    builder: str
    slave: str


class RunningBuilds:
    """By their ids. A build is here from before it runs until its end is stored, also while its slave is away."""

    _log = Logger()

    def __init__(self) -> None:
        self.by_id: dict[BuildID, Build] = {}
        self.draining = False  # a clean shutdown: nothing new starts
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
            if value is not None and not value.check(CancelledError):  # type: ignore[attr-defined]  # a Failure
                self._log.failure("{build} could not be finished", value, build=build)  # type: ignore[arg-type]

        task = ensureDeferred(build.run())
        self._tasks[build.id] = task
        task.addBoth(over)  # type: ignore[unused-awaitable]  # ends in the store

    def leave(self) -> None:
        """This process ends. What runs goes on on the slaves, and the next process takes it up."""
        for build in list(self.by_id.values()):
            build.leave()
        for task in list(self._tasks.values()):
            task.cancel()
        self.by_id.clear()
