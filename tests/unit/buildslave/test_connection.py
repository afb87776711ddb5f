"""Connecting: back-off, refused logins, dead masters, graceful shutdown."""

import os
from typing import Any

from OpenSSL import SSL
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent, globalLogPublisher
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from buildslave import connection as connection_module
from buildslave.connection import Connection
from buildslave.overpb import dial
from buildslave.shutdown import LOOK_SECONDS, Shutdown

from .cases import SlaveCase, temporary_directory
from .fake_master import FakeMaster


@implementer(IStreamClientEndpoint)
class Nowhere:
    """Counts the attempts; each is refused, or hangs."""

    def __init__(self, clock: Clock, hanging: bool = False) -> None:
        self.clock = clock
        self.hanging = hanging
        self.attempts: list[float] = []

    def connect(self, factory: object) -> Deferred[Any]:
        self.attempts.append(self.clock.seconds())
        return Deferred() if self.hanging else fail(ConnectionRefusedError())


@implementer(IStreamClientEndpoint)
class Closing:
    """Connects, and a moment later the connection ends before anybody could log in."""

    def __init__(self, clock: Clock, reason: Exception) -> None:
        self.clock = clock
        self.reason = reason

    def connect(self, factory: Any) -> Deferred[Any]:
        broker = factory.buildProtocol(None)
        broker.makeConnection(StringTransport())
        self.clock.callLater(0.1, broker.connectionLost, Failure(self.reason))
        return succeed(broker)


class Owner:
    def __init__(self) -> None:
        self.gave_up_count = 0
        self.holding = False

    def gave_up(self) -> None:
        self.gave_up_count += 1

    def holds_commands(self) -> bool:
        return self.holding

    def make_mind(self, session: object, heard: object) -> Any:
        return pb.Referenceable()

    def connected(self, session: object) -> None: ...

    def disconnected(self, session: object) -> None: ...


class BackOff(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.owner = Owner()

    def connect(
        self, endpoint: Any, jitter: float = 1.0, retries: int | None = None, longest: float = 8
    ) -> Connection:
        made = Connection(
            clock=self.clock,
            endpoint=endpoint,
            dial=dial,
            name="bot",
            password="x",
            owner=self.owner,
            most_delay_seconds=longest,
            most_retries=retries,
            jitter=lambda: jitter,
        )
        made.startService()
        return made

    def test_pauses_double_up_to_the_longest(self) -> None:
        endpoint = Nowhere(self.clock)
        made = self.connect(endpoint)
        self.clock.pump([0.5] * 100)
        self.assertEqual(endpoint.attempts[:6], [0, 1, 3, 7, 15, 23])
        made.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_with_commands_the_pauses_stay_short(self) -> None:
        self.owner.holding = True
        endpoint = Nowhere(self.clock)
        made = self.connect(endpoint, longest=300)
        self.clock.pump([0.5] * 200)
        self.assertEqual(endpoint.attempts[:7], [0, 1, 3, 7, 15, 25, 35])
        self.owner.holding = False
        self.clock.pump([1] * 1000)
        self.assertEqual(endpoint.attempts[-1] - endpoint.attempts[-2], 300)
        made.stopService()

    def test_chance_spreads_them(self) -> None:
        endpoint = Nowhere(self.clock)
        made = self.connect(endpoint, jitter=0.0)
        self.clock.pump([0.5] * 100)
        self.assertEqual(endpoint.attempts[:5], [0, 0.5, 1.5, 3.5, 7.5])
        made.stopService()

    def test_a_hanging_attempt_is_given_up(self) -> None:
        endpoint = Nowhere(self.clock, hanging=True)
        made = self.connect(endpoint)
        self.clock.pump([1] * 35)
        self.assertEqual(endpoint.attempts, [0, 31])
        made.stopService()

    def test_a_connection_lost_before_the_login_is_told_at_once(self) -> None:
        untrusted = SSL.Error([("SSL routines", "", "certificate verify failed")])
        for reason, told in ((untrusted, "TLS: certificate verify failed"), (ConnectionLost("gone"), "gone")):
            with capturedLogs() as events:
                made = self.connect(Closing(self.clock, reason))
                self.clock.advance(0.2)
                made.stopService()
            self.assertIn(told, " ".join(formatEvent(event) for event in events))

    def test_it_gives_up_for_good_only_if_told_so(self) -> None:
        endpoint = Nowhere(self.clock)
        self.connect(endpoint, retries=3)
        self.clock.pump([1] * 100)
        self.assertEqual((len(endpoint.attempts), self.owner.gave_up_count), (4, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LoggingIn(SlaveCase):
    async def test_a_wrong_password_says_what_to_do_and_is_tried_seldom(self) -> None:
        said: list[str] = []

        def observe(event: dict[str, Any]) -> None:
            said.append(event.get("log_format") or "")

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        await self.slave.stopService()
        other = FakeMaster(password="other")
        self.addCleanup(lambda: Deferred.fromCoroutine(other.close()))
        other.listen()
        self.master, known = other, self.master
        self.addCleanup(lambda: Deferred.fromCoroutine(known.close()))
        slave = self.make_slave(maxdelay=300)
        slave.startService()
        await self.master.until(lambda: any("refuses the login" in text for text in said))
        await deferLater(reactor, 0.3, lambda: None)
        refused = [text for text in said if "refuses the login" in text]
        self.assertEqual(len(refused), 1)
        self.assertIn("buildbot.tac", refused[0])
        self.assertEqual(other.logins, 0)
        await slave.stopService()
        self.flushLoggedErrors(UnauthorizedLogin)

    async def test_it_comes_back_after_the_master_was_away(self) -> None:
        await self.master.close()
        await deferLater(reactor, 0.2, lambda: None)
        self.master.listen()
        await self.master.until(lambda: self.master.logins == 2)
        self.assertIn("resumable", await self.master.call("getSlaveInfo"))

    async def test_the_masters_shutdown_stops_the_process(self) -> None:
        await self.master.call("shutdown")
        await self.master.until(lambda: self.stops == 1)

    async def test_messages_are_taken(self) -> None:
        self.assertIsNone(await self.master.call("print", "hello"))

    async def test_nonsense_is_refused_and_the_connection_stays(self) -> None:
        for method, argument in (
            ("attach", None), ("attach", {"1": "x"}), ("attach", {"1": True}), ("order", 3), ("order", {}),
            ("order", {"id": "1", "name": "shell", "builddir": "b", "args": {}, "held": "x"}),
            ("setBuilderList", [1]), ("setBuilderList", [("x", "../y")]),
        ):  # fmt: skip
            try:
                await self.master.call(method, argument)
            except Exception as error:
                self.assertIn("buildslave.errors", str(error.remoteType))  # type: ignore[attr-defined]
            else:
                self.fail(f"{method}({argument!r}) was accepted")
        self.assertEqual(self.master.logins, 1)


class Freezer(ProtocolWrapper):
    """Lets nothing through any more once its factory is frozen, as a dead network does."""

    def dataReceived(self, data: bytes) -> None:
        if not self.factory.frozen:
            super().dataReceived(data)


class DeadMaster(SlaveCase):
    def make_slave(self, **changes: Any):  # type: ignore[no-untyped-def]
        for name, value in (
            ("PROBE_AFTER_SECONDS", 0.3), ("PROBE_EVERY_SECONDS", 0.1), ("KEEPALIVE_ANSWER_SECONDS", 0.3),
        ):  # fmt: skip
            self.patch(connection_module, name, value)
        return super().make_slave(**changes)

    async def test_a_silent_master_that_answers_is_kept(self) -> None:
        await self.master.until(lambda: self.master.keepalives >= 3)
        self.assertEqual(self.master.logins, 1)

    async def test_a_connection_that_is_dead_is_made_anew(self) -> None:
        wrapped = WrappingFactory(self.master._factory)
        wrapped.protocol = Freezer
        wrapped.noisy = False
        wrapped.frozen = False
        await self.master.close()
        port = reactor.listenTCP(self.master.port, wrapped, interface="127.0.0.1")
        self.master._port = port
        await self.master.until(lambda: self.master.logins == 2 and self.master.avatar is not None)
        wrapped.frozen = True
        await deferLater(reactor, 1.0, lambda: None)
        wrapped.frozen = False
        await self.master.until(lambda: self.master.logins >= 3)


class Keepalive(SlaveCase):
    def make_slave(self, **changes: Any):  # type: ignore[no-untyped-def]
        self.patch(connection_module, "PROBE_EVERY_SECONDS", 0.1)
        return super().make_slave(keepalive=0.2, **changes)

    async def test_the_slave_says_that_it_lives(self) -> None:
        await self.master.until(lambda: self.master.keepalives >= 3)


class Graceful(SlaveCase):
    def make_slave(self, **changes: Any):  # type: ignore[no-untyped-def]
        return super().make_slave(allow_shutdown="signal", **changes)

    async def test_a_signal_asks_the_master(self) -> None:
        import signal

        os.kill(os.getpid(), signal.SIGHUP)
        await self.master.until(lambda: self.master.shutdown_requests == 1)
        self.assertEqual(self.stops, 0)

    async def test_without_a_master_it_stops_when_idle(self) -> None:
        import signal

        await self.master.order("1", "shell", command="sleep 0.5")
        await self.master.close()
        os.kill(os.getpid(), signal.SIGHUP)
        await deferLater(reactor, 0.3, lambda: None)
        self.assertEqual(self.stops, 0)
        self.master.listen()
        await self.master.until(lambda: self.stops == 1)


class ShutdownFile(SynchronousTestCase):
    def test_only_a_new_touch_counts(self) -> None:
        basedir = temporary_directory(self)
        (basedir / "shutdown.stamp").touch()
        asked: list[None] = []
        clock = Clock()
        watching = Shutdown(how="file", basedir=basedir, clock=clock, ask=lambda: asked.append(None))
        watching.start()
        clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(asked, [])
        os.utime(basedir / "shutdown.stamp", (1, 1))
        clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(len(asked), 1)
        watching.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
