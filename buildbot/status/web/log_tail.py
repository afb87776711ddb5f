"""A log that grows, told to one browser line by line, drawn here so that the browser only appends.

Five times a second at most, and at most `MOST_BYTES` each time. A browser or a line that is too slow for the log is
moved ahead to the newest lines, and told which lines it does not see. The id of each event is the byte at which the
next one begins, so a browser that comes back says where to go on. An unfinished last line is told as it is, and told
again, under the same number, when it has grown.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from buildbot.model import Log
from buildbot.status.web import ansi, log_lines
from buildbot.status.web.streams import COALESCE_SECONDS, EventStream
from buildbot.store.logfiles import Line, LogFiles, LogReader

MOST_LINES = 500  # at once
MOST_BYTES = 64 * 1024
MOST_BEHIND_BYTES = 1024 * 1024
LINES_AFTER_GAP = 200
CHECK_END_SECONDS = 1.0


class LogTail:
    """Follows `log` from byte `after`. `current` asks the store for the log's row as it is now."""

    def __init__(
        self,
        stream: EventStream,
        log_files: LogFiles,
        log: Log,
        current: Callable[[], Log | None],
        clock: IReactorTime,
        drawing: log_lines.Drawing,
    ) -> None:
        self._stream = stream
        self._log_files = log_files
        self._log = log
        self._current = current
        self._clock = clock
        self._drawing = drawing
        self._reader: LogReader | None = None
        self._offset = 0
        self._number = 0
        self._pen = ansi.PLAIN
        self._partial: Line | None = None  # the unfinished line as it was told
        self._timer: IDelayedCall | None = None
        self._unwatch: Callable[[], None] | None = None

    def start(self, after: int) -> None:
        self._stream.start(self)
        try:
            self._reader = self._log_files.read(self._log.path)
        except FileNotFoundError:
            self._stream.send("end", {"removed": True})
            self._stream.end()
            return
        self._go_to(self._reader.line_at(min(max(after, 0), self._reader.size)))
        self._unwatch = self._log_files.watch(self._log.path, self._grown)
        self._tick()

    def ready(self) -> None:
        self._again(COALESCE_SECONDS)

    def closed(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._unwatch is not None:
            self._unwatch()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _grown(self) -> None:
        self._again(COALESCE_SECONDS)

    def _again(self, seconds: float) -> None:
        if not self._stream.open or self._stream.full:
            return
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() > self._clock.seconds() + seconds:
                self._timer.reset(seconds)
            return
        self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        reader = self._reader
        if reader is None or self._stream.full:
            return
        reader.refresh()
        if reader.size - self._offset > MOST_BEHIND_BYTES and self._partial is None:
            self._skip_ahead(reader)
        lines = reader.lines(self._number, MOST_LINES, MOST_BYTES, log_lines.LONGEST_LINE)
        if lines and lines != [self._partial]:
            self._tell(reader, lines)
            self._again(COALESCE_SECONDS)
        else:
            self._end_if_finished()

    def _tell(self, reader: LogReader, lines: list[Line]) -> None:
        offset, number = log_lines.goes_on_at(reader, lines[-1].number + 1)
        drawn = []
        for line in lines:
            html, pen = log_lines.draw(line, self._drawing, self._pen)
            drawn.append([line.number + 1, html])
            if line.number < number:
                self._pen = pen
        self._partial = lines[-1] if number == lines[-1].number else None
        self._offset, self._number = offset, number
        self._stream.send("lines", {"lines": drawn}, offset)

    def _skip_ahead(self, reader: LogReader) -> None:
        newest = log_lines.ending(reader, LINES_AFTER_GAP, MOST_BYTES // 2)
        if newest.first > self._number:
            self._stream.send("gap", {"first": self._number + 1, "last": newest.first})
            self._go_to(newest.first)

    def _go_to(self, number: int) -> None:
        assert self._reader is not None
        self._number = number
        self._offset = self._reader.offset_of_line(number)
        self._pen = log_lines.pen_at(self._reader, self._offset)
        self._partial = None

    def _end_if_finished(self) -> None:
        log = self._current()
        if log is None or log.finished_at is not None:
            self._stream.send("end", {})
            self._stream.end()
        else:
            self._again(CHECK_END_SECONDS)
