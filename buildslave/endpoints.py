"""Where the master is: a host and a port, with or without TLS and a proxy, or a Twisted endpoint string."""

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from buildslave.address import port_number, split_host
from buildslave.proxy import proxied

NEEDS_TLS = "TLS needs pyOpenSSL and service-identity: install them with `pip install 'Twisted[tls]'`"


def master_endpoint(
    reactor: Any, host: str | None, port: int | str | None, *, tls: bool, string: str | None, proxy: str | None = None
) -> IStreamClientEndpoint:
    """The endpoint to connect to. With TLS the master's certificate must be valid for `host`. Raises ValueError."""
    if string is not None:
        if proxy is not None:
            raise ValueError(
                "connection_string and proxy_connection_string exclude each other: with a proxy, give buildmaster_host"
                " and port, and useTls for TLS"
            )
        return _from_string(reactor, string)
    if not host:
        raise ValueError("a buildslave needs a buildmaster_host")
    name, number = _host_and_port(host, port)
    plain: IStreamClientEndpoint
    if proxy is not None:
        plain = _through(reactor, proxy, name, number)
    else:
        plain = HostnameEndpoint(reactor, name, number)
    return _wrapped(name, plain) if tls else plain


def _through(reactor: Any, proxy: str, name: str, number: int) -> IStreamClientEndpoint:
    try:
        return proxied(reactor, proxy, name, number)
    except (ValueError, TypeError, OSError) as error:  # its text is not shown: there may be a password in it
        raise ValueError(f"proxy_connection_string: {error}") from error


def authority(host: str, port: int | str | None) -> str:
    """How the master's host and port are written in a request of HTTP. Raises ValueError."""
    name, number = _host_and_port(host, port)
    return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"


def _host_and_port(host: str, port: int | str | None) -> tuple[str, int]:
    name, number = split_host(host)
    return name, number if port is None else port_number(str(port), str(port))


def _from_string(reactor: Any, string: str) -> IStreamClientEndpoint:
    try:
        given: IStreamClientEndpoint = clientFromString(reactor, string)
    except ImportError as error:
        raise ValueError(f"connection_string {string!r}: {NEEDS_TLS}") from error
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"connection_string {string!r}: {error}") from error
    return given


def _wrapped(host: str, plain: IStreamClientEndpoint) -> IStreamClientEndpoint:
    try:
        from twisted.internet.ssl import optionsForClientTLS

        made: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host), plain)
    except ImportError as error:
        raise ValueError(NEEDS_TLS) from error
    return made
