"""The master's host and port, as text says them. Imports nothing: a command that needs no reactor is quick."""

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


def without_tls(string: str | None) -> bool:
    """True for a client endpoint's string that is not one of TLS; without a string (None) it is not said here."""
    return string is not None and not string.lower().startswith(("tls:", "ssl:"))
