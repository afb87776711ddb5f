"""Who is logged in: random cookies, kept in memory; and how often an address may guess a password."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from buildbot.status.web.asked import User

SESSION_SECONDS = 7 * 86400.0
MOST_SESSIONS = 10_000
MOST_NOTICES = 5

GUESS_SECONDS = 300.0
MOST_GUESSES_AT_A_NAME = 10
MOST_GUESSES = 50
MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class Session:
    """One browser that is logged in. `token` is what its forms must send back."""

    user: User
    token: str
    expires_at: float
    notices: list[str] = field(default_factory=list)

    def take_notices(self) -> list[str]:
        taken, self.notices = self.notices, []
        return taken

    def add_notice(self, text: str) -> None:
        if text:
            self.notices = [*self.notices, text][-MOST_NOTICES:]

    def owns(self, token: str) -> bool:
        """Whether a form came from a page that this session was shown."""
        return hmac.compare_digest(self.token.encode(), token.encode())


class Sessions:
    """All sessions by their cookie. They end with the process, after a time, and at logout."""

    def __init__(self, now: Callable[[], float], lifetime_seconds: float = SESSION_SECONDS) -> None:
        self._now = now
        self._lifetime_seconds = lifetime_seconds
        self._by_cookie: dict[str, Session] = {}

    def start(self, user: User) -> str:
        """A new session; its cookie."""
        self._forget_expired()
        while len(self._by_cookie) >= MOST_SESSIONS:
            del self._by_cookie[next(iter(self._by_cookie))]
        cookie = secrets.token_urlsafe(32)
        self._by_cookie[cookie] = Session(user, secrets.token_urlsafe(32), self._now() + self._lifetime_seconds)
        return cookie

    def find(self, cookie: str) -> Session | None:
        session = self._by_cookie.get(cookie)
        if session is not None and session.expires_at <= self._now():
            del self._by_cookie[cookie]
            return None
        return session

    def end(self, cookie: str) -> None:
        self._by_cookie.pop(cookie, None)

    def _forget_expired(self) -> None:
        """They are in the order in which they expire."""
        now = self._now()
        while self._by_cookie:
            oldest = next(iter(self._by_cookie))
            if self._by_cookie[oldest].expires_at > now:
                break
            del self._by_cookie[oldest]


class Guesses:
    """Counts wrong passwords: ten in five minutes for one name at one address, fifty for an address."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failed: dict[tuple[str, str], list[float]] = {}

    def wait_seconds(self, address: str, name: str) -> float:
        """How long this address must wait before it may try this name again; 0: it may."""
        now = self._now()
        waits = [0.0]
        for key, most in (((address, name), MOST_GUESSES_AT_A_NAME), ((address, ""), MOST_GUESSES)):
            recent = [at for at in self._failed.get(key, []) if at > now - GUESS_SECONDS]
            if len(recent) >= most:
                waits.append(recent[-most] + GUESS_SECONDS - now)
        return max(waits)

    def failed(self, address: str, name: str) -> None:
        now = self._now()
        recent = now - GUESS_SECONDS
        for key in ((address, name), (address, "")):
            times = [at for at in self._failed.pop(key, []) if at > recent]
            self._failed[key] = [*times, now][-MOST_GUESSES:]
        while len(self._failed) > MOST_ADDRESSES:
            del self._failed[next(iter(self._failed))]  # the one that failed longest ago

    def succeeded(self, address: str, name: str) -> None:
        """The last try was right: it does not count, and neither do the wrong ones at this name."""
        self._failed.pop((address, name), None)
        of_address = self._failed.get((address, ""))
        if of_address:
            of_address.pop()
