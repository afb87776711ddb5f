"""What job control asks of a connected slave, and what a slave's messages do to a running command.

The wire is none of job control's business: `buildbot.slaves` implements `SlaveSession` and calls a `CommandSink`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from buildbot.model import CommandID, SlaveID


class SlaveLost(Exception):
    """The slave went away while it was needed; the text says why."""


class CommandRefused(Exception):
    """The slave will not run this command; the text says why and what to do."""


class SlaveTooOld(CommandRefused):
    """The slave does not know a command that a step needs."""


class CommandSink(Protocol):
    """Where a remote command's messages go. Every method is called in the reactor."""

    def held(self) -> int:
        """How many bytes of the command's output have been taken, and will still be after a restart."""

    def output(self, pieces: list[tuple[str, bytes]]) -> None:
        """Write output: (stream, bytes) in order. When it returns, the bytes are in the log. Raises OSError."""

    def finished(self, outcome: dict[str, Any]) -> None:
        """The command ended; returns once that is stored."""

    def write(self, offset: int, data: bytes) -> int:
        """A piece of an uploaded file; returns how much of the file is held."""

    def read(self, offset: int, length: int) -> bytes:
        """A piece of a file to download; empty at its end."""


class SlaveSession(Protocol):
    """One connection of one slave, while it lasts.

    When it ends, nothing is said to the sinks: their commands go on on the slave, and are resumed on the next one.
    Those of a slave that does not resume (`resumes`) have ended with it.
    """

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> SlaveID: ...

    @property
    def incarnation(self) -> str | None:
        """The random id of the slave's process; None when it gives none."""

    @property
    def resumes(self) -> bool:
        """Whether the slave goes on with its commands over another connection."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What the slave told about itself, and what steps have found out."""

    def learn(self, found: Mapping[str, Any]) -> None:
        """Add to the details what a step has found out."""

    @property
    def kept(self) -> Collection[CommandID]:
        """The commands of earlier connections that the slave still holds: each waits to be resumed."""

    def command_version(self, command: str) -> str | None:
        """The version of a command that the slave knows, None when it does not know it."""

    async def order(
        self, command: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink
    ) -> bool:
        """Have the slave run a command. Returns when it has taken the order: False if the command is over already,
        and nobody knows how. Raises CommandRefused, SlaveLost."""

    async def resume(self, command: CommandID, sink: CommandSink) -> bool:
        """Go on with a command that the slave holds. False if it does not, or lacks bytes of it. Raises SlaveLost."""

    async def interrupt(self, command: CommandID, why: str) -> None:
        """Ask the slave to end a command; its end comes through the sink. Raises SlaveLost."""

    async def shut_down(self) -> None:
        """Have the slave end its process. Raises CommandRefused, SlaveLost."""

    def disown(self, command: CommandID) -> None:
        """Forget a command, and have the slave kill it if it still runs there. What was left there is let go once it
        says that it has."""
