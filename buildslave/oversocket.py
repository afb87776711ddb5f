"""The connection to the master over WebSocket (`msgpack_experimental_v7`): questions and answers, both ways.

{"op": NAME, "seq_number": N, ...}                                            either side asks
{"op": "response", "seq_number": N, "result": ..., ["is_exception": True]}    the other side answers

A master of this version calls here what it calls over Perspective Broker, by the same names, with `args`; one of 4.x
has calls of its own, see `eras.worker`. Needs the packages msgpack and wsproto.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgpack  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread import pb

from buildslave.eras.spelling import as_text
from buildslave.eras.worker import WorkerCommands
from buildslave.errors import BadArguments, Refusal
from buildslave.line import Dial
from buildslave.mind import Mind
from buildslave.session import Remote
from buildslave.websocket import WebSocket

MOST_ITEMS = 200_000
"""In one list or map."""
TUPLE = 1
"""The msgpack extension that a master of this version sends a tuple as."""
OURS = frozenset({"attach", "resume", "order", "interrupt", "disown", "setBuilderList"})


class UnknownMessage(Refusal):
    """This slave does not know the message."""


class SocketLine:
    """A `Line`, and once logged in the `Remote` that is the master's side of this slave."""

    _log = Logger()

    def __init__(self, socket: WebSocket, host: str | None, path: str = "/") -> None:
        """`host`: what the master is called in the handshake; None: where it is connected. `path`: of its URL."""
        self._socket = socket
        self._host = host
        self._path = path
        self._number = 0
        self._waiting: dict[int, Deferred[Any]] = {}
        self._lost = False
        self._told: Callable[[Failure], None] = lambda _: None
        self._calls: Calls | None = None

    # -- Line

    def watch(self, heard: Callable[[], None], lost: Callable[[Failure], None]) -> None:
        self._socket.heard, self._socket.lost, self._told = heard, self._is_lost, lost

    def log_in(self, name: str, password: str, mind: Mind) -> Deferred[Remote]:
        self._calls = Calls(mind, self.request)
        self._socket.received = self._received
        return self._socket.open(self._host, self._path, name, password).addCallback(lambda _: self)

    def abort(self) -> None:
        self._socket.abort()

    def _is_lost(self, reason: Failure) -> None:
        self._lost = True
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(Failure(ConnectionLost("the connection is gone")))
        self._told(reason)

    # -- questions

    def callRemote(self, method: str, /, *args: Any) -> Deferred[Any]:
        if method == "keepalive":
            return self._socket.ping()
        return self.request(method, args=list(args))

    def request(self, op: str, **fields: Any) -> Deferred[Any]:
        """The master's answer. Fails with MasterRefuses, or with the lost connection."""
        if self._lost:
            return fail(ConnectionLost("the connection is gone"))
        self._number += 1
        number = self._number
        try:
            message = msgpack.packb({"op": op, "seq_number": number, **fields}, use_bin_type=True)
        except (TypeError, ValueError, OverflowError):
            return fail(Failure())
        answer: Deferred[Any] = Deferred(lambda _: self._forget(number))
        self._waiting[number] = answer
        self._socket.send(message)
        return answer

    def _forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    # -- what comes

    def _received(self, data: bytes) -> None:
        try:
            message = _unpacked(data)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as problem:
            self._socket.drop(f"it sent what is not msgpack ({str(problem)[:200]})")
            return
        op, number = (message.get("op"), message.get("seq_number")) if isinstance(message, dict) else (None, None)
        if not isinstance(op, str) or not isinstance(number, int):
            self._socket.drop("it sent a message without op or seq_number")
        elif op == "response":
            self._answered(number, message)
        else:
            self._respond(op, number, message)

    def _answered(self, number: int, message: Mapping[str, Any]) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            return  # too late
        if message.get("is_exception"):
            waiting.errback(Failure(MasterRefuses(str(message.get("result"))[:2000])))
        else:
            waiting.callback(message.get("result"))

    def _respond(self, op: str, number: int, message: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"op": "response", "seq_number": number}
        try:
            assert self._calls is not None
            answer["result"] = self._calls.answer(op, message)
            packed = msgpack.packb(answer, use_bin_type=True)
        except pb.Error as refused:
            packed = self._refusal(number, str(refused))
        except Exception:
            self._log.failure("the master's message {op} failed", op=op[:100])
            packed = self._refusal(number, "the slave failed; its log says how")
        self._socket.send(packed)

    @staticmethod
    def _refusal(number: int, why: str) -> bytes:
        answer = {"op": "response", "seq_number": number, "result": as_sendable(why), "is_exception": True}
        packed: bytes = msgpack.packb(answer, use_bin_type=True)
        return packed


class MasterRefuses(Exception):
    """The master answered with an error; the text is what it said."""


class Calls:
    """What the master asks, by its name."""

    def __init__(self, mind: Mind, request: Callable[..., Deferred[Any]]) -> None:
        self._mind = mind
        self._request = request
        self._worker: WorkerCommands | None = None

    def answer(self, op: str, message: Mapping[str, Any]) -> Any:
        """Raises `pb.Error` for what is refused."""
        match op:
            case "get_worker_info":
                return self._mind.remote_getWorkerInfo()
            case "keepalive":
                return None
            case "print":
                return self._mind.remote_print(str(as_text(message.get("message"))))
            case "shutdown":
                return self._mind.remote_shutdown()
            case "set_worker_settings":
                return self._of_4(message).settings(message.get("args"))
            case "start_command":
                return self._of_4(message).start(message)
            case "interrupt_command":
                return self._of_4(message).interrupt(message)
        if op in OURS:
            return self._of_ours(op, message.get("args"))
        raise UnknownMessage(f"this slave knows no message {op[:100]!r}")

    def _of_ours(self, op: str, args: object) -> Any:
        if not isinstance(args, list):
            raise BadArguments(f"{op}: args must be a list")
        method = getattr(self._mind, f"remote_{op}")
        if len(args) != method.__code__.co_argcount - 1:
            raise BadArguments(f"{op}: {len(args)} arguments are not what it takes")
        return method(*args)

    def _of_4(self, message: Mapping[str, Any]) -> WorkerCommands:
        if self._worker is None:
            self._worker = WorkerCommands(self._mind.meet_master_of_other_era(), self._request)
        return self._worker


def _unpacked(data: bytes) -> Any:
    most = min(MOST_ITEMS, len(data))  # room is made for as many as are announced
    return msgpack.unpackb(
        data, raw=False, strict_map_key=False, max_array_len=most, max_map_len=most, ext_hook=_extension
    )


def _extension(code: int, data: bytes) -> Any:
    if code != TUPLE:
        raise ValueError(f"extension {code} is not known here")
    return tuple(_unpacked(data))


def as_sendable(text: str) -> str:
    """Without what is no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def dial_as(host: str | None, path: str) -> Dial:
    """Connects; `host` and `path` as for SocketLine."""

    def dial(endpoint: IStreamClientEndpoint) -> Deferred[Any]:
        factory: Any = Factory.forProtocol(WebSocket)
        factory.noisy = False
        connected: Deferred[Any] = endpoint.connect(factory)
        return connected.addCallback(lambda socket: SocketLine(socket, host, path))

    return dial
