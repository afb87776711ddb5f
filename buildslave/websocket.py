"""A WebSocket to the master: the opening handshake with name and password, then binary messages both ways.

What the messages mean is in `oversocket`. Whoever breaks the protocol is dropped with one line in the log. What comes
is bounded: an answer to the handshake by the library (16 KiB), a message by `MESSAGE_BYTES`, and so is what a master is
sent that does not read, by `UNREAD_BYTES`.
"""

import base64
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from zope.interface import implementer

from buildslave.line import Refused, prompt

MESSAGE_BYTES = 16 * 1024 * 1024
UNREAD_BYTES = 32 * 1024 * 1024
UNAUTHORIZED = 401


class NotSpoken(Exception):
    """The master's port does not speak this; the text says what it does."""


@implementer(IPushProducer)
class WebSocket(Protocol):
    """One connection, from its beginning to its end."""

    _log = Logger()

    def __init__(self) -> None:
        self.heard: Callable[[], None] = lambda: None
        self.lost: Callable[[Failure], None] = lambda _: None
        self.received: Callable[[bytes], None] = lambda _: None
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._opening: Deferred[None] | None = None
        self._message = bytearray()
        self._pings: deque[Deferred[None]] = deque()
        self._ended: Failure | None = None
        self._unread: int | None = None  # bytes that wait for the master to read, since it does not; None: it reads

    # -- the connection

    def connectionMade(self) -> None:
        prompt(self.transport)
        transport: Any = self.transport
        transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(reason)
        self.lost(reason)

    def _end(self, reason: Failure) -> None:
        """Nothing is sent or heard any more."""
        if self._ended is None:
            self._ended = reason
        if self._opening is not None and not self._opening.called:
            self._opening.errback(self._ended)
        while self._pings:
            self._pings.popleft().errback(Failure(ConnectionLost("the connection is gone")))

    def drop(self, why: str) -> None:
        """End the connection at once and say so in the log."""
        if self._ended is None:
            if self._opening is None or self._opening.called:
                self._log.warn("dropped the WebSocket connection to the master: {why}", why=why)
            self._end(Failure(NotSpoken(why)))
        self.abort()

    def abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def open(self, host: str | None, path: str, name: str, password: str) -> Deferred[None]:
        """Log in. `host`: what the master is called; None: where it is connected. `path`: of its URL. Fails with
        Refused, NotSpoken, or the lost connection."""
        self._opening = Deferred()
        if self._ended is not None:
            self._opening.errback(self._ended)
            return self._opening
        login = base64.b64encode(f"{name}:{password}".encode())
        headers = [(b"Authorization", b"Basic " + login)]
        request = Request(host=host or self._peer(), target=path, extra_headers=headers)
        self._write(request)
        return self._opening

    def _peer(self) -> str:
        transport: Any = self.transport
        peer = transport.getPeer()
        host, port = getattr(peer, "host", "localhost"), getattr(peer, "port", 80)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def send(self, message: bytes) -> None:
        self._write(BytesMessage(message))

    def ping(self) -> Deferred[None]:
        """Fires when the master has answered."""
        answer: Deferred[None] = Deferred()
        if self._ended is not None:
            answer.errback(Failure(ConnectionLost("the connection is gone")))
        else:
            self._pings.append(answer)
            self._write(Ping(b""))
        return answer

    def _write(self, event: Event) -> None:
        transport: Any = self.transport
        if self._ended is not None:
            return
        data = self._wire.send(event)
        if self._unread is not None:
            self._unread += len(data)
            if self._unread > UNREAD_BYTES:
                self.drop(f"it does not read: more than {UNREAD_BYTES} bytes wait")
                return
        transport.write(data)

    # -- IPushProducer: whether the master reads

    def pauseProducing(self) -> None:
        self._unread = 0

    def resumeProducing(self) -> None:
        self._unread = None

    def stopProducing(self) -> None:
        """The connection is gone."""

    # -- what comes

    def dataReceived(self, data: bytes) -> None:
        if self._ended is not None:
            return
        self.heard()
        for event in self._events(data):
            self._happened(event)
            if self._over():
                return

    def _over(self) -> bool:
        return self._ended is not None

    def _events(self, data: bytes) -> Iterator[Event]:
        """What the bytes say; the connection is dropped when they say nothing."""
        try:
            self._wire.receive_data(data)
            events = self._wire.events()
            while (event := next(events, None)) is not None:
                yield event
        except Exception as problem:  # not only errors of the protocol: the library meets bytes that it decodes as text
            self.drop(f"it does not speak WebSocket ({type(problem).__name__}: {str(problem)[:200]})")

    def _happened(self, event: Event) -> None:
        match event:
            case AcceptConnection():
                if self._opening is not None and not self._opening.called:
                    self._opening.callback(None)
            case RejectConnection():
                self._rejected(event.status_code)
            case BytesMessage():
                self._piece(bytes(event.data), event.message_finished)
            case Ping():
                self._write(event.response())
            case Pong():
                if self._pings:
                    self._pings.popleft().callback(None)
            case CloseConnection():
                self._closed(event)
            case RejectData():
                pass
            case TextMessage():
                self.drop("it sent text, and not msgpack")
            case _:
                self.drop(f"it sent what is not expected ({type(event).__name__})")

    def _rejected(self, status: int) -> None:
        wrong = NotSpoken(f"it answers HTTP status {status}: is that its port for msgpack_experimental_v7?")
        self._end(Failure(Refused("") if status == UNAUTHORIZED else wrong))
        self.abort()

    def _closed(self, event: CloseConnection) -> None:
        """By the master; or the library says with this what is wrong with a frame."""
        if self._wire.state is ConnectionState.OPEN:
            self.drop(f"it does not speak WebSocket ({event.reason})")
            return
        self._end(Failure(ConnectionDone(f"the master closed the connection ({event.reason or event.code})")))
        self.abort()

    def _piece(self, data: bytes, finished: bool) -> None:
        self._message += data
        if len(self._message) > MESSAGE_BYTES:
            self.drop(f"one message of it is larger than {MESSAGE_BYTES} bytes")
        elif finished:
            message = bytes(self._message)
            self._message.clear()
            self.received(message)
