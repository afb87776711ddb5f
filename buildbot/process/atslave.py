"""A running build and its slave: the session that it has, waits for, or has lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from buildbot.model import CommandID
from buildbot.process.buildfacts import BuildFacts
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.slaveport import SlaveLost, SlaveSession
from buildbot.store import Store, commands, slaves


class AtSlave(BuildFacts):
    """The part of a Build that has to do with its slave. Commands go on there while the connection is lost."""

    _log = Logger()
    store: Store
    currentStep: Any
    _lost: str  # why it will have no session any more
    _gone: bool  # what it had the slave run does not run there any more
    _commands: dict[CommandID, RemoteCommand]
    _wanting_slave: list[Deferred[None]]
    _incarnation: str | None

    def moved(self) -> None:
        raise NotImplementedError

    def end_wait_for_locks(self, why: Exception) -> None:
        raise NotImplementedError

    async def a_session(self) -> SlaveSession:
        """The session of its slave, as soon as there is one. Raises SlaveLost when there will be none."""
        while True:
            if self._lost:
                raise SlaveLost(self._lost)
            if self.session is not None:
                return self.session
            back: Deferred[None] = Deferred()
            self._wanting_slave.append(back)
            await back

    def began(self, command: RemoteCommand) -> None:
        """A command is to be run, or gone on with."""
        assert command.id is not None
        self._commands[command.id] = command
        if self._lost:
            command.lost(self._lost)
        elif self.session is not None:
            self._reach(command, self.session)

    def ended(self, command: RemoteCommand) -> None:
        if command.id is not None:
            self._commands.pop(command.id, None)

    def _reach(self, command: RemoteCommand, session: SlaveSession) -> None:
        def failed(why: Any) -> None:
            if not why.check(CancelledError):
                self._log.failure("{command} of {build} failed", why, command=command, build=self)
                command.abandon(f"the master failed: {why.getErrorMessage()}")

        ensureDeferred(command.reach(session)).addErrback(failed)  # type: ignore[unused-awaitable]  # ends there

    @property
    def has_lost_slave(self) -> bool:
        """Its slave was given up: the build only has to end."""
        return bool(self._lost)

    def slave_is_away(self) -> None:
        """The connection is lost. What runs on the slave goes on; who needs the slave waits."""
        self.session = None
        self.moved()

    def goes_on_with(self, session: SlaveSession) -> bool:
        """Whether the process of the slave that is connected now knows what it did for this build."""
        if self._incarnation in (None, session.incarnation):
            return True
        waiting_for = commands.open_of(self.store, self.id)
        return bool(waiting_for) and all(command in session.kept for command in waiting_for)

    def slave_is_known_by(self, found: Mapping[str, Any]) -> None:
        """A step has found this out of the slave. Raises ValueError, TypeError for what cannot be kept."""
        kept = self.store.transact(slaves.found_out, self.slavename, found)
        self._details = {**self._details, **kept}
        if self.session is not None:
            self.session.learn(kept)

    def slave_is_back(self, session: SlaveSession) -> None:
        """It is connected again: every command goes on over this session. Too late for a build that has lost it, of
        which the slave has kept nothing."""
        if self._lost:
            self._gone = True
            return
        self.session = session
        self._incarnation = session.incarnation
        self._details = dict(session.details)
        waiting, self._wanting_slave = self._wanting_slave, []
        for command in list(self._commands.values()):
            self._reach(command, session)
        for back in waiting:
            back.callback(None)
        self.moved()

    def lose_slave(self, why: str, *, gone: bool = False) -> None:
        """The slave is lost: the running command ends, no further step begins, the build ends as RETRY.

        gone: what it ran for this build does not run there any more.
        """
        self._lost, self._gone = self._lost or why, gone
        self.session = None
        waiting, self._wanting_slave = self._wanting_slave, []
        for command in list(self._commands.values()):
            command.lost(why, gone=gone)
        for back in waiting:
            back.callback(None)
        self.end_wait_for_locks(SlaveLost(why))
        if self.currentStep is not None:
            self.currentStep.slave_is_lost(why)

    def lose_work(self, why: str) -> None:
        """The slave is there, but what it did for this build is lost: as if it had lost the slave, whatever the code of
        the step makes of it. What else it had the slave run is dropped."""
        for command in list(self._commands.values()):
            command.abandon(why)
        self.lose_slave(why, gone=True)
