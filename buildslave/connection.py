"""Keeps the slave connected: connects, logs in, watches that the master lives, and begins again with growing pauses."""

import random
from collections.abc import Callable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread import pb

from buildslave.background import in_background
from buildslave.line import Dial, Line, Refused
from buildslave.mind import Mind
from buildslave.session import Session

CONNECT_SECONDS = 30.0
LOGIN_SECONDS = 30.0
FIRST_DELAY_SECONDS = 1.0
REFUSED_DELAY_SECONDS = 60.0
"""A wrong password does not become right by itself: ask seldom."""
STABLE_SECONDS = 10.0
"""A connection that lasted this long starts the pauses anew; one that did not is a sign of two slaves with one name."""
HOLDING_DELAY_SECONDS = 10.0
"""The longest pause while there are commands that a master waits for."""
PROBE_AFTER_SECONDS = 30.0
"""Our master says something every 20 s. After this much silence it is asked, soon enough to be back before it gives up
the builds, which it does after 60 s."""
PROBE_EVERY_SECONDS = 5.0
KEEPALIVE_ANSWER_SECONDS = 15.0


class Owner(Protocol):
    """What the connection needs of the slave."""

    def make_mind(self, session: Session, heard: Callable[[], None]) -> Mind: ...

    def connected(self, session: Session) -> None: ...

    def disconnected(self, session: Session) -> None: ...

    def gave_up(self) -> None: ...

    def holds_commands(self) -> bool: ...


class Unanswered(Exception):
    """The connection ended during the login; the text says what that may mean."""


class Connection(Service):
    """One slave's connection to one master, made again and again."""

    _log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        dial: Dial,
        name: str,
        password: str,
        owner: Owner,
        keepalive_seconds: float | None = 600.0,
        most_delay_seconds: float = 300.0,
        most_retries: int | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`dial` connects to `endpoint`. `most_retries`: after so many attempts in a row without a login
        `owner.gave_up()` is called; None: never. `jitter()` is a number from 0 to 1 that spreads the attempts of many
        slaves."""
        self._clock = clock
        self._endpoint = endpoint
        self._dial = dial
        self._name = name
        self._password = password
        self._owner = owner
        self._keepalive_seconds = keepalive_seconds
        self._most_delay_seconds = most_delay_seconds
        self._most_retries = most_retries
        self._jitter = jitter
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._delay_seconds = FIRST_DELAY_SECONDS
        self._failures = 0
        self._work: Deferred[None] | None = None
        self._session: Session | None = None
        self._done: Deferred[None] | None = None

    @property
    def session(self) -> Session | None:
        """The session while the slave is logged in."""
        return self._session

    def startService(self) -> None:
        super().startService()
        self._work = in_background(self._stay_connected(), doing="keeping the connection to the master")

    def stopService(self) -> Any:
        super().stopService()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
        return work

    async def _stay_connected(self) -> None:
        while self.running:
            delay = await self._connect_once()
            if self._most_retries is not None and self._failures > self._most_retries:
                self._log.error("no login after {n} attempts: giving up", n=self._failures)
                self._owner.gave_up()
                return
            await deferLater(self._clock, delay)

    async def _connect_once(self) -> float:
        """Connect and stay until the connection is lost. The answer is the pause before the next attempt."""
        started = self._clock.seconds()
        try:
            await self._be_connected()
        except CancelledError:
            raise
        except Refused as error:
            self._failures += 1
            self._log.error(
                "the master refuses the login of {name!r}: {why}. Check slavename and passwd in buildbot.tac against"
                " the master's configuration; correct them and restart the slave. Trying again seldom.",
                name=self._name, why=str(error) or "wrong name or password",
            )  # fmt: skip
            return self._spread(max(self._grow(), min(REFUSED_DELAY_SECONDS, self._most_delay_seconds)))
        except Exception as error:
            self._failures += 1
            delay = self._spread(self._grow())
            self._log.warn(
                "no connection to the master: {why}; trying again in {delay:.0f} s", why=_sentence(error), delay=delay
            )
            return delay
        if self._clock.seconds() - started >= STABLE_SECONDS:
            self._delay_seconds = FIRST_DELAY_SECONDS
        delay = self._spread(self._grow())
        self._log.info("lost the connection to the master; connecting again in {delay:.0f} s", delay=delay)
        return delay

    def _grow(self) -> float:
        holding = self._owner.holds_commands()
        most = min(self._most_delay_seconds, HOLDING_DELAY_SECONDS) if holding else self._most_delay_seconds
        delay = min(self._delay_seconds, most)
        self._delay_seconds = min(self._delay_seconds * 2, self._most_delay_seconds)
        return delay

    def _spread(self, seconds: float) -> float:
        """From half to the whole of it, so that the slaves of a restarted master do not come all at once."""
        return seconds * (0.5 + 0.5 * self._jitter())

    async def _be_connected(self) -> None:
        line: Line = await _within(self._clock, CONNECT_SECONDS, self._dial(self._endpoint))
        lost: Deferred[None] = Deferred()
        session = Session(clock=self._clock, abort=line.abort)

        def connection_lost(reason: Failure) -> None:
            session.connection_lost()
            if not lost.called:
                lost.callback(None)

        self._heard()
        line.watch(self._heard, connection_lost)
        try:
            await self._log_in(line, session)
            await self._serve(session, lost)
        finally:
            session.connection_lost()
            self._session = None
            self._owner.disconnected(session)
            line.abort()

    async def _log_in(self, line: Line, session: Session) -> None:
        mind = self._owner.make_mind(session, self._heard)
        try:
            avatar = await _within(self._clock, LOGIN_SECONDS, line.log_in(self._name, self._password, mind))
        except (ConnectionDone, ConnectionLost, pb.PBConnectionLost, TimeoutError) as error:
            raise Unanswered(
                f"the login was not answered ({_sentence(error)}). If that goes on: is this a port for slaves, and do"
                " both sides use TLS, or neither?"
            ) from None
        self._failures = 0
        self._log.info("logged in to the master as {name!r}", name=self._name)
        self._session = session
        self._owner.connected(session)
        session.logged_in(avatar)

    async def _serve(self, session: Session, lost: Deferred[None]) -> None:
        """Until the connection is lost: ask the master for a sign of life."""
        self._asked_at = self._clock.seconds()
        watching = LoopingCall(self._watch, session)
        watching.clock = self._clock
        watched = watching.start(PROBE_EVERY_SECONDS, now=False)
        _ = watched.addErrback(lambda failure: self._log.failure("the keepalive failed", failure=failure))
        try:
            await lost
        finally:
            if watching.running:
                watching.stop()

    def _watch(self, session: Session) -> None:
        now = self._clock.seconds()
        silent = now - self._heard_at >= PROBE_AFTER_SECONDS and now - self._asked_at >= PROBE_AFTER_SECONDS
        due = bool(self._keepalive_seconds) and now - self._asked_at >= (self._keepalive_seconds or 0.0)
        if silent or due:
            self._asked_at = now
            answered = session.call("keepalive", timeout_seconds=KEEPALIVE_ANSWER_SECONDS)
            _ = answered.addErrback(lambda _: None)

    def _heard(self) -> None:
        self._heard_at = self._clock.seconds()


def _sentence(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    module = type(error).__module__
    if module.startswith("OpenSSL."):
        said = error.args[0] if error.args and isinstance(error.args[0], list) else []
        # The entries are: library, function, reason. None of them: the peer ended it without a word.
        return "TLS: " + ("; ".join(str(entry[-1]) for entry in said) or "the master ended the handshake")
    if module.startswith("service_identity"):
        return f"TLS: the master's certificate is for another name than the one given here ({error})"
    return str(error) or type(error).__name__


async def _within(clock: IReactorTime, seconds: float, waiting: "Deferred[Any]") -> Any:
    _ = waiting.addTimeout(seconds, clock)
    return await waiting
