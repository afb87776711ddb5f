"""A small master on a real loopback port that speaks the slave's dialect, checks it, and can be told to misbehave."""

import hashlib
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.spread import pb
from zope.interface import implementer


class Log:
    """What the master holds of one command."""

    def __init__(self) -> None:
        self.held = 0
        self.pieces: list[tuple[str, bytes]] = []

    def take(self, position: int, pieces: list[Any]) -> int:
        """Add what is new; checks the rules of a call."""
        size = sum(len(data) for _, data in pieces)
        assert 0 < size <= 64 * 1024, size
        if position > self.held:
            return self.held
        skip = self.held - position
        for stream, data in pieces:
            assert isinstance(stream, str) and isinstance(data, bytes) and data
            fresh = data[skip:]
            skip = max(0, skip - len(data))
            if fresh:
                self.pieces.append((stream, fresh))
                self.held += len(fresh)
        return self.held

    def fold(self) -> None:
        """Remember from now on only a digest of what came, for more output than memory should hold."""
        self.pieces = Digest()  # type: ignore[assignment]

    def text(self, stream: str) -> bytes:
        return b"".join(data for name, data in self.pieces if name == stream)


class Digest:
    """Takes pieces, and keeps for each stream how many bytes they were and their SHA-256."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._sums: dict[str, Any] = {}

    def append(self, piece: tuple[str, bytes]) -> None:
        stream, data = piece
        self.sizes[stream] = self.sizes.get(stream, 0) + len(data)
        self._sums.setdefault(stream, hashlib.sha256()).update(data)

    def of(self, stream: str) -> str:
        return str(self._sums[stream].hexdigest())


class Avatar(pb.Avatar):
    def __init__(self, master: "FakeMaster", mind: Any) -> None:
        self.master = master
        self.mind = mind
        self.in_flight = 0

    def perspective_output(self, command_id: str, position: int, pieces: list[Any]) -> Any:
        master = self.master
        master.calls.append((command_id, position, sum(len(data) for _, data in pieces)))
        self.in_flight += 1
        master.most_in_flight = max(master.most_in_flight, self.in_flight)
        if master.deaf:
            return Deferred()
        if master.output_errors:
            self.in_flight -= 1
            raise master.output_errors.pop(0)
        held = master.log(command_id).take(position, pieces)
        if master.drop_after is not None and master.log(command_id).held >= master.drop_after:
            master.drop_after = None
            self.mind.broker.transport.abortConnection()
        answered = deferLater(reactor, master.answer_seconds, lambda: held)
        answered.addBoth(self._answered)
        return answered

    def _answered(self, held: Any) -> Any:
        self.in_flight -= 1
        return held

    def perspective_finished(self, command_id: str, position: int, outcome: dict[str, Any]) -> bool:
        master = self.master
        master.told_finished.append(command_id)
        if master.lose_finished:
            master.lose_finished -= 1
            self.mind.broker.transport.abortConnection()
            return False
        if master.refuse_finished:
            master.refuse_finished -= 1
            return False
        assert position == master.log(command_id).held, (position, master.log(command_id).held)
        assert set(outcome) == {"rc", "elapsed", "reason", "signal", "error", "result"}
        master.outcomes[command_id] = outcome
        master.wake()
        if master.lose_answer:
            master.lose_answer = False
            self.mind.broker.transport.abortConnection()
        return True

    def perspective_write(self, command_id: str, offset: int, data: bytes) -> Any:
        held = self.master.uploads.setdefault(command_id, bytearray())
        assert 0 < len(data) <= 64 * 1024
        self.master.writes.append((offset, len(data)))
        if self.master.forget_upload_at is not None and len(held) >= self.master.forget_upload_at:
            self.master.forget_upload_at = None
            del held[self.master.keep_of_upload :]
        if offset <= len(held):
            held += data[len(held) - offset :]
        if self.master.drop_upload_at is not None and len(held) >= self.master.drop_upload_at:
            self.master.drop_upload_at = None
            self.mind.broker.transport.abortConnection()
        if self.master.unanswered is None:
            return len(held)
        answer: Deferred[int] = Deferred()
        self.master.unanswered.append((answer, len(held)))
        return answer

    def perspective_read(self, command_id: str, offset: int, length: int) -> bytes:
        assert 0 < length <= 64 * 1024
        data = self.master.downloads[command_id]
        self.master.reads.append((offset, length))
        if self.master.drop_read_at is not None and offset >= self.master.drop_read_at:
            self.master.drop_read_at = None
            self.mind.broker.transport.abortConnection()
        if self.master.short_reads and offset % 7 == 0:
            length = min(length, 1000)
        return data[offset : offset + length]

    def perspective_keepalive(self) -> Deferred[None]:
        self.master.keepalives += 1
        return deferLater(reactor, self.master.keepalive_seconds, lambda: None)

    def perspective_shutdown(self) -> None:
        self.master.shutdown_requests += 1


@implementer(IRealm)
class FakeMaster:
    """Listens, lets one slave in, and remembers what it said."""

    def __init__(self, password: str = "secret") -> None:
        self.logs: dict[str, Log] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.told_finished: list[str] = []
        self.calls: list[tuple[str, int, int]] = []
        self.uploads: dict[str, bytearray] = {}
        self.downloads: dict[str, bytes] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []
        self.keepalives = self.shutdown_requests = self.most_in_flight = self.refuse_finished = 0
        self.deaf = self.short_reads = self.lose_answer = False
        self.lose_finished = 0
        self.unanswered: list[tuple[Deferred[int], int]] | None = None
        self.answer_seconds = self.keepalive_seconds = 0.0
        self.output_errors: list[Exception] = []
        self.drop_after: int | None = None
        self.drop_upload_at: int | None = None
        self.drop_read_at: int | None = None
        self.forget_upload_at: int | None = None
        self.keep_of_upload = 0
        self.avatar: Avatar | None = None
        self.logins = 0
        self.attach_named: dict[str, int | None] | None = None
        self.attached: dict[str, str] = {}
        self._waiting: list[Deferred[None]] = []
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(b"bot", password.encode())
        self._factory = pb.PBServerFactory(Portal(self, [checker]))
        self._factory.noisy = False
        self._port: Any = None
        self.port = 0

    def requestAvatar(self, name: bytes, mind: Any, *interfaces: Any) -> Any:
        avatar = Avatar(self, mind)
        self.avatar = avatar
        self.logins += 1
        mind.broker.transport.setTcpNoDelay(True)
        reactor.callLater(0, self._attach, mind)
        return pb.IPerspective, avatar, lambda: self._logged_out(avatar)

    def _logged_out(self, avatar: Avatar) -> None:
        if self.avatar is avatar:
            self.avatar = None
        self.wake()

    def _attach(self, mind: Any) -> None:
        named = self.attach_named
        if named is None:
            named = {each: log.held for each, log in self.logs.items() if each not in self.outcomes}
        mind.callRemote("attach", named).addCallbacks(self._attached, lambda _: None)

    def _attached(self, states: dict[str, str]) -> None:
        self.attached = states
        self.wake()

    def listen(self) -> None:
        self._port = reactor.listenTCP(self.port, self._factory, interface="127.0.0.1")
        self.port = self._port.getHost().port

    async def close(self) -> None:
        self.drop()
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def drop(self) -> None:
        if self.avatar is not None:
            self.avatar.mind.broker.transport.abortConnection()

    def log(self, command_id: str) -> Log:
        return self.logs.setdefault(command_id, Log())

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def until(self, condition: Any, seconds: float = 20.0) -> None:
        """Wait until `condition()`; an AssertionError if it does not come true."""
        deadline = reactor.seconds() + seconds
        while not condition():
            assert reactor.seconds() < deadline, f"not within {seconds} s; {self.outcomes} {self.logs.keys()}"
            await deferLater(reactor, 0.01, lambda: None)

    async def call(self, method: str, *args: Any) -> Any:
        await self.until(lambda: self.avatar is not None)
        return await self.avatar.mind.callRemote(method, *args)

    async def order(self, command_id: str, name: str, builddir: str = "builder", **args: Any) -> None:
        self.log(command_id)
        order = {"id": command_id, "name": name, "builddir": builddir, "args": args, "held": 0}
        assert await self.call("order", order) is True

    async def run(self, command_id: str, name: str, builddir: str = "builder", **args: Any) -> dict[str, Any]:
        await self.order(command_id, name, builddir, **args)
        return await self.ended(command_id)

    async def ended(self, command_id: str, seconds: float = 20.0) -> dict[str, Any]:
        await self.until(lambda: command_id in self.outcomes, seconds)
        return self.outcomes[command_id]
