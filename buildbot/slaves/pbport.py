"""The Perspective Broker ports: who may log in on which, and who they are after it.

One listening port (`ports`) serves slaves and change sources alike. Login is that of Twisted's `PBClientFactory.login`,
message by message:

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
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.slaves.bridge import Avatar, AvatarReference, Served
from buildbot.slaves.guard import FewLines, GuardedBroker
from buildbot.slaves.ports import MAX_NAME, WRONG_LOGIN, Ports, User
from buildbot.slaves.turns import Turns


class PBPorts(Ports):
    """Every Perspective Broker port of the master.

    Arguments: the `reactor` that listens, the `clock` for time limits, and `random_bytes(count)` for challenges.
    `make_avatar(mind, broker)` is called at each login.
    """

    def __init__(
        self, reactor: Any, clock: IReactorTime, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        turns = Turns(clock)
        super().__init__(reactor, clock, lambda: LoginFactory(clock, random_bytes, turns))


class LoginFactory(ServerFactory):
    """Makes the brokers of one port, each with a root object that only knows how to log in."""

    noisy = False
    speaks = "Perspective Broker"
    unsafeTracebacks = False  # read by Twisted's Broker

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        turns: Turns | None = None,
    ) -> None:
        self.users: dict[str, User] = {}
        self.connections: set[GuardedBroker] = set()
        self.random_bytes = random_bytes
        self.nobodys_password = secrets.token_bytes(16)
        self.few_lines = FewLines(clock, self._log)
        self._clock = clock
        self._turns = turns or Turns(clock)

    def buildProtocol(self, addr: IAddress | None) -> GuardedBroker:  # type: ignore[override]
        broker = GuardedBroker(self._clock, self.few_lines, self._turns)
        broker.factory = self  # type: ignore[assignment]
        broker.setNameForLocal("root", _Root(self, broker))
        self.connections.add(broker)
        broker.notifyOnDisconnect(lambda: self.connections.discard(broker))
        return broker

    def clientConnectionMade(self, broker: GuardedBroker) -> None:
        """Told by Twisted's Broker when the connection speaks Perspective Broker."""

    def user_with(self, username: str, challenge: bytes, response: object, address: str) -> User:
        """The user whose password the response shows. The same work for every name. Raises UnauthorizedLogin."""
        user = self.users.get(username)
        password = self.nobodys_password if user is None else user.password
        right = hmac.compare_digest(_response(password, challenge), response if isinstance(response, bytes) else b"")
        if user is not None and right:
            return user
        self.few_lines.refused(username, address, known=user is not None)
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

    def _log_in(self, user: User, mind: pb.RemoteReference | None) -> pb.Referenceable:
        broker = self._broker
        avatar: Avatar = user.make_avatar(mind, broker)
        broker.logged_in(self._username)
        user.connections.add(broker)

        def gone() -> None:
            user.connections.discard(broker)
            avatar.detached()

        broker.notifyOnDisconnect(gone)
        avatar.attached(mind)
        return AvatarReference(avatar)
