"""Reading a stream of subunit: version 1, which is text, and version 2, which is packets; also mixed with other output.

The stream comes from a slave and in pieces of any size. What is kept is bounded: details of tests, labels, a packet
that is not whole yet. See the documents of python-subunit for both formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from zlib import crc32

MOST_DETAILS = 64 << 10  # bytes kept of what is said about one test
MOST_OPEN = 1000  # tests of which details are kept before their end
MOST_PACKET = 4 << 20  # bytes, as the format says
MOST_LINE = 64 << 10
MOST_FALSE_STARTS = 100  # of packets; then the stream is read as text alone

_SIGNATURE = b"\xb3"
_DAMAGED = re.compile(rb"\xef\xbf\xbd[ -/]")  # how a packet begins once a slave has made text of it


class Outcome(StrEnum):
    """How a test ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    SKIP = "skip"
    EXPECTED_FAILURE = "expected failure"
    UNEXPECTED_SUCCESS = "unexpected success"


_WORDS = {
    b"success": Outcome.SUCCESS,
    b"successful": Outcome.SUCCESS,
    b"failure": Outcome.FAILURE,
    b"error": Outcome.FAILURE,
    b"skip": Outcome.SKIP,
    b"xfail": Outcome.EXPECTED_FAILURE,
    b"uxsuccess": Outcome.UNEXPECTED_SUCCESS,
}
_STATUS = {
    3: Outcome.SUCCESS,
    4: Outcome.UNEXPECTED_SUCCESS,
    5: Outcome.SKIP,
    6: Outcome.FAILURE,
    7: Outcome.EXPECTED_FAILURE,
}
_LINE = re.compile(
    rb"(test|testing|success|successful|failure|error|skip|xfail|uxsuccess):? +(?:test +)?(\S.*?)( \[(?: multipart)?)?$"
)

Ended = Callable[[str, Outcome, str], object]


class SubunitStream:
    """`feed` it bytes; it calls `ended(label, outcome, details)` for each test."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._buffer = b""
        self._false_starts = 0
        self._lines = _Lines(ended)
        self._details: dict[bytes, bytes] = {}  # of version 2, by test
        self._running: set[bytes] = set()

    @property
    def damaged(self) -> bool:
        """Whether there were packets that were made text on their way, so that they cannot be read any more."""
        return self._lines.damaged

    def feed(self, data: bytes) -> None:
        buffer, at = self._buffer + data, 0
        while at < len(buffer):
            used = self._take(buffer, at)
            if not used:
                break
            at += used
        self._buffer = buffer[at:]

    def end(self) -> None:
        """The stream is over: a test that has not ended has failed."""
        self._false_starts = MOST_FALSE_STARTS
        self.feed(b"\n" if self._buffer else b"")
        self._lines.end()
        for test in sorted(self._running):
            self._ended(_text(test), Outcome.FAILURE, "it began, and did not end\n")
        self._running.clear()

    def _take(self, buffer: bytes, at: int) -> int:
        """Look at the buffer from there on; how much of it is done with, 0 to wait for more."""
        start = self._next_signature(buffer, at)
        if start == at:
            size = _packet_size(buffer[at : at + 8])
            if size is None or (size and len(buffer) - at < size):
                return 0
            if size and self._packet(buffer[at : at + size]):
                return size
            if size:
                self._false_starts += 1
            start = self._next_signature(buffer, at + 1)
        end = buffer.find(b"\n", at) + 1
        if end and (start < 0 or end <= start):
            self._lines.take(buffer[at : end - 1])
            return end - at
        if start > at:
            self._lines.begun(buffer[at:start])
            return start - at
        if len(buffer) - at > MOST_LINE:
            self._lines.begun(buffer[at:])
            return len(buffer) - at
        return 0

    def _next_signature(self, buffer: bytes, at: int) -> int:
        """Where a packet may begin, -1 for nowhere."""
        if self._false_starts >= MOST_FALSE_STARTS:
            return -1
        if buffer[at : at + 1] == _SIGNATURE:
            return at
        end = buffer.find(b"\n", at)
        return buffer.find(_SIGNATURE, at, end if end >= 0 else len(buffer))

    def _packet(self, packet: bytes) -> bool:
        """Take a whole packet of version 2; False when it is none."""
        if crc32(packet[:-4]) != int.from_bytes(packet[-4:], "big"):
            return False
        try:
            fields = _Fields(packet)
            flags = fields.flags
            if flags & 0x0200:
                fields.skip(4)
                fields.number()
            test = fields.string() if flags & 0x0800 else b""
            if flags & 0x0080:
                for _ in range(fields.number()):
                    fields.string()
            mime = fields.string() if flags & 0x0020 else b"text/plain"
            content = b""
            if flags & 0x0040:
                fields.string()
                content = fields.string()
        except ValueError:
            return False
        if test:
            self._told(test, flags & 7, content if mime.startswith(b"text/") else b"")
        return True

    def _told(self, test: bytes, status: int, content: bytes) -> None:
        if content and (test in self._details or len(self._details) < MOST_OPEN):
            self._details[test] = (self._details.get(test, b"") + content)[:MOST_DETAILS]
        if status == 2 and len(self._running) < 100 * MOST_OPEN:
            self._running.add(test)
        if status in _STATUS:
            self._running.discard(test)
            self._ended(_text(test), _STATUS[status], _text(self._details.pop(test, b"")))


class _Fields:
    """The parts of a packet, in their order. Raises ValueError where there is nothing left."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet[:-4]
        self._at = 3
        self.flags = int.from_bytes(packet[1:3], "big")
        self.number()  # of its size

    def skip(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._packet):
            raise ValueError("the packet ends too early")
        return self._packet[self._at - count : self._at]

    def number(self) -> int:
        first = self.skip(1)[0]
        rest = self.skip(first >> 6)
        return int.from_bytes(bytes([first & 0x3F]) + rest, "big")

    def string(self) -> bytes:
        return self.skip(self.number())


def _packet_size(data: bytes) -> int | None:
    """The size of the packet that begins here; 0 when none does, None when it cannot be said yet."""
    if len(data) < 2:
        return None
    if data[1] >> 4 != 2:
        return 0
    if len(data) < 4 or len(data) < 4 + (data[3] >> 6):
        return None
    size = int.from_bytes(bytes([data[3] & 0x3F]) + data[4 : 4 + (data[3] >> 6)], "big")
    return size if 8 <= size <= MOST_PACKET else 0


class _Lines:
    """Version 1: lines, and details in brackets after some of them."""

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._begun = b""
        self._inside: tuple[bytes, Outcome] | None = None
        self._details = b""
        self._running: bytes | None = None
        self.damaged = False

    def begun(self, data: bytes) -> None:
        """A part of a line."""
        self._begun = (self._begun + data)[:MOST_LINE]

    def take(self, data: bytes) -> None:
        """The rest of a line."""
        line, self._begun = (self._begun + data)[:MOST_LINE].removesuffix(b"\r"), b""
        if self._inside is not None:
            self._within(line)
            return
        self.damaged = self.damaged or _DAMAGED.search(line) is not None
        match = _LINE.match(line[:4096])
        if match is None:
            return
        word, label, bracket = match.groups()
        if word in (b"test", b"testing"):
            self.end()
            self._running = label
        elif bracket:
            self._inside, self._details = (label, _WORDS[word]), b""
        else:
            self._end_of(label, _WORDS[word], b"")

    def _within(self, line: bytes) -> None:
        assert self._inside is not None
        if line == b"]" or line == b"0\r]":
            label, outcome = self._inside
            self._inside = None
            self._end_of(label, outcome, self._details)
        elif len(self._details) < MOST_DETAILS:
            self._details += (line[1:] if line == b" ]" else line) + b"\n"

    def _end_of(self, label: bytes, outcome: Outcome, details: bytes) -> None:
        self._running = None
        self._ended(_text(label), outcome, _text(details))

    def end(self) -> None:
        """A test that began, and has not ended when another one does or the stream is over, has failed."""
        if self._inside is not None:
            label, outcome = self._inside
            self._inside = None
            self._end_of(label, outcome, self._details)
        elif self._running is not None:
            self._end_of(self._running, Outcome.FAILURE, b"it began, and did not end\n")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
