"""Where the master is: a host and a port, with or without TLS, or a Twisted endpoint string."""

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

DEFAULT_PORT = 9989


def split_host(text: str) -> tuple[str, int]:
    """`HOST`, `HOST:PORT`, `[v6]`, `[v6]:PORT` or a bare IPv6 address. Raises ValueError with a sentence."""
    host, port = text.strip(), ""
    if host.startswith("["):
        host, closed, rest = host[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no host: an IPv6 address is written [ADDRESS] or [ADDRESS]:PORT")
        port = rest[1:]
        has_port = bool(rest)
    else:
        has_port = host.count(":") == 1
        if has_port:
            host, _, port = host.partition(":")
    if not host or any(letter.isspace() for letter in host):
        raise ValueError(f"{text!r} names no host")
    return host, port_number(port, text) if has_port else DEFAULT_PORT


def port_number(port: str, shown: str) -> int:
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{shown!r}: the port must be a number from 1 to 65535")
    return int(port)


def master_endpoint(
    reactor: Any, host: str | None, port: int | str | None, *, tls: bool, string: str | None
) -> IStreamClientEndpoint:
    """The endpoint to connect to. With TLS the master's certificate must be valid for `host`."""
    if string is not None:
        given: IStreamClientEndpoint = clientFromString(reactor, string)
        return given
    if not host:
        raise ValueError("a buildslave needs a buildmaster_host")
    number = DEFAULT_PORT if port is None else port_number(str(port), str(port))
    plain = HostnameEndpoint(reactor, host.strip("[]"), number)
    if not tls:
        return plain
    from twisted.internet.ssl import optionsForClientTLS

    wrapped: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host.strip("[]")), plain)
    return wrapped
