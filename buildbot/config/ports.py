"""Ports as configurations write them, as Twisted's endpoint strings."""

from __future__ import annotations

import re
from typing import Any

_PLUGINS = ("tcp", "tcp6", "ssl", "tls", "unix", "systemd", "haproxy", "onion", "fd", "stdio")


class BadPort(ValueError):
    """A port that means nothing; the text says what would."""


def endpoint_string(port: Any) -> str:
    """`9989`, `"9989"` and `"tcp:9989:interface=127.0.0.1"` as an endpoint string. Raises BadPort."""
    if isinstance(port, int) and not isinstance(port, bool):
        return f"tcp:{_number(port)}"
    if not isinstance(port, str):
        raise BadPort(f"a port is a number or a string such as 'tcp:9989:interface=127.0.0.1', not {port!r}")
    text = port.strip()
    if re.fullmatch(r"\d+", text):
        return f"tcp:{_number(int(text))}"
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _PLUGINS:
        raise BadPort(f"{port!r} is no port: write a number, or a string such as 'tcp:9989:interface=127.0.0.1'")
    if kind in ("tcp", "tcp6", "ssl", "tls"):
        _check_first(rest, port)
    elif not rest:
        raise BadPort(f"{port!r} is no port: something must follow the colon")
    return text


def _check_first(rest: str, port: str) -> None:
    first = rest.split(":", 1)[0]
    number = first.removeprefix("port=") if first.startswith("port=") else first
    if re.fullmatch(r"\d+", number):
        _number(int(number))
    elif "port=" not in rest:
        raise BadPort(f"{port!r} is no port: after the first colon stands its number")


def _number(port: int) -> int:
    if not 0 <= port <= 65535:
        raise BadPort(f"a port's number is between 0 and 65535, not {port}")
    return port
