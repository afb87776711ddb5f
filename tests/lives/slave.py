"""A slave without a process: it obeys docs/slave-protocol.md, message by message, and runs nothing but what tests say.

Its commands write and end when a test says so. What it was ever asked to run is in `ran`, for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from twisted.spread import pb

Message = Callable[[], None]


@dataclass(eq=False)
class Network:
    """What is on its way, in order for each connection; `deliver` brings the next message to its end."""

    messages: deque[tuple[Connection, Message]] = field(default_factory=deque)

    def deliver(self) -> bool:
        if not self.messages:
            return False
        connection, message = self.messages.popleft()
        if connection.is_whole:
            message()
        return True


class Connection:
    """Between a slave and a life of the master. It is `mind` and broker of the master's side at once."""

    transport = None
    address = "127.0.0.1"

    def __init__(self, network: Network, slave: FakeSlave, gone: Callable[[Connection], None]) -> None:
        self.network = network
        self.slave = slave
        self.avatar: Any = None
        self.is_whole = True  # messages get through
        self.is_known = True  # to the master, as being there
        self._gone = gone
        self._unanswered: list[Deferred[Any]] = []

    # -- the master's side

    def callRemote(self, method: str, *args: Any) -> Deferred[Any]:
        if not self.is_known:
            return fail(pb.DeadReferenceError("the connection is gone"))
        answer: Deferred[Any] = Deferred()
        self._unanswered.append(answer)

        def arrive() -> None:
            value = getattr(self.slave, f"do_{method}")(*args)
            if self.is_whole:
                self.network.messages.append((self, lambda: self._answer(answer, value)))

        self.network.messages.append((self, arrive))
        return answer

    def _answer(self, answer: Deferred[Any], value: Any) -> None:
        if answer in self._unanswered:
            self._unanswered.remove(answer)
            answer.callback(value)

    def close(self) -> None:
        """The master ends it."""
        self.cut()

    abort = close

    # -- the slave's side

    def call(self, method: str, *args: Any, then: Callable[[Any], None]) -> None:
        def arrive() -> None:
            try:
                value = getattr(self.avatar, f"perspective_{method}")(*args)
            except pb.Error:
                value = None  # an error, as the wire tells it
            self.network.messages.append((self, lambda: then(value)))

        self.network.messages.append((self, arrive))

    # -- its end

    def break_silently(self) -> None:
        """No message gets through any more, and the master does not know."""
        self.is_whole = False
        self.slave.has_lost(self)

    def cut(self) -> None:
        """It is over, and both sides know."""
        self.break_silently()
        if self.is_known:
            self.is_known = False
            self._gone(self)

    def tell_master(self) -> None:
        unanswered, self._unanswered = self._unanswered, []
        for answer in unanswered:
            answer.errback(Failure(pb.PBConnectionLost("cut")))
        self.avatar.detached()


@dataclass(eq=False)
class FakeCommand:
    """What a slave was asked to run. `position`: of the next byte to send."""

    id: str
    text: str
    output: bytes = b""
    outcome: dict[str, Any] | None = None
    position: int = 0
    waits: bool = False  # for `resume`
    busy: bool = False  # a call is unanswered
    stuck: bool = False  # a call has failed; it is tried again in a moment

    def end(self, rc: int, reason: str | None = None) -> None:
        if self.outcome is None:
            self.outcome = {
                "rc": rc, "elapsed": 1.0, "reason": reason, "signal": None, "error": None, "result": None,
            }  # fmt: skip


class FakeSlave:
    """`connection` None: there is none. `ran`: every command that any process of it has begun."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.process = 1
        self.is_up = True
        self.is_gone = False  # for good
        self.connection: Connection | None = None
        self.commands: dict[str, FakeCommand] = {}
        self.over: set[str] = set()
        self.ran: list[FakeCommand] = []

    @property
    def running(self) -> list[FakeCommand]:
        return [command for command in self.commands.values() if command.outcome is None]

    # -- its life

    def log_in(self, connection: Connection) -> None:
        if self.connection is not None:
            self.connection.break_silently()
        self.connection = connection
        for command in self.commands.values():
            command.waits, command.busy = True, False

    def has_lost(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None

    def restart(self, *, killed: bool) -> None:
        """A new process. Of what the old one ran nothing is left; what had ended is told unless it was killed."""
        self.process += 1
        self.is_up = True
        kept = {} if killed else {id: command for id, command in self.commands.items() if command.outcome is not None}
        self.commands, self.over = kept, set()

    def end_process(self) -> None:
        self.is_up = False
        if self.connection is not None:
            self.connection.cut()

    def _forget(self, id: str) -> None:
        if self.commands.pop(id, None) is not None:
            self.over.add(id)

    # -- what the master says

    def do_getSlaveInfo(self) -> dict[str, Any]:
        resumable = {
            "dialect": 1, "incarnation": f"{self.name}-{self.process}", "commands": list(self.commands),
        }  # fmt: skip
        return {"version": "1", "slave_commands": {"shell": "1"}, "resumable": resumable}

    def do_attach(self, wanted: dict[str, int | None]) -> dict[str, str]:
        for id in [id for id in self.commands if id not in wanted]:
            self._forget(id)
        return {id: self._go_on(id, held) for id, held in wanted.items()}

    def do_resume(self, id: str, held: int) -> str:
        return self._go_on(id, held)

    def _go_on(self, id: str, held: int | None) -> str:
        command = self.commands.get(id)
        if command is None:
            return "unknown"
        if held is None:
            command.waits = True
        else:
            command.waits, command.position = False, held
            self._send(command)
        return "running" if command.outcome is None else "finished"

    def do_order(self, order: dict[str, Any]) -> bool | str:
        id = order["id"]
        if id in self.over:
            return "over"
        if id not in self.commands:
            command = self.commands[id] = FakeCommand(id, str(order["args"]["command"]))
            self.ran.append(command)
        return True

    def do_interrupt(self, id: str, why: str) -> None:
        if id in self.commands:
            self.commands[id].end(-1, "interrupted")
            self._send(self.commands[id])

    def do_disown(self, id: str) -> None:
        self._forget(id)

    def do_print(self, message: str) -> None:
        pass

    def do_shutdown(self) -> None:
        self.end_process()

    # -- what it says

    def write(self, command: FakeCommand, data: bytes) -> None:
        command.output += data
        self._send(command)

    def end(self, command: FakeCommand, rc: int) -> None:
        command.end(rc)
        self._send(command)

    def try_again(self) -> None:
        for command in self.commands.values():
            if command.stuck:
                command.stuck = False
                self._send(command)

    def _send(self, command: FakeCommand) -> None:
        if self.connection is None or command.waits or command.busy or command.stuck:
            return
        if command.position < len(command.output):
            data = command.output[command.position :]
            call: tuple[Any, ...] = ("output", command.id, command.position, [["stdout", data]])
        elif command.outcome is not None:
            call = ("finished", command.id, command.position, command.outcome)
        else:
            return
        command.busy = True
        connection = self.connection
        connection.call(*call, then=lambda answer: self._answered(connection, command, call[0], answer))

    def _answered(self, connection: Connection, command: FakeCommand, method: str, answer: Any) -> None:
        if connection is not self.connection or self.commands.get(command.id) is not command:
            return
        command.busy = False
        if method == "finished" and answer is True:
            self._forget(command.id)
        elif method == "output" and isinstance(answer, int):
            command.position = answer
            self._send(command)
        else:
            command.stuck = True


def registered(ports: Any, endpoint: str, name: str) -> Any:
    """The user of this name on a port of the master, if it may log in."""
    port = ports._ports.get(endpoint)
    return None if port is None else port.users.get(name)


