"""Handing one mail to an SMTP server, and learning what became of each recipient.

Uses the SMTP client of twisted.mail. An answer of 4xx means later, 5xx means never; both are told for each recipient.
What concerns the server or its settings and not the mail (no connection, no TLS, a refused login, no answer) raises
`NotSent`: nothing was accepted as far as we know, and it is to be tried again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.mail import smtp
from twisted.python.failure import Failure

ANSWER_SECONDS = 60  # for each single answer of the server
DELIVERY_SECONDS = 240  # for all of it
QUIT_SECONDS = 5


class NotSent(Exception):
    """The server did not take the mail; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Whom to give mails to, and how. `start_tls`: insist on STARTTLS; `smtps`: TLS from the first byte."""

    host: str
    port: int
    start_tls: bool = False
    smtps: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server said of each recipient: taken, later (4xx) or never (5xx); the latter two with its words."""

    taken: tuple[str, ...]
    later: dict[str, str]
    never: dict[str, str]


async def deliver(reactor: Any, server: SmtpServer, sender: str, recipients: Sequence[str], message: bytes) -> Outcome:
    """Offer the message (with plain newlines) to the server for these recipients. Raises NotSent."""
    done: Deferred[Outcome] = Deferred()
    session = _Session(server, sender, recipients, message, done, _client_tls(server))
    factory = ClientFactory.forProtocol(lambda: session)
    plain = HostnameEndpoint(reactor, server.host, server.port, timeout=ANSWER_SECONDS)
    endpoint = wrapClientTLS(_client_tls(server, needed=True), plain) if server.smtps else plain
    try:
        await endpoint.connect(factory)
    except (OSError, ConnectError) as error:
        raise NotSent(f"{server.host}:{server.port}: {error}") from error
    try:
        return await done.addTimeout(DELIVERY_SECONDS, reactor)
    except TimeoutError:
        raise NotSent(f"{server.host}:{server.port}: not done after {DELIVERY_SECONDS} s") from None
    finally:
        session.leave(reactor)


def _client_tls(server: SmtpServer, needed: bool = False) -> Any:
    """How to check the server's certificate; None when TLS cannot be had and need not be."""
    try:
        from twisted.internet.ssl import optionsForClientTLS
    except ImportError:
        if needed or server.start_tls:
            raise NotSent("TLS needs pyOpenSSL and service-identity: install the extra 'tls'") from None
        return None
    # Without `start_tls` a login is encrypted when the server offers it, and then its certificate counts.
    return optionsForClientTLS(server.host) if server.start_tls or server.user or needed else None


class _NoSplitStops(io.BytesIO):
    """Pieces that end before a newline, because twisted.mail doubles leading full stops piece by piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        cut = piece.rfind(b"\n")
        if size is not None and len(piece) == size and cut > 0:
            self.seek(cut - len(piece), io.SEEK_CUR)
            piece = piece[:cut]
        return piece


class _Session(smtp.ESMTPClient):
    """One connection, one mail. The Deferred is fired once, whatever comes after."""

    def __init__(
        self,
        server: SmtpServer,
        sender: str,
        recipients: Sequence[str],
        message: bytes,
        done: Deferred[Outcome],
        context: Any,
    ) -> None:
        secret = server.password.encode() if server.password else None
        super().__init__(secret, context, smtp.DNSNAME, 2 * len(recipients) + 2)
        self.timeout = ANSWER_SECONDS  # type: ignore[assignment]
        self.requireAuthentication = server.user is not None
        self.requireTransportSecurity = server.start_tls or server.smtps
        self.heloFallback = True
        if server.user is not None:
            user = server.user.encode()
            for authenticator in (
                smtp.CramMD5ClientAuthenticator(user),
                smtp.PLAINAuthenticator(user),
                smtp.LOGINAuthenticator(user),
            ):
                self.registerAuthenticator(authenticator)
        self._server = server
        self._sender: bytes | None = sender.encode("ascii")
        self._recipients = [recipient.encode("ascii") for recipient in recipients]
        self._message = message
        self._done: Deferred[Outcome] | None = done
        self._abort: IDelayedCall | None = None
        self._gone = False

    # -- what the client asks of us

    def getMailFrom(self) -> bytes | None:
        sender, self._sender = self._sender, None
        return sender

    def getMailTo(self) -> Iterator[bytes]:
        return iter(self._recipients)

    def getMailData(self) -> io.BytesIO:
        return _NoSplitStops(self._message)

    # -- what it tells us

    def sentMail(self, code: int, resp: bytes | str, numOk: int, addresses: list[Any], log: object) -> None:
        text = _text(code, resp)
        if not addresses:  # the sender was refused: that goes for everyone
            addresses = [(recipient, code, resp) for recipient in self._recipients]
        taken, later, never = [], {}, {}
        for address, its_code, its_answer in addresses:
            name, said = address.decode("ascii"), _text(its_code, its_answer)
            if its_code in smtp.SUCCESS:
                its_code, said = (code, text) if numOk else (its_code, said)
            if its_code in smtp.SUCCESS:
                taken.append(name)
            elif 500 <= its_code < 600:
                never[name] = said
            else:
                later[name] = said
        self._finish(Outcome(tuple(taken), later, never))

    def smtpState_msgSent(self, code: int, resp: bytes) -> None:
        """One mail is all we have: leave, instead of resetting the session for another."""
        if self._done is not None:
            self.sentMail(code, resp, len(self.successAddresses), self.toAddressesResult, self.log)
        self._disconnectFromServer()

    def sendError(self, exc: smtp.SMTPClientError) -> None:
        super().sendError(exc)
        self._finish(NotSent(f"{self._server.host}:{self._server.port}: {_text(exc.code, exc.resp)}"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._gone = True
        if self._abort is not None and self._abort.active():
            self._abort.cancel()
        self._finish(NotSent(f"{self._server.host}:{self._server.port}: {reason.getErrorMessage()}"))

    def _finish(self, outcome: Outcome | NotSent) -> None:
        done, self._done = self._done, None
        if done is None or done.called:
            return
        if isinstance(outcome, Outcome):
            done.callback(outcome)
        else:
            done.errback(outcome)

    def leave(self, reactor: Any) -> None:
        """However it went, the connection is gone in a few seconds."""
        self._done = None
        transport: Any = self.transport
        if not self._gone and transport is not None:
            self._abort = reactor.callLater(QUIT_SECONDS, transport.abortConnection)


def _text(code: int, resp: bytes | str) -> str:
    text = resp.decode("utf-8", "replace") if isinstance(resp, bytes) else resp
    text = " ".join(text.split())
    return f"{code} {text}" if code > 0 else text
