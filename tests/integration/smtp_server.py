"""A real SMTP server (aiosmtpd) on a free port of 127.0.0.1, in a thread, that answers as a test tells it to."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Mail(NamedTuple):
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    user: str | None


class SmtpServer:
    """Keeps what it accepts in `mails`. `rcpt(address)` and `data()` may answer something other than 250."""

    def __init__(
        self, *, context: ssl.SSLContext | None = None, login: tuple[str, str] | None = None, port: int = 0
    ) -> None:
        self.port = port
        self.mails: list[Mail] = []
        self.rcpt: Callable[[str], str] = lambda address: "250 OK"
        self.data: Callable[[], str] = lambda: "250 OK"
        self._options: dict[str, Any] = {"hostname": "localhost"}
        if context is not None:
            self._options.update(tls_context=context, require_starttls=True)
        if login is not None:
            self._login = login
            self._options.update(auth_required=True, auth_require_tls=context is not None, authenticator=self._check)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> asyncio.Server:
            return await self._loop.create_server(lambda: SMTP(self, **self._options), "127.0.0.1", self.port)

        server = self._loop.run_until_complete(listen())
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def stop(self) -> None:
        """Also a second time."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def _check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        ok = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=ok, handled=ok, auth_data=data)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.data()
        if answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes) and envelope.mail_from is not None
            message = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            user = session.auth_data.login.decode() if session.auth_data else None
            to = tuple(envelope.rcpt_tos)
            self.mails.append(Mail(envelope.mail_from, to, message, session.ssl is not None, user))
        return answer
