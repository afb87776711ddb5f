"""What hides secrets in bytes: each value, in every form in which programs print it, becomes `<its name>`.

Pure: it knows no store, no log and no provider. `Masker` is a set of values; `MaskedStream` is one stream of bytes
that come in pieces, and a value may be split between two of them.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, quote_plus

SHORTEST = 3  # bytes; whatever is shorter stands in every log by chance, and is not masked
SHORTEST_BASE64 = 8  # characters


class Masker:
    """Values and what stands for each: {b"hunter2": b"<password>"}. At each place the longest value counts.

    Immutable. Without values it costs nothing. Empty values are ignored.
    """

    __slots__ = ("_marks",)

    def __init__(self, values: Mapping[bytes, bytes] | None = None) -> None:
        self._marks = {value: mark for value, mark in (values or {}).items() if value}

    def __bool__(self) -> bool:
        return bool(self._marks)

    def __repr__(self) -> str:
        return f"<Masker of {len(self._marks)} values>"

    def mask(self, data: bytes) -> bytes:
        """The whole of something, masked."""
        told: list[bytes] = []
        at = 0
        for begin, value in self._found(data):
            told += (data[at:begin], self._marks[value])
            at = begin + len(value)
        return b"".join([*told, data[at:]]) if told else data

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """What can be told of the beginning of a stream, masked, and the rest: the beginning of a value, perhaps.

        The rest is shorter than the longest value, and the whole of it could be the beginning of one.
        """
        told: list[bytes] = []
        at, held = 0, self._may_begin_at(data, 0)
        for begin, value in self._found(data):
            if held <= begin:
                break
            told += (data[at:begin], self._marks[value])
            at = begin + len(value)
            if held < at:
                held = self._may_begin_at(data, at)
        return b"".join([*told, data[at:held]]) if told else data[:held], data[held:]

    def _found(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where values stand: one after the other from the left, the longest of those that begin in one place."""
        here = {value: at for value in self._marks if (at := data.find(value)) >= 0}
        while here:
            begin, _, value = min((at, -len(value), value) for value, at in here.items())
            yield begin, value
            end = begin + len(value)
            for other in [other for other, at in here.items() if at < end]:
                here[other] = data.find(other, end)
                if here[other] < 0:
                    del here[other]

    def _may_begin_at(self, data: bytes, start: int) -> int:
        """The first place from `start` on at which all that follows is the beginning of a value; or the end."""
        best = len(data)
        view = memoryview(data)
        for value in self._marks:
            wanted = memoryview(value)
            at = data.find(value[:1], max(start, len(data) - len(value) + 1), best)
            while at >= 0:
                if wanted[: len(data) - at] == view[at:]:
                    best = at
                    break
                at = data.find(value[:1], at + 1, best)
        return best


class MaskedStream:
    """One stream (one channel of one producer of one log), masked as it comes.

    current: gives the masker of now, asked at each piece, because a build may get to know a secret while it writes:
    `MaskedStream(build.secrets.masker)`.

        data = stream.feed(piece)      # what may be written now
        data = stream.flush()          # the rest, when the producer has ended

    `held` are raw bytes that were fed and not told yet, because they may be the beginning of a secret. A producer that
    writes the same again after a restart, such as a step, is counted without them (`taken` is what was fed less what
    `held` has grown): the cut is always where masking begins afresh, so a new stream from there gives the same bytes.
    A slave counts all channels together and cannot go back into the middle of one: its bytes are taken when they are
    fed (`taken=len(piece)`), the flush at the end of its command takes none, and a process that dies in between
    loses what was held, never more than the beginning of one secret.
    """

    __slots__ = ("held", "_current")

    def __init__(self, current: Callable[[], Masker]) -> None:
        self.held = b""
        self._current = current

    def feed(self, data: bytes) -> bytes:
        """Take a piece; returns the masked bytes that can be told by now, perhaps none."""
        masker = self._current()
        if not masker and not self.held:
            return data
        told, self.held = masker.cut(self.held + data)
        return told

    def flush(self) -> bytes:
        """Nothing more comes: the rest, masked."""
        rest, self.held = self.held, b""
        return self._current().mask(rest) if rest else b""


def forms_of(value: str, encoding: str = "utf-8") -> Iterator[bytes]:
    """The bytes in which a value may show: as it is (in UTF-8, Latin-1 and `encoding`), each of its lines, quoted for
    URLs, JSON, Python, HTML and the shell, and in base64 (also as part of something longer, as in HTTP's Basic login).

    Nothing shorter than SHORTEST; nothing begins or ends with white space.
    """
    whole = value.strip()
    lines = [line.strip() for line in whole.splitlines()]
    for text in dict.fromkeys([whole, *lines]):
        for form in _as_text(text):
            for name in ("utf-8", "latin-1", encoding):
                data = _encoded(form, name)
                if len(data) >= SHORTEST:
                    yield data
    for text in dict.fromkeys([whole, value]):
        yield from _in_base64(text.encode("utf-8", "surrogateescape"))


def _as_text(text: str) -> Iterator[str]:
    yield text
    safely = text.encode("utf-8", "surrogateescape")
    for quoted in (quote(safely), quote(safely, safe=""), quote_plus(safely)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), quoted)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(safely)[2:-1]
    yield html.escape(text)
    yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    if text:
        yield shlex.quote(text).removeprefix("'").removesuffix("'")


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding, "surrogateescape")
    except (UnicodeError, LookupError):
        return b""


def _in_base64(data: bytes) -> Iterator[bytes]:
    """What of its base64 does not depend on the bytes before and after it: one form for each of three alignments."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + data)
        first = (before * 8 + 5) // 6  # the character before holds bits of another byte
        last = (before + len(data)) * 8 // 6
        core = coded[first:last]
        if len(core) >= SHORTEST_BASE64:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
