"""How does a terminal's line look as HTML? Colours, carriage returns and erasures; every other escape is dropped.

A line is drawn cell by cell, as a terminal would: `\\r` and `\\b` move the cursor, what is written there replaces what
was, `ESC [ K` erases. Only SGR changes the pen; it stays as it is from one line to the next. Colours are classes
(`f1` is red text, `b4` a blue ground, of the 256 of xterm; see static/log.css), because pages allow no inline style;
a 24-bit colour becomes the nearest of the 256. A line of n characters costs O(n) and gives at most n + `_WIDEST` cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup, escape

_UNUSUAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ESCAPE = re.compile(
    "(?:\x1b\\[|\x9b)(?P<arguments>[0-?]*)(?P<between>[ -/]*)(?P<final>[@-~])"  # CSI
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c|\\Z)"  # OSC, DCS, SOS, PM, APC
    "|\x1b[ -/]*[0-Z\\\\^-~]"  # two or three characters, such as ESC ( B
    "|[\x1b\x9b][^a-zA-Z\x1b]{0,32}\\Z"  # one that was cut
)
SGR = re.compile("\x1b\\[([0-9;:]*)m")  # for whoever wants to know the pen only
_WIDEST = 1000  # columns that a cursor movement alone can open
_CONTROL_PICTURES = 0x2400


class Style(NamedTuple):
    """The pen: a text colour, a ground colour (of the 256; None: the page's own) and its manners."""

    fore: int | None = None
    back: int | None = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underline: bool = False
    inverse: bool = False
    strike: bool = False


PLAIN = Style()

_ON: dict[int, dict[str, bool]] = {
    1: {"bold": True},
    2: {"faint": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"inverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "faint": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"inverse": False},
    29: {"strike": False},
}


def nearest_colour(red: int, green: int, blue: int) -> int:
    """The one of xterm's 6×6×6 cube and 24 greys that is closest to a 24-bit colour."""
    levels = (0, 95, 135, 175, 215, 255)
    parts = [min(range(6), key=lambda at, want=want: abs(levels[at] - want)) for want in (red, green, blue)]  # type: ignore[misc]
    grey = max(0, min(23, round(((red + green + blue) / 3 - 8) / 10)))

    def distance(r: int, g: int, b: int) -> int:
        return (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2

    of_cube = distance(*(levels[part] for part in parts))
    of_greys = distance(*[8 + 10 * grey] * 3)
    return 232 + grey if of_greys < of_cube else 16 + 36 * parts[0] + 6 * parts[1] + parts[2]


@lru_cache(maxsize=1024)
def sgr(style: Style, arguments: str) -> Style:
    """The pen after `ESC [ arguments m`. What is unknown or out of range changes nothing."""
    codes = iter(arguments.split(";"))
    for code in codes:
        first, *colon = code.split(":")
        number = int(first) if first.isdecimal() else 0 if not first else -1
        if number == 0:
            style = PLAIN
        elif number == 4 and colon:
            style = style._replace(underline=colon[0] != "0")
        elif number in _ON:
            style = style._replace(**_ON[number])
        elif number in (38, 48, 58):
            colour = _extended(iter([*colon[:1], *colon[-3:]] if len(colon) > 2 else colon) if colon else codes)
            if colour is not None and number != 58:
                style = style._replace(fore=colour) if number == 38 else style._replace(back=colour)
        else:
            style = _simple_colour(style, number)
    return style


def _simple_colour(style: Style, number: int) -> Style:
    if 30 <= number <= 37:
        return style._replace(fore=number - 30)
    if 40 <= number <= 47:
        return style._replace(back=number - 40)
    if 90 <= number <= 97:
        return style._replace(fore=number - 90 + 8)
    if 100 <= number <= 107:
        return style._replace(back=number - 100 + 8)
    if number == 39:
        return style._replace(fore=None)
    if number == 49:
        return style._replace(back=None)
    return style


def _extended(codes: Iterator[str]) -> int | None:
    """What follows 38 or 48: `5;N` or `2;R;G;B`. Takes its arguments from `codes`."""
    kind = next(codes, "")
    wanted = {"5": 1, "2": 3}.get(kind, 0)
    values = [int(code) if code.isdecimal() else 0 for _, code in zip(range(wanted), codes, strict=False)]
    if len(values) != wanted or not values or max(values) > 255:
        return None
    return values[0] if kind == "5" else nearest_colour(*values)


@lru_cache(maxsize=1024)
def classes(style: Style) -> str:
    """The CSS classes of a pen, '' for the plain one."""
    fore = "" if style.fore is None else f"f{style.fore}"
    back = "" if style.back is None else f"b{style.back}"
    if style.inverse:
        fore, back = (f"f{style.back}" if back else "f-ground"), (f"b{style.fore}" if fore else "b-text")
    manners = ("bold", "faint", "italic", "underline", "strike")
    return " ".join(filter(None, [fore, back, *(name for name in manners if getattr(style, name))]))


class _Row:
    """The cells of one line and the cursor on it. A cell is (character, what wrote it, pen)."""

    def __init__(self) -> None:
        self.cells: list[tuple[str, str, Style]] = []
        self.at = 0

    def put(self, text: str, owner: str, style: Style) -> None:
        if self.at == len(self.cells):
            self.cells.extend([(character, owner, style) for character in text])
        else:
            if self.at > len(self.cells):
                self.cells.extend([(" ", owner, PLAIN)] * (self.at - len(self.cells)))
            self.cells[self.at : self.at + len(text)] = [(character, owner, style) for character in text]
        self.at += len(text)

    def move(self, column: int) -> None:
        self.at = max(0, min(column, max(_WIDEST, len(self.cells))))

    def control(self, final: str, count: int, owner: str) -> None:
        """The cursor movements within a line, and erasure; the rest would need a screen."""
        if final == "K":
            self._erase(count, owner)
        elif final == "G":
            self.move(max(1, count) - 1)
        elif final == "C":
            self.move(self.at + max(1, count))
        elif final == "D":
            self.move(self.at - max(1, count))

    def _erase(self, which: int, owner: str) -> None:
        if which == 0:
            del self.cells[self.at :]
        elif which == 1:
            upto = min(self.at + 1, len(self.cells))
            self.cells[:upto] = [(" ", owner, PLAIN)] * upto
        elif which == 2:
            self.cells.clear()

    def html(self) -> Markup:
        spans = []
        for (owner, style), cells in groupby(self.cells, key=lambda cell: cell[1:]):
            spans.append(span("".join(cell[0] for cell in cells), f"{owner} {classes(style)}".rstrip()))
        return Markup("").join(spans)


def span(text: str, css_class: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(css_class, text)


def line_html(pieces: Iterable[tuple[str, str]], style: Style = PLAIN) -> tuple[Markup, Style]:
    """One line, without its newline: pieces of (CSS class, text). Returns its spans, and the pen for the next line."""
    pieces = list(pieces)
    if pieces:  # the carriage return of CR LF moves nothing
        owner, text = pieces[-1]
        pieces[-1] = (owner, text.rstrip("\r"))
    if not any(_UNUSUAL.search(text) for _, text in pieces):
        return _usual_html(pieces, style), style
    row = _Row()
    for owner, text in pieces:
        style = _draw(row, owner, text, style)
    return row.html(), style


def _usual_html(pieces: list[tuple[str, str]], style: Style) -> Markup:
    """The line has no escapes, as most lines have none."""
    pen = classes(style) if style != PLAIN else ""
    return Markup(
        "".join(
            f'<span class="{f"{owner} {pen}" if pen else owner}">{escape(text)}</span>'
            for owner, text in pieces
            if text
        )
    )


def _draw(row: _Row, owner: str, text: str, style: Style) -> Style:
    position = 0
    while position < len(text):
        found = _UNUSUAL.search(text, position)
        if found is None:
            row.put(text[position:], owner, style)
            break
        if found.start() > position:
            row.put(text[position : found.start()], owner, style)
        position = found.end()
        sequence = _ESCAPE.match(text, found.start())
        if sequence is not None:
            position = sequence.end()
            style = _obey(row, owner, sequence, style)
        else:
            _control_character(row, owner, found[0], style)
    return style


def _obey(row: _Row, owner: str, sequence: re.Match[str], style: Style) -> Style:
    final = sequence["final"]
    if final is None or sequence["between"]:
        return style
    arguments = sequence["arguments"]
    if final == "m":
        return sgr(style, arguments) if not arguments or arguments[0] not in "<=>?" else style
    first = arguments.partition(";")[0]
    if not first or first.isdecimal():
        row.control(final, int(first[:6] or "0"), owner)
    return style


def _control_character(row: _Row, owner: str, character: str, style: Style) -> None:
    match character:
        case "\r":
            row.move(0)
        case "\b":
            row.move(row.at - 1)
        case "\x07" | "\x0e" | "\x0f":  # the bell and the character set switches show nothing
            pass
        case "\x7f":
            row.put("␡", owner, style)
        case _ if ord(character) < 0x20:
            row.put(chr(_CONTROL_PICTURES + ord(character)), owner, style)
        case _:  # a C1 control
            row.put("\ufffd", owner, style)
