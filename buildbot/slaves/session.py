"""One connection of one slave that speaks our own dialect: orders go out, output and results come in.

The messages, their arguments and their acknowledgements are in docs/slave-protocol. Every argument is checked here;
what it means for a build is the sink's business (buildbot.process.slaveport). What has no place in the dialect, such
as starting a build, is not here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused, CommandSink, SlaveLost
from buildbot.slaves.bridge import NoAnswer, call_remote
from buildbot.slaves.guard import GuardedBroker

T = TypeVar("T")

PING_SECONDS = 20.0
ANSWER_SECONDS = 20.0
TWIN_SECONDS = 5.0  # for the answer that says whether a process of the slave is still there when another one comes
LONGEST_PIECE = 64 * 1024
MOST_PIECES = 2048
LOST = (pb.DeadReferenceError, pb.PBConnectionLost)


class BadMessage(pb.Error):
    """The slave sent a message whose arguments are not what the dialect says."""


class UnknownCommand(pb.Error):
    """The slave speaks of a command that this master does not run (any more); it may forget it."""


class NotOurDialect(Exception):
    """The slave does not speak the dialect of this version's buildslave; the text says what to do."""


class SlaveSession:
    """A connected slave. Made at login; once `introduce` succeeds it takes orders; `lose` ends it for good."""

    _log = Logger()

    def __init__(
        self,
        *,
        name: str,
        id: SlaveID,
        mind: pb.RemoteReference,
        broker: GuardedBroker,
        clock: IReactorTime,
        wanted: Callable[[SlaveID], Collection[CommandID]],
        heard: Callable[[SlaveSession], None],
        gone: Callable[[SlaveSession, str], None],
        dropped: Callable[[CommandID], object],
    ) -> None:
        """dropped: the slave has killed a command that was disowned, or did not have it."""
        self.name = name
        self.slavename = self.workername = name
        self.id = id
        self.incarnation: str | None = None
        self.details: Mapping[str, Any] = {}
        self.kept: Collection[CommandID] = ()
        self.lost_why: str | None = None
        self._mind = mind
        self._broker = broker
        self._clock = clock
        self._wanted = wanted
        self._heard = heard
        self._gone = gone
        self._dropped = dropped
        self._sinks: dict[CommandID, CommandSink] = {}
        self._last_heard = clock.seconds()
        self._pinging: IDelayedCall | None = None

    # -- life

    async def introduce(self) -> None:
        """Learn who the slave is, have it keep the commands that go on and drop all others. Raises NotOurDialect, or
        that it is gone."""
        details = await self._call("getSlaveInfo")
        if not isinstance(details, dict) or not isinstance(details.get("resumable"), dict):
            raise NotOurDialect(
                "it does not speak the dialect of buildslave 1.0; install this version's buildslave on that machine"
            )
        resumable = details.pop("resumable")
        self.details = {str(key): value for key, value in details.items() if _is_plain(value)}
        incarnation = resumable.get("incarnation")
        self.incarnation = incarnation if isinstance(incarnation, str) else None
        states = await self._call("attach", {str(command): None for command in self._wanted(self.id)})
        if isinstance(states, dict):
            self.kept = {CommandID(int(id)) for id, state in states.items() if state in ("running", "finished")}
        self._plan_ping()

    @property
    def address(self) -> str:
        """Where it has connected from."""
        return self._broker.address

    async def is_there(self) -> bool:
        """Whether it answers a question that is put to it now, soon."""
        if self.lost_why is not None:
            return False
        try:
            await call_remote(self._mind, "print", "are you there?", clock=self._clock, timeout=TWIN_SECONDS)
        except CancelledError:
            raise
        except Exception:
            return False
        return True

    async def say(self, text: str) -> None:
        """Write a line to the slave's log."""
        await self._call("print", text)

    @property
    def silent_for(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock.seconds() - self._last_heard

    def lose(self, why: str) -> None:
        """The connection is over; what the slave runs goes on. Harmless twice."""
        if self.lost_why is not None:
            return
        self.lost_why = why
        if self._pinging is not None and self._pinging.active():
            self._pinging.cancel()
        self._sinks = {}
        self._broker.close()
        self._gone(self, why)

    def is_traffic(self) -> None:
        """Any message of the slave is a sign of life."""
        self._last_heard = self._clock.seconds()

    def _plan_ping(self) -> None:
        if self.lost_why is None:
            self._pinging = self._clock.callLater(max(PING_SECONDS - self.silent_for, 0.0), self._ping)

    def _ping(self) -> None:
        if self.silent_for < PING_SECONDS:
            self._plan_ping()
            self._heard(self)
            return

        async def ask() -> None:
            try:
                await self._call("print", "are you there?")
            except SlaveLost as lost:
                self.lose(str(lost))
            else:
                self.is_traffic()
                self._plan_ping()

        ensureDeferred(ask())  # type: ignore[unused-awaitable]  # every error is handled in it

    async def _call(self, name: str, *args: Any) -> Any:
        """Call the slave. Raises SlaveLost, and CommandRefused when the slave says no."""
        if self.lost_why is not None:
            raise SlaveLost(self.lost_why)
        try:
            return await call_remote(self._mind, name, *args, clock=self._clock, timeout=ANSWER_SECONDS)
        except CancelledError:
            raise
        except NoAnswer as silence:
            why = f"{self.name} gives {silence}"
            self.lose(why)  # who does not answer will not tell of its commands either
            raise SlaveLost(why) from None
        except LOST as lost:
            raise SlaveLost(f"{self.name} is gone: {str(lost) or 'the connection was lost'}") from None
        except Exception as refused:
            raise CommandRefused(f"slave {self.name}: {_remote_text(refused)}") from None

    # -- SlaveSession of job control

    def command_version(self, command: str) -> str | None:
        known = self.details.get("slave_commands") or self.details.get("worker_commands") or {}
        version = known.get(command) if isinstance(known, dict) else None
        return None if version is None else str(version)

    async def order(
        self, command: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink
    ) -> bool:
        if self.command_version(name) is None:
            raise CommandRefused(
                f"slave {self.name} does not know the command {name!r}; install a newer buildslave on that machine, or "
                "use another step"
            )
        self._sinks[command] = sink
        order = {"id": str(command), "name": name, "builddir": builddir, "args": args, "held": sink.held()}
        try:
            taken = await self._call("order", order)
        except BaseException:
            self._sinks.pop(command, None)
            raise
        return taken is True

    async def resume(self, command: CommandID, sink: CommandSink) -> bool:
        self._sinks[command] = sink
        try:
            state = await self._call("resume", str(command), sink.held())
        except BaseException:
            self._sinks.pop(command, None)
            raise
        if state not in ("running", "finished"):
            self._sinks.pop(command, None)
            return False
        return True

    async def interrupt(self, command: CommandID, why: str) -> None:
        await self._call("interrupt", str(command), why)

    def disown(self, command: CommandID) -> None:
        self._sinks.pop(command, None)

        async def tell() -> None:
            try:
                await self._call("disown", str(command))
            except (SlaveLost, CommandRefused) as problem:
                self._log.info("{slave} was not told to drop a command: {why}", slave=self.name, why=problem)
            else:
                self._dropped(command)

        ensureDeferred(tell())  # type: ignore[unused-awaitable]  # every error is handled in it

    async def shut_down(self) -> None:
        await self._call("shutdown")

    # -- what the slave says

    def _sink(self, command: object) -> tuple[CommandID, CommandSink]:
        if not isinstance(command, str) or not re.fullmatch("[0-9]{1,18}", command):
            raise BadMessage(f"{command!r:.100} is not a command's id")
        id = CommandID(int(command))
        sink = self._sinks.get(id)
        if sink is None:
            raise UnknownCommand(f"command {id} is not run by this master")
        return id, sink

    def output(self, command: object, position: object, pieces: object) -> int:
        """Bytes from `position` on; answers how many bytes of this command are held."""
        self.is_traffic()
        _, sink = self._sink(command)
        start = _count(position, "position")
        checked = _checked_pieces(pieces)
        held = sink.held()
        if start > held:
            return held
        fresh = _without_prefix(checked, held - start)
        if fresh:
            sink.output(fresh)
        return sink.held()

    def finished(self, command: object, position: object, outcome: object) -> bool:
        """The end of a command; True once it is stored, and then the slave forgets it."""
        self.is_traffic()
        try:
            id, sink = self._sink(command)
        except UnknownCommand:
            return True  # nobody wants to know; the slave need not keep it
        _count(position, "position")
        if not isinstance(outcome, dict) or not _is_plain(outcome):
            raise BadMessage("an outcome is a dictionary of plain data")
        sink.finished({str(key): value for key, value in outcome.items()})
        self._sinks.pop(id, None)
        return True

    def write(self, command: object, offset: object, data: object) -> int:
        self.is_traffic()
        _, sink = self._sink(command)
        if not isinstance(data, bytes) or len(data) > LONGEST_PIECE:
            raise BadMessage(f"a piece of a file is at most {LONGEST_PIECE} bytes")
        return _as_answer(lambda: sink.write(_count(offset, "offset"), data))

    def read(self, command: object, offset: object, length: object) -> bytes:
        self.is_traffic()
        _, sink = self._sink(command)
        wanted = min(_count(length, "length"), LONGEST_PIECE)
        return _as_answer(lambda: sink.read(_count(offset, "offset"), wanted))


def _as_answer(call: Callable[[], T]) -> T:
    try:
        return call()
    except CommandRefused as refused:
        raise BadMessage(str(refused)) from None


def _count(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise BadMessage(f"{what} is a number of bytes, not {value!r:.100}")
    return value


def _checked_pieces(pieces: object) -> list[tuple[str, bytes]]:
    if not isinstance(pieces, (list, tuple)):
        raise BadMessage("output is a list of [stream, bytes]")
    if len(pieces) > MOST_PIECES:
        raise BadMessage(f"one message carries at most {MOST_PIECES} pieces of output")
    checked, total = [], 0
    for piece in pieces:
        if not isinstance(piece, (list, tuple)) or len(piece) != 2:
            raise BadMessage("output is a list of [stream, bytes]")
        stream, data = piece
        if not isinstance(stream, str) or not isinstance(data, bytes):
            raise BadMessage("output is a list of [stream, bytes]")
        if stream not in ("stdout", "stderr", "header") and not (stream.startswith("log:") and len(stream) < 200):
            raise BadMessage(f"there is no stream {stream!r:.100}")
        total += len(data)
        checked.append((stream, data))
    if total > LONGEST_PIECE:
        raise BadMessage(f"one message carries at most {LONGEST_PIECE} bytes of output")
    return checked


def _without_prefix(pieces: list[tuple[str, bytes]], held: int) -> list[tuple[str, bytes]]:
    """The pieces without the first `held` bytes, which came before."""
    fresh = []
    for stream, data in pieces:
        if held >= len(data):
            held -= len(data)
            continue
        fresh.append((stream, data[held:]))
        held = 0
    return fresh


def _is_plain(value: object, depth: int = 0) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)  # the others cannot be stored as JSON
    if isinstance(value, (str, bytes, int, type(None))):
        return True
    if depth > 20:
        return False
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item, depth + 1) for item in value)
    return isinstance(value, dict) and all(isinstance(k, str) and _is_plain(v, depth + 1) for k, v in value.items())


def _remote_text(refused: Exception) -> str:
    text = str(refused)
    return text[:2000] if text else type(refused).__name__
