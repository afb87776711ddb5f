"""Logging in and out. The one place that gives cookies; it never shows or logs what was typed as a password."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil

from twisted.logger import Logger

from buildbot.config.web import Web
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked, User
from buildbot.status.web.auth import Accounts
from buildbot.status.web.pages import Forbidden, View
from buildbot.status.web.passwords import UnusablePassword
from buildbot.status.web.sessions import Guesses

LONGEST_NAME = 200
LONGEST_PASSWORD = 1000

Verify = Callable[..., Awaitable[User | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView(View):
    """The form. `token` is in a cookie too: only a page of ours can send both."""

    token: str
    back_to: str
    name: str
    mistake: str


class Login:
    """Asks for a name and a password; `in_thread(call, *args)` runs the slow verification."""

    _log = Logger()

    def __init__(self, accounts: Accounts, guesses: Guesses, in_thread: Verify) -> None:
        self._accounts = accounts
        self._guesses = guesses
        self._in_thread = in_thread

    def form(self, asked: Asked, token: str, mistake: str = "", status: int = 200) -> LoginView:
        back_to = asked.filled("next") or asked.one("next")
        return LoginView(
            title="Log in",
            status=status,
            token=token or secrets.token_urlsafe(32),
            back_to=back_to if urls.is_local(back_to) else "/",
            name=asked.filled("username")[:LONGEST_NAME],
            mistake=mistake,
        )

    async def submit(self, asked: Asked, www: Web | None, address: str, token: str) -> User | LoginView:
        """The user, or the form again with what was wrong."""
        if not token or not hmac.compare_digest(token.encode(), asked.filled("token").encode()):
            raise Forbidden("The login form is too old, or cookies are off. Load the login page again.")
        name, password = asked.filled("username")[:LONGEST_NAME], asked.filled("password")[:LONGEST_PASSWORD]
        wait = self._guesses.wait_seconds(address, name)
        if wait > 0:
            self._log.warn("too many wrong passwords for {name!r} from {address}", name=name, address=address)
            return self.form(asked, token, f"Too many wrong passwords. Wait {ceil(wait)} seconds.", 429)
        self._guesses.failed(address, name)  # taken back below: many guesses at once are counted as well
        try:
            user = await self._in_thread(self._accounts.verify, None if www is None else www.auth, name, password)
        except UnusablePassword as error:
            self._log.error("login of {name!r}: {error}", name=name, error=error)
            return self.form(asked, token, f"Nobody can log in with this name now: {error}.", 500)
        if user is None:
            self._log.info("wrong name or password for {name!r} from {address}", name=name, address=address)
            return self.form(asked, token, "This name and password are not known here.", 403)
        self._guesses.succeeded(address, name)
        return user
