"""Where the master is: a host and a port, with or without TLS, or a Twisted endpoint string."""

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from buildslave.address import DEFAULT_PORT, port_number


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
