"""The way to the master through an HTTP proxy: CONNECT, and then whatever the connection carries, TLS or not."""

import base64
from typing import Any
from urllib.parse import unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

MOST_HEADER_BYTES = 16 * 1024
DEFAULT_PORT = 8080


class ProxyFailed(Exception):
    """The proxy does not let us through; the text says why."""


@implementer(IStreamClientEndpoint)
class ProxiedEndpoint:
    """A host and port that are reached through a proxy."""

    def __init__(self, proxy: IStreamClientEndpoint, host: str, port: int, headers: tuple[str, ...] = ()) -> None:
        """`headers`: more lines of the request."""
        self._proxy = proxy
        self._where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._headers = headers

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires with the protocol of `protocolFactory`, once the proxy has connected it."""
        through: Deferred[IProtocol] = Deferred()
        lines = [f"CONNECT {self._where} HTTP/1.1", f"Host: {self._where}", *self._headers, "", ""]
        request = "\r\n".join(lines).encode("ascii")
        factory: Any = ClientFactory.forProtocol(lambda: _Tunnel(request, protocolFactory, through))
        factory.noisy = False
        asked: Deferred[Any] = self._proxy.connect(factory)

        def failed(failure: Failure) -> None:
            if not through.called:
                through.errback(ProxyFailed(f"no connection to the proxy: {failure.getErrorMessage()}"))

        tunnels: list[_Tunnel] = []
        _ = asked.addCallbacks(tunnels.append, failed)

        def cancelled(failure: Failure) -> Failure:
            asked.cancel()
            for tunnel in tunnels:
                tunnel.give_up()
            return failure

        return through.addErrback(cancelled)


class _Tunnel(Protocol):
    """Asks the proxy, then only hands on."""

    def __init__(self, request: bytes, inner: IProtocolFactory, through: Deferred[IProtocol]) -> None:
        self._request = request
        self._inner = inner
        self._through = through
        self._answer = b""
        self._protocol: Any = None

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.dataReceived(data)
            return
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if end:
            self._answered(head, rest)
        elif len(self._answer) > MOST_HEADER_BYTES:
            self._fail("its answer is too long")

    def _answered(self, head: bytes, rest: bytes) -> None:
        status = head.partition(b"\r\n")[0].decode("latin-1")
        words = status.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            self._fail(f"it is no HTTP proxy; it says {status[:100]!r}")
        elif not words[1].startswith("2"):
            self._fail(f"it says {' '.join(words[1:])[:100]!r}")
        else:
            transport: Any = self.transport
            protocol: Any = self._inner.buildProtocol(transport.getPeer())
            self._protocol = protocol
            protocol.makeConnection(transport)
            self._through.callback(protocol)
            if rest:
                protocol.dataReceived(rest)

    def _fail(self, why: str) -> None:
        if not self._through.called:
            self._through.errback(ProxyFailed(f"the proxy does not connect us to the master: {why}"))
        self.give_up()

    def give_up(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
        else:
            self._fail("it closed the connection without an answer")


def proxied(reactor: Any, string: str, host: str, port: int) -> ProxiedEndpoint:
    """`string`: a Twisted client endpoint such as `tcp:proxy.example.org:3128`, or `http://[USER:PASSWORD@]HOST[:PORT]`.

    Raises ValueError if it is neither.
    """
    if not string.lower().startswith("http://"):
        return ProxiedEndpoint(clientFromString(reactor, string), host, port)
    url = urlsplit(string)
    if not url.hostname or url.path not in ("", "/") or url.query:
        raise ValueError("a proxy is written tcp:HOST:PORT or http://[USER:PASSWORD@]HOST[:PORT]")
    headers: tuple[str, ...] = ()
    if url.username is not None:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers = (f"Proxy-Authorization: Basic {base64.b64encode(user).decode()}",)
    return ProxiedEndpoint(HostnameEndpoint(reactor, url.hostname, url.port or DEFAULT_PORT), host, port, headers)
