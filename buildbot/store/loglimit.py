"""A log that may not grow without end: its beginning, a line that says what is missing, and its end.

`logMaxSize` bytes of output are written as they come. What comes after them is left out, but the last
`logMaxTailSize` bytes of it are kept beside the log (buildbot.store.logtail) and written at the log's end. Headers are
always written: they are the master's own, and few.

How a step's log uses it: open the file with `LogFiles.write(path, limit)`, append as before, and call `finish(now)`
once when no more will come, before `size` and `lines` go into the log's row. All the rest is as with any LogWriter:
`held` counts what was left out, too, also after a crash; what the limit itself writes counts for no producer but
`THE_LIMIT`, of which `finish` and the notice skip what an interrupted process has written already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildbot.store.logindex import Channel
from buildbot.store.logreader import LogReader
from buildbot.store.logtail import LogTail, TailEntry
from buildbot.store.logwriter import LogWriter

THE_LIMIT = 0xFFFF_FFFF  # the producer of what only the limit says


class Limit(NamedTuple):
    """most: bytes of output from the beginning (`logMaxSize`). tail: and from the end (`logMaxTailSize`)."""

    most: int
    tail: int = 0

    @property
    def notice(self) -> bytes:
        return b"\n[the log has more than logMaxSize = %d bytes of output: the rest is left out]\n" % self.most


class LimitedWriter(LogWriter):
    """A growing log with a limit."""

    def __init__(self, path: Path, told: Callable[[], None], limit: Limit) -> None:
        super().__init__(path, told)
        self._limit = limit
        self._tail = LogTail(path, limit.tail, self.held)
        self._output = _output_of(path)
        self._left_out = max((entry.left_out for entry in self._tail.entries()), default=0)
        self._finished = False

    def append(self, data: bytes, channel: Channel, producer: int, now: float, taken: int | None = None) -> None:
        room = max(0, self._limit.most - self._output)
        if channel is Channel.HEADER or len(data) <= room:
            super().append(data, channel, producer, now, taken)
            if channel is not Channel.HEADER:
                self._output += len(data)
            return
        taken = len(data) if taken is None else taken
        left_out = self._left_out + len(data) - room
        self._tail.add(TailEntry(self.held(producer) + taken, left_out, producer, channel, data[room:]))
        super().append(data[:room], channel, producer, now, taken)
        self._output += room
        self._left_out = left_out
        self._say([(Channel.HEADER, self._limit.notice)], now)

    def finish(self, now: float) -> None:
        """Write the end of the output, when some was left out. Harmless when it is done already."""
        if self._left_out and not self._finished:
            self._say([(Channel.HEADER, self._limit.notice), *self._ending()], now)
        self._finished = True
        self._tail.remove()

    def _ending(self) -> Iterator[tuple[Channel, bytes]]:
        entries = self._tail.entries()
        kept = sum(len(entry.data) for entry in entries)
        words = b"[%d bytes are left out here]\n" % (self._left_out - kept)
        if kept:
            words = b"[%d bytes are left out here; the last %d bytes are:]\n" % (self._left_out - kept, kept)
        yield Channel.HEADER, words
        for entry in entries:
            yield entry.channel, entry.data

    def _say(self, pieces: list[tuple[Channel, bytes]], now: float) -> None:
        """Write what of these pieces is not in the log yet: all that the limit says is one stream."""
        skip = self.held(THE_LIMIT)
        for channel, data in pieces:
            super().append(data[skip:], channel, THE_LIMIT, now)
            skip = max(0, skip - len(data))

    def sync(self) -> None:
        self._tail.sync()
        super().sync()

    def close(self) -> None:
        self._tail.close()
        super().close()


def _output_of(path: Path) -> int:
    """How many bytes of output a log has that are not what the limit itself has written."""
    with LogReader(path) as reader:
        total, last = 0, None
        for run in [*reader.runs, None]:
            if last is not None and last.channel is not Channel.HEADER and last.producer != THE_LIMIT:
                total += (reader.size if run is None else run.offset) - last.offset
            last = run
        return total
