"""What happens to running builds when their slave goes away and comes back.

A lost connection ends no build: the commands go on on the slave, and the builds wait for it. It is back when it
connects again with the same process, or with another one that still has what the old one's commands came to. A new
process of the slave that does not know them, and a slave that does not come back in time, end the builds as RETRY. The
commands of slaves of other eras end with the connection, and so do their builds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from buildbot.model import CommandID, SlaveID
from buildbot.process.build import Build
from buildbot.process.running import RunningBuilds
from buildbot.process.slaveport import SlaveSession
from buildbot.store import Store, absences, commands

PATIENCE_SECONDS = 60.0  # from the slave's last sign of life
LEAST_PATIENCE_SECONDS = 20.0  # from when its connection was lost
STALL_SECONDS = 5.0  # a timer that is so late says that this process stood still: the slave gets its time again


class Away(NamedTuple):
    """A slave whose builds wait for it."""

    since: float  # epoch seconds of its last sign of life
    until: float  # epoch seconds at which its builds are given up
    why: str


class Reattaching:
    """By the names of slaves: who is away while builds wait for him (`away`)."""

    _log = Logger()

    def __init__(
        self, *, running: RunningBuilds, store: Store, clock: IReactorTime, now: Callable[[], float]
    ) -> None:
        self.away: dict[str, Away] = {}
        self._running = running
        self._store = store
        self._clock = clock
        self._now = now
        self._timers: dict[str, IDelayedCall] = {}

    def lost(self, session: SlaveSession, why: str, silent_for: float) -> None:
        """The connection is gone. `silent_for`: seconds since the slave's last sign of life."""
        waiting = [build for build in self._running.on_slave(session.name) if build.session is session]
        if not session.resumes:
            for build in waiting:
                build.lose_slave(f"slave {session.name} was lost: {why}")
            return
        for build in waiting:
            build.slave_is_away()
        if waiting:
            patience = max(LEAST_PATIENCE_SECONDS, PATIENCE_SECONDS - silent_for)
            self._wait(session.name, self._now() - silent_for, patience, why)

    def expect(self, slave: str) -> None:
        """This process has just started, and builds of the last one run on this slave."""
        self._wait(slave, self._now(), PATIENCE_SECONDS, "the master was restarted")

    def _wait(self, slave: str, since: float, seconds: float, why: str) -> None:
        before = self.away.get(slave)
        self.away[slave] = Away(since if before is None else before.since, self._now() + seconds, why)
        self._cancel(slave)
        due = self._clock.seconds() + seconds
        self._timers[slave] = self._clock.callLater(seconds, self._is_due, slave, due)

    def _is_due(self, slave: str, due: float) -> None:
        del self._timers[slave]
        away = self.away[slave]
        if self._clock.seconds() - due > STALL_SECONDS:
            self._wait(slave, away.since, LEAST_PATIENCE_SECONDS, away.why)
            return
        seconds = self._now() - away.since
        self.give_up(slave, f"slave {slave} was lost ({away.why}) and did not come back within {seconds:.0f} s")

    def wanted(self, slave: SlaveID) -> list[CommandID]:
        """The commands that a slave is to keep when it connects: not those of builds that have given it up."""
        unwanted = {
            command
            for build in self._running.by_id.values()
            if build.has_lost_slave
            for command in commands.open_of(self._store, build.id)
        }
        return [command for command in commands.open_on(self._store, slave) if command not in unwanted]

    def came(self, session: SlaveSession) -> None:
        """A slave is connected, for the first time or again."""
        self._cancel(session.name)
        away = self.away.pop(session.name, None)
        if away is not None:
            self._store.transact(absences.add, session.id, away.since, self._now(), away.why)
        for build in self._running.on_slave(session.name):
            self._hand_over(build, session)

    def _hand_over(self, build: Build, session: SlaveSession) -> None:
        if build.goes_on_with(session):
            self._log.info("{build} goes on: slave {slave} is back", build=build, slave=session.name)
            build.slave_is_back(session)
        else:
            build.lose_slave(f"slave {session.name} was restarted", gone=True)

    def give_up(self, slave: str, why: str, *, counts: bool = True) -> int:
        """Wait no longer for this slave. Returns how many builds that ends.

        counts: their requests are one retry nearer to being parked.
        """
        self._cancel(slave)
        self.away.pop(slave, None)
        waiting = [build for build in self._running.on_slave(slave) if build.session is None]
        for build in waiting:
            if not counts:
                build.is_not_to_blame()
            build.lose_slave(why)
        return len(waiting)

    def give_up_by_order(self, slave: str, why: str) -> int:
        """A person wants it to be given up: that is not the requests' fault."""
        return self.give_up(slave, why, counts=False)

    def stop(self) -> None:
        for slave in list(self._timers):
            self._cancel(slave)

    def _cancel(self, slave: str) -> None:
        timer = self._timers.pop(slave, None)
        if timer is not None and timer.active():
            timer.cancel()
