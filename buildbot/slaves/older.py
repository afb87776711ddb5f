"""A slave of another era: what job control asks of it, whatever the transport.

Its commands end with the connection, so nothing is resumed. How a command is spelled is in `spelling`, what comes back
in `oldcommand`; how a question crosses is the business of the subclasses: `oldpb` and `oldmsgpack`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from buildbot.model import CommandID
from buildbot.process.slaveport import CommandRefused, CommandSink, SlaveLost
from buildbot.slaves.oldcommand import OlderCommand
from buildbot.slaves.session import Directories, Session
from buildbot.slaves.spelling import Part, Spelling

BLOCKING_SECONDS = 1800.0
BLOCKING = frozenset(("uploadDirectory", "glob"))  # older slaves do nothing else meanwhile


class OlderSession(Session):
    """A slave that cannot go on with a command over another connection.

    directories(slave): its builders. Other arguments as Session.
    """

    resumes = False

    _log = Logger()

    def __init__(self, *, directories: Callable[[str], Directories], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._directories = directories
        self._commands: dict[CommandID, OlderCommand] = {}
        self._held = 0

    # -- what a transport adds

    def spelling(self, builddir: str) -> Spelling:
        """How commands in this directory are spelled."""
        raise NotImplementedError

    async def prepare(self) -> None:
        """Make the builders' directories. Raises SlaveLost, CommandRefused."""
        raise NotImplementedError

    async def begin(self, command: OlderCommand, part: Part) -> None:
        """Have the slave run it. Raises SlaveLost, CommandRefused."""
        raise NotImplementedError

    def idle(self, command: OlderCommand) -> None:
        """The slave has done what `begin` told it."""
        raise NotImplementedError

    async def end(self, command: OlderCommand, why: str) -> None:
        """Ask the slave to end what it runs. Raises SlaveLost, CommandRefused."""
        raise NotImplementedError

    # -- life

    async def introduce(self, details: dict[str, Any]) -> None:
        self.details = details
        await self.prepare()
        self.look_after()

    def forget(self) -> None:
        commands, self._commands = self._commands, {}
        for command in commands.values():
            command.forget()

    def hold(self, held: bool) -> None:
        """Read nothing from the slave while the disk takes nothing; that is no silence of the slave's."""
        self._held += 1 if held else -1
        if self.lost_why is None:
            self.link.hold(self._held > 0)

    @property
    def patience(self) -> float | None:
        """While a slave packs a directory, it hears and says nothing."""
        return BLOCKING_SECONDS if any(each.name in BLOCKING for each in self._commands.values()) else None

    @property
    def silent_for(self) -> float:
        return 0.0 if self._held else super().silent_for

    @property
    def kind(self) -> str:
        program = "buildbot-worker" if "worker_commands" in self.details else "buildslave"
        return f"{program} {self.details.get('version') or ''}".strip()

    # -- SlaveSession of job control

    async def order(
        self, command: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink
    ) -> bool:
        self.must_know(name)
        ordered = self.command(command, name, builddir, args, sink)
        try:
            await ordered.begin()
        except BaseException:
            self._commands.pop(command, None)
            self.idle(ordered)
            ordered.forget()
            raise
        return True

    def command(self, id: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink) -> OlderCommand:
        """A command that is to begin. Raises CommandRefused."""
        command = self._commands[id] = OlderCommand(
            id=id,
            name=name,
            builddir=builddir,
            sink=sink,
            parts=self.spelling(builddir).parts(name, args),
            begin=self.begin,
            idle=self.idle,
            over=self._is_over,
            interrupt=self.end,
            hold=self.hold,
            clock=self._clock,
        )
        return command

    async def resume(self, command: CommandID, sink: CommandSink) -> bool:
        return False

    async def interrupt(self, command: CommandID, why: str) -> None:
        ordered = self._commands.get(command)
        if ordered is not None:
            ordered.interrupted = True
            await self.end(ordered, why)

    def disown(self, command: CommandID) -> None:
        ordered = self._commands.get(command)
        if ordered is None:
            self._dropped(command)
            return
        ordered.drop()
        self._tell(self.end(ordered, "nobody waits for it any more"))

    def _is_over(self, command: OlderCommand) -> None:
        wanted = self._commands.pop(command.id, None) is not None and command.sink is not None
        if not wanted and self.lost_why is None:
            self._dropped(command.id)

    def _tell(self, telling: Awaitable[None]) -> None:
        async def tell() -> None:
            try:
                await telling
            except (SlaveLost, CommandRefused) as problem:
                self._log.info("{slave} was not told to drop a command: {why}", slave=self.name, why=problem)

        ensureDeferred(tell())  # type: ignore[unused-awaitable]  # every error is handled in it
