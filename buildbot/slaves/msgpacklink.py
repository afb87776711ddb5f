"""Questions to a worker over WebSocket, and what it asks: msgpack, one dictionary a message.

{"op": NAME, "seq_number": N, ...}                                            either side asks
{"op": "response", "seq_number": N, "result": ..., ["is_exception": True]}    the other side answers

Our own slave speaks its dialect here too: the names are those of Perspective Broker, with `args`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgpack  # type: ignore[import-untyped]
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.slaves.link import LinkLost, Refused, in_time

MOST_ITEMS = 200_000  # in one list
DEEPEST = 50  # of what is asked
TUPLE = 1  # the msgpack extension as which our own slave gets a tuple
_OF_WORKERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "getSlaveInfo": ("get_worker_info", ()),
    "keepalive": ("keepalive", ()),
    "print": ("print", ("message",)),
    "shutdown": ("shutdown", ()),
}
"""What a worker is asked too: its op, and the names of the arguments."""


class Socket(Protocol):
    """A connection that carries messages whole."""

    @property
    def address(self) -> str: ...

    def send(self, message: bytes) -> None: ...

    def drop(self, why: str) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def hold(self, held: bool) -> None: ...


Hear = Callable[[str, Mapping[str, Any]], Awaitable[Any]]


class MsgpackLink:
    """One connection. hear(op, message): what the worker asks is answered with; it may raise `pb.Error`."""

    _log = Logger()

    def __init__(self, socket: Socket, clock: IReactorTime) -> None:
        self.hear: Hear | None = None
        self._socket = socket
        self._clock = clock
        self._number = 0
        self._waiting: dict[int, Deferred[Any]] = {}
        self._lost = False

    @property
    def address(self) -> str:
        return self._socket.address

    async def ask(self, what: str, *args: Any, timeout: float | None = None) -> Any:
        if what in _OF_WORKERS:
            op, names = _OF_WORKERS[what]
            return await self.request(op, timeout=timeout, **dict(zip(names, args, strict=True)))
        return await self.request(what, timeout=timeout, args=[_with_tuples(each) for each in args])

    async def request(self, op: str, *, timeout: float | None = None, **fields: Any) -> Any:
        """The answer of the worker. Raises NoAnswer, LinkLost, Refused."""
        if self._lost:
            raise LinkLost("the connection was lost")
        self._number += 1
        number = self._number
        try:
            message = msgpack.packb({"op": op, "seq_number": number, **fields}, use_bin_type=True)
        except (TypeError, ValueError, OverflowError) as problem:
            raise Refused(f"{op} cannot be sent: {problem}") from None
        answer: Deferred[Any] = Deferred()
        self._waiting[number] = answer
        self._socket.send(message)
        try:
            return await in_time(answer, op, self._clock, timeout)
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def hold(self, held: bool) -> None:
        self._socket.hold(held)

    def lost(self) -> None:
        """The connection is gone: nothing is answered any more."""
        self._lost = True
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(LinkLost("the connection was lost"))

    # -- what comes

    def received(self, data: bytes) -> None:
        most = min(MOST_ITEMS, len(data))  # room is made for as many as are announced
        try:
            message = msgpack.unpackb(
                data, raw=False, strict_map_key=True, max_array_len=most, max_map_len=most, max_ext_len=0
            )
        except (ValueError, msgpack.UnpackException) as problem:
            self._socket.drop(f"it sent what is not msgpack ({str(problem)[:200]})")
            return
        op, number = (message.get("op"), message.get("seq_number")) if isinstance(message, dict) else (None, None)
        if not isinstance(op, str) or not isinstance(number, int):
            self._socket.drop("it sent a message without op or seq_number")
        elif op == "response":
            self._answered(number, message)
        else:
            ensureDeferred(self._respond(op, number, message))  # type: ignore[unused-awaitable]  # all is handled in it

    def _answered(self, number: int, message: Mapping[str, Any]) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            return  # too late
        if message.get("is_exception"):
            waiting.errback(Refused(str(message.get("result"))[:2000]))
        else:
            waiting.callback(message.get("result"))

    async def _respond(self, op: str, number: int, message: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"op": "response", "seq_number": number}
        try:
            if self.hear is None:
                raise pb.Error("the master is not ready")
            answer["result"] = await self.hear(op, message)
        except CancelledError:
            return
        except pb.Error as refused:
            answer |= {"result": str(refused), "is_exception": True}
        except Exception:
            self._log.failure("the message {op} of {address} failed", op=op[:100], address=self.address)
            answer |= {"result": "internal error; the buildmaster's log says what it is", "is_exception": True}
        if not self._lost:
            self._socket.send(msgpack.packb(answer, use_bin_type=True))


def _with_tuples(value: Any, depth: int = 0) -> Any:
    """The value so that tuples in it can be told from lists."""
    if depth > DEEPEST:
        raise Refused("the arguments are nested too deep")
    if isinstance(value, Mapping):
        return {key: _with_tuples(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_with_tuples(each, depth + 1) for each in value]
        return msgpack.ExtType(TUPLE, msgpack.packb(items, use_bin_type=True)) if isinstance(value, tuple) else items
    return value
