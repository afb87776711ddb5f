"""What a peer may do to a Perspective Broker connection: the broker that drops whoever sends too much or too late.

Twisted's own broker bounds each string and each list but not their sum, waits for ever, builds every class that any
library has registered, and logs a traceback for whatever a stranger sends. Here:

- before login, a connection may send `LOGIN_BYTES` in all and last `LOGIN_SECONDS`;
- after it, one expression may hold `EXPRESSION_BYTES`, `EXPRESSION_ITEMS` items and be nested `EXPRESSION_DEPTH` deep;
- only None, bool, int, float, bytes, str, list, tuple, dict and references to Referenceables cross, both ways;
- what came is decoded as long as there is time in a turn of the reactor, and the rest in later ones (`turns`);
- a breach of the protocol drops the connection with one line in the log, and those lines are limited in number;
- a method that raises `pb.Error` answers with it; what else it raises is logged once and answered as `InternalError`.

Knows nothing of users and passwords (`pbport`) nor of what the methods mean.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.spread import pb
from twisted.spread.banana import BananaError
from twisted.spread.flavors import NoSuchMethod
from twisted.spread.jelly import InsecureJelly, SecurityOptions

from buildbot.slaves.turns import Turns

LOGIN_BYTES = 4 * 1024
LOGIN_SECONDS = 30.0
EXPRESSION_BYTES = 4 * 1024 * 1024
EXPRESSION_ITEMS = 200_000
EXPRESSION_DEPTH = 100
SLICE_BYTES = 4 * 1024  # Twisted's decoder copies the rest of its buffer for each token: short buffers keep that cheap

_COPYABLE_FAILURE = b"twisted.spread.pb.CopyableFailure"
_LOG_LINES_A_MINUTE = 20
_LOG_SUBJECTS = 1000


class InternalError(pb.Error):
    """Something went wrong inside the buildmaster; its log says what."""


class NotPlainData(pb.Error):
    """Only None, bool, int, float, bytes, str, list, tuple, dict and references to Referenceables are taken."""


class FewLines:
    """Log lines about what strangers do: one a minute for each subject, twenty a minute in all, the rest is counted."""

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._said: OrderedDict[str, float] = OrderedDict()
        self._minute = 0
        self._lines = 0
        self._unsaid = 0

    def warn(self, subject: str, format: str, **fields: object) -> None:
        now = self._clock.seconds()
        if int(now // 60) != self._minute:
            self._minute, self._lines = int(now // 60), 0
        said_at = self._said.get(subject)
        if self._lines >= _LOG_LINES_A_MINUTE or (said_at is not None and now - said_at < 60):
            self._unsaid += 1
            return
        self._said[subject] = now
        self._said.move_to_end(subject)
        if len(self._said) > _LOG_SUBJECTS:
            self._said.popitem(last=False)
        self._lines += 1
        unsaid, self._unsaid = self._unsaid, 0
        self._log.warn(format + (" ({unsaid} such lines were left out)" if unsaid else ""), unsaid=unsaid, **fields)

    def refused(self, username: str, address: str, *, known: bool) -> None:
        """Somebody did not get in. known: there is such a user, and the password was wrong."""
        unknown = "no slave or change source of master.cfg has this name on this port; add it, or correct it there"
        wrong = "the password is wrong; compare it with the one in master.cfg"
        self.warn(
            f"login {username} {address}",
            "refused the login of {username!r} from {address}: {why}",
            username=username[:64],
            address=address,
            why=wrong if known else unknown,
        )


class PlainData(SecurityOptions):
    """Says which types cross the wire, both ways. `shared` is set when an expression refers to a part of itself."""

    INCOMING = frozenset(
        (b"None", b"boolean", b"unicode", b"list", b"tuple", b"dictionary", b"reference", b"dereference", b"remote")
    )
    OUTGOING = frozenset(
        b"builtins." + name
        for name in (b"NoneType", b"bool", b"int", b"float", b"str", b"bytes", b"list", b"tuple", b"dict")
    )

    def __init__(self) -> None:
        super().__init__()
        self.shared = False

    def isTypeAllowed(self, typeName: Any) -> bool:
        name = typeName.encode() if isinstance(typeName, str) else typeName
        if name in self.INCOMING:
            self.shared = self.shared or name in (b"reference", b"dereference")
            return True
        if name in self.OUTGOING:
            return True
        raise InsecureJelly(f"{name!r} is not plain data")


class _Stack(list[Any]):
    """The unfinished lists of the expression that is being read; raises when they are too many or too long."""

    items = 0

    def append(self, entry: tuple[int, list[Any]]) -> None:
        self.items += entry[0]
        if self.items > EXPRESSION_ITEMS:
            raise BananaError(f"one expression holds more than {EXPRESSION_ITEMS} items")
        if len(self) >= EXPRESSION_DEPTH:
            raise BananaError(f"an expression is nested more than {EXPRESSION_DEPTH} deep")
        super().append(entry)


class GuardedBroker(pb.Broker):
    """One connection. `user` is None until somebody has logged in on it; `heard_at` is when it last sent a byte."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, few_lines: FewLines, turns: Turns) -> None:
        super().__init__(isClient=0, security=PlainData())
        self._stack = self.listStack = _Stack()
        self.user: str | None = None
        self.heard_at = clock.seconds()
        self.dropped = False
        self._clock = clock
        self._few_lines = few_lines
        self._turns = turns
        self._data = b""  # has come and was not looked at yet
        self._waits = False  # for its turn
        self._begun = self._ended = False
        self._on_hold = False
        self._received = 0  # bytes before login
        self._held = 0  # bytes of the unfinished expression
        self._too_late: IDelayedCall | None = None

    # -- the connection

    @property
    def address(self) -> str:
        """Where the peer is. Behind a proxy that tells it (`haproxy:`), it is known with the first bytes."""
        return address_of(self.transport)

    def connectionMade(self) -> None:
        self._too_late = self._clock.callLater(
            LOGIN_SECONDS, self.drop, f"it did not log in within {LOGIN_SECONDS:.0f} seconds"
        )
        self._go_on()

    def logged_in(self, user: str) -> None:
        """The peer has shown that it is `user`: the limits of the login end."""
        self.user = user
        self._forget_timer()

    def drop(self, why: str) -> None:
        """End the connection at once and say so in the log."""
        if self.dropped or self.disconnected:
            return
        self.dropped = True
        who = "a stranger" if self.user is None else repr(self.user)
        self._few_lines.warn(
            f"drop {self.address} {self.user}",
            "dropped the Perspective Broker connection of {who} at {address}: {why}",
            who=who,
            address=self.address,
            why=why,
        )
        self.abort()

    def abort(self) -> None:
        """End the connection at once; what was not sent yet is lost."""
        transport: Any = self.transport
        if transport is not None and not self.disconnected:
            transport.abortConnection()

    def close(self) -> None:
        """End the connection when what was written is sent."""
        if self.transport is not None and not self.disconnected:
            self.transport.loseConnection()

    def hold(self, held: bool) -> None:
        """Read nothing more, or go on."""
        self._on_hold = held
        self._read_or_not()

    def _read_or_not(self) -> None:
        transport: Any = self.transport
        if transport is not None and not self.disconnected:
            (transport.pauseProducing if self._on_hold or self._waits else transport.resumeProducing)()

    def close_soon(self) -> None:
        """End the connection in the next turn of the reactor: what is answered in this one is still sent."""
        self._clock.callLater(0, self.close)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._forget_timer()
        if self.user is None:
            handshake_problem(self._few_lines, self.address, reason)
        while self._data and not self.dropped:
            self._do_some()
        self._ended = True
        super().connectionLost(reason)

    def _forget_timer(self) -> None:
        if self._too_late is not None and self._too_late.active():
            self._too_late.cancel()

    def dataReceived(self, chunk: bytes) -> None:
        self.heard_at = self._clock.seconds()
        if self.user is None and not self.dropped:
            self._received += len(chunk)
            if self._received > LOGIN_BYTES:
                self.drop(f"it sent more than {LOGIN_BYTES} bytes before login")
        self._data += chunk
        if not self._waits:
            self._go_on()

    def _go_on(self) -> None:
        """Begin, and decode what has come, as long as there is time in this turn of the reactor."""
        waited, self._waits = self._waits, False
        while (self._data or not self._begun) and not self.dropped and not self._ended:
            if not self._turns.has_time():
                self._waits = True
                self._turns.later(self._go_on)
                break
            self._do_some()
        if self._waits is not waited:
            self._read_or_not()

    def _do_some(self) -> None:
        if not self._begun:
            self._begun = True
            super().connectionMade()
            return
        piece, self._data = self._data[:SLICE_BYTES], self._data[SLICE_BYTES:]
        self._decode(piece)

    def _decode(self, piece: bytes) -> None:
        self._held += len(piece)
        if self._held > EXPRESSION_BYTES:
            self.drop(f"one expression of it is larger than {EXPRESSION_BYTES} bytes")
            return
        try:
            super().dataReceived(piece)
        except Exception as problem:
            self.drop(f"it does not speak Perspective Broker ({type(problem).__name__}: {str(problem)[:200]})")
            return
        if not self.listStack:
            self._held = len(self.buffer)

    def callExpressionReceived(self, obj: Any) -> None:
        self._held = 0
        self._stack.items = 0
        if not self.dropped:
            super().callExpressionReceived(obj)

    # -- data of the peer

    def unserialize(self, sexp: Any, perspective: Any = None) -> Any:
        """The data of an expression. Raises NotPlainData; a stranger is dropped for it."""
        self.security.shared = False
        try:
            value = super().unserialize(sexp, perspective)
            if self.security.shared:
                _check_tree(value)
        except Exception as problem:
            if self.user is None:
                self.drop("it sent what is not plain data")
            raise NotPlainData(f"only plain data is taken: {str(problem)[:200]}") from None
        return value

    def proto_message(
        self, requestID: Any, objectID: Any, message: Any, answerRequired: Any, netArgs: Any, netKw: Any
    ) -> None:
        if not isinstance(requestID, int) or not isinstance(objectID, (int, bytes)) or not isinstance(message, bytes):
            raise pb.ProtocolError("a malformed message")
        try:
            target = self.localObjectForID(objectID)
            if target is None:
                raise pb.Error("there is no such object on this connection")
            result = target.remoteMessageReceived(self, message.decode("utf-8", "replace"), netArgs, netKw)
        except Exception:
            self._refuse(Failure(), requestID, answerRequired)
            return
        if isinstance(result, Deferred):
            rest = (requestID, answerRequired)
            _ = result.addCallbacks(self._answer, self._refuse, callbackArgs=rest, errbackArgs=rest)
        else:
            self._answer(result, requestID, answerRequired)

    def _answer(self, result: Any, request: int, wanted: Any) -> None:
        if wanted and not self.disconnected:
            self.sendCall(b"answer", request, result)

    def _refuse(self, failure: Failure, request: int, wanted: Any) -> None:
        if failure.check(pb.Error, UnauthorizedLogin, NoSuchMethod) is None:
            self._log.failure("a call of {user} at {address} failed", failure, user=self.user, address=self.address)
            failure = Failure(InternalError("internal error; the buildmaster's log says what it is"))
        if wanted and not self.disconnected:
            self._sendError(failure, request)

    def _waiter(self, request: Any) -> Deferred[Any]:
        waiter = self._waiting().pop(request, None)
        if waiter is None:
            raise pb.ProtocolError("an answer to a question that was not asked")
        return waiter

    def _waiting(self) -> dict[Any, Deferred[Any]]:
        waiting: Any = self.waitingForAnswers
        return waiting if waiting is not None else {}

    def proto_answer(self, requestID: Any, netResult: Any) -> None:
        waiter = self._waiter(requestID)
        try:
            value = self.unserialize(netResult)
        except Exception:
            waiter.errback(Failure())
        else:
            waiter.callback(value)

    def proto_error(self, requestID: Any, fail: Any) -> None:
        """The peer's method raised. Whatever it claims, the caller gets a `pb.RemoteError` with three strings."""
        waiter = self._waiter(requestID)
        try:
            error = self._remote_error(fail)
        except Exception:
            waiter.errback(Failure(NotPlainData("the peer failed, and how is not plain data")))
        else:
            waiter.errback(Failure(error))

    def _remote_error(self, jellied: Any) -> Exception:
        state = _failure_of(jellied)
        if state is not None:
            return pb.RemoteError(*(_text(state.get(name)) for name in ("type", "value", "traceback")))
        return pb.RemoteError("", _text(self.unserialize(jellied)), "")

    def with_errors_as_text(self, arguments: Any) -> Any:
        """The arguments of a message as they came, but for failures, which are what they say in words."""
        if not isinstance(arguments, list):
            return arguments
        return [each if (state := _failure_of(each)) is None else _in_words(state) for each in arguments]

    def proto_decref(self, objectID: Any) -> None:
        if not isinstance(objectID, int) or objectID not in self.localObjects:
            raise pb.ProtocolError("gave back what it did not hold")
        super().proto_decref(objectID)

    def _not_spoken(self, *args: Any) -> None:
        raise pb.ProtocolError("a message that is not spoken here")

    proto_cachemessage = proto_decache = proto_uncache = proto_didNotUnderstand = _not_spoken

    def _sendMessage(self, *args: Any) -> Any:
        try:
            return super()._sendMessage(*args)
        except BananaError:  # Twisted leaves the question waiting for the answer that cannot come
            self._waiting().pop(self.currentRequestID, None)
            return fail()


def address_of(transport: Any) -> str:
    """Where the peer of a connection is."""
    peer = None if transport is None else transport.getPeer()
    return getattr(peer, "host", None) or "an unknown address"


def handshake_problem(few_lines: FewLines, address: str, reason: Failure) -> None:
    """Say why a connection has ended, if its TLS handshake was why."""
    if type(reason.value).__module__.startswith("OpenSSL"):
        few_lines.warn(
            f"tls {address}",
            "a connection from {address} failed in its TLS handshake: {why}",
            address=address,
            why=_tls_sentence(reason.value),
        )


def _tls_sentence(problem: Any) -> str:
    said = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []  # (library, function, reason)
    return "; ".join(str(each[-1]) for each in said) or "the peer ended it"


def _check_tree(value: Any) -> None:
    """Raise unless the value, with every shared part counted each time, is a small enough tree of plain data."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    count = 0
    while waiting:
        item, depth = waiting.pop()
        count += 1
        if count > EXPRESSION_ITEMS or depth > EXPRESSION_DEPTH:
            raise InsecureJelly("an expression that refers to itself")
        if isinstance(item, dict):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, (list, tuple)):
            waiting += [(part, depth + 1) for part in item]
        elif item is not None and not isinstance(item, (str, bytes, int, float, pb.RemoteReference)):
            raise InsecureJelly(f"{type(item).__name__} is not plain data")


def _failure_of(jellied: Any) -> dict[str, Any] | None:
    """What a failure of the peer holds, None for anything else."""
    if not isinstance(jellied, list) or len(jellied) != 2 or jellied[0] != _COPYABLE_FAILURE:
        return None
    try:
        return {_text(key): value for key, value in _leaves(jellied[1]).items()}
    except (TypeError, ValueError, IndexError):
        return {}


def _in_words(state: dict[str, Any]) -> list[bytes]:
    name, value = _text(state.get("type")).rpartition(".")[2], _text(state.get("value"))
    return [b"unicode", f"{name}: {value}".strip(": ").encode()]


def _leaves(jellied: Any) -> dict[Any, Any]:
    """The strings of a jellied dictionary, whatever else it holds: failures of old peers hold all sorts of things."""
    if jellied[0] == b"reference":
        jellied = jellied[2]
    return {_string(key): _string(value) for key, value in jellied[1:]}


def _string(jellied: Any) -> Any:
    return jellied[1] if isinstance(jellied, list) and jellied[0] == b"unicode" else jellied


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text[:10_000]
