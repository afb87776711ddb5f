"""Which bytes of a file does a request want, and how do they get to a client no faster than it reads them?

`byte_range` reads the Range header (RFC 9110, section 14: one range or a suffix; several at once are answered with
the whole, as the RFC allows). `Sender` is a push producer: it writes a few chunks a turn of the reactor, stops while
the connection is full, and ends when the client goes away or reads nothing for ten minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.http import NOT_MODIFIED, PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE
from twisted.web.server import Request
from zope.interface import implementer

CHUNK_BYTES = 64 * 1024
STUCK_SECONDS = 600.0
_CHUNKS_A_TURN = 4
_ONE_RANGE = re.compile(r"bytes *= *(\d{0,19}) *- *(\d{0,19}) *", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range lies behind the end."""


class Span(NamedTuple):
    """Bytes from `start` up to but not including `end`."""

    start: int
    end: int


def byte_range(header: str, size: int) -> Span | None:
    """What a Range header asks of `size` bytes; None: everything. Raises Unsatisfiable."""
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        start, end = max(0, size - int(found[2])), size
        if found[2].strip("0") == "":
            raise Unsatisfiable
    else:
        start = int(found[1])
        end = min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise Unsatisfiable
    return Span(start, end)


def wanted(request: Request, size: int, etag: str) -> Span | None:
    """Set status and headers for `size` bytes that `etag` names. None: there is nothing to send."""
    request.setHeader(b"accept-ranges", b"bytes")
    request.setHeader(b"etag", etag.encode())
    if _names(request, b"if-none-match", etag):
        request.setResponseCode(NOT_MODIFIED)
        return None
    try:
        part = _asked_range(request, size, etag)
    except Unsatisfiable:
        request.setResponseCode(REQUESTED_RANGE_NOT_SATISFIABLE)
        request.setHeader(b"content-range", b"bytes */%d" % size)
        request.setHeader(b"content-length", b"0")
        return None
    span = part or Span(0, size)
    if part is not None:
        request.setResponseCode(PARTIAL_CONTENT)
        request.setHeader(b"content-range", b"bytes %d-%d/%d" % (span.start, span.end - 1, size))
    request.setHeader(b"content-length", b"%d" % (span.end - span.start))
    return span


def _asked_range(request: Request, size: int, etag: str) -> Span | None:
    """If-Range says: a part only of what I have already, else the whole."""
    header, validator = request.getHeader(b"range"), request.getHeader(b"if-range")
    if header is None or (validator is not None and validator.strip() != etag.encode()):
        return None
    return byte_range(header.decode("latin-1"), size)


def _names(request: Request, header: bytes, etag: str) -> bool:
    value = request.getHeader(header)
    if value is None:
        return False
    tags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
    return b"*" in tags or etag.encode() in tags


def chunks_of(read: Callable[[int, int], bytes], span: Span) -> Iterator[bytes]:
    """The bytes of a span, a chunk at a time. Ends early when the file has become shorter."""
    start = span.start
    while start < span.end:
        data = read(start, min(span.end, start + CHUNK_BYTES))
        if not data:
            return
        yield data
        start += len(data)


@implementer(IPushProducer)
class Sender:
    """Writes what `chunks` gives to the request and finishes it. Empty chunks only say that a turn is over.

    `done` is called once, whether all was sent or the client went away.
    """

    def __init__(
        self, request: Request, chunks: Iterator[bytes], clock: IReactorTime, done: Callable[[], object]
    ) -> None:
        self._request = request
        self._chunks = chunks
        self._clock = clock
        self._done = done
        self._paused = False
        self._waiting = False
        self._over = False
        self._giving_up: IDelayedCall | None = None

    def start(self) -> None:
        _gone = self._request.notifyFinish().addErrback(lambda _: self.stopProducing())
        self._request.registerProducer(self, True)
        self._turn()

    def pauseProducing(self) -> None:
        self._paused = True
        self._stop_waiting()
        if not self._over:
            self._giving_up = self._clock.callLater(STUCK_SECONDS, self._give_up)

    def resumeProducing(self) -> None:
        self._paused = False
        self._stop_waiting()
        self._next_turn()

    def stopProducing(self) -> None:
        self._end()

    def _next_turn(self) -> None:
        if not self._waiting and not self._over:
            self._waiting = True
            self._clock.callLater(0, self._turn)

    def _turn(self) -> None:
        self._waiting = False
        for _ in range(_CHUNKS_A_TURN):
            if self._paused or self._over:
                return
            data = next(self._chunks, None)
            if data is None:
                self._complete()
                return
            if data:
                self._request.write(data)
        self._next_turn()

    def _complete(self) -> None:
        self._end()
        self._request.unregisterProducer()
        self._request.finish()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self._stop_waiting()
            self._done()

    def _stop_waiting(self) -> None:
        if self._giving_up is not None and self._giving_up.active():
            self._giving_up.cancel()

    def _give_up(self) -> None:
        transport: Any = self._request.transport
        self._end()
        if transport is not None:
            transport.abortConnection()
