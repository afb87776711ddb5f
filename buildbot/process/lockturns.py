"""Builders and their locks: the turns of one pass of assigning.

A build starts with all its locks or does not start. Assigning asks in the order of its turns; a builder that finds its
locks taken is waited behind, by those whose turn comes later in the pass and by steps that ask after it, until the
next pass. So the order among builders is that of their requests, and nobody waits behind a builder that wants no
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from buildbot.config.builder import BuilderConfig
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.lockqueue import Claim, Locks, LockUser
from buildbot.process.locks import Wants, wants_of
from buildbot.process.properties import Properties, render
from buildbot.process.sourcestamp import SourceStampView


class LockTurns:
    """Of one pass. `end` it when the pass has come to its end."""

    def __init__(self, locks: Locks, now: float) -> None:
        self._locks = locks
        self._now = now
        self._found_taken: dict[LockUser, Claim] = {}
        self._wanted: dict[str, Mapping[str, Wants]] = {}

    def open_to(self, builder: str, wanted: Mapping[str, Wants]) -> list[str]:
        """The slaves on which this builder may start a build. wanted: the locks of a build on each of them."""
        return [slave for slave, wants in wanted.items() if self.is_open(builder, wants)]

    def is_open(self, builder: str, wants: Wants) -> bool:
        """Whether a build of this builder may start with these locks."""
        return not self._locks.available(LockUser(builder), wants, list(self._found_taken.values()))

    def wait(self, builder: str, wanted: Mapping[str, Wants]) -> None:
        """It found them taken on every slave, and waits for whichever comes first."""
        user = LockUser(builder)
        if user not in self._found_taken:
            all_of_them = {key: access for wants in wanted.values() for key, access in wants.items()}
            self._found_taken[user] = Claim(user, all_of_them, self._now, 0)
            self._wanted[builder] = wanted

    def end(self) -> None:
        """Those that wait now are these."""
        self._locks.expect([(user, claim.wants) for user, claim in self._found_taken.items()], self._now)

    def said_of(self, builder: str) -> dict[str, list[str]]:
        """For each slave in words, as things are now, what keeps the locks from a builder that waits for them."""
        user, found = LockUser(builder), self._found_taken
        before = [found[other] for other in takewhile(lambda other: other != user, found)]
        said = {
            slave: [str(obstacle) for obstacle in self._locks.available(user, wants, before)]
            for slave, wants in self._wanted.get(builder, {}).items()
        }
        return {slave: obstacles for slave, obstacles in said.items() if obstacles}


async def locks_of_build(builder: BuilderConfig, slave: Any, build: Any) -> Wants:
    """What a build of this builder takes on this slave (its configuration). Raises TypeError for what is no lock.

    build: a Build or a Prospect.
    """
    given = await render(builder.locks, build.properties)
    return wants_of([*given, *slave.locks], slave.name)


class Prospect:
    """A build that may be started, as far as it is known: what renderables in a builder's `locks` may ask.

    It has the properties of a build that begins, but no number and no directory yet.
    """

    number = None
    builddir = ""

    def __init__(self, builder: BuilderConfig, slave: Any, session: Any, request: BuildRequest, services: Any) -> None:
        self.config = builder
        self.builder_name = builder.name
        self.slave_config = slave
        self.slavename = slave.name
        self.row = request.row
        self.requests = [request]
        self.sources = list(request.sources.values())
        self.services = services
        self.store = services.store
        self.build = self
        self.properties = Properties()
        self.properties.build = self
        self._sources = request.sources
        self._details = {} if session is None else session.details

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.properties.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        return self.properties.hasProperty(name)

    def getProperties(self) -> Properties:
        return self.properties

    def getSourceStamp(self, codebase: str = "") -> SourceStampView | None:
        return self._sources.get(codebase)

    def blamelist(self) -> list[str]:
        return sorted({change.who for stamp in self.sources for change in stamp.changes})

    def getSlaveInfo(self) -> Mapping[str, Any]:
        return {**self._details, "name": self.slavename}
