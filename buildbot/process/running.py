"""The builds of this process that are under way."""

from __future__ import annotations

from typing import NamedTuple

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.logger import Logger

from buildbot.model import BuildID
from buildbot.process.build import Build


class Busy(NamedTuple):
    """One running build, as far as it keeps others from starting."""

    builder: str
    slave: str


class RunningBuilds:
    """By their ids. A build is here from before it runs until its end is stored."""

    _log = Logger()

    def __init__(self) -> None:
        self.by_id: dict[BuildID, Build] = {}
        self.draining = False  # a clean shutdown: nothing new starts

    def busy(self) -> list[Busy]:
        return [Busy(build.builder_name, build.slavename) for build in self.by_id.values()]

    def on_slave(self, slave: str) -> list[Build]:
        return [build for build in self.by_id.values() if build.slavename == slave]

    def launch(self, build: Build) -> None:
        """Let it run to its end."""
        self.by_id[build.id] = build

        def over(value: object) -> None:
            self.by_id.pop(build.id, None)
            if value is not None and not value.check(CancelledError):  # type: ignore[attr-defined]  # a Failure
                self._log.failure("{build} could not be finished", value, build=build)  # type: ignore[arg-type]

        ensureDeferred(build.run()).addBoth(over)  # type: ignore[unused-awaitable]  # ends in the store
