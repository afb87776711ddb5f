"""One connection of one slave, whatever its dialect: its life, its signs of life, and questions to it.

What a dialect says and hears is in `resumable` (our own) and `older` (slaves of other eras).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.spread import pb

from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused, CommandSink, SlaveLost
from buildbot.slaves.bridge import NoAnswer
from buildbot.slaves.link import Link, LinkLost, Refused

T = TypeVar("T")
Directories = list[tuple[str, str]]
"""What builds may use on a slave: (a name, the directory below the slave's own)."""

PING_SECONDS = 20.0
TWIN_SECONDS = 5.0  # for the answer that says whether a process of the slave is still there when another one comes


class BadMessage(pb.Error):
    """The slave sent a message whose arguments are not what the dialect says."""


class UnknownCommand(pb.Error):
    """The slave speaks of a command that this master does not run (any more); it may forget it."""


class NotOurDialect(Exception):
    """The slave speaks no dialect that this master knows; the text says what to do."""


class Session:
    """A connected slave. Made at login; once `introduce` succeeds it takes orders; `lose` ends it for good.

    heard(session): it was silent, and has been heard of. gone(session, why): it is over. dropped(command): the slave
    has killed a command that was disowned, or did not have it.
    """

    resumes = True
    ping: tuple[str, ...] = ("print", "are you there?")  # a question that asks for nothing but an answer

    def __init__(
        self,
        *,
        name: str,
        id: SlaveID,
        link: Link,
        clock: IReactorTime,
        heard: Callable[[Session], None],
        gone: Callable[[Session, str], None],
        dropped: Callable[[CommandID], object],
    ) -> None:
        self.name = name
        self.slavename = self.workername = name
        self.id = id
        self.link = link
        self.incarnation: str | None = None
        self.details: Mapping[str, Any] = {}
        self.kept: Collection[CommandID] = ()
        self.lost_why: str | None = None
        self._clock = clock
        self._heard = heard
        self._gone = gone
        self._dropped = dropped
        self._last_heard = clock.seconds()
        self._pinging: IDelayedCall | None = None

    # -- what a dialect adds

    async def introduce(self, details: dict[str, Any]) -> None:
        """The first words, now that the slave has said who it is. Raises SlaveLost, CommandRefused, NotOurDialect."""
        raise NotImplementedError

    def forget(self) -> None:
        """The connection is over: nothing comes any more."""
        raise NotImplementedError

    async def order(
        self, command: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink
    ) -> bool:
        raise NotImplementedError

    async def resume(self, command: CommandID, sink: CommandSink) -> bool:
        raise NotImplementedError

    async def interrupt(self, command: CommandID, why: str) -> None:
        raise NotImplementedError

    def disown(self, command: CommandID) -> None:
        raise NotImplementedError

    # -- life

    @property
    def address(self) -> str:
        """Where it has connected from."""
        return self.link.address

    async def is_there(self) -> bool:
        """Whether it answers a question that is put to it now, soon."""
        if self.lost_why is not None:
            return False
        try:
            await self.link.ask(*self.ping, timeout=TWIN_SECONDS)
        except (NoAnswer, LinkLost, Refused):
            return False
        return True

    def learn(self, found: Mapping[str, Any]) -> None:
        """A step has found this out of the slave."""
        self.details = {**self.details, **found}

    async def say(self, text: str) -> None:
        """Write a line to the slave's log."""
        await self.ask("print", text)

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock.seconds() - self._last_heard

    def lose(self, why: str) -> None:
        """The connection is over. Harmless twice."""
        if self.lost_why is not None:
            return
        self.lost_why = why
        if self._pinging is not None and self._pinging.active():
            self._pinging.cancel()
        self.forget()
        self.link.close()
        self._gone(self, why)

    def is_traffic(self) -> None:
        """Any message of the slave is a sign of life."""
        self._last_heard = self._clock.seconds()

    def look_after(self) -> None:
        """From now on, ask it whether it is there when it has said nothing for a while."""
        if self.lost_why is None:
            self._pinging = self._clock.callLater(max(PING_SECONDS - self.silent_for, 0.0), self._ping)

    def _ping(self) -> None:
        if self.silent_for < PING_SECONDS:
            self.look_after()
            self._heard(self)
            return

        async def ask() -> None:
            try:
                await self.ask(*self.ping)
            except SlaveLost as lost:
                self.lose(str(lost))
            else:
                self.is_traffic()
                self.look_after()

        ensureDeferred(ask())  # type: ignore[unused-awaitable]  # every error is handled in it

    async def ask(self, what: str, *args: Any) -> Any:
        """Put a question to the slave. Raises SlaveLost, and CommandRefused when the slave says no."""
        return await self.answer(lambda: self.link.ask(what, *args, timeout=self.patience))

    @property
    def patience(self) -> float | None:
        """Seconds in which it has to answer; None: as any (`link.ANSWER_SECONDS`)."""
        return None

    async def answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What comes of asking: as `ask`."""
        if self.lost_why is not None:
            raise SlaveLost(self.lost_why)
        try:
            return await ask()
        except CancelledError:
            raise
        except NoAnswer as silence:
            why = f"{self.name} gives {silence}"
            self.lose(why)  # who does not answer will not tell of its commands either
            raise SlaveLost(why) from None
        except LinkLost as lost:
            raise SlaveLost(f"{self.name} is gone: {lost}") from None
        except Refused as refused:
            raise CommandRefused(f"slave {self.name}: {refused}") from None

    # -- for job control

    def command_version(self, command: str) -> str | None:
        known = self.details.get("slave_commands") or self.details.get("worker_commands") or {}
        version = known.get(command) if isinstance(known, dict) else None
        return None if version is None else str(version)

    def must_know(self, command: str) -> None:
        """Raises CommandRefused when the slave does not have this command."""
        if self.command_version(command) is None:
            raise CommandRefused(
                f"slave {self.name} ({self.kind}) does not know the command {command!r}; install a newer buildslave on "
                "that machine, or use another step"
            )

    @property
    def kind(self) -> str:
        """What the slave is, in words."""
        raise NotImplementedError

    async def shut_down(self) -> None:
        await self.ask("shutdown")


def is_plain(value: object, depth: int = 0) -> bool:
    """Whether it can be stored as JSON."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (str, bytes, int, type(None))):
        return True
    if depth > 20:
        return False
    if isinstance(value, (list, tuple)):
        return all(is_plain(item, depth + 1) for item in value)
    return isinstance(value, dict) and all(isinstance(k, str) and is_plain(v, depth + 1) for k, v in value.items())
