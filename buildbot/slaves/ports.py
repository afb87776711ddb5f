"""The ports on which slaves and change sources are awaited: who may log in on which.

What is spoken there is the factory's business: `pbport` (Perspective Broker) and `websocket`.

One listening port serves many users. It opens with the first user that is registered on it and closes with the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from buildbot.config.ports import server_endpoint

MAX_NAME = 256
LISTEN_AGAIN_SECONDS = 5.0
WRONG_LOGIN = "the user name or the password is wrong"


class Connection(Protocol):
    """One that was accepted on a port."""

    def close(self) -> None:
        """End it when what was written is sent."""

    def abort(self) -> None:
        """End it at once."""


class Factory(Protocol):
    """Makes the connections of one port, and lets its users in."""

    speaks: str
    users: dict[str, User]

    @property
    def connections(self) -> set[Any]: ...


class NameInUse(ValueError):
    """Two slaves or change sources want the same user name on the same port."""


class CannotListen(Exception):
    """A Perspective Broker port cannot be opened; the text says which and why."""


class User(NamedTuple):
    password: bytes
    make_avatar: Callable[..., Any]  # called at each login
    connections: set[Any]


class Registration:
    """One user on one port. `connections` are those on which it is logged in now."""

    def __init__(self, port: Port, username: str) -> None:
        self.username = username
        self._port = port
        self._user = port.users[username]

    @property
    def endpoint(self) -> str:
        return self._port.endpoint

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(self._user.connections)

    def unregister(self, *, disconnect: bool = True) -> None:
        """Nobody can log in as this user any more; `disconnect` also ends its connections. May be called twice."""
        if self._port.users.get(self.username) is self._user:
            del self._port.users[self.username]
            self._port.settle_soon()
        if disconnect:
            for connection in self.connections:
                connection.close()


class Ports:
    """Every port of the master that speaks one protocol.

    Arguments: the `reactor` that listens, the `clock` for time limits, and `make_factory()` for each port.
    """

    def __init__(self, reactor: Any, clock: IReactorTime, make_factory: Callable[[], Factory]) -> None:
        self._reactor = reactor
        self._clock = clock
        self._make_factory = make_factory
        self._ports: dict[str, Port] = {}

    def register(self, endpoint: str, username: str, password: str, make_avatar: Callable[..., Any]) -> Registration:
        """Let `username` log in on this endpoint; the port opens when it is not open yet (see `ready`).

        `make_avatar` is called at each login, with what the protocol has. Raises NameInUse.
        """
        if endpoint not in self._ports:
            self._ports[endpoint] = Port(self._reactor, self._clock, endpoint, self._make_factory())
        there = self._ports[endpoint]
        if username in there.users:
            raise NameInUse(f"two slaves or change sources log in as {username!r} on {endpoint}")
        there.users[username] = User(password.encode(), make_avatar, set())
        there.settle()
        return Registration(there, username)

    async def ready(self) -> None:
        """Wait until every port listens. Raises CannotListen; it is tried again every few seconds all the same.

        A port without users closes first: it may be the one in the way, as when `tcp:9989` becomes `ssl:9989`.
        """
        await self.close_unused()
        for port in [port for port in self._ports.values() if port.users]:
            await port.settled()
            if port.problem is not None:
                port.settle()
                await port.settled()
            if port.users and port.problem is not None:
                raise CannotListen(f"cannot listen on {port.endpoint}: {port.problem}")

    async def close_unused(self) -> None:
        """Wait until no port listens that has no users."""
        for port in list(self._ports.values()):
            await port.settled()
            if not port.users and port.listening is not None:
                port.settle()
                await port.settled()

    def addresses(self, endpoint: str) -> tuple[IAddress, ...]:
        """Where the port listens now; it tells the number that port 0 got."""
        there = self._ports.get(endpoint)
        return () if there is None or there.listening is None else (there.listening.getHost(),)

    async def stop(self) -> None:
        """Close every port and end every connection."""
        for port in self._ports.values():
            await port.stop()
        self._ports.clear()


class Port:
    """One listening port, open while it has users."""

    _log = Logger()

    def __init__(self, reactor: Any, clock: IReactorTime, endpoint: str, factory: Factory) -> None:
        self.endpoint = endpoint
        self.users = factory.users
        self.listening: IListeningPort | None = None
        self.problem: Exception | None = None
        self._clock = clock
        self._factory = factory
        self._reactor = reactor
        self._settling: Deferred[None] | None = None
        self._again: IDelayedCall | None = None

    def settle_soon(self) -> None:
        """Close the port if nobody comes back within this turn of the reactor: a reconfiguration replaces users."""
        self._plan(0)

    def settle(self) -> None:
        """Listen, or do not, as the users demand."""
        if self._settling is None or self._settling.called:
            self._settling = ensureDeferred(self._settle())

    async def settled(self) -> None:
        if self._settling is not None and not self._settling.called:
            done: Deferred[None] = Deferred()
            _ = self._settling.addBoth(lambda result: done.callback(None))
            await done

    async def stop(self) -> None:
        self.users.clear()
        await self.settled()
        self.settle()
        await self.settled()
        if self._again is not None and self._again.active():
            self._again.cancel()
        for connection in list(self._factory.connections):
            connection.abort()

    def _plan(self, delay: float) -> None:
        if self._again is None or not self._again.active():
            self._again = self._clock.callLater(delay, self.settle)

    async def _settle(self) -> None:
        while bool(self.users) != (self.listening is not None):
            if self.listening is not None:
                closing, self.listening = self.listening, None
                await maybeDeferred(closing.stopListening)
            elif not await self._listen():
                self._plan(LISTEN_AGAIN_SECONDS)
                return

    async def _listen(self) -> bool:
        try:
            self.listening = await server_endpoint(self._reactor, self.endpoint).listen(self._factory)  # type: ignore[arg-type]  # a ServerFactory
        except Exception as problem:
            if self.problem is None:
                self._log.error(
                    "cannot listen on {endpoint}, trying again every {delay:.0f} s: {problem}",
                    endpoint=self.endpoint,
                    delay=LISTEN_AGAIN_SECONDS,
                    problem=problem,
                )
            self.problem = problem
            return False
        self.problem = None
        self._log.info("listening for {speaks} on {endpoint}", speaks=self._factory.speaks, endpoint=self.endpoint)
        return True
