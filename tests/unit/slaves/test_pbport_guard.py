"""What a hostile peer can do to the Perspective Broker port: nothing but lose its connection."""

from __future__ import annotations

import os
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.spread import banana, pb
from twisted.trial.unittest import SynchronousTestCase, TestCase

from buildbot.slaves import guard
from buildbot.slaves.guard import GuardedBroker
from buildbot.slaves.pbport import LoginFactory, PBPorts

ANY_PORT = "tcp:0:interface=127.0.0.1"


class AbortableTransport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()


class Nothing:
    def attached(self, mind: Any) -> None: ...

    def detached(self) -> None: ...

    def perspective_size(self, value: Any) -> int:
        return len(value)


def encode(expression: Any) -> bytes:
    """The bytes of an expression as a peer of the dialect "pb" may send them."""
    encoded: bytes = banana.encode(expression)
    return encoded


class BrokerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = LoginFactory(self.clock)

    def connect(self, user: str | None = None) -> tuple[GuardedBroker, AbortableTransport]:
        broker = self.factory.buildProtocol(None)
        transport = AbortableTransport()
        broker.makeConnection(transport)
        broker.dataReceived(encode(b"pb"))
        if user is not None:
            broker.logged_in(user)
            broker.setNameForLocal("avatar", guard_avatar())
        transport.clear()
        return broker, transport

    def dropped_for(self, data: bytes, user: str | None = None, chunk: int = 65536) -> str:
        broker, transport = self.connect(user)
        with capturedLogs() as events:
            for start in range(0, len(data), chunk):
                broker.dataReceived(data[start : start + chunk])
        self.assertTrue(transport.aborted, "the connection is still there")
        whys = [event["why"] for event in events if "why" in event]
        self.assertEqual(len(events), len(whys), events)
        self.clock.advance(61)  # so that the next line is said, too
        return whys[0] if whys else ""


def guard_avatar() -> pb.Referenceable:
    from buildbot.slaves.bridge import AvatarReference

    return AvatarReference(Nothing())


class BeforeLoginTests(BrokerCase):
    def test_4_kib_in_all_are_too_much(self) -> None:
        self.assertIn("4096 bytes before login", self.dropped_for(b"\x01\x80" * 3000))
        small = encode([b"message", 1, b"root", b"nothing", 0, [b"tuple"], [b"dictionary"]])
        self.assertIn("4096 bytes before login", self.dropped_for(small * 200, chunk=100))

    def test_an_unfinished_list_is_too_much(self) -> None:
        endless = b"\x7f\x7f\x20\x80" + encode(b"x" * 60) * 100
        self.assertIn("4096 bytes before login", self.dropped_for(endless))

    def test_garbage_is_dropped(self) -> None:
        for garbage in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5,
            b"\xff\xfe\xfd",
            b"\x16\x03\x01\x02\x00\xc0",
            encode([]),
        ):
            self.assertIn("does not speak", self.dropped_for(garbage))

    def test_silence_is_dropped_after_30_seconds(self) -> None:
        broker, transport = self.connect()
        broker.dataReceived(encode([b"message", 1, b"root", b"login", 1, [b"tuple", b"x"], [b"dictionary"]])[:20])
        self.clock.advance(29)
        self.assertFalse(transport.aborted)
        self.clock.advance(2)
        self.assertTrue(transport.aborted)

    def test_slow_bytes_do_not_prolong_the_time(self) -> None:
        broker, transport = self.connect()
        for byte in encode([b"message", 1, b"root", b"login", 1, [b"tuple", b"x" * 100], [b"dictionary"]])[:31]:
            broker.dataReceived(bytes([byte]))
            self.clock.advance(1)
        self.assertTrue(transport.aborted)

    def test_a_login_ends_the_time_limit(self) -> None:
        _broker, transport = self.connect("bot1")
        self.clock.advance(3600)
        self.assertFalse(transport.aborted)

    def test_a_lost_connection_leaves_no_timer(self) -> None:
        broker, _transport = self.connect()
        broker.connectionLost(Failure(ConnectionError()))
        self.clock.advance(0)  # the turn of the reactor
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_protocol_messages_out_of_place_are_dropped(self) -> None:
        for message in (
            [b"answer", 1, b"x"],
            [b"error", 1, b"x"],
            [b"decref", 77],
            [b"decref", b"root"],
            [b"decache", 1],
            [b"uncache", 1],
            [b"cachemessage", 1, 2, b"x", 1, [b"tuple"], [b"dictionary"]],
            [b"didNotUnderstand", b"x"],
            [b"message", [b"x"], b"root", b"login", 1, [b"tuple"], [b"dictionary"]],
            [b"message", 1, [b"root"], b"login", 1, [b"tuple"], [b"dictionary"]],
            [b"message", 1],
            [b"version", 5],
            [b"nonsense"],
            [5],
            17,
        ):
            self.assertIn("does not speak", self.dropped_for(encode(message)), message)

    def test_a_stranger_who_sends_classes_is_dropped(self) -> None:
        for atom in (
            b"module",
            b"class",
            b"function",
            b"instance",
            b"method",
            b"local",
            b"cached",
            b"lcache",
            b"copy",
            b"os.system",
            b"twisted.spread.pb.CopyableFailure",
            b"persistent",
            b"unpersistable",
            b"datetime",
        ):
            login = [b"message", 1, b"root", b"login", 1, [b"tuple", [atom, b"os", b"os"]], [b"dictionary"]]
            self.assertIn("plain data", self.dropped_for(encode(login)), atom)

    def test_wrong_calls_of_strangers_write_no_tracebacks(self) -> None:
        broker, transport = self.connect()
        for args in ([b"tuple"], [b"tuple", 1, 2, 3], [b"tuple", [b"None"]]):
            broker.dataReceived(encode([b"message", 1, b"root", b"login", 1, args, [b"dictionary"]]))
        self.assertFalse(transport.aborted)
        self.assertEqual(self.flushLoggedErrors(), [])

    @settings(max_examples=300, deadline=None)
    @given(
        st.recursive(
            st.one_of(
                st.integers(-(2**40), 2**40),
                st.binary(max_size=20),
                st.floats(),
                st.sampled_from(
                    [
                        b"message",
                        b"root",
                        b"login",
                        b"tuple",
                        b"list",
                        b"dictionary",
                        b"unicode",
                        b"None",
                        b"remote",
                        b"local",
                        b"reference",
                        b"dereference",
                        b"answer",
                        b"error",
                        b"decref",
                        b"version",
                        b"boolean",
                    ]
                ),
            ),
            lambda inner: st.lists(inner, max_size=6),
            max_leaves=20,
        )
    )
    def test_whatever_strangers_send_no_exception_and_no_traceback_comes_of_it(self, expression: Any) -> None:
        clock = Clock()
        broker = LoginFactory(clock).buildProtocol(None)
        broker.makeConnection(AbortableTransport())
        with capturedLogs() as events:
            broker.dataReceived(encode(b"pb"))
            broker.dataReceived(encode(expression))
            broker.dataReceived(encode([b"message", 1, b"root", b"login", 1, expression, [b"dictionary"]]))
        self.assertEqual([event for event in events if event.get("log_failure")], [])


class AfterLoginTests(BrokerCase):
    def test_one_expression_over_4_mib_is_dropped(self) -> None:
        data = b"\x7f\x00\x80" + encode(b"x" * 500_000) * 9
        self.assertIn("larger than 4194304 bytes", self.dropped_for(data, "bot1"))

    def test_many_expressions_may_be_more_than_4_mib(self) -> None:
        broker, transport = self.connect("bot1")
        call = encode([b"message", 1, b"avatar", b"size", 0, [b"tuple", b"x" * 60_000], [b"dictionary"]])
        for _ in range(100):
            broker.dataReceived(call)
        self.assertFalse(transport.aborted)

    def test_deep_nesting_is_dropped(self) -> None:
        self.assertIn("100 deep", self.dropped_for(b"\x01\x80" * 10_000, "bot1"))

    def test_nesting_within_the_limit_is_taken(self) -> None:
        broker, transport = self.connect("bot1")
        value: list[Any] = [b"list"]
        for _ in range(90):
            value = [b"list", value]
        broker.dataReceived(encode([b"message", 1, b"avatar", b"size", 1, [b"tuple", value], [b"dictionary"]]))
        self.assertFalse(transport.aborted)
        self.assertIn(b"\x01\x81", transport.value())

    def test_too_many_items_are_dropped(self) -> None:
        self.assertIn(
            "200000 items", self.dropped_for(b"\x10\x80" + (b"\x7f\x7f\x01\x80" + b"\x00\x81" * 32767) * 16, "bot1")
        )

    def test_an_overlong_string_is_dropped(self) -> None:
        self.assertIn("String too long", self.dropped_for(b"\x00\x00\x40\x82xxxx", "bot1"))

    def test_an_answer_that_is_not_plain_fails_the_question(self) -> None:
        broker, transport = self.connect("bot1")
        mind = pb.RemoteReference(None, broker, 5, 0)
        waiting = mind.callRemote("x")
        broker.dataReceived(encode([b"answer", broker.currentRequestID, [b"class", b"os.system"]]))
        self.failureResultOf(waiting, guard.NotPlainData)
        self.assertFalse(transport.aborted)

    def test_failures_of_old_peers_are_understood(self) -> None:
        broker, _transport = self.connect("bot1")
        mind = pb.RemoteReference(None, broker, 5, 0)
        for key in (lambda name: name, lambda name: [b"unicode", name]):
            waiting = mind.callRemote("x")
            state = [
                b"dictionary",
                [key(b"type"), b"exceptions.OSError"],
                [key(b"value"), b"no \xff such file"],
                [key(b"traceback"), b"Traceback unavailable\n"],
                [key(b"stack"), [b"list"]],
            ]
            broker.dataReceived(
                encode([b"error", broker.currentRequestID, [b"twisted.spread.pb.CopyableFailure", state]])
            )
            error = self.failureResultOf(waiting, pb.RemoteError).value
            self.assertEqual(error.remoteType, "exceptions.OSError")
            self.assertEqual(str(error), "no � such file")


def resident_kib() -> int:
    with open(f"/proc/{os.getpid()}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def flood(port: int) -> int:
    """Send an endless list until the port hangs up; the number of bytes that went out."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(encode(b"pb") + b"\x7f\x7f\x20\x80")
            piece = encode(b"x" * 600_000)
            while sent < 200_000_000:
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
    return sent


class FloodTests(TestCase):
    async def test_a_flood_before_login_costs_no_memory(self) -> None:
        ports = PBPorts(reactor, reactor)
        self.addCleanup(lambda: ensureDeferred(ports.stop()))
        ports.register(ANY_PORT, "bot1", "x", lambda mind, broker: Nothing())
        (address,) = ports.addresses(ANY_PORT)
        before = resident_kib()
        for _ in range(5):
            sent = await deferToThread(flood, address.port)  # type: ignore[attr-defined]
            self.assertLess(sent, 20_000_000)
        await deferLater(reactor, 0.05, lambda: None)
        self.assertLess(resident_kib() - before, 8 * 1024)
