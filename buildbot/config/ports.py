"""Ports as configurations write them, as Twisted's endpoint strings, and what listens there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint

_PLUGINS = ("tcp", "tcp6", "ssl", "tls", "unix", "systemd", "haproxy", "onion", "fd", "stdio")
CLIENT_CERTS = "clientCerts"
NEEDS_TLS = "TLS needs pyOpenSSL and service-identity: install the extra 'tls'"
BACKLOG = 1024
"""Connections that wait to be accepted. Twisted's 50 are too few when all slaves come at once: the system loses what
does not fit, and that slave waits for its time limit."""
_SSL_POSITIONS = ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


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
    if kind in ("tcp", "tcp6", "ssl"):
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


def server_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """What listens at an endpoint string.

    It is one of Twisted's; besides, `ssl:` takes `clientCerts=FILE`, a file of certificates: then only a client is let
    in whose own certificate is issued by one of them, or is one of them. Raises BadPort with what is wrong.
    """
    try:
        kind, *fields = _split(text)
        if any(name == CLIENT_CERTS for name, _ in fields):
            return _mutual(reactor, kind[1], fields)
        if kind[1] in ("tcp", "tcp6", "ssl") and all(name and name != "backlog" for name, _ in fields[1:]):
            text = f"{text}:backlog={BACKLOG}"
        made: IStreamServerEndpoint = serverFromString(reactor, text)
    except BadPort:
        raise
    except ImportError as problem:
        raise BadPort(f"{text!r}: {NEEDS_TLS}") from problem
    except Exception as problem:
        raise BadPort(f"{text!r}: {_sentence(problem)}") from problem
    return made


def slave_ports(given: Any) -> tuple[str, ...]:
    """A port, or a list of them, as endpoint strings, whose keys and certificates have been read. Raises BadPort."""
    ports = tuple(endpoint_string(port) for port in (given if isinstance(given, (list, tuple)) else [given]))
    for port in ports:
        _check(port)
    return ports


def _check(text: str) -> None:
    kind, *fields = _split(text)
    if kind[1] in ("tcp", "tcp6", "ssl"):
        server_endpoint(None, text)
    elif kind[1] == "tls":
        where = next((value for name, value in fields if name in ("path", "")), "")
        if not Path(where).is_dir():
            raise BadPort(f"{text!r}: tls: takes a directory of certificates first, as in 'tls:/etc/ssl/ci:9989'")
        server_endpoint(None, text)


def _split(text: str) -> list[tuple[str, str]]:
    """The parts of an endpoint string with their names ("" without one); a backslash protects what follows it."""
    parts = []
    for part in re.findall(r"(?:^|:)((?:\\.|[^:\\])*)", text, re.DOTALL):
        named = re.fullmatch(r"((?:\\.|[^=\\])*)=(.*)", part, re.DOTALL)
        name, value = (named[1], named[2]) if named else ("", part)
        parts.append((name, re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)))
    return parts


def _mutual(reactor: Any, kind: str, fields: list[tuple[str, str]]) -> IStreamServerEndpoint:
    if kind != "ssl":
        raise BadPort(f"{CLIENT_CERTS}= belongs to ssl:, as in 'ssl:9989:privateKey=K:certKey=C:{CLIENT_CERTS}=A'")
    known = {*_SSL_POSITIONS, CLIENT_CERTS} - {"sslmethod"}
    unnamed = [value for name, value in fields if not name]
    given = dict(zip(_SSL_POSITIONS, unnamed, strict=False)) | {name: value for name, value in fields if name}
    if strange := sorted(set(given) - known):
        raise BadPort(f"ssl: with {CLIENT_CERTS}= takes no {strange[0]}=; it takes {', '.join(sorted(known))}")
    return SSL4ServerEndpoint(
        reactor,
        int(given["port"]),
        _checking_clients(given),
        int(given.get("backlog", BACKLOG)),
        given.get("interface", ""),
    )


def _checking_clients(given: dict[str, str]) -> Any:
    from OpenSSL.crypto import FILETYPE_PEM
    from twisted.internet.ssl import (
        Certificate,
        CertificateOptions,
        KeyPair,
        PrivateCertificate,
        trustRootFromCertificates,
    )

    key_file = given.get("privateKey", "server.pem")
    own = [Certificate.loadPEM(pem) for pem in _certificates(given.get("certKey", key_file))]
    chain = [Certificate.loadPEM(pem) for pem in _certificates(given.get("extraCertChain"))]
    authorities = [Certificate.loadPEM(pem) for pem in _certificates(given[CLIENT_CERTS])]
    key = KeyPair.load(Path(key_file).read_bytes(), FILETYPE_PEM)
    both = PrivateCertificate.fromCertificateAndKeyPair(own[0], key)
    return CertificateOptions(
        privateKey=both.privateKey.original,
        certificate=both.original,
        extraCertChain=[each.original for each in (*own[1:], *chain)],
        trustRoot=trustRootFromCertificates(authorities),
    )


def _certificates(file: str | None) -> list[bytes]:
    if file is None:
        return []
    found: list[bytes] = _CERTIFICATE.findall(Path(file).read_bytes())
    if not found:
        raise BadPort(f"{file} holds no certificate in PEM form")
    return found


def _sentence(problem: Exception) -> str:
    if isinstance(problem, TypeError) and "keyword argument" in str(problem):
        return f"it takes no {str(problem).rpartition('argument ')[2]}"
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}"
    if type(problem).__module__.startswith("OpenSSL"):
        said = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []
        return "its key and certificate cannot be used: " + ("; ".join(str(each[-1]) for each in said) or "bad PEM")
    return str(problem) or type(problem).__name__
