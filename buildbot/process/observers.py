"""Those who watch a log while it grows: the bases that custom steps subclass to find things in the output.

Text arrives decoded, in pieces of any size; the line observers see whole lines without their ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from buildbot.process.logchannels import NUMBERS, STDERR, STDOUT
from buildbot.process.steplog import StepLog
from buildbot.store.logfiles import Channel

MOST_LINE_LENGTH = 1 << 20  # a longer line is given in parts, so that no one's memory is filled

LETTERS = {Channel.STDOUT: "o", Channel.STDERR: "e", Channel.HEADER: "h"}
_CHANNELS = {letter: channel for channel, letter in LETTERS.items()}


class LogObserver:
    """Override outReceived, errReceived, headerReceived. `step` and `log` are set before the first call."""

    step: Any = None
    log: StepLog | None = None

    def setStep(self, step: Any) -> None:
        self.step = step

    def setLog(self, log: StepLog) -> None:
        self.log = log
        log.watch(self)

    def got(self, channel: Channel, text: str) -> None:
        self.gotData(LETTERS[channel], text)

    def gotData(self, stream: str, data: str) -> None:
        """A piece of the log, by the letter of its stream (o, e, h); it goes to logChunk."""
        step = self.step
        self.logChunk(getattr(step, "build", None), step, self.log, NUMBERS[_CHANNELS[stream]], data)

    def logChunk(self, build: Any, step: Any, log: Any, channel: int, text: str) -> None:
        """A piece of the log, by the number of its channel (buildbot.status.logfile); it goes to one of those below."""
        if channel == STDOUT:
            self.outReceived(text)
        elif channel == STDERR:
            self.errReceived(text)
        else:
            self.headerReceived(text)

    def command_ended(self) -> None:
        """A command has ended; others may write to the log yet."""

    def ended(self) -> None:
        self.finishReceived()

    def outReceived(self, data: str) -> None:
        """Standard output."""

    def errReceived(self, data: str) -> None:
        """Standard error."""

    def headerReceived(self, data: str) -> None:
        """What we say about the command."""

    def finishReceived(self) -> None:
        """The log is complete."""


class _Lines:
    """Cuts pieces of text into lines."""

    def __init__(self, call: Callable[[str], object]) -> None:
        self._call = call
        self._begun = ""

    def feed(self, text: str) -> None:
        lines = (self._begun + text).split("\n")
        self._begun = lines.pop()
        for line in lines:
            self._call(line.removesuffix("\r"))
        while len(self._begun) > MOST_LINE_LENGTH:
            self._call(self._begun[:MOST_LINE_LENGTH])
            self._begun = self._begun[MOST_LINE_LENGTH:]

    def end(self) -> None:
        if self._begun:
            self._call(self._begun)
            self._begun = ""


class LogLineObserver(LogObserver):
    """Override outLineReceived, errLineReceived, headerLineReceived."""

    def __init__(self) -> None:
        self._cutters = {
            Channel.STDOUT: _Lines(lambda line: self.outLineReceived(line)),
            Channel.STDERR: _Lines(lambda line: self.errLineReceived(line)),
            Channel.HEADER: _Lines(lambda line: self.headerLineReceived(line)),
        }

    def setMaxLineLength(self, max_length: int) -> None:
        """Buildbot's old limit; lines here have none that matters."""

    def outReceived(self, data: str) -> None:
        self._cutters[Channel.STDOUT].feed(data)

    def errReceived(self, data: str) -> None:
        self._cutters[Channel.STDERR].feed(data)

    def headerReceived(self, data: str) -> None:
        self._cutters[Channel.HEADER].feed(data)

    def command_ended(self) -> None:
        for cutter in self._cutters.values():
            cutter.end()

    def ended(self) -> None:
        self.command_ended()
        super().ended()

    def outLineReceived(self, line: str) -> None:
        """A line of standard output."""

    def errLineReceived(self, line: str) -> None:
        """A line of standard error."""

    def headerLineReceived(self, line: str) -> None:
        """A line of what we say about the command."""


class LineConsumerLogObserver(LogLineObserver):
    """Feeds a generator function: each `stream, line = yield` gets ("o", "e" or "h", a line)."""

    def __init__(self, consumerFunction: Callable[[], Generator[None, tuple[str, str], None]]) -> None:
        super().__init__()
        self._function = consumerFunction
        self._generator: Generator[None, tuple[str, str], None] | None = None
        self._over = False

    def _feed(self, stream: str, line: str) -> None:
        if self._over:
            return
        try:
            if self._generator is None:
                self._generator = self._function()
                next(self._generator)
            self._generator.send((stream, line))
        except StopIteration:
            self._over = True

    def outLineReceived(self, line: str) -> None:
        self._feed("o", line)

    def errLineReceived(self, line: str) -> None:
        self._feed("e", line)

    def headerLineReceived(self, line: str) -> None:
        self._feed("h", line)

    def finishReceived(self) -> None:
        if self._generator is not None:
            self._generator.close()


class BufferLogObserver(LogObserver):
    """Keeps the text. wantStdout (default True), wantStderr (default False)."""

    def __init__(self, wantStdout: bool = True, wantStderr: bool = False) -> None:
        self._out: list[str] | None = [] if wantStdout else None
        self._err: list[str] | None = [] if wantStderr else None

    def outReceived(self, data: str) -> None:
        if self._out is not None:
            self._out.append(data)

    def errReceived(self, data: str) -> None:
        if self._err is not None:
            self._err.append(data)

    def getStdout(self) -> str:
        return self._get(self._out)

    def getStderr(self) -> str:
        return self._get(self._err)

    def _get(self, pieces: list[str] | None) -> str:
        """The text of pieces; subclasses that keep more of them call it by this name."""
        return "".join(pieces or ())


class OutputProgressObserver(LogObserver):
    """Counts all that comes, of every channel, as a step's progress under `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.length = 0

    def logChunk(self, build: Any, step: Any, log: Any, channel: int, text: str) -> None:
        self.length += len(text)
        if step is not None:
            step.setProgress(self.name, self.length)
