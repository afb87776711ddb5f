"""One command that a slave of another era runs: its updates become output, transfers and one outcome of ours.

Such a slave says each thing once. So whatever comes is taken in its turn, and when the disk takes nothing it is tried
again, until it does; meanwhile nothing more is read from the connection, and the slave gets no acknowledgement.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.model import CommandID
from buildbot.process.insisting import is_passing
from buildbot.process.slaveport import CommandRefused, CommandSink, SlaveLost
from buildbot.slaves.session import BadMessage, UnknownCommand, is_plain
from buildbot.slaves.spelling import Part, in_text

T = TypeVar("T")

LONGEST_TEXT = 640 * 1024  # Perspective Broker's own limit
LONGEST_NAME = 200
MOST_ITEMS = 100_000  # names in a directory
MOST_UPDATES = 2048  # in one message
MOST_OTHERS = 100  # updates of commands that are not ours
LONGEST_OTHER = 64 * 1024
AGAIN_SECONDS = 1.0
_REASONS = ("timeout", "timeout_without_output", "max_lines_failure", "interrupted")
_TIMED_OUT = re.compile(r"\s*command timed out: [0-9.]+ seconds (without output|elapsed)")
_SIGNAL = re.compile(r"process killed by signal ([0-9]{1,3})\s*$")

Update = tuple[str, Any]


class OlderCommand:
    """A command from its order to its outcome.

    parts: what the slave runs one after another. begin(command, part): has it run the next; idle(command): it has done
    so. over(command): it runs nothing of it any more. interrupt(command, why): ask the slave to end it. hold(held):
    read nothing more.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        id: CommandID,
        name: str,
        builddir: str,
        sink: CommandSink,
        parts: Sequence[Part],
        begin: Callable[[OlderCommand, Part], Awaitable[None]],
        idle: Callable[[OlderCommand], None],
        over: Callable[[OlderCommand], None],
        interrupt: Callable[[OlderCommand, str], Awaitable[None]],
        hold: Callable[[bool], None],
        clock: IReactorTime,
    ) -> None:
        self.id = id
        self.name = name
        self.builddir = builddir
        self.sink: CommandSink | None = sink
        self.interrupted = False
        self.where: Any = None  # whatever the session finds it by
        self._parts = list(parts)
        self._part = self._parts[0]
        self._begin = begin
        self._idle = idle
        self._over = over
        self._interrupt = interrupt
        self._hold = hold
        self._clock = clock
        self._turn = DeferredLock()
        self._trying: Deferred[None] | None = None
        self._ended = False
        self._rc: int | None = None
        self._elapsed: float | None = None
        self._reason: str | None = None
        self._signal: int | None = None
        self._result: Any = None
        self._others: dict[str, list[Any]] = {}
        self._lines = 0
        self._size = 0  # of the file that is sent or fetched
        self._broken: str | None = None  # why that cannot go on
        self._times: dict[str, float] = {}

    # -- for the session

    async def begin(self) -> None:
        """Have the slave run its first part. Raises CommandRefused, SlaveLost."""
        self._part = self._parts.pop(0)
        await self._begin(self, self._part)

    def drop(self) -> None:
        """Nobody wants its outcome."""
        self.sink = None
        self._parts = []
        self._stop_trying()

    def forget(self) -> None:
        """The connection is over."""
        self._ended = True
        self.drop()

    def _stop_trying(self) -> None:
        if self._trying is not None and not self._trying.called:
            self._trying.cancel()

    # -- what the slave says

    async def updates(self, given: Sequence[Update]) -> None:
        """News, in their order; returns when they are kept. Raises BadMessage, UnknownCommand."""
        if self._ended:
            raise UnknownCommand(f"command {self.id} is not run by this master")
        if len(given) > MOST_UPDATES:
            raise BadMessage(f"one message carries at most {MOST_UPDATES} updates")
        pieces: list[tuple[str, bytes]] = []
        for key, value in given:
            if key in ("stdout", "stderr", "header"):
                pieces.append(self._output(key, value))
            elif key == "log":
                if not isinstance(value, (list, tuple)) or len(value) != 2:
                    raise BadMessage("log: not a name and a text")
                name = in_text(value[0])
                if not isinstance(name, str) or not 0 < len(name) < LONGEST_NAME:
                    raise BadMessage(f"log: {name!r:.100} is not the name of a log")
                pieces.append((f"log:{name}", _octets(value[1])))
            else:
                self._fact(key, in_text(value))
        sink = self.sink
        if pieces and sink is not None:
            await self._in_turn(lambda: sink.output(pieces))
            self._count_lines(pieces)

    def _output(self, stream: str, value: object) -> tuple[str, bytes]:
        data = _octets(value)
        if stream == "header":
            self._read_header(data)
            for secret, shown in self._part.hidden.items():
                data = data.replace(secret.encode(), shown.encode())
        return stream, data

    def _read_header(self, data: bytes) -> None:
        """Older slaves say some things in words only."""
        text = data[:1000].decode("utf-8", "replace")
        timed_out = _TIMED_OUT.match(text)
        if timed_out and self._reason is None:
            self._reason = "timeout" if timed_out.group(1) == "elapsed" else "timeout_without_output"
        killed = _SIGNAL.search(data[-1000:].decode("utf-8", "replace"))
        if killed:
            self._signal = int(killed.group(1))

    def _count_lines(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        if self._part.most_lines is None or self._reason == "max_lines_failure":
            return
        self._lines += sum(data.count(b"\n") for stream, data in pieces if stream in ("stdout", "stderr"))
        if self._lines > self._part.most_lines:
            self._reason = "max_lines_failure"
            why = f"it wrote {self._lines} lines; {self._part.most_lines} are allowed"
            self._in_background(self._interrupt(self, why))

    def _fact(self, key: object, value: Any) -> None:
        match key:
            case "rc":
                self._rc = value if isinstance(value, int) and not isinstance(value, bool) else -1
            case "elapsed":
                self._elapsed = float(value) if isinstance(value, (int, float)) and is_plain(value) else None
            case "failure_reason":
                self._reason = value if value in _REASONS else self._reason
            case "stat":
                self._result = _numbers(value)
            case "files":
                self._result = _names([*(self._result or ()), *_names(value)])  # of all its parts
            case str():
                self._other(key, value)
            case _:
                raise BadMessage(f"{key!r:.100} is not the name of an update")

    def _other(self, key: str, value: Any) -> None:
        """What the commands of a slave's own say, and the source commands of old slaves."""
        values = self._others.setdefault(key[:LONGEST_NAME], [])
        count = sum(len(each) for each in self._others.values())
        if count >= MOST_OTHERS or not is_plain(value) or len(repr(value)) > LONGEST_OTHER:
            raise BadMessage(f"the update {key!r:.100} is too much")
        values.append(value)

    async def complete(self, failure: str | None) -> None:
        """The slave has done what it was told. failure: it broke instead."""
        if self._ended:
            return
        self._idle(self)
        if self._part.guards:
            found, self._result = self._result, None
            if not self._rc and isinstance(found, list) and found and stat.S_ISDIR(found[0]):
                self._rc = errno.EISDIR
        if self._parts and failure is None and not self._rc and not self.interrupted:
            self._part = self._parts.pop(0)
            self._in_background(self._go_on())
            return
        await self._finish(self._broken or failure)

    async def _go_on(self) -> None:
        try:
            await self._begin(self, self._part)
        except CommandRefused as refused:
            await self._finish(str(refused))
        except SlaveLost:
            return  # whoever lost it has said so

    async def _finish(self, failure: str | None) -> None:
        sink, outcome = self.sink, self._outcome(failure)
        try:
            if sink is not None:
                await self._in_turn(lambda: sink.finished(outcome))
        finally:
            self._ended = True
            self._over(self)

    def _outcome(self, failure: str | None) -> dict[str, Any]:
        reason = self._reason or ("interrupted" if self.interrupted and not self._broken else None)
        result = self._result
        if self.name in ("uploadFile", "uploadDirectory", "downloadFile"):
            result = {"size": self._size, **self._times}
        outcome: dict[str, Any] = {
            "rc": -1 if self._rc is None else self._rc,
            "elapsed": self._elapsed,
            "reason": reason,
            "signal": self._signal,
            "error": failure if self._broken or reason is None else None,
            "result": result,
        }
        if self._others:
            outcome["updates"] = self._others
        return outcome

    # -- files: what goes wrong with one here is told in the outcome, and the slave is asked to end. It gets no error,
    # because old slaves cannot tell that they have failed when the reason came from here.

    async def write(self, data: object) -> None:
        """The next piece of a file or a tar stream from the slave."""
        sink = self._transfer("uploadFile", "uploadDirectory")
        if not isinstance(data, (bytes, str)) or len(data) > LONGEST_TEXT:
            raise BadMessage("a piece of a file is bytes")
        piece = _octets(data)

        start, end = self._size, self._size + len(piece)

        def take() -> None:
            held = sink.write(start, piece)
            while start < held < end:  # a disk that is nearly full takes a part
                before, held = held, sink.write(held, piece[held - start :])
                if held == before:
                    break
            if held != end:
                raise CommandRefused(f"the master holds {held} bytes of the file, and {end} were sent")
            self._size = end

        await self._try(take)

    def utime(self, accessed: object, modified: object) -> None:
        """When the slave's file was last read and written; None when it has none."""
        self._transfer("uploadFile")
        for key, value in (("atime", accessed), ("mtime", modified)):
            if isinstance(value, (int, float)) and is_plain(value):
                self._times[key] = float(value)

    def close_transfer(self) -> None:
        """All of the file was sent, or read."""
        self._transfer("uploadFile", "downloadFile")

    def unpack(self) -> None:
        """All of the tar stream was sent; the step unpacks it, when the command has ended."""
        self._transfer("uploadDirectory")

    async def read(self, length: object) -> bytes:
        """The next piece of a file for the slave; empty at its end."""
        sink = self._transfer("downloadFile")
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise BadMessage(f"{length!r:.100} is not a number of bytes")
        data = await self._try(lambda: sink.read(self._size, min(length, LONGEST_TEXT))) or b""
        self._size += len(data)
        return data

    async def _try(self, work: Callable[[], T]) -> T | None:
        """None, once the transfer is broken."""
        if self._broken is not None:
            return None
        try:
            return await self._in_turn(work)
        except (CancelledError, UnknownCommand):
            raise
        except Exception as problem:
            if not isinstance(problem, (CommandRefused, OSError)):
                self._log.failure("a file of command {id} cannot be transferred", id=self.id)
            self._broken = str(problem) or type(problem).__name__
        self._in_background(self._interrupt(self, self._broken))
        return None

    def _transfer(self, *names: str) -> CommandSink:
        if self._ended or self.sink is None:
            raise UnknownCommand(f"command {self.id} is not run by this master")
        if self.name not in names:
            raise BadMessage(f"{self.name} transfers nothing of this kind")
        return self.sink

    # -- in order, whatever the disk does

    async def _in_turn(self, work: Callable[[], T]) -> T:
        await self._turn.acquire()
        held = False
        try:
            while True:
                try:
                    return work()
                except (OSError, sqlite3.OperationalError) as problem:
                    if not is_passing(problem):
                        raise
                    self._log.error(
                        "what a slave says of command {id} cannot be kept, trying again: {problem}",
                        id=self.id,
                        problem=str(problem),
                    )
                if not held:
                    held = True
                    self._hold(True)
                await self._wait()
        finally:
            if held:
                self._hold(False)
            self._turn.release()

    async def _wait(self) -> None:
        if self._ended or self.sink is None:
            raise UnknownCommand(f"command {self.id} is not run by this master")
        self._trying = deferLater(self._clock, AGAIN_SECONDS)
        try:
            await self._trying
        except CancelledError:
            raise UnknownCommand(f"command {self.id} is not run by this master") from None

    def _in_background(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except CancelledError:
                raise
            except (SlaveLost, CommandRefused, UnknownCommand) as problem:
                self._log.info("command {id}: {problem}", id=self.id, problem=problem)
            except Exception:
                self._log.failure("command {id} cannot go on", id=self.id)

        ensureDeferred(guarded())  # type: ignore[unused-awaitable]  # every error is handled in it


def pairs(given: object) -> tuple[list[Update], int]:
    """What the `update` of a slave over Perspective Broker carries, [[{key: value}, number], ...]: the updates, and the
    highest number."""
    if not isinstance(given, (list, tuple)) or len(given) > MOST_UPDATES:
        raise BadMessage("update: not a list of updates")
    found: list[Update] = []
    highest = 0
    for each in given:
        if not isinstance(each, (list, tuple)) or len(each) != 2 or not isinstance(each[0], Mapping):
            raise BadMessage("update: not a list of [{...}, number]")
        found += [(in_text(key), value) for key, value in each[0].items()]
        highest = max(highest, each[1]) if isinstance(each[1], int) else highest
    return found, highest


def _octets(value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode("utf-8", "backslashreplace")
    if not isinstance(value, bytes):
        raise BadMessage("output is text")
    if len(value) > 4 * LONGEST_TEXT:
        raise BadMessage(f"one piece of output has at most {LONGEST_TEXT} characters")
    return value


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or len(value) > 20 or not all(isinstance(each, (int, float)) for each in value):
        raise BadMessage("stat: not the numbers of os.stat")
    if not is_plain(value):
        raise BadMessage("stat: not the numbers of os.stat")
    return [int(each) for each in value]


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST_ITEMS or not all(isinstance(each, str) for each in value):
        raise BadMessage(f"files: not a list of at most {MOST_ITEMS} names")
    return sorted(value)
