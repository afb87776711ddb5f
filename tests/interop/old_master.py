"""A master of another era, small, in the process of the test: it takes what a slave says, and can be told to misbehave.

Buildbot's own masters cannot be made to be slow, or to refuse; whether they understand this slave is seen with them.
"""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.spread import pb
from zope.interface import implementer


class Step(pb.Referenceable):
    """Waits for one command."""

    def __init__(self) -> None:
        self.updates: list[tuple[str, Any]] = []
        self.numbers: list[int] = []
        self.completed: list[Any] = []
        self.deaf = False
        self.refuse = 0
        self.unanswered: list[tuple[Deferred[int], int]] = []

    def remote_update(self, updates: list[Any]) -> Any:
        if self.refuse:
            self.refuse -= 1
            raise pb.Error("the disk is full")
        for update, number in updates:
            self.numbers.append(number)
            self.updates += update.items()
        if not self.deaf:
            return self.numbers[-1]
        answer: Deferred[int] = Deferred()
        self.unanswered.append((answer, self.numbers[-1]))
        return answer

    def remote_complete(self, failure: Any = None) -> None:
        self.completed.append(failure)

    def hear(self) -> None:
        """Answer what was not answered."""
        self.deaf = False
        waiting, self.unanswered = self.unanswered, []
        for answer, number in waiting:
            answer.callback(number)

    def text(self, key: str) -> Any:
        parts = [value for name, value in self.updates if name == key]
        return (b"" if parts and isinstance(parts[0], bytes) else "").join(parts)

    def value(self, key: str) -> Any:
        """Of an update that comes once."""
        (found,) = [value for name, value in self.updates if name == key]
        return found


class Writer(pb.Referenceable):
    """A file at the master that is written, and what was done with it, in order."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls: list[Any] = []
        self.refuse_at: int | None = None
        self.unpack_error: Exception | None = None

    def remote_write(self, data: bytes) -> None:
        if self.refuse_at is not None and len(self.data) >= self.refuse_at:
            raise pb.Error("the disk is full")
        self.data += data

    def remote_close(self) -> None:
        self.calls.append("close")

    def remote_utime(self, times: Any) -> None:
        self.calls.append(("utime", tuple(times)))

    def remote_unpack(self) -> None:
        self.calls.append("unpack")
        if self.unpack_error is not None:
            raise self.unpack_error


class Reader(pb.Referenceable):
    """A file at the master that is read. `most` bytes come at once, however many are asked for."""

    def __init__(self, data: bytes, most: int = 1 << 20) -> None:
        self.data = data
        self.most = most
        self.closed = 0
        self.refuse = False

    def remote_read(self, length: int) -> bytes | str:
        if self.refuse:
            raise pb.Error("the file is gone")
        given, self.data = self.data[: min(length, self.most)], self.data[min(length, self.most) :]
        return given or ""

    def remote_close(self) -> None:
        self.closed += 1


class Avatar(pb.Avatar):
    def perspective_keepalive(self) -> None:
        pass


@implementer(IRealm)
class OldMaster:
    """Lets one slave in. Its calls are those of the test: `call` on the slave, `command` on one of its builders."""

    def __init__(self) -> None:
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(b"bot", b"secret")
        factory = pb.PBServerFactory(Portal(self, [checker]))
        factory.noisy = False
        self._listening: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.port: int = self._listening.getHost().port
        self.mind: Any = None
        self.builders: dict[str, Any] = {}

    def requestAvatar(self, name: bytes, mind: Any, *interfaces: Any) -> Any:
        self.mind = mind
        return pb.IPerspective, Avatar(), self._logged_out

    def _logged_out(self) -> None:
        self.mind = None

    def drop(self) -> None:
        if self.mind is not None:
            self.mind.broker.transport.abortConnection()

    async def close(self) -> None:
        await maybeDeferred(self._listening.stopListening)
        self.drop()

    async def until(self, condition: Any, seconds: float = 20.0) -> None:
        """Wait until `condition()`; an AssertionError if it does not come true."""
        clock: Any = reactor
        deadline = clock.seconds() + seconds
        while not condition():
            assert clock.seconds() < deadline, f"not within {seconds} s"
            await deferLater(clock, 0.01)

    async def call(self, method: str, *args: Any) -> Any:
        await self.until(lambda: self.mind is not None)
        return await self.mind.callRemote(method, *args)

    async def meet(self, *, text: bool = True) -> None:
        """What such a master does first. `text`: one of 0.9 and later."""
        await self.call("getWorkerInfo" if text else "getSlaveInfo")
        self.builders = await self.call("setBuilderList", [("one", "one"), ("two", "two")])

    async def start(self, name: str, *, builder: str = "one", command_id: Any = "1", **args: Any) -> Step:
        step = Step()
        await self.builders[builder].callRemote("startCommand", step, command_id, name, args)
        return step

    async def run(self, name: str, **args: Any) -> Step:
        """A command to its end."""
        step = await self.start(name, **args)
        await self.until(lambda: step.completed)
        return step
