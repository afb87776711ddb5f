"""The slave's end of a WebSocket, and a master that says anything at all on it."""

import base64
import struct
from typing import Any

import msgpack
from twisted.internet import reactor
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
)

from buildslave import websocket
from buildslave.bot import BuildSlave
from buildslave.eras.lines import LineRules, LineUpdates
from buildslave.errors import BadArguments
from buildslave.line import Refused
from buildslave.mind import Mind
from buildslave.oversocket import MasterRefuses, SocketLine
from buildslave.session import Session
from buildslave.websocket import MESSAGE_BYTES, NotSpoken, WebSocket

from .cases import temporary_directory


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class LineCase(SynchronousTestCase):
    """`self.line` of a slave, and `self.master` at the other end of it."""

    def setUp(self) -> None:
        self.basedir = temporary_directory(self)
        self.slave = BuildSlave("h", 1, "bot", "pass:wörd", str(self.basedir), reactor=reactor)
        self.begin()

    def begin(self, peer: Any = None, host: str | None = "ci.example.org:9990") -> None:
        self.transport = Transport(peerAddress=peer)
        self.socket = WebSocket()
        self.socket.makeConnection(self.transport)
        self.line = SocketLine(self.socket, host, "/ci")
        self.clock = Clock()
        self.lost: list[Failure] = []
        self.heard = 0
        self.line.watch(self._heard, self.lost.append)
        self.session = Session(clock=self.clock, abort=self.line.abort)
        self.mind = Mind(self.slave, self.session, self._heard)
        self.login: Deferred[Any] = self.line.log_in("bot", "pass:wörd", self.mind)
        self.master = WSConnection(ConnectionType.SERVER)

    def _heard(self) -> None:
        self.heard += 1

    def said(self) -> list[Event]:
        """What the slave has said since."""
        self.master.receive_data(self.transport.value())
        self.transport.clear()
        return list(self.master.events())

    def open(self) -> None:
        self.begin()
        self.said()
        self.say(AcceptConnection())
        self.session.logged_in(self.successResultOf(self.login))

    def say(self, *events: Event) -> None:
        for event in events:
            self.socket.dataReceived(self.master.send(event))

    def ask(self, op: Any, **fields: Any) -> dict[str, Any]:
        """The slave's answer."""
        self.say(BytesMessage(msgpack.packb({"op": op, "seq_number": 7, **fields})))
        (answer,) = self.said()
        assert isinstance(answer, BytesMessage)
        told: dict[str, Any] = msgpack.unpackb(answer.data)
        self.assertEqual((told.pop("op"), told.pop("seq_number")), ("response", 7))
        return told


class Login(LineCase):
    def test_name_and_password_are_shown(self) -> None:
        (request,) = self.said()
        assert isinstance(request, Request)
        self.assertEqual((request.host, request.target), ("ci.example.org:9990", "/ci"))
        shown = dict(request.extra_headers)[b"authorization"]
        self.assertEqual(base64.b64decode(shown.removeprefix(b"Basic ")).decode(), "bot:pass:wörd")
        self.say(AcceptConnection())
        self.assertIs(self.successResultOf(self.login), self.line)

    def test_where_it_is_connected_stands_for_a_name_that_is_not_known(self) -> None:
        for host, told in (("10.0.0.1", "10.0.0.1:9"), ("fe80::1", "[fe80::1]:9")):
            self.begin(IPv6Address("TCP", host, 9), host=None)
            self.assertIn(f"Host: {told}\r\n".encode(), self.transport.value())

    def test_what_the_master_may_answer(self) -> None:
        for status, told in ((401, Refused), (404, NotSpoken), (500, NotSpoken)):
            self.begin()
            self.said()
            self.say(RejectConnection(status_code=status, has_body=False))
            self.failureResultOf(self.login, told)
            self.assertTrue(self.transport.aborted)

    def test_what_is_no_websocket(self) -> None:
        for garbage in (
            b"\x03\x80pb\x04\x80none", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"x" * 70_000, b"\r\n" * 50_000,
            b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        ):  # fmt: skip
            self.begin()
            self.socket.dataReceived(garbage)
            self.failureResultOf(self.login, NotSpoken)
            self.assertTrue(self.transport.aborted)
            self.socket.dataReceived(garbage)

    def test_a_connection_that_ends_before(self) -> None:
        self.socket.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(self.login, ConnectionDone)
        self.assertEqual(len(self.lost), 1)
        again: Deferred[Any] = self.line.log_in("bot", "x", self.mind)
        self.failureResultOf(again, ConnectionDone)


class Frames(LineCase):
    def test_what_breaks_a_rule_ends_the_connection_and_what_waits(self) -> None:
        nested = b"\x91" * 3000 + b"\xc0"
        announced = (b"\xdd" + struct.pack(">I", 1 << 30)) * 100
        for frames in (
            b"\xff" * 100,  # every reserved bit
            b"\x83\x00", b"\x8b\x00",  # kinds of frames that are not there
            b"\x89\x7e\x01\x00" + b"x" * 256, b"\x09\x01x",  # a ping that is too long, and one in parts
            b"\x82\x81\0\0\0\0x",  # masked, as only a slave's are
            b"\x80\x01x",  # the rest of nothing
            b"\x02\x01x\x82\x01x",  # a message in the middle of another one
            b"\x82\x7f" + b"\xff" * 8,  # longer than there is
            b"\x81\x02\xff\xff", b"\x81\x01x",  # text
            b"\x82\x00", b"\x82\x01\xc1", b"\x82\x01\x05", b"\x82\x03\x81\x90\x01",  # no msgpack, no map, an odd key
            self.frame(nested), self.frame(announced), self.frame(b"\xc7\x01\x05x"),
            self.frame(msgpack.packb({"op": "print"})), self.frame(msgpack.packb({"op": 5, "seq_number": 1})),
            self.frame(msgpack.packb({"op": "x", "seq_number": "1"})),
            self.frame(msgpack.packb({"op": "x", "seq_number": 1, "when": msgpack.Timestamp(1)})),
            self.frame(msgpack.packb({"op": "x", "seq_number": 1, "args": msgpack.ExtType(1, b"\x05")})),
        ):  # fmt: skip
            self.open()
            waits = self.session.call("output", "1", 0, [])
            ping = self.session.call("keepalive")
            with capturedLogs() as logs:
                self.socket.dataReceived(frames)
            self.assertTrue(self.transport.aborted, frames[:20])
            self.assertIn("dropped the WebSocket connection", " ".join(formatEvent(each) for each in logs))
            self.socket.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(waits)
            self.failureResultOf(ping)
            self.assertEqual((len(self.lost), self.clock.getDelayedCalls(), self.flushLoggedErrors()), (1, [], []))

    @staticmethod
    def frame(message: bytes) -> bytes:
        return b"\x82\x7e" + struct.pack(">H", len(message)) + message

    def test_a_message_in_many_parts_and_a_ping_among_them(self) -> None:
        self.open()
        message = msgpack.packb({"op": "keepalive", "seq_number": 7})
        for part in (message[:3], message[3:4], b""):
            self.say(BytesMessage(part, message_finished=False))
        for byte in self.master.send(Ping(b"?")):
            self.socket.dataReceived(bytes([byte]))
        self.say(BytesMessage(message[4:], message_finished=True))
        pong, answer = self.said()
        assert isinstance(pong, Pong) and isinstance(answer, BytesMessage)
        self.assertEqual(bytes(pong.payload), b"?")
        self.assertEqual(msgpack.unpackb(answer.data), {"op": "response", "seq_number": 7, "result": None})

    def test_a_message_that_is_too_large_is_not_kept(self) -> None:
        self.open()
        part = self.master.send(BytesMessage(b"x" * (1 << 20), message_finished=False))
        rest = b"\x00" + part[1:]
        self.socket.dataReceived(part)
        for _ in range(MESSAGE_BYTES // (1 << 20) - 1):
            self.socket.dataReceived(rest)
        self.assertFalse(self.transport.aborted)
        self.socket.dataReceived(b"\x00\x01x")
        self.assertTrue(self.transport.aborted)

    def test_a_master_that_does_not_read_is_left(self) -> None:
        self.patch(websocket, "UNREAD_BYTES", 10_000)
        self.open()
        ping = self.master.send(Ping(b"x" * 125))
        producer: Any = self.transport.producer
        producer.pauseProducing()
        self.socket.dataReceived(ping * 50)
        producer.resumeProducing()
        producer.pauseProducing()
        self.socket.dataReceived(ping * 50)
        self.assertFalse(self.transport.aborted)
        self.socket.dataReceived(ping * 50)
        self.assertTrue(self.transport.aborted)

    def test_the_master_may_end_it(self) -> None:
        self.open()
        waits = self.session.call("keepalive")
        self.said()
        self.say(CloseConnection(code=1001, reason="the master stops"))
        self.failureResultOf(waits)
        self.assertTrue(self.transport.aborted)


class Questions(LineCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_a_question_is_answered_refused_or_never(self) -> None:
        answered, refused = (self.session.call("write", "1", 0, b"x") for _ in range(2))
        numbers = [msgpack.unpackb(each.data)["seq_number"] for each in self.said()]  # type: ignore[attr-defined]
        for number, more in ((numbers[1], {"result": "no", "is_exception": True}), (numbers[0], {"result": 5})):
            for _ in range(2):  # the second time nobody asks
                self.say(BytesMessage(msgpack.packb({"op": "response", "seq_number": number, **more})))
        self.assertEqual(self.successResultOf(answered), 5)
        self.failureResultOf(refused, MasterRefuses)
        never = self.session.call("read", "1", 0, 1, timeout_seconds=10)
        self.clock.advance(10)
        self.failureResultOf(never)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.line._waiting, {})

    def test_a_half_open_connection_is_noticed(self) -> None:
        alive = self.session.call("keepalive", timeout_seconds=15)
        (ping,) = self.said()
        assert isinstance(ping, Ping)
        self.say(ping.response())
        self.successResultOf(alive)
        dead = self.session.call("keepalive", timeout_seconds=15)
        self.clock.advance(15)
        self.failureResultOf(dead)
        self.assertTrue(self.transport.aborted)
        self.say(Pong(b""), Pong(b""))  # too late
        self.socket.connectionLost(Failure(ConnectionLost()))

    def test_what_cannot_be_sent_is_refused_and_nothing_waits(self) -> None:
        self.failureResultOf(self.line.request("output", args=[1 << 70]), OverflowError)
        self.failureResultOf(self.line.request("output", args=["\udcff"]), UnicodeEncodeError)
        self.assertEqual(self.line._waiting, {})

    def test_questions_that_make_no_sense_are_refused(self) -> None:
        settings = {"max_line_length": 80, "newline_re": "\r"}
        for op, fields in (
            ("juggle", {}), ("remote_order", {"args": []}), ("__class__", {}), ("attach", {}), ("attach", {"args": {}}),
            ("attach", {"args": []}), ("attach", {"args": [1, 2]}), ("attach", {"args": [[1]]}),
            ("order", {"args": [5]}),
            ("interrupt", {"args": [["1"], "x"]}),
            ("disown", {"args": [{}]}),
            ("order", {"args": [{"id": "1", "name": "shell", "builddir": "../x", "args": {}, "held": 0}]}),
            ("setBuilderList", {"args": [5]}), ("resume", {"args": ["1", "x"]}),
            ("set_worker_settings", {}), ("set_worker_settings", {"args": {**settings, "newline_re": "("}}),
            ("set_worker_settings", {"args": {**settings, "max_line_length": -1}}),
            ("set_worker_settings", {"args": {**settings, "newline_re": 5}}),
            ("start_command", {}), ("start_command", {"command_id": "1", "command_name": "shell", "args": []}),
            ("start_command", {"command_id": "1", "command_name": "juggle", "args": {}}),
            ("start_command", {"command_id": "1", "command_name": "rmdir", "args": {"paths": [str(self.basedir)]}}),
            ("start_command", {"command_id": "1", "command_name": "rmdir", "args": {"paths": ["/etc"]}}),
            ("start_command", {"command_id": "1", "command_name": "upload_file", "args": {"path": "/etc/passwd"}}),
            ("start_command", {"command_id": "1", "command_name": "stat", "args": {"path": {"a": 1}}}),
        ):  # fmt: skip
            told = self.ask(op, **fields)
            self.assertEqual(set(told), {"result", "is_exception"}, (op, fields))
            self.assertTrue(told["result"])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertTrue(self.slave.bound.idle)
        for op, fields in (("interrupt_command", {}), ("set_worker_settings", {"args": settings}), ("print", {})):
            self.assertEqual(self.ask(op, **fields), {"result": None})
        self.assertEqual(self.ask("get_worker_info")["result"]["basedir"], str(self.basedir))
        self.assertFalse(self.transport.aborted)


class Lines(SynchronousTestCase):
    def test_whole_lines_and_what_is_left(self) -> None:
        for longest, pieces, told in (
            (10, ["one\ntw", "o\nthree"], ["one\n", "two\n", "three\n"]),
            (10, ["", "a\r", "\nb\r", "c\r"], ["a\n", "b\n", "c\n"]),
            (4, ["123456789\n1234\n1", "2345"], ["1234\n5678\n9\n1234\n", "1234\n", "5\n"]),
            (4, ["\n\n"], ["\n\n"]),
            (4, [], []),
        ):
            updates = LineUpdates("shell", "utf-8", LineRules(longest), None)
            found = [each for piece in pieces for each in updates.output([("stdout", piece.encode())])]
            found += updates.end({"reason": None, "result": None, "rc": 0, "elapsed": 1.0})[:-2]
            self.assertEqual([each["stdout"][0] for each in found], told)
            for each in found:
                text, places, times = each["stdout"]
                self.assertEqual(places, [place for place, letter in enumerate(text) if letter == "\n"])
                self.assertEqual(len(times), len(places))

    def test_nothing_waits_without_bound(self) -> None:
        updates = LineUpdates("shell", "utf-8", LineRules(), None)
        told = 0
        for _ in range(20):
            for each in updates.output([("log:x", b"x" * 60_000)]):
                told += len(each["log"][1][0].replace("\n", ""))
        self.assertLess(20 * 60_000 - told, 4097)

    def test_the_masters_rules(self) -> None:
        rules = LineRules.told({"max_line_length": 1 << 40, "newline_re": r"\x08+"})
        self.assertEqual(rules.divided("10%\x08\x08\x0820%"), "10%\n20%")
        with self.assertRaises(BadArguments):
            LineRules.told({"max_line_length": 0, "newline_re": ""})
