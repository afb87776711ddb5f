"""The connection to the master over Perspective Broker."""

from collections.abc import Callable
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.spread import pb

from buildslave.line import Line, Refused, prompt
from buildslave.mind import Mind
from buildslave.session import Remote


class Broker(pb.Broker):
    """Tells when the connection is lost and that something came."""

    heard: Callable[[], None] = staticmethod(lambda: None)
    lost: Callable[[Failure], None] = staticmethod(lambda _: None)

    def connectionMade(self) -> None:
        prompt(self.transport)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        self.heard()
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost(reason)


class ClientFactory(pb.PBClientFactory):
    protocol = Broker
    noisy = False


class PBLine:
    """A `Line`."""

    def __init__(self, factory: ClientFactory, broker: Broker) -> None:
        self._factory = factory
        self._broker = broker

    def watch(self, heard: Callable[[], None], lost: Callable[[Failure], None]) -> None:
        def gone(reason: Failure) -> None:
            lost(reason)
            self._factory.clientConnectionLost(None, reason)  # a login that waits learns it at once, and why

        self._broker.heard, self._broker.lost = heard, gone
        if self._broker.disconnected:
            gone(Failure(pb.PBConnectionLost()))

    def log_in(self, name: str, password: str, mind: Mind) -> Deferred[Remote]:
        return Deferred.fromCoroutine(self._log_in(name, password, mind))

    async def _log_in(self, name: str, password: str, mind: Mind) -> Remote:
        # The bytes go as they are: a password of any characters is the same on both sides.
        credentials = UsernamePassword(name.encode(), password.encode())
        try:
            avatar: Remote = await self._factory.login(credentials, mind)
        except pb.RemoteError as error:
            raise Refused(str(error.args[0]) if error.args else "") from None
        return avatar

    def abort(self) -> None:
        transport: Any = self._broker.transport
        if transport is not None:
            transport.abortConnection()


def dial(endpoint: IStreamClientEndpoint) -> Deferred[Line]:
    """Connect."""
    factory = ClientFactory()
    connected: Deferred[Any] = endpoint.connect(factory)
    return connected.addCallback(lambda broker: PBLine(factory, broker))
