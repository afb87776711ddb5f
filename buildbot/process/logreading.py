"""Reading a log that may still grow, as steps do: bounded, however long it is."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, overload

from buildbot.process.logchannels import CHANNELS, HEADER, NUMBERS, STDERR, STDOUT
from buildbot.store.logfiles import Channel, LogFiles

MOST_LINE = 1 << 20  # a longer line is given in parts
_LETTERS = {Channel.STDOUT: "o", Channel.STDERR: "e", Channel.HEADER: "h"}


class LogTooLong(Exception):
    """The whole of a log was asked for, and it is too much for the master's memory."""


class ReadableLog:
    """The part of a StepLog that reads."""

    name: str
    path: str
    most_text = 64 << 20  # bytes that getText() brings into memory
    _files: LogFiles
    _encoding: str

    def getText(self) -> str:
        """What is in the log without headers. Raises LogTooLong beyond 64 MiB."""
        return self._text((STDOUT, STDERR))

    def getTextWithHeaders(self) -> str:
        return self._text((STDOUT, STDERR, HEADER))

    def readlines(self, channel: int = STDOUT) -> LogLines:
        """The lines of one channel (default: standard output) with their newlines. They are read as they are looked at,
        however many there are; `list(...)` has them all at once."""
        return LogLines(self, channel)

    def getChunks(self, channels: Collection[int] = (), onlyText: bool = False) -> Iterator[Any]:
        """The pieces of the log as (channel, text), or their texts alone. channels: only these (STDOUT ... of
        buildbot.status.logfile)."""
        wanted = {CHANNELS[number] for number in channels} if channels else set(Channel)
        decoders: dict[Channel, Any] = {}
        with self._files.read(self.path) as reader:
            for run, data in reader.pieces(0, reader.size):
                if run.channel not in wanted:
                    continue
                if run.channel not in decoders:
                    decoders[run.channel] = getincrementaldecoder(self._encoding)(errors="replace")
                text = decoders[run.channel].decode(data)
                if text:
                    yield text if onlyText else (NUMBERS[run.channel], text)
            for channel, decoder in decoders.items():
                rest = decoder.decode(b"", True)
                if rest:
                    yield rest if onlyText else (NUMBERS[channel], rest)

    def hasContents(self) -> bool:
        with self._files.read(self.path) as reader:
            return reader.size > 0

    def _text(self, channels: Collection[int]) -> str:
        with self._files.read(self.path) as reader:
            if reader.size > self.most_text:
                raise LogTooLong(
                    f"log {self.name} has {reader.size >> 20} MiB, and getText() gives {self.most_text >> 20} at most: "
                    "read it with readlines(), or watch it with addLogObserver()"
                )
        return "".join(self.getChunks(channels, onlyText=True))


class LogLines(Sequence[str]):
    """The lines of one channel of a log."""

    def __init__(self, log: ReadableLog, channel: int) -> None:
        self._log = log
        self._channel = channel

    def __iter__(self) -> Iterator[str]:
        begun = ""
        for text in self._log.getChunks([self._channel], onlyText=True):
            *lines, begun = (begun + text).split("\n")
            for line in lines:
                yield line + "\n"
            while len(begun) > MOST_LINE:
                yield begun[:MOST_LINE]
                begun = begun[MOST_LINE:]
        if begun:
            yield begun

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return list(self)[at]
        found = list(islice(self, at, at + 1)) if at >= 0 else list(deque(self, -at))
        if not found or (at < 0 and len(found) < -at):
            raise IndexError("the log has no such line")
        return found[0]

    def __add__(self, other: Sequence[str]) -> list[str]:
        return [*self, *other]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<lines of log {self._log.name}>"


class Subscriber:
    """A Watcher that tells somebody in the way of an older version.

    receiver: an object with `logChunk(build, step, log, channel, text)`, and perhaps `logFinished(build, step, log)`;
    or a function (stream, text), which gets "o", "e" or "h", and at the end (None, None).
    """

    def __init__(self, log: Any, receiver: Any) -> None:
        self._log = log
        self._receiver: Any = receiver
        self._calls: Callable[..., Any] | None = None if hasattr(receiver, "logChunk") else receiver

    def got(self, channel: Channel, text: str) -> None:
        if self._calls is not None:
            self._calls(_LETTERS[channel], text)
        else:
            step = self._log.step
            self._receiver.logChunk(getattr(step, "build", None), step, self._log, NUMBERS[channel], text)

    def command_ended(self) -> None:
        """Of no interest to them."""

    def ended(self) -> None:
        if self._calls is not None:
            self._calls(None, None)
        elif hasattr(self._receiver, "logFinished"):
            self._receiver.logFinished(getattr(self._log.step, "build", None), self._log.step, self._log)
