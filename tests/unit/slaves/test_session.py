"""What a connected slave may say to the master: resent output, garbage, silence, and a second connection."""

from __future__ import annotations

from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import CommandID, Result, SlaveID
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import SUCCESS
from buildbot.process.slaveport import SlaveLost
from buildbot.slaves import session
from buildbot.slaves.link import ANSWER_SECONDS, PBLink
from buildbot.slaves.resumable import LONGEST_PIECE, MOST_PIECES, ResumableSession
from buildbot.slaves.session import PING_SECONDS
from buildbot.steps.shell import ShellCommand
from tests.rig import Built, RigCase

INFO = {
    "version": "1.0",
    "slave_commands": {"shell": "3.3", "mkdir": "3.3", "uploadFile": "3.3"},
    "resumable": {"dialect": 1, "incarnation": "abc", "commands": []},
}


class Mind(pb.Referenceable):
    """A slave that does what the test says."""

    def __init__(self, info: Any = None) -> None:
        self.info = INFO if info is None else info
        self.orders: list[dict[str, Any]] = []
        self.interrupted: list[str] = []
        self.disowned: list[str] = []
        self.avatar: Any = None
        self.introducing: Deferred[None] | None = None

    def remote_getSlaveInfo(self) -> Any:
        if self.introducing is not None:
            return self.introducing.addCallback(lambda _: self.info)
        return self.info

    def remote_attach(self, held: Any) -> Any:
        return {}

    def remote_order(self, order: dict[str, Any]) -> bool:
        self.orders.append(order)
        return True

    def remote_interrupt(self, command: str, why: str) -> None:
        self.interrupted.append(command)

    def remote_disown(self, command: str) -> None:
        self.disowned.append(command)

    def remote_print(self, message: str) -> None: ...

    async def call(self, method: str, *args: Any) -> Any:
        return await self.avatar.callRemote(method, *args)

    async def refused(self, method: str, *args: Any) -> str:
        """The error that the call brings."""
        try:
            answer = await self.avatar.callRemote(method, *args)
        except pb.RemoteError as error:
            return str(error)
        except pb.Error as error:
            return str(error)
        raise AssertionError(f"{method}{args!r:.200} was answered with {answer!r}")


class SessionCase(RigCase):
    with_slave = False

    async def log_in(self, mind: Mind | None = None) -> Mind:
        mind = mind or Mind()
        await self.rig.ports.ready()
        factory = pb.PBClientFactory()
        port: Any = reactor
        connector = port.connectTCP("127.0.0.1", self.rig.port, factory)
        self.addCleanup(connector.disconnect)
        mind.avatar = await factory.login(UsernamePassword(b"bot", b"secret"), mind)
        return mind

    async def connect(self) -> Mind:
        mind = await self.log_in()
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        return mind

    async def ordered(self, mind: Mind, *given: Any) -> tuple[Deferred[Built], str]:
        """Begin a build; the first command's id, and the build to be."""
        count = len(mind.orders)
        building = self.run_steps_later(*(given or (ShellCommand(name="it", command="x"),)))
        await self.rig.until(lambda: len(mind.orders) > count, "an order")
        return building, mind.orders[-1]["id"]


class TestOutput(SessionCase):
    async def test_output_comes_into_the_log_and_is_acknowledged(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        assert mind.orders[0]["name"] == "shell"
        assert mind.orders[0]["builddir"] == "b"
        assert mind.orders[0]["held"] == 0
        assert await mind.call("output", id, 0, [["header", b"h\n"], ["stdout", b"one\n"], ["stderr", b"two\n"]]) == 10
        assert await mind.call("finished", id, 10, {"rc": 0}) is True
        built = await building
        assert built.result is Result.SUCCESS
        assert built.everything("it") == "h\none\ntwo\n"

    async def test_resent_output_is_not_written_twice(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        assert await mind.call("output", id, 0, [["stdout", b"abc"], ["stderr", b"def"]]) == 6
        assert await mind.call("output", id, 0, [["stdout", b"abc"], ["stderr", b"def"]]) == 6
        assert await mind.call("output", id, 4, [["stderr", b"ef"], ["stdout", b"ghi"]]) == 9
        assert await mind.call("output", id, 2, [["stdout", b"c"]]) == 9
        await mind.call("finished", id, 9, {"rc": 0})
        assert (await building).text("it") == "abcdefghi"

    async def test_output_with_a_gap_before_it_is_asked_for_again(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        assert await mind.call("output", id, 100, [["stdout", b"late"]]) == 0
        assert await mind.call("output", id, 0, [["stdout", b"now"]]) == 3
        await mind.call("finished", id, 3, {"rc": 0})
        assert (await building).text("it") == "now"

    async def test_files_that_nobody_asked_for_make_no_logs_but_are_acknowledged(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind, ShellCommand(name="it", command="x", logfiles={"wanted": "f"}))
        assert await mind.call("output", id, 0, [["log:wanted", b"yes"], ["log:other", b"no"], ["stdout", b"o"]]) == 6
        assert await mind.call("output", id, 3, [["log:other", b"no"], ["stdout", b"o"]]) == 6
        await mind.call("finished", id, 6, {"rc": 0})
        built = await building
        assert set(built.logs("it")) == {"stdio", "wanted"}
        assert built.text("it", "wanted") == "yes"
        assert built.text("it") == "o"

    async def test_a_result_that_comes_twice_counts_once(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        assert await mind.call("finished", id, 0, {"rc": 0}) is True
        assert await mind.call("finished", id, 0, {"rc": 5}) is True
        built = await building
        assert built.result is Result.SUCCESS
        assert built.commands("it")[0].outcome["rc"] == 0

    async def test_output_after_the_end_is_refused(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        await mind.call("finished", id, 0, {"rc": 0})
        assert "is not run by this master" in await mind.refused("output", id, 0, [["stdout", b"late"]])
        assert (await building).result is Result.SUCCESS


class TestGarbage(SessionCase):
    async def test_garbage_is_refused_and_the_command_goes_on_unharmed(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        big = b"x" * (LONGEST_PIECE + 1)
        for arguments in (
            (None, 0, []),
            ("", 0, []),
            ("x", 0, []),
            ("-1", 0, []),
            ("9" * 40, 0, []),
            ("١", 0, []),
            (12345, 0, []),
            (["1"], 0, []),
            ({}, 0, []),
            (id + "0", 0, []),
            (id, -1, [["stdout", b"x"]]),
            (id, "0", [["stdout", b"x"]]),
            (id, None, [["stdout", b"x"]]),
            (id, True, [["stdout", b"x"]]),
            (id, 0.0, [["stdout", b"x"]]),
            (id, 1 << 80, [["stdout", b"x"]]),
            (id, 0, None),
            (id, 0, "stdout"),
            (id, 0, 7),
            (id, 0, {"stdout": b"x"}),
            (id, 0, [b"x"]),
            (id, 0, [["stdout"]]),
            (id, 0, [["stdout", b"x", 1]]),
            (id, 0, [["stdout", "text"]]),
            (id, 0, [[b"stdout", b"x"]]),
            (id, 0, [["stdin", b"x"]]),
            (id, 0, [["log:" + "x" * 500, b"x"]]),
            (id, 0, [["stdout", big]]),
            (id, 0, [["stdout", b"a"], ["stderr", b"b"]] * MOST_PIECES),
            (id, 0, [["stdout", b"good"], ["stdout", None]]),
            (),
            (id,),
            (id, 0, [], "more"),
        ):
            await mind.refused("output", *arguments)
        for arguments in (
            (None, 0, {"rc": 0}),
            (id, -1, {"rc": 0}),
            (id, 0, None),
            (id, 0, []),
            (id, 0, {1: 2}),
            (id, 0, {"rc": mind}),
            (id, 0, {"elapsed": float("nan")}),
            (id, 0, {"result": [[mind]]}),
            (),
        ):
            await mind.refused("finished", *arguments)
        for arguments in ((id, 0, b"data"), (id, 0, "text"), (id, 0, big), (id, -1, b""), (None, 0, b""), ()):
            await mind.refused("write", *arguments)
        for arguments in ((id, 0, 10), (id, -1, 10), (id, 0, "10"), (id, 0, -10), (None, 0, 1), ()):
            await mind.refused("read", *arguments)
        for method in ("nothing", "session", "__class__", "attached"):
            assert "there is no message" in await mind.refused(method)
        assert await mind.call("keepalive") is None
        assert await mind.call("output", id, 0, [["stdout", b"fine"]]) == 4
        assert await mind.call("finished", id, 4, {"rc": 0}) is True
        built = await building
        assert built.result is Result.SUCCESS
        assert built.text("it") == "fine"
        assert set(built.logs("it")) == {"stdio"}

    async def test_odd_outcomes_are_failures_and_not_errors_of_ours(self) -> None:
        mind = await self.connect()
        for outcome in ({}, {"rc": "0"}, {"rc": None}, {"rc": 1 << 60}, {"rc": 0.5}, {"rc": -1, "reason": b"\xff"}):
            building, id = await self.ordered(mind)
            assert await mind.call("finished", id, 0, outcome) is True
            assert (await building).result is Result.FAILURE, outcome

    async def test_a_slave_cannot_speak_of_anothers_command(self) -> None:
        mind = await self.connect()
        building, id = await self.ordered(mind)
        self.rig.add_slaves("other")
        other = Mind()
        factory = pb.PBClientFactory()
        port: Any = reactor
        self.addCleanup(port.connectTCP("127.0.0.1", self.rig.port, factory).disconnect)
        other.avatar = await factory.login(UsernamePassword(b"other", b"secret"), other)
        await self.rig.until(lambda: "other" in self.rig.sessions.here)
        assert "is not run by this master" in await other.refused("output", id, 0, [["stdout", b"x"]])
        await other.call("finished", id, 0, {"rc": 0})
        assert self.rig.running.by_id
        await mind.call("finished", id, 0, {"rc": 3})
        assert (await building).result is Result.FAILURE

    async def test_information_that_is_no_information_is_not_taken(self) -> None:
        class Odd(Mind):
            def remote_getVersion(self) -> None: ...

            def remote_getCommands(self) -> None: ...

            def remote_setBuilderList(self, builders: object) -> None: ...

        for info in (None, [], "info", {}, {"resumable": 1}, {"version": "0.8", "slave_commands": {"shell": "2.5"}}):
            mind = Odd()
            mind.info = info
            await self.log_in(mind)
            gone: Deferred[None] = Deferred()
            mind.avatar.broker.notifyOnDisconnect(lambda gone=gone: gone.callback(None))
            await gone
            assert self.rig.sessions.here == {}

    async def test_information_in_odd_shapes_does_no_harm(self) -> None:
        odd = {"slave_commands": {"shell": ["3", 3]}, "admin": b"\xff", "host": float("nan"), "version": 7}
        mind = Mind({**INFO, **odd})
        await self.log_in(mind)
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        building, id = await self.ordered(mind)
        await mind.call("finished", id, 0, {"rc": 0})
        assert (await building).result is Result.SUCCESS


class TestSilence(SessionCase):
    async def test_a_command_that_does_not_end_when_it_is_interrupted_is_given_up(self) -> None:
        self.rig.build_clock = Clock()
        mind = await self.connect()
        building, id = await self.ordered(mind)
        (build,) = self.rig.running.by_id
        self.rig.control.stop_build(build, "tester", "enough")
        await self.rig.until(lambda: id in mind.interrupted)  # again, if the order is not answered yet
        self.rig.build_clock.advance(30)
        assert self.rig.running.by_id
        self.rig.build_clock.advance(11)
        assert (await building).result is Result.CANCELLED
        await self.rig.until(lambda: mind.disowned == [id])

    async def test_another_process_is_not_taken_while_the_one_that_is_here_answers(self) -> None:
        class Hears(Mind):
            def remote_print(self, message: str) -> None:
                heard.append(message)

        heard: list[str] = []
        first = await self.connect()
        building, id = await self.ordered(first)
        here = self.rig.sessions.here["bot"]
        twin = await self.log_in(Hears({**INFO, "resumable": {**INFO["resumable"], "incarnation": "another"}}))
        await self.rig.until(lambda: twin.avatar.broker.disconnected, "the twin is sent away")
        assert self.rig.sessions.here["bot"] is here
        assert "another slave of this name is connected from 127.0.0.1" in heard[0]
        assert await first.call("finished", id, 0, {"rc": 0}) is True
        assert (await building).result == Result.SUCCESS

    async def test_another_process_takes_the_place_of_one_that_does_not_answer(self) -> None:
        class Silent(Mind):
            def remote_print(self, message: str) -> Any:
                return Deferred()

        self.patch(session, "TWIN_SECONDS", 0.1)
        await self.log_in(Silent())
        await self.rig.until(lambda: "bot" in self.rig.sessions.here)
        older = self.rig.sessions.here["bot"]
        await self.log_in(Mind({**INFO, "resumable": {**INFO["resumable"], "incarnation": "another"}}))
        await self.rig.until(lambda: self.rig.sessions.here.get("bot") not in (None, older), "the new one")
        assert self.rig.sessions.here["bot"].incarnation == "another"

    async def test_an_older_connection_that_answers_late_does_not_replace_a_newer_one(self) -> None:
        slow = Mind()
        slow.introducing = introducing = Deferred()
        await self.log_in(slow)
        await self.connect()
        newer = self.rig.sessions.here["bot"]
        gone: Deferred[None] = Deferred()
        slow.avatar.broker.notifyOnDisconnect(lambda: gone.callback(None))
        introducing.callback(None)
        await gone
        assert self.rig.sessions.here["bot"] is newer
        assert newer.lost_why is None


class Uploads(BuildStep):
    """Takes a file into memory."""

    content = b""

    async def run(self) -> int:
        command = RemoteCommand("uploadFile", {})
        command.upload = self
        await self.runCommand(command)
        taken.append(self.content)
        return SUCCESS

    def write(self, offset: int, data: bytes) -> int:
        if offset <= len(self.content):
            self.content = self.content[:offset] + data
        return len(self.content)


taken: list[bytes] = []


class TestFiles(SessionCase):
    async def test_pieces_of_a_file_reach_the_step_that_takes_it(self) -> None:
        mind = await self.connect()
        self.rig.add_builder("b", BuildFactory([Uploads(name="it")]))
        building, id = await self.ordered(mind, Uploads(name="it"))
        assert await mind.call("write", id, 0, b"abc") == 3
        assert await mind.call("write", id, 0, b"abc") == 3
        assert await mind.call("write", id, 9, b"far") == 3
        assert await mind.call("write", id, 3, b"def") == 6
        await mind.refused("read", id, 0, 10)
        await mind.call("finished", id, 0, {"rc": 0})
        assert (await building).result is Result.SUCCESS
        assert taken[-1] == b"abcdef"


class SilentMind:
    """Answers what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.silent = False

    def callRemote(self, name: str, *args: Any) -> Deferred[Any]:
        self.calls.append(name)
        answer: Deferred[Any] = Deferred()
        if not self.silent:
            answer.callback(True)
        return answer


class ClosedBroker:
    closed = False

    def close(self) -> None:
        self.closed = True


class Sink:
    """Hears that its command is lost."""

    why = ""

    def held(self) -> int:
        return 0

    def output(self, pieces: list[tuple[str, bytes]]) -> None: ...

    def finished(self, outcome: dict[str, Any]) -> None: ...

    def write(self, offset: int, data: bytes) -> int:
        return 0

    def read(self, offset: int, length: int) -> bytes:
        return b""


class TestTimeLimits(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.mind: Any = SilentMind()
        self.broker: Any = ClosedBroker()
        self.gone: list[str] = []
        self.session = ResumableSession(
            name="bot",
            id=SlaveID(1),
            link=PBLink(self.mind, self.broker, self.clock),
            clock=self.clock,
            wanted=lambda slave: [],
            directories=lambda name: [],
            heard=lambda session: None,
            gone=lambda session, why: self.gone.append(why),
            dropped=lambda command: None,
        )
        self.successResultOf(ensureDeferred(self.session.introduce({**INFO, "resumable": {"incarnation": "abc"}})))

    def order(self, sink: Sink) -> Deferred[bool]:
        return ensureDeferred(self.session.order(CommandID(1), "shell", "b", {}, sink))

    def test_a_slave_that_does_not_take_an_order_in_time_is_lost(self) -> None:
        sink = Sink()
        self.successResultOf(self.order(Sink()))
        self.mind.silent = True
        ordering = ensureDeferred(self.session.order(CommandID(2), "shell", "b", {}, sink))
        self.clock.advance(ANSWER_SECONDS - 1)
        self.assertNoResult(ordering)
        self.clock.advance(2)
        lost = self.failureResultOf(ordering, SlaveLost)
        assert "no answer to order within 20 s" in str(lost.value)
        assert self.gone == [str(lost.value)]
        assert self.broker.closed

    def test_a_slave_that_says_nothing_is_asked_and_then_lost(self) -> None:
        self.mind.silent = True
        self.clock.pump([1] * int(PING_SECONDS + 1))
        assert self.mind.calls[-1] == "print"
        self.clock.pump([1] * int(ANSWER_SECONDS + 1))
        assert len(self.gone) == 1
        assert self.clock.getDelayedCalls() == []

    def test_it_is_asked_so_long_after_its_last_word(self) -> None:
        self.clock.advance(PING_SECONDS - 1)
        self.session.is_traffic()
        self.clock.pump([1] * int(PING_SECONDS))
        assert self.mind.calls[-1] == "print"

    def test_a_slave_that_talks_is_not_asked(self) -> None:
        for _ in range(10):
            self.clock.advance(PING_SECONDS / 2)
            self.session.is_traffic()
        assert "print" not in self.mind.calls
        assert self.gone == []

    def test_after_the_end_nothing_is_sent(self) -> None:
        self.session.lose("over")
        self.session.lose("again")
        before = len(self.mind.calls)
        self.failureResultOf(self.order(Sink()), SlaveLost)
        assert len(self.mind.calls) == before
        assert self.gone == ["over"]
        assert self.clock.getDelayedCalls() == []
