"""The Perspective Broker ports: who may log in on which, and who they are after it.

One listening port serves slaves and change sources alike. It opens with the first user that is registered on it and
closes with the last. Login is that of Twisted's `PBClientFactory.login`, message by message:

    client -> root        login(username)    -> (challenge: bytes, challenger)
    client -> challenger  respond(md5(md5(password) + challenge), mind)    -> avatar, or cred's UnauthorizedLogin

A challenge is random and good for one answer. An unknown name and a wrong password get the same error after the same
work, and the connection ends. MD5 hides little from whoever listens in, so use TLS (`ssl:` endpoints) beyond a
trusted network.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.config.ports import server_endpoint
from buildbot.slaves.bridge import Avatar, AvatarReference, Served
from buildbot.slaves.guard import FewLines, GuardedBroker

MAX_NAME = 256
LISTEN_AGAIN_SECONDS = 5.0
WRONG_LOGIN = "the user name or the password is wrong"

MakeAvatar = Callable[["pb.RemoteReference | None", GuardedBroker], Avatar]


class NameInUse(ValueError):
    """Two slaves or change sources want the same user name on the same port."""


class CannotListen(Exception):
    """A Perspective Broker port cannot be opened; the text says which and why."""


class _User(NamedTuple):
    password: bytes
    make_avatar: MakeAvatar
    connections: set[GuardedBroker]


class Registration:
    """One user on one port. `connections` are those on which it is logged in now."""

    def __init__(self, port: _Port, username: str) -> None:
        self.username = username
        self._port = port
        self._user = port.users[username]

    @property
    def endpoint(self) -> str:
        return self._port.endpoint

    @property
    def connections(self) -> tuple[GuardedBroker, ...]:
        return tuple(self._user.connections)

    def unregister(self, *, disconnect: bool = True) -> None:
        """Nobody can log in as this user any more; `disconnect` also ends its connections. May be called twice."""
        if self._port.users.get(self.username) is self._user:
            del self._port.users[self.username]
            self._port.settle_soon()
        if disconnect:
            for broker in self.connections:
                broker.close()


class PBPorts:
    """Every Perspective Broker port of the master.

    Arguments: the `reactor` that listens, the `clock` for time limits, and `random_bytes(count)` for challenges.
    """

    def __init__(
        self, reactor: Any, clock: IReactorTime, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._random_bytes = random_bytes
        self._ports: dict[str, _Port] = {}

    def register(self, endpoint: str, username: str, password: str, make_avatar: MakeAvatar) -> Registration:
        """Let `username` log in on this endpoint; the port opens when it is not open yet (see `ready`).

        `make_avatar(mind, broker)` is called at each login. Raises NameInUse.
        """
        if endpoint not in self._ports:
            factory = LoginFactory(self._clock, self._random_bytes)
            self._ports[endpoint] = _Port(self._reactor, self._clock, endpoint, factory)
        there = self._ports[endpoint]
        if username in there.users:
            raise NameInUse(f"two slaves or change sources log in as {username!r} on {endpoint}")
        there.users[username] = _User(password.encode(), make_avatar, set())
        there.settle()
        return Registration(there, username)

    async def ready(self) -> None:
        """Wait until every port listens. Raises CannotListen; it is tried again every few seconds all the same.

        A port without users closes first: it may be the one in the way, as when `tcp:9989` becomes `ssl:9989`.
        """
        ports = list(self._ports.values())
        closing = [port for port in ports if not port.users and port.listening is not None]
        for port in (*closing, *(port for port in ports if port.users)):
            await port.settled()
            if port in closing or port.problem is not None:
                port.settle()
                await port.settled()
            if port.users and port.problem is not None:
                raise CannotListen(f"cannot listen on {port.endpoint}: {port.problem}")

    def addresses(self, endpoint: str) -> tuple[IAddress, ...]:
        """Where the port listens now; it tells the number that port 0 got."""
        there = self._ports.get(endpoint)
        return () if there is None or there.listening is None else (there.listening.getHost(),)

    async def stop(self) -> None:
        """Close every port and end every connection."""
        for port in self._ports.values():
            await port.stop()
        self._ports.clear()


class _Port:
    """One listening port, open while it has users."""

    _log = Logger()

    def __init__(self, reactor: Any, clock: IReactorTime, endpoint: str, factory: LoginFactory) -> None:
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
        for broker in list(self._factory.brokers):
            broker.abort()

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
            self.listening = await server_endpoint(self._reactor, self.endpoint).listen(self._factory)
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
        self._log.info("listening for Perspective Broker on {endpoint}", endpoint=self.endpoint)
        return True


class LoginFactory(ServerFactory):
    """Makes the brokers of one port, each with a root object that only knows how to log in."""

    noisy = False
    unsafeTracebacks = False  # read by Twisted's Broker

    _log = Logger()

    def __init__(self, clock: IReactorTime, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self.users: dict[str, _User] = {}
        self.brokers: set[GuardedBroker] = set()
        self.random_bytes = random_bytes
        self.nobodys_password = secrets.token_bytes(16)
        self.few_lines = FewLines(clock, self._log)
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> GuardedBroker:  # type: ignore[override]
        broker = GuardedBroker(self._clock, self.few_lines)
        broker.factory = self  # type: ignore[assignment]
        broker.setNameForLocal("root", _Root(self, broker))
        self.brokers.add(broker)
        broker.notifyOnDisconnect(lambda: self.brokers.discard(broker))
        return broker

    def clientConnectionMade(self, broker: GuardedBroker) -> None:
        """Told by Twisted's Broker when the connection speaks Perspective Broker."""

    def user_with(self, username: str, challenge: bytes, response: object, address: str) -> _User:
        """The user whose password the response shows. The same work for every name. Raises UnauthorizedLogin."""
        user = self.users.get(username)
        password = self.nobodys_password if user is None else user.password
        right = hmac.compare_digest(_response(password, challenge), response if isinstance(response, bytes) else b"")
        if user is not None and right:
            return user
        self.few_lines.warn(
            f"login {username} {address}",
            "refused the login of {username!r} from {address}: {why}",
            username=username[:64],
            address=address,
            why="no slave or change source of master.cfg has this name on this port; add it, or correct the name there"
            if user is None
            else "the password is wrong; compare it with the one in master.cfg",
        )
        raise UnauthorizedLogin(WRONG_LOGIN)


def _response(password: bytes, challenge: bytes) -> bytes:
    once = hashlib.md5(password, usedforsecurity=False).digest()
    return hashlib.md5(once + challenge, usedforsecurity=False).digest()


class _Root(Served):
    """What a stranger may call."""

    def __init__(self, factory: LoginFactory, broker: GuardedBroker) -> None:
        self._factory = factory
        self._broker = broker
        self._asked = False

    def remote_login(self, username: object) -> tuple[bytes, pb.Referenceable]:
        name = username.decode("utf-8", "replace") if isinstance(username, bytes) else username
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise pb.Error("the user name must be a string")
        if self._asked:
            raise pb.Error("a connection can log in once")
        self._asked = True
        challenge = self._factory.random_bytes(16)
        return challenge, _Challenger(self._factory, self._broker, name, challenge)


class _Challenger(Served):
    """Takes one answer to one challenge."""

    def __init__(self, factory: LoginFactory, broker: GuardedBroker, username: str, challenge: bytes) -> None:
        self._factory = factory
        self._broker = broker
        self._username = username
        self._challenge: bytes | None = challenge

    def remote_respond(self, response: object, mind: object = None) -> pb.Referenceable:
        challenge, self._challenge = self._challenge, None
        if challenge is None:
            raise UnauthorizedLogin(WRONG_LOGIN)
        if mind is not None and not isinstance(mind, pb.RemoteReference):
            raise pb.Error("the client must be a reference")
        broker = self._broker
        try:
            user = self._factory.user_with(self._username, challenge, response, broker.address)
            return self._log_in(user, mind)
        except Exception:
            broker.close_soon()
            raise

    def _log_in(self, user: _User, mind: pb.RemoteReference | None) -> pb.Referenceable:
        broker = self._broker
        avatar = user.make_avatar(mind, broker)
        broker.logged_in(self._username)
        user.connections.add(broker)

        def gone() -> None:
            user.connections.discard(broker)
            avatar.detached()

        broker.notifyOnDisconnect(gone)
        avatar.attached(mind)
        return AvatarReference(avatar)
