"""One HTTP request of a step, with the options that the library requests gives users: a bounded answer comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from treq import collect
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ProxyAgent
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

CONNECT_SECONDS = 30.0
MOST_ANSWER = 4 * 1024 * 1024  # bytes of a body that are kept


class Unreachable(Exception):
    """There is no answer; the text says why."""


class Answer(NamedTuple):
    """What came of a request. `left_out`: how many bytes of the body were not kept."""

    url: str
    status_code: int
    headers: dict[str, str]
    content: bytes
    left_out: int

    @property
    def text(self) -> str:
        """The body, in the encoding that its header says (UTF-8 if it says none)."""
        encoding = self.headers.get("Content-Type", "").partition("charset=")[2].split(";")[0].strip(" \"'")
        try:
            return self.content.decode(encoding or "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


async def ask(reactor: Any, method: str, url: str, options: Mapping[str, Any]) -> Answer:
    """Make the request. options: of those that requests takes. Raises Unreachable."""
    given = dict(options)
    try:
        agent = _agent(reactor, url, given.pop("proxies", None), given.pop("verify", True), given.pop("cert", None))
        if "files" in given:
            given["files"] = {name: _file(name, file) for name, file in given["files"].items()}
        kept, left_out = bytearray(), 0

        def take(data: bytes) -> None:
            nonlocal left_out
            part = data[: MOST_ANSWER - len(kept)]
            kept.extend(part)
            left_out += len(data) - len(part)

        response = await HTTPClient(agent).request(method, url, reactor=reactor, unbuffered=True, **given)
        await collect(response, take)
    except CancelledError:
        raise
    except NotImplementedError:  # Twisted's answer where pyOpenSSL is missing
        raise Unreachable("https needs pyOpenSSL and service-identity: install the extra 'tls'") from None
    except Exception as problem:
        raise Unreachable(f"no answer from {_host(url)}: {_why(problem)}"[:500]) from None
    headers = {
        name.decode("latin-1").title(): b", ".join(values).decode("latin-1")
        for name, values in response.headers.getAllRawHeaders()
    }
    where = response.request.absoluteURI
    return Answer(where.decode("latin-1"), response.code, headers, bytes(kept), left_out)


def _why(problem: Any) -> str:
    """The cause of a failure, which Twisted keeps in a list."""
    reasons = getattr(problem, "reasons", None)
    inner = getattr(reasons[0], "value", None) if reasons else None
    return _why(inner) if inner is not None else f"{type(problem).__name__} {problem}".strip()


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _agent(reactor: Any, url: str, proxies: Any, verify: Any, cert: Any) -> Any:
    pool = HTTPConnectionPool(reactor, persistent=False)
    proxy = (proxies or {}).get(urlsplit(url).scheme)
    if proxy:
        at = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        if urlsplit(url).scheme != "http":
            raise ValueError("a proxy for https is not possible; the one for http is")
        return ProxyAgent(HostnameEndpoint(reactor, at.hostname or "", at.port or 8080), reactor, pool)
    policy: Any = BrowserLikePolicyForHTTPS()
    if urlsplit(url).scheme == "https" and (verify is not True or cert is not None):
        policy = _Policy(verify, cert)
    return Agent(reactor, policy, connectTimeout=CONNECT_SECONDS, pool=pool)


@implementer(IPolicyForHTTPS)
class _Policy:
    """verify: False checks nothing, a path is that of the certificates to trust. cert: a file with our own certificate
    and key, or the two files."""

    def __init__(self, verify: Any, cert: Any) -> None:
        self._verify = verify
        self._cert = cert

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        from twisted.internet import ssl

        name = hostname.decode("ascii")
        own = None if self._cert is None else ssl.PrivateCertificate.loadPEM(_pem(self._cert))
        if self._verify is False:
            return _Unverified(name, ssl.CertificateOptions(verify=False, **_as_options(own)))
        trust = None
        if self._verify is not True:
            with open(self._verify, "rb") as file:
                trust = ssl.trustRootFromCertificates(
                    [ssl.Certificate.loadPEM(each) for each in _certificates(file.read())]
                )
        return ssl.optionsForClientTLS(name, trustRoot=trust or ssl.platformTrust(), clientCertificate=own)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """Connects without looking at the other side's certificate."""

    def __init__(self, name: str, options: Any) -> None:
        self._name = name
        self._options = options

    def clientConnectionForTLS(self, protocol: Any) -> Any:
        from OpenSSL import SSL

        connection = SSL.Connection(self._options.getContext(), None)
        connection.set_tlsext_host_name(self._name.encode("ascii"))
        return connection


def _as_options(own: Any) -> dict[str, Any]:
    return {} if own is None else {"privateKey": own.privateKey.original, "certificate": own.original}


def _pem(cert: Any) -> bytes:
    data = b""
    for path in [cert] if isinstance(cert, str) else cert:
        with open(path, "rb") as file:
            data += file.read() + b"\n"
    return data


def _certificates(bundle: bytes) -> list[bytes]:
    end = b"-----END CERTIFICATE-----"
    return [part + end for part in bundle.split(end)[:-1]]


def _file(name: str, file: Any) -> tuple[str, str | None, BytesIO]:
    """One of requests' `files`: an open file, its content, or (name, either, type)."""
    filename, content, kind = (*file, None, None)[:3] if isinstance(file, tuple) else (name, file, None)
    if hasattr(content, "read"):
        content.seek(0)
        content = content.read()
    data = content.encode() if isinstance(content, str) else bytes(content or b"")
    return str(filename), kind or "application/octet-stream", BytesIO(data)
