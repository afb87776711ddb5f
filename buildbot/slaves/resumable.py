"""One connection of a slave that speaks our own dialect: orders go out, output and results come in.

The messages, their arguments and their acknowledgements are in docs/slave-protocol. Every argument is checked here;
what it means for a build is the sink's business (buildbot.process.slaveport). What has no place in the dialect, such
as starting a build, is not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused, CommandSink, SlaveLost
from buildbot.slaves.session import BadMessage, Directories, Session, UnknownCommand, is_plain

T = TypeVar("T")

LONGEST_PIECE = 64 * 1024
MOST_PIECES = 2048


class ResumableSession(Session):
    """A connected slave whose commands outlive the connection.

    wanted(id): the commands that the slave is to keep. directories(name): its builders. Other arguments as Session.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        wanted: Callable[[SlaveID], Collection[CommandID]],
        directories: Callable[[str], Directories],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._wanted = wanted
        self._directories = directories
        self._sinks: dict[CommandID, CommandSink] = {}

    async def introduce(self, details: dict[str, Any]) -> None:
        """Have it keep the commands that go on and drop all others."""
        resumable = details.pop("resumable")
        self.details = details
        incarnation = resumable.get("incarnation")
        self.incarnation = incarnation if isinstance(incarnation, str) else None
        states = await self.ask("attach", {str(command): None for command in self._wanted(self.id)})
        if isinstance(states, dict):
            self.kept = {CommandID(int(id)) for id, state in states.items() if state in ("running", "finished")}
        if self.details.get("delete_leftover_dirs"):
            await self.ask("setBuilderList", self._directories(self.name))
        self.look_after()

    def forget(self) -> None:
        self._sinks = {}

    @property
    def kind(self) -> str:
        return f"buildslave {self.details.get('version') or ''}".strip()

    # -- SlaveSession of job control

    async def order(
        self, command: CommandID, name: str, builddir: str, args: dict[str, Any], sink: CommandSink
    ) -> bool:
        self.must_know(name)
        self._sinks[command] = sink
        order = {"id": str(command), "name": name, "builddir": builddir, "args": args, "held": sink.held()}
        try:
            taken = await self.ask("order", order)
        except BaseException:
            self._sinks.pop(command, None)
            raise
        return taken is True

    async def resume(self, command: CommandID, sink: CommandSink) -> bool:
        self._sinks[command] = sink
        try:
            state = await self.ask("resume", str(command), sink.held())
        except BaseException:
            self._sinks.pop(command, None)
            raise
        if state not in ("running", "finished"):
            self._sinks.pop(command, None)
            return False
        return True

    async def interrupt(self, command: CommandID, why: str) -> None:
        await self.ask("interrupt", str(command), why)

    def disown(self, command: CommandID) -> None:
        self._sinks.pop(command, None)

        async def tell() -> None:
            try:
                await self.ask("disown", str(command))
            except (SlaveLost, CommandRefused) as problem:
                self._log.info("{slave} was not told to drop a command: {why}", slave=self.name, why=problem)
            else:
                self._dropped(command)

        ensureDeferred(tell())  # type: ignore[unused-awaitable]  # every error is handled in it

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
        if not isinstance(outcome, dict) or not is_plain(outcome):
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
