"""WebSocket ports: HTTP basic authentication in the opening handshake, then binary messages both ways.

The guards are those of Perspective Broker (`guard`): before login a connection may send `LOGIN_BYTES` in all and last
`LOGIN_SECONDS`; after it, one message may hold `MESSAGE_BYTES`. A wrong password costs the same work as an unknown
name. Who leaves more than `UNREAD_BYTES` unread is dropped, and whoever breaks the protocol, with one line in the log.
What the messages mean is in `msgpacklink`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from typing import Any
from typing import Protocol as Interface

from twisted.internet.interfaces import IAddress, IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
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
    Request,
    TextMessage,
)
from zope.interface import implementer

from buildbot.slaves.guard import FewLines, address_of, handshake_problem
from buildbot.slaves.ports import MAX_NAME, Ports, User

LOGIN_BYTES = 8 * 1024
LOGIN_SECONDS = 30.0
MESSAGE_BYTES = 4 * 1024 * 1024
UNREAD_BYTES = 32 * 1024 * 1024


class SocketAvatar(Interface):
    """Whom a connection speaks to after its login."""

    def attached(self) -> None:
        """The login is done. Raising ends the connection."""

    def received(self, message: bytes) -> None:
        """A message. Raising ends the connection."""

    def detached(self) -> None:
        """The connection is gone. Called once."""


class WebSocketPorts(Ports):
    """Every WebSocket port of the master. `make_avatar(socket)` is called at each login, and gives a SocketAvatar."""

    def __init__(self, reactor: Any, clock: IReactorTime) -> None:
        super().__init__(reactor, clock, lambda: SocketFactory(clock))


class SocketFactory(ServerFactory):
    """Makes the connections of one port."""

    noisy = False
    speaks = "WebSocket"

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.users: dict[str, User] = {}
        self.connections: set[WebSocket] = set()
        self.few_lines = FewLines(clock, self._log)
        self._clock = clock
        self._nobodys_password = secrets.token_bytes(16)

    def buildProtocol(self, addr: IAddress | None) -> WebSocket:
        return WebSocket(self, self._clock)

    def user_with(self, name: str, password: bytes, address: str) -> User | None:
        """The user whose password this is. The same work for every name."""
        user = self.users.get(name)
        right = self._nobodys_password if user is None else user.password
        same = hmac.compare_digest(hashlib.sha256(right).digest(), hashlib.sha256(password).digest())
        if user is not None and same:
            return user
        self.few_lines.refused(name, address, known=user is not None)
        return None


@implementer(IPushProducer)
class WebSocket(Protocol):
    """One connection. `user` is None until somebody has logged in on it."""

    def __init__(self, factory: SocketFactory, clock: IReactorTime) -> None:
        self.user: str | None = None
        self._factory = factory
        self._clock = clock
        self._wire = WSConnection(ConnectionType.SERVER)
        self._received = 0  # bytes before login
        self._message = bytearray()  # what there is of the unfinished one
        self._avatar: SocketAvatar | None = None
        self._registered: User | None = None
        self._too_late: IDelayedCall | None = None
        self._over = False
        self._unread: int | None = None  # bytes that wait for the peer to read, since it does not; None: it reads

    # -- the connection

    @property
    def address(self) -> str:
        """Where the peer is."""
        return address_of(self.transport)

    def connectionMade(self) -> None:
        self._factory.connections.add(self)
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self._too_late = self._clock.callLater(
            LOGIN_SECONDS, self.drop, f"it did not log in within {LOGIN_SECONDS:.0f} seconds"
        )

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._over = True
        self._factory.connections.discard(self)
        self._forget_timer()
        if self.user is None:
            handshake_problem(self._factory.few_lines, self.address, reason)
        if self._registered is not None:
            self._registered.connections.discard(self)
        avatar, self._avatar = self._avatar, None
        if avatar is not None:
            avatar.detached()

    def _forget_timer(self) -> None:
        if self._too_late is not None and self._too_late.active():
            self._too_late.cancel()

    def drop(self, why: str) -> None:
        """End the connection at once and say so in the log."""
        if self._over:
            return
        self._factory.few_lines.warn(
            f"drop {self.address} {self.user}",
            "dropped the WebSocket connection of {who} at {address}: {why}",
            who="a stranger" if self.user is None else repr(self.user),
            address=self.address,
            why=why,
        )
        self.abort()

    def abort(self) -> None:
        self._over = True
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def close(self) -> None:
        if self._over:
            return
        if self._wire.state is ConnectionState.OPEN:
            self._write(CloseConnection(code=1000))
        self._lose()

    def _lose(self) -> None:
        """End the connection when what was written is sent."""
        self._over = True
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()

    def hold(self, held: bool) -> None:
        """Read nothing more, or go on."""
        transport: Any = self.transport
        if transport is not None and not self._over:
            (transport.pauseProducing if held else transport.resumeProducing)()

    def send(self, message: bytes) -> None:
        self._write(BytesMessage(message))

    def _write(self, event: Event) -> None:
        if self._over or self.transport is None:
            return
        data = self._wire.send(event)
        if self._unread is not None:
            self._unread += len(data)
            if self._unread > UNREAD_BYTES:
                self.drop(f"it does not read: more than {UNREAD_BYTES} bytes wait")
                return
        self.transport.write(data)

    # -- IPushProducer: whether the peer reads

    def pauseProducing(self) -> None:
        self._unread = 0

    def resumeProducing(self) -> None:
        self._unread = None

    def stopProducing(self) -> None:
        """The connection is gone."""

    # -- what comes

    def dataReceived(self, data: bytes) -> None:
        if self._ended():
            return
        if self.user is None:
            self._received += len(data)
            if self._received > LOGIN_BYTES:
                self.drop(f"it sent more than {LOGIN_BYTES} bytes before login")
                return
        for event in self._events(data):
            self._happened(event)
            if self._ended():
                return

    def _events(self, data: bytes) -> Iterator[Event]:
        """What the bytes say; the connection is dropped when they say nothing."""
        try:
            self._wire.receive_data(data)
            events = self._wire.events()
            while (event := next(events, None)) is not None:
                yield event
        except Exception as problem:  # not only errors of the protocol: the library meets bytes that it decodes as text
            self.drop(f"it does not speak WebSocket ({type(problem).__name__}: {str(problem)[:200]})")

    def _ended(self) -> bool:
        return self._over

    def _happened(self, event: Event) -> None:
        match event:
            case Request():
                self._log_in(event)
            case BytesMessage():
                self._piece(bytes(event.data), event.message_finished)
            case Ping():
                self._write(event.response())
            case Pong():
                pass
            case CloseConnection() if self._wire.state is ConnectionState.OPEN:  # the library's word for a bad frame
                self.drop(f"it does not speak WebSocket ({event.reason})")
            case CloseConnection():
                if self._wire.state is ConnectionState.REMOTE_CLOSING:
                    self._write(event.response())
                self._lose()
            case TextMessage():
                self.drop("it sent text, and not msgpack")
            case _:
                self.drop(f"it sent what is not expected ({type(event).__name__})")

    def _piece(self, data: bytes, finished: bool) -> None:
        self._message += data
        if len(self._message) > MESSAGE_BYTES:
            self.drop(f"one message of it is larger than {MESSAGE_BYTES} bytes")
            return
        if not finished:
            return
        message = bytes(self._message)
        self._message.clear()
        if self._avatar is not None:
            self._avatar.received(message)

    # -- login

    def _log_in(self, request: Request) -> None:
        name, password = _credentials(request)
        user = None if name is None else self._factory.user_with(name, password, self.address)
        if user is None or name is None:
            headers = [(b"WWW-Authenticate", b'Basic realm="buildbot"'), (b"Content-Length", b"0")]
            refusal = RejectConnection(status_code=401, headers=headers, has_body=False)
            self._write(refusal)
            self._lose()
            return
        self.user = name
        self._forget_timer()
        self._write(AcceptConnection())
        self._registered = user
        user.connections.add(self)
        avatar: SocketAvatar = user.make_avatar(self)
        self._avatar = avatar
        avatar.attached()


def _credentials(request: Request) -> tuple[str | None, bytes]:
    """Name and password of HTTP basic authentication; None, and nothing, if there is none."""
    given = [value for name, value in request.extra_headers if name.lower() == b"authorization"]
    scheme, _, encoded = (given[0] if len(given) == 1 else b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None, b""
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon and len(name) <= MAX_NAME else (None, b"")
    except (binascii.Error, UnicodeDecodeError):
        return None, b""
