"""The login of the Perspective Broker port, as Twisted's own client speaks it, over real sockets."""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock, deferLater
from twisted.logger import Logger, capturedLogs
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase, TestCase

from buildbot.slaves.bridge import NoAnswer, bridge, call_remote
from buildbot.slaves.guard import FewLines, GuardedBroker
from buildbot.slaves.pbport import PBPorts
from buildbot.slaves.ports import CannotListen, NameInUse, Registration

ANY_PORT = "tcp:0:interface=127.0.0.1"


class Echo:
    """An avatar with plain and async methods."""

    def __init__(self, mind: Any, broker: GuardedBroker) -> None:
        self.mind, self.broker = mind, broker
        self.events: list[str] = []

    def attached(self, mind: Any) -> None:
        self.events.append("attached")

    def detached(self) -> None:
        self.events.append("detached")

    def perspective_echo(self, value: Any, suffix: str = "") -> Any:
        return [value, suffix] if suffix else value

    async def perspective_later(self, value: Any) -> Any:
        await deferLater(reactor, 0.01, lambda: None)
        return value

    async def perspective_refuse(self) -> None:
        await deferLater(reactor, 0, lambda: None)
        raise pb.Error("the lamp is off")

    def perspective_crash(self) -> None:
        raise KeyError("secret detail")

    def perspective_type_error(self) -> None:
        raise TypeError("one of ours")

    def perspective_callable(self) -> Callable_:
        return Callable_()


class Callable_(pb.Referenceable):
    @bridge
    async def remote_double(self, number: int) -> int:
        await deferLater(reactor, 0, lambda: None)
        return 2 * number


class Mind(pb.Referenceable):
    def remote_hello(self, name: str) -> str:
        return f"hello {name}"

    def remote_fail(self) -> None:
        raise pb.Error("I will not")

    def remote_never(self) -> Deferred[None]:
        return Deferred()


class PortCase(TestCase):
    def setUp(self) -> None:
        self.avatars: list[Echo] = []
        self.ports = PBPorts(reactor, reactor)
        self.registration = self.register("bot1", "sekrit")
        self.addCleanup(lambda: ensureDeferred(self.ports.stop()))
        self.clients: list[pb.PBClientFactory] = []
        self.addCleanup(self.disconnect)

    def register(self, name: str, password: str) -> Registration:
        def make(mind: Any, broker: GuardedBroker) -> Echo:
            self.avatars.append(Echo(mind, broker))
            return self.avatars[-1]

        return self.ports.register(ANY_PORT, name, password, make)

    async def disconnect(self) -> None:
        for client in self.clients:
            client.disconnect()
        await self.until(lambda: all(c._broker is None or c._broker.disconnected for c in self.clients))
        await self.until(lambda: not self.registration.connections)

    async def until(self, true: Any) -> None:
        for _ in range(500):
            if true():
                return
            await deferLater(reactor, 0.01, lambda: None)
        self.fail("it did not happen within 5 s")

    def port_number(self) -> int:
        (address,) = self.ports.addresses(ANY_PORT)
        return address.port  # type: ignore[attr-defined, no-any-return]

    async def login(self, name: Any = b"bot1", password: bytes = b"sekrit", mind: Any = None) -> Any:
        factory = pb.PBClientFactory()
        self.clients.append(factory)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port_number()).connect(factory)
        return await factory.login(UsernamePassword(name, password), mind)


class LoginTests(PortCase):
    async def test_twisteds_own_client_logs_in_and_calls(self) -> None:
        avatar = await self.login()
        value: Any
        for value in ({"a": [1, (2.5, None)], "b": b"\xff\0"}, "Zoë", True, -(2**60), []):
            self.assertEqual(await avatar.callRemote("echo", value), value)
        self.assertEqual(await avatar.callRemote("echo", 1, suffix="x"), [1, "x"])
        self.assertEqual(self.avatars[0].events, ["attached"])

    async def test_methods_may_be_coroutines(self) -> None:
        avatar = await self.login()
        self.assertEqual(await avatar.callRemote("later", "so"), "so")
        doubler = await avatar.callRemote("callable")
        self.assertEqual(await doubler.callRemote("double", 21), 42)

    async def test_the_master_calls_the_mind(self) -> None:
        await self.login(mind=Mind())
        mind = self.avatars[0].mind
        self.assertEqual(await call_remote(mind, "hello", "you", clock=reactor, timeout=5), "hello you")
        with self.assertRaises(pb.RemoteError) as caught:
            await call_remote(mind, "fail", clock=reactor, timeout=5)
        self.assertEqual(caught.exception.remoteType, "twisted.spread.pb.Error")
        self.assertEqual(str(caught.exception), "I will not")
        with self.assertRaises(NoAnswer):
            await call_remote(mind, "never", clock=reactor, timeout=0.05)

    async def test_an_argument_too_large_to_send_fails_and_leaves_nothing_waiting(self) -> None:
        await self.login(mind=Mind())
        mind = self.avatars[0].mind
        with self.assertRaises(Exception) as caught:
            await call_remote(mind, "hello", b"x" * 700_000, clock=reactor, timeout=5)
        self.assertIn("too long to send", str(caught.exception))
        self.assertEqual(self.avatars[0].broker.waitingForAnswers, {})

    async def test_a_lost_connection_detaches_once(self) -> None:
        await self.login()
        self.assertEqual(len(self.registration.connections), 1)
        self.clients[0].disconnect()
        await self.until(lambda: self.avatars[0].events == ["attached", "detached"])
        self.assertEqual(self.registration.connections, ())

    async def refusal(self, name: Any, password: bytes) -> tuple[str, list[str]]:
        with capturedLogs() as events:
            try:
                await self.login(name, password)
            except UnauthorizedLogin as refused:
                answer = f"UnauthorizedLogin {refused}"
            except pb.RemoteError as refused:
                answer = f"{refused.remoteType!r} {refused}"
        texts = [event["why"] for event in events if "why" in event]
        self.assertEqual([event for event in events if event.get("log_failure")], [])
        return answer, texts

    async def test_a_wrong_password_and_an_unknown_name_are_refused_alike(self) -> None:
        wrong, wrong_log = await self.refusal(b"bot1", b"guess")
        unknown, unknown_log = await self.refusal(b"nobody", b"guess")
        self.assertIn("UnauthorizedLogin", wrong)
        self.assertEqual(wrong, unknown)
        self.assertEqual(self.avatars, [])
        self.assertIn("password is wrong; compare", wrong_log[0])
        self.assertIn("no slave or change source of master.cfg has this name", unknown_log[0])

    async def test_a_refused_connection_is_closed(self) -> None:
        await self.refusal(b"bot1", b"guess")
        await self.until(lambda: self.clients[0]._broker is None or self.clients[0]._broker.disconnected)

    async def test_the_failure_names_the_class_that_cred_clients_check(self) -> None:
        factory = pb.PBClientFactory()
        self.clients.append(factory)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port_number()).connect(factory)
        failure = await factory.login(UsernamePassword(b"x", b"y")).addErrback(
            lambda failure: failure.check(UnauthorizedLogin)
        )
        self.assertIsNotNone(failure)

    async def root(self) -> Any:
        factory = pb.PBClientFactory()
        self.clients.append(factory)
        await TCP4ClientEndpoint(reactor, "127.0.0.1", self.port_number()).connect(factory)
        return await factory.getRootObject()

    async def test_a_challenge_is_good_for_one_answer(self) -> None:
        root = await self.root()
        challenge, challenger = await root.callRemote("login", b"bot1")
        response = hashlib.md5(hashlib.md5(b"sekrit").digest() + challenge).digest()
        await challenger.callRemote("respond", response, None)
        with self.assertRaises(Exception) as caught:
            await challenger.callRemote("respond", response, None)
        self.assertIn("UnauthorizedLogin", str(getattr(caught.exception, "remoteType", "")))
        self.assertEqual(len(self.avatars), 1)

    async def test_challenges_differ(self) -> None:
        challenges = set()
        for _ in range(5):
            challenge, _challenger = await (await self.root()).callRemote("login", b"nobody")
            challenges.add(challenge)
        self.assertEqual(len(challenges), 5)

    async def test_a_connection_asks_for_one_challenge(self) -> None:
        root = await self.root()
        await root.callRemote("login", b"bot1")
        with self.assertRaises(pb.RemoteError) as caught:
            await root.callRemote("login", b"bot1")
        self.assertIn("once", str(caught.exception))

    async def test_nobody_logs_in_anonymously(self) -> None:
        root = await self.root()
        with self.assertRaises(pb.RemoteError):
            await root.callRemote("loginAnonymous", None)

    async def test_the_name_must_be_text(self) -> None:
        for name in (3, None, ["bot1"], "x" * 300):
            with self.assertRaises(pb.RemoteError):
                await (await self.root()).callRemote("login", name)
        self.assertEqual(self.flushLoggedErrors(), [])


class ErrorTests(PortCase):
    async def error(self, *call: Any, **kw: Any) -> pb.RemoteError:
        avatar = await self.login()
        with self.assertRaises(pb.RemoteError) as caught:
            await avatar.callRemote(*call, **kw)
        error: pb.RemoteError = caught.exception
        return error

    async def test_a_refusal_arrives_with_its_text_and_is_not_logged(self) -> None:
        error = await self.error("refuse")
        self.assertEqual(str(error), "the lamp is off")
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_bug_is_logged_once_and_its_detail_stays_here(self) -> None:
        error = await self.error("crash")
        self.assertIn("internal error", str(error))
        self.assertNotIn("secret", f"{error} {error.remoteTraceback}")
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_wrong_arguments_are_the_callers_fault(self) -> None:
        error = await self.error("echo", 1, 2, 3, 4)
        self.assertIn("echo", str(error))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_a_type_error_inside_a_method_is_a_bug_of_ours(self) -> None:
        error = await self.error("type_error")
        self.assertIn("internal error", str(error))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_an_unknown_method_is_named(self) -> None:
        self.assertIn("'dance'", str(await self.error("dance")))

    async def test_only_plain_data_comes_in(self) -> None:
        class Copied(pb.Copyable):
            pass

        import datetime

        for value in (Copied(), {1, 2}, datetime.date(2020, 1, 1), print, [Copied()]):
            error = await self.error("echo", value)
            self.assertIn("plain data", str(error))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_shared_parts_arrive_but_cycles_and_explosions_do_not(self) -> None:
        avatar = await self.login()
        part = ["x"]
        self.assertEqual(await avatar.callRemote("echo", [part, part]), [["x"], ["x"]])
        bomb: list[Any] = ["x"]
        for _ in range(30):
            bomb = [bomb, bomb]
        cycle: list[Any] = []
        cycle.append(cycle)
        for value in (bomb, cycle):
            with self.assertRaises(pb.RemoteError) as caught:
                await avatar.callRemote("echo", value)
            self.assertIn("refers to itself", str(caught.exception))
        self.assertEqual(await avatar.callRemote("echo", "still here"), "still here")

    async def test_what_a_library_registered_is_not_built(self) -> None:
        built: list[Any] = []

        class Registered(pb.Copyable, pb.RemoteCopy):
            def setCopyableState(self, state: Any) -> None:
                built.append(state)

        pb.setUnjellyableForClass(Registered, Registered)
        await self.error("echo", Registered())
        self.assertEqual(built, [])


class PortTests(PortCase):
    async def test_the_port_opens_with_the_first_user_and_closes_with_the_last(self) -> None:
        second = self.register("bot2", "x")
        number = self.port_number()
        self.registration.unregister()
        self.assertEqual(self.port_number(), number)
        second.unregister()
        await self.until(lambda: not self.ports.addresses(ANY_PORT))

    async def test_a_user_replaced_within_one_turn_keeps_the_port_open(self) -> None:
        number = self.port_number()
        self.registration.unregister()
        self.registration = self.register("bot1", "new")
        await deferLater(reactor, 0.05, lambda: None)
        self.assertEqual(self.port_number(), number)
        await self.login(password=b"new")

    async def test_unregistering_ends_the_connections(self) -> None:
        await self.login()
        self.registration.unregister()
        await self.until(lambda: self.avatars[0].events == ["attached", "detached"])

    async def test_unregistering_can_leave_the_connections(self) -> None:
        avatar = await self.login()
        self.registration.unregister(disconnect=False)
        self.assertEqual(await avatar.callRemote("echo", 1), 1)

    def test_a_name_is_taken_once_a_port(self) -> None:
        with self.assertRaises(NameInUse):
            self.register("bot1", "other")

    async def test_a_taken_port_is_told_and_tried_again(self) -> None:
        number = self.port_number()
        others = PBPorts(reactor, reactor)
        taken = f"tcp:{number}:interface=127.0.0.1"
        others.register(taken, "bot1", "x", Echo)
        with self.assertRaises(CannotListen) as caught:
            await others.ready()
        self.assertIn(str(number), str(caught.exception))
        await others.stop()

    async def test_one_port_gives_way_to_another_of_the_same_number(self) -> None:
        number = self.port_number()
        self.registration.unregister()
        moved = f"tcp:{number}:interface=0.0.0.0"
        self.ports.register(moved, "bot1", "x", Echo)
        await self.ports.ready()
        self.assertEqual([each.port for each in self.ports.addresses(moved)], [number])


class FewLinesTests(SynchronousTestCase):
    def test_a_flood_of_refusals_is_a_few_lines_and_a_count(self) -> None:
        clock = Clock()
        few = FewLines(clock, Logger())
        with capturedLogs() as events:
            for n in range(1000):
                few.warn(f"subject {n % 500}", "refused {n}", n=n)
            clock.advance(61)
            few.warn("subject 1", "refused {n}", n=1)
        self.assertEqual(len(events), 21)
        self.assertEqual(events[-1]["unsaid"], 980)

    def test_one_subject_is_told_once_a_minute(self) -> None:
        clock = Clock()
        few = FewLines(clock, Logger())
        with capturedLogs() as events:
            for _ in range(10):
                few.warn("bot1", "refused")
                clock.advance(10)
        self.assertEqual(len(events), 2)
