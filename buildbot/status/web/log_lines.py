"""Which lines of a log a page shows, and how one line looks. Never more of a log in memory than one window."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from buildbot.status.web import ansi
from buildbot.store.logfiles import Channel, Line, LogReader

CHANNEL_CLASS = {Channel.STDOUT: "stdout", Channel.STDERR: "stderr", Channel.HEADER: "header"}

LINES = 1000  # of a window, unless one asks for another number
MOST_LINES = 5000
WINDOW_BYTES = 44 * 1024  # a first view stays below 100 kB of HTML
MOST_BYTES = 1024 * 1024  # when a number of lines is asked for
LONGEST_LINE = 16 * 1024
_PEN_BYTES = 8 * 1024  # before a window, looked through for the colours that are on


class Window(NamedTuple):
    """A part of a log. Lines count from 0; `after` is the byte at which a live tail goes on."""

    first: int
    lines: list[Line]
    total: int
    size: int
    after: int
    pen: ansi.Style  # what is on at its beginning

    @property
    def end(self) -> int:
        """The line after the last one shown."""
        return self.first + len(self.lines)


def beginning(reader: LogReader, count: int = LINES, most_bytes: int = WINDOW_BYTES) -> Window:
    return window(reader, 0, count, most_bytes)


def ending(reader: LogReader, count: int = LINES, most_bytes: int = WINDOW_BYTES) -> Window:
    """The last lines: as many of `count` as `most_bytes` hold, and the very last one always."""
    total = reader.line_count()
    first = max(0, total - count)
    if reader.size - reader.offset_of_line(first) > most_bytes:
        first = min(max(first, reader.line_at(reader.size - most_bytes) + 1), max(0, total - 1))
    return window(reader, first, count, most_bytes * 2)


def window(reader: LogReader, first: int, count: int, most_bytes: int = WINDOW_BYTES) -> Window:
    """Lines from `first` on, or from the last one when there are not that many."""
    total = reader.line_count()
    first = min(max(first, 0), max(0, total - 1))
    start = reader.offset_of_line(first)
    lines = reader.lines(first, count, most_bytes, LONGEST_LINE)
    after, _ = goes_on_at(reader, first + len(lines))
    return Window(first, lines, total, reader.size, after, pen_at(reader, start))


def goes_on_at(reader: LogReader, number: int) -> tuple[int, int]:
    """Offset and number of the line after those shown, `number`; of the last one shown if it is unfinished."""
    offset = reader.offset_of_line(number)
    if number and offset == reader.size and reader.raw(offset - 1, offset) not in (b"\n", b""):
        return reader.offset_of_line(number - 1), number - 1
    return offset, number


def pen_at(reader: LogReader, start: int) -> ansi.Style:
    """The colours that the text before a window has left on, as far as a short look back can tell."""
    text = reader.raw(max(0, start - _PEN_BYTES), start)
    style = ansi.PLAIN
    if b"\x1b[" in text:
        for found in ansi.SGR.finditer(text.decode("latin-1")):
            style = ansi.sgr(style, found[1])
    return style


class Drawing(NamedTuple):
    """How lines are drawn."""

    encoding: str = "utf-8"
    times: bool = False


def line_text(line: Line, encoding: str) -> list[tuple[str, str]]:
    """The line's pieces as (CSS class, text). What lies side by side is decoded together."""
    joined: list[tuple[Channel, bytes]] = []
    for channel, data in line.pieces:
        if joined and joined[-1][0] is channel:
            joined[-1] = (channel, joined[-1][1] + data)
        else:
            joined.append((channel, data))
    return [(CHANNEL_CLASS[channel], data.decode(encoding, "replace")) for channel, data in joined]


def draw(line: Line, drawing: Drawing, style: ansi.Style) -> tuple[Markup, ansi.Style]:
    """One line of the log page: its anchor, its time if that is wanted, its text. And the pen for the next line."""
    text, style = ansi.line_html(line_text(line, drawing.encoding), style)
    number = line.number + 1
    html = Markup('<div><a id="L{0}" href="#L{0}">{0}</a>{1}{2}{3}\n</div>').format(
        number, _time(line) if drawing.times else "", text, _CUT if line.cut else ""
    )
    return html, style


_CUT = Markup('<b class="cut">… the line goes on; the download has all of it</b>')


def _time(line: Line) -> Markup:
    if not line.written_at:
        return Markup("<time></time>")
    moment = datetime.fromtimestamp(line.written_at).astimezone()
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"), f"{moment:%H:%M:%S}.{moment.microsecond // 100000}"
    )


def draw_all(lines: Iterable[Line], drawing: Drawing, style: ansi.Style) -> tuple[Markup, ansi.Style]:
    drawn = []
    for line in lines:
        html, style = draw(line, drawing, style)
        drawn.append(html)
    return Markup("").join(drawn), style


def plain_lines(reader: LogReader, count: int, most_bytes: int) -> list[Markup]:
    """The last lines without numbers, for showing inside another page."""
    shown, lines = ending(reader, count, most_bytes), []
    style = shown.pen
    for line in shown.lines:
        html, style = ansi.line_html(line_text(line, "utf-8"), style)
        lines.append(html + (_CUT if line.cut else ""))
    return lines
