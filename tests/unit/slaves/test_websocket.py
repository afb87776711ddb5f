"""What may come over a WebSocket, before and after login, and what a worker may say in msgpack."""

from __future__ import annotations

import base64
from typing import Any

import msgpack
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, RejectConnection, Request
from wsproto.events import TextMessage as Text

from buildbot.slaves import websocket
from buildbot.slaves.bridge import NoAnswer
from buildbot.slaves.link import ANSWER_SECONDS, LinkLost, Refused
from buildbot.slaves.msgpacklink import MsgpackLink
from buildbot.slaves.ports import User
from buildbot.slaves.spelling import PathSpelling
from buildbot.slaves.websocket import LOGIN_BYTES, LOGIN_SECONDS, MESSAGE_BYTES, SocketFactory, WebSocket


class Avatar:
    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.messages: list[bytes] = []
        self.gone = 0

    def attached(self) -> None: ...

    def received(self, message: bytes) -> None:
        self.messages.append(message)

    def detached(self) -> None:
        self.gone += 1


def basic(name: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode())


class SocketCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = SocketFactory(self.clock)
        self.avatars: list[Avatar] = []

        def make(socket: WebSocket) -> Avatar:
            self.avatars.append(Avatar(socket))
            return self.avatars[-1]

        self.user = self.factory.users["bot"] = User(b"secret", make, set())

    def connect(self) -> tuple[WebSocket, WSConnection]:
        socket = self.factory.buildProtocol(None)
        socket.makeConnection(StringTransport())
        return socket, WSConnection(ConnectionType.CLIENT)

    def shake(self, socket: WebSocket, client: WSConnection, authorization: bytes | None) -> list[Event]:
        headers = [] if authorization is None else [(b"Authorization", authorization)]
        socket.dataReceived(client.send(Request(host="localhost", target="/", extra_headers=headers)))
        return self.heard(socket, client)

    def heard(self, socket: WebSocket, client: WSConnection) -> list[Event]:
        transport: Any = socket.transport
        client.receive_data(transport.value())
        transport.clear()
        return list(client.events())

    def log_in(self) -> tuple[WebSocket, WSConnection]:
        socket, client = self.connect()
        (answer,) = self.shake(socket, client, basic("bot", "secret"))
        assert isinstance(answer, AcceptConnection)
        return socket, client

    def assert_dropped(self, socket: WebSocket) -> None:
        transport: Any = socket.transport
        self.assertTrue(transport.disconnecting)


class TestLogin(SocketCase):
    def test_who_shows_the_password_is_let_in(self) -> None:
        socket, client = self.log_in()
        self.assertEqual((socket.user, self.user.connections, self.factory.connections), ("bot", {socket}, {socket}))
        self.clock.advance(LOGIN_SECONDS + 1)
        socket.dataReceived(client.send(BytesMessage(b"hello")))
        self.assertEqual(self.avatars[0].messages, [b"hello"])
        socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.avatars[0].gone, self.user.connections, self.factory.connections), (1, set(), set()))

    def test_nobody_else_is(self) -> None:
        for authorization in (
            None,
            basic("bot", "wrong"),
            basic("other", "secret"),
            basic("bot", ""),
            b"Basic ?",
            b"Basic",
            b"Bearer secret",
            b"Basic " + base64.b64encode(b"\xff:secret"),
            b"Basic " + base64.b64encode(b"n" * 300 + b":secret"),
            b"Basic " + base64.b64encode(b"bot"),
        ):
            socket, client = self.connect()
            answers = self.shake(socket, client, authorization)
            assert isinstance(answers[0], RejectConnection)
            self.assertEqual(answers[0].status_code, 401)
            self.assert_dropped(socket)
            socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.avatars, self.clock.getDelayedCalls()), ([], []))

    def test_too_much_or_too_late_before_login(self) -> None:
        socket, _ = self.connect()
        socket.dataReceived(b"GET / HTTP/1.1\r\nX: " + b"x" * LOGIN_BYTES)
        self.assert_dropped(socket)
        socket, _ = self.connect()
        self.clock.advance(LOGIN_SECONDS)
        self.assert_dropped(socket)

    def test_what_is_no_websocket(self) -> None:
        for garbage in (
            b"\0" * 100 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: \xca\r\n\r\n",
            b"POST / HTTP/1.0\r\n\r\n",
        ):
            socket, _ = self.connect()
            socket.dataReceived(garbage)
            self.assert_dropped(socket)
        self.assertEqual(self.avatars, [])


class TestMessages(SocketCase):
    def test_pieces_of_a_message_are_joined(self) -> None:
        socket, client = self.log_in()
        for piece, finished in ((b"one ", False), (b"two ", False), (b"three", True)):
            for byte in client.send(BytesMessage(piece, message_finished=finished)):
                socket.dataReceived(bytes([byte]))
        self.assertEqual(self.avatars[0].messages, [b"one two three"])

    def test_one_that_is_too_large_is_not_kept(self) -> None:
        for finished in (True, False):
            socket, client = self.log_in()
            piece = b"x" * (1 << 20)
            for _ in range(MESSAGE_BYTES // len(piece)):
                socket.dataReceived(client.send(BytesMessage(piece, message_finished=False)))
            self.assertFalse(socket.transport.disconnecting)  # type: ignore[union-attr]
            socket.dataReceived(client.send(BytesMessage(b"x", message_finished=finished)))
            self.assert_dropped(socket)
            self.assertEqual(self.avatars[-1].messages, [])

    def test_pings_are_answered_and_an_end_is_confirmed(self) -> None:
        socket, client = self.log_in()
        socket.dataReceived(client.send(Ping(b"?")))
        (pong,) = self.heard(socket, client)
        self.assertEqual(bytes(pong.payload), b"?")  # type: ignore[attr-defined]
        socket.dataReceived(client.send(CloseConnection(code=1000)))
        self.assertEqual([type(each) for each in self.heard(socket, client)], [CloseConnection])
        self.assert_dropped(socket)

    def test_text_and_broken_frames_are_not_taken(self) -> None:
        socket, client = self.log_in()
        socket.dataReceived(client.send(Text("hello")))
        self.assert_dropped(socket)
        for frame in (b"\xff" * 100, b"\x82\x01x", b"\x83\x80\0\0\0\0", b"\x80\x80\0\0\0\0"):
            self.setUp()  # lines are few for each port
            socket, _ = self.log_in()
            with capturedLogs() as logs:
                socket.dataReceived(frame)
            self.assert_dropped(socket)
            self.assertIn("it does not speak WebSocket", " ".join(formatEvent(each) for each in logs))

    def test_who_does_not_read_is_dropped(self) -> None:
        self.patch(websocket, "UNREAD_BYTES", 10_000)
        socket, client = self.log_in()
        ping = client.send(Ping(b"x" * 125))
        socket.pauseProducing()
        socket.dataReceived(ping * 50)
        socket.resumeProducing()
        socket.pauseProducing()
        socket.dataReceived(ping * 50)
        self.assertFalse(socket.transport.disconnecting)  # type: ignore[union-attr]
        socket.dataReceived(ping * 50)
        self.assert_dropped(socket)

    def test_closing_says_so(self) -> None:
        socket, client = self.log_in()
        socket.close()
        socket.close()
        self.assertEqual([type(each) for each in self.heard(socket, client)], [CloseConnection])
        self.assert_dropped(socket)


class Socket:
    address = "somewhere"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.dropped: list[str] = []
        self.held: list[bool] = []

    def send(self, message: bytes) -> None:
        self.sent.append(msgpack.unpackb(message))

    def drop(self, why: str) -> None:
        self.dropped.append(why)

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def hold(self, held: bool) -> None:
        self.held.append(held)


class TestLink(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.socket = Socket()
        self.link = MsgpackLink(self.socket, self.clock)

    def ask(self, what: str, *args: Any) -> Deferred[Any]:
        return ensureDeferred(self.link.ask(what, *args))

    def says(self, **message: Any) -> None:
        self.link.received(msgpack.packb(message))

    def test_questions_are_answered_refused_late_or_lost(self) -> None:
        first, second, third, fourth = (self.ask("print", str(number)) for number in range(4))
        numbers = [each["seq_number"] for each in self.socket.sent]
        self.assertEqual(self.socket.sent[0], {"op": "print", "seq_number": numbers[0], "message": "0"})
        self.says(op="response", seq_number=numbers[1], result=[1])
        self.assertEqual(self.successResultOf(second), [1])
        self.says(op="response", seq_number=numbers[0], result="no", is_exception=True)
        self.assertEqual(str(self.failureResultOf(first, Refused).value), "no")
        self.clock.advance(ANSWER_SECONDS)
        self.failureResultOf(third, NoAnswer)
        self.failureResultOf(fourth, NoAnswer)
        self.says(op="response", seq_number=numbers[2], result="late")
        last = self.ask("getSlaveInfo")
        self.assertEqual(self.socket.sent[-1]["op"], "get_worker_info")
        self.link.lost()
        self.failureResultOf(last, LinkLost)
        self.failureResultOf(self.ask("shutdown"), LinkLost)
        self.assertEqual((self.clock.getDelayedCalls(), self.socket.dropped), ([], []))

    def test_what_cannot_be_sent_is_refused(self) -> None:
        self.failureResultOf(ensureDeferred(self.link.request("start_command", args=object())), Refused)
        self.assertEqual(self.socket.sent, [])

    def test_who_sends_no_messages_is_dropped(self) -> None:
        nested = b"\x91" * 100_000 + b"\xc0"
        many = b"\xdd\x00\x0f\x00\x00" + b"\x00" * 0xF0000
        for garbage in (
            b"", b"\xc1", nested, many, b"\xd4\x05x", b"\xa1\xff", msgpack.packb([1]), msgpack.packb({"op": "update"}),
            msgpack.packb({"op": 5, "seq_number": 1}), msgpack.packb({"op": "update", "seq_number": "1"}),
            msgpack.packb({"op": "update", "seq_number": 1, "when": msgpack.Timestamp(1)}),
        ):  # fmt: skip
            before = len(self.socket.dropped)
            self.link.received(garbage)
            self.assertEqual(len(self.socket.dropped), before + 1, garbage[:50])

    def test_each_question_of_the_worker_is_answered(self) -> None:
        async def hear(op: str, message: Any) -> Any:
            match op:
                case "read":
                    return b"bytes"
                case "bad":
                    raise pb.Error("not so")
            raise ZeroDivisionError

        self.says(op="read", seq_number=1)
        self.link.hear = hear
        for number, op in enumerate(("read", "bad", "bug"), 2):
            self.says(op=op, seq_number=number)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        results = [(each["seq_number"], each["result"], each.get("is_exception", False)) for each in self.socket.sent]
        internal = "internal error; the buildmaster's log says what it is"
        self.assertEqual(results[:2], [(1, "the master is not ready", True), (2, b"bytes", False)])
        self.assertEqual(results[2:], [(3, "not so", True), (4, internal, True)])


class TestPaths(SynchronousTestCase):
    def parts(self, name: str, windows: bool = False, **args: Any) -> list[tuple[str, dict[str, Any]]]:
        root = "C:\\bot\\b" if windows else "/bot/b"
        spelling = PathSpelling(root=root, home="/home/ann", counts_lines=True, windows=windows)
        return [(part.name, part.args) for part in spelling.parts(name, args)]

    def test_are_absolute(self) -> None:
        self.assertEqual(self.parts("stat", file="f", workdir="w"), [("stat", {"path": "/bot/b/w/f"})])
        self.assertEqual(self.parts("listdir", dir="d", windows=True), [("listdir", {"path": "C:\\bot\\b\\d"})])
        self.assertEqual(self.parts("rmfile", path="~/f"), [("rmfile", {"path": "/home/ann/f"})])
        self.assertEqual(self.parts("glob", path="/abs/*"), [("glob", {"path": "/abs/*"})])
        ((_, copying),) = self.parts("cpdir", fromdir="a", todir="b")
        self.assertEqual((copying["from_path"], copying["to_path"]), ("/bot/b/a", "/bot/b/b"))
        self.assertEqual(
            [args["paths"] for _, args in self.parts("mkdir", dir=["x", "y"])], [["/bot/b/x"], ["/bot/b/y"]]
        )

    def test_of_transfers(self) -> None:
        ((name, args),) = self.parts("uploadFile", slavesrc="f", workdir="w")
        self.assertEqual((name, args["path"], args["keepstamp"]), ("upload_file", "/bot/b/w/f", False))
        ((name, args),) = self.parts("downloadFile", slavedest="~/f", workdir="w", mode=0o600)
        self.assertEqual((name, args["path"], args["mode"]), ("download_file", "/home/ann/f", 0o600))

    def test_secret_words_are_hidden_by_the_master(self) -> None:
        spelling = PathSpelling(root="/b", home="~", counts_lines=True, windows=False)
        (part,) = spelling.parts("shell", {"command": ["a", ("obfuscated", "s3cret", "XX")], "workdir": "w"})
        self.assertEqual((part.args["command"], part.hidden), (["a", "s3cret"], {"s3cret": "XX"}))
