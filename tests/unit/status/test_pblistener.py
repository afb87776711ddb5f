"""Status clients: what they are told, and that they cannot hold up or break the master."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.errors import ConfigErrors
from buildbot.model import BuildID, Result
from buildbot.process.progress import Progress
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.bridge import WrongArguments
from buildbot.status.pblistener import MOST_UNANSWERED, Feed, PBListener, StatusClient
from buildbot.status.receiver import Listener, ReceiverContext
from buildbot.store import builds, buildsets, sourcestamps, steps
from buildbot.store.store import Store
from tests.unit.status.builds import Config, World


class Target(pb.RemoteReference):
    """A client's object that notes its calls instead of sending them."""

    def __init__(self, answer: Callable[[], Deferred[Any]] = lambda: succeed(None)) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer = answer

    def __del__(self) -> None:
        """There is no peer to be told that it is gone."""

    def callRemote(self, _name: str, *args: Any, **kw: Any) -> Deferred[Any]:
        plain = (str, int, type(None))
        self.calls.append((_name, *(arg if isinstance(arg, plain) else type(arg).__name__ for arg in args)))
        return self.answer()


class Transport:
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Broker:
    def __init__(self) -> None:
        self.transport = Transport()


class FeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.world = World(Path(directory.name))
        self.addCleanup(lambda: self.world.store.close())
        self.progress = Progress()
        self.feed = Feed(
            ReceiverContext(
                store=self.world.store,
                log_files=self.world.log_files,
                config=Config,
                now=self.world.now,
                reactor=Clock(),
                secrets=Secrets(Clock()),
                progress=self.progress,
            )
        )

    def client(self, mode: str, target: Target | None = None) -> tuple[StatusClient, Target]:
        made, target = StatusClient(self.feed, None, Broker()), target or Target()
        made.perspective_subscribe(mode, 5, target)
        return made, target

    def start_build(self) -> BuildID:
        def work(store: Store) -> BuildID:
            builder = self.world.builders["runtests"]
            stamp = sourcestamps.add(store, now=1.0)
            _, asked = buildsets.submit(store, builders=[builder], source_stamps=[stamp], reason="r", now=1.0)
            return builds.start(store, builder=builder, slave=self.world.slave, claimed=asked, reason="r", now=1.0).id

        return self.world.store.transact(work)

    def run_build(self) -> None:
        store, build = self.world.store, self.start_build()
        step = store.transact(steps.start, build, 0, "test", "running", 2.0)
        self.progress.tell(build)
        self.progress.tell(build)
        store.transact(steps.finish, step, Result.FAILURE, "failed", False, 3.0)
        store.transact(builds.finish, build, Result.FAILURE, "failed test", 4.0)

    def test_a_subscription_begins_with_the_builders(self) -> None:
        _, target = self.client("builders")
        assert target.calls == [
            ("builderAdded", "runtests", "RemoteBuilder"),
            ("builderChangedState", "runtests", "idle", None),
            ("builderAdded", "lint <all>", "RemoteBuilder"),
            ("builderChangedState", "lint <all>", "idle", None),
        ]

    def test_the_mode_says_how_much(self) -> None:
        targets = [self.client(mode)[1] for mode in ("builders", "builds", "full")]
        for target in targets:
            target.calls.clear()
        self.run_build()
        state = [("builderChangedState", "runtests", state, None) for state in ("building", "idle")]
        build = [("buildStarted", "runtests", "RemoteBuild"), ("buildFinished", "runtests", "RemoteBuild", 2)]
        step = [
            ("stepStarted", "runtests", "RemoteBuild", "test", "RemoteStep"),
            ("stepFinished", "runtests", "RemoteBuild", "test", "RemoteStep", 2),
        ]
        assert [target.calls for target in targets] == [
            state,
            [state[0], *build, state[1]],
            [state[0], build[0], *step, build[1], state[1]],
        ]

    def test_what_happened_before_is_no_news(self) -> None:
        build = self.start_build()
        self.world.store.transact(steps.start, build, 0, "old", "running", 2.0)
        _, target = self.client("steps")
        assert ("builderChangedState", "runtests", "building", None) in target.calls
        target.calls.clear()
        self.progress.tell(build)
        assert target.calls == []

    def test_after_unsubscribing_nothing_is_told(self) -> None:
        for end in (StatusClient.perspective_unsubscribe, StatusClient.detached):
            client, target = self.client("full")
            target.calls.clear()
            end(client)
            self.run_build()
            assert target.calls == []

    def test_a_client_that_does_not_answer_is_let_go(self) -> None:
        waiting: list[Deferred[None]] = []

        def never() -> Deferred[None]:
            waiting.append(Deferred())
            return waiting[-1]

        client, _ = self.client("full", Target(never))
        _, other = self.client("full")
        for _ in range(MOST_UNANSWERED // 6 + 1):
            self.run_build()
        assert client._broker.transport.aborted
        assert len(waiting) == MOST_UNANSWERED
        assert other.calls[-1] == ("builderChangedState", "runtests", "idle", None)

    def test_a_client_whose_call_fails_is_let_go(self) -> None:
        def fails() -> Deferred[None]:
            deferred: Deferred[None] = Deferred()
            deferred.errback(pb.PBConnectionLost("gone"))
            return deferred

        _, target = self.client("full", Target(fails))
        seen = len(target.calls)
        self.run_build()
        assert len(target.calls) == seen

    def test_nonsense_is_refused(self) -> None:
        client = StatusClient(self.feed, None, Broker())
        self.assertRaises(WrongArguments, client.perspective_subscribe, "everything", 5, Target())
        self.assertRaises(WrongArguments, client.perspective_subscribe, "full", 5, "me")
        self.assertRaises(WrongArguments, client.perspective_getBuilder, "nobody")

    def test_builders_and_builds_can_be_asked_for(self) -> None:
        self.world.build(Result.FAILURE)
        client = StatusClient(self.feed, None, Broker())
        assert client.perspective_getBuilderNames() == ["runtests", "lint <all>"]
        build = client.perspective_getBuilder("runtests").remote_getLastFinishedBuild()
        assert build is not None
        assert (build.remote_getNumber(), build.remote_getResults(), build.remote_getText()) == (1, 2, ["failed test"])
        assert [step.remote_getName() for step in build.remote_getSteps()] == ["compile", "test"]

    def test_nothing_is_left_after_stop(self) -> None:
        _, target = self.client("full")
        target.calls.clear()
        self.feed.stop()
        self.run_build()
        assert target.calls == []
        assert self.world.store.event_listeners == []


class ConfigurationTests(SynchronousTestCase):
    def test_it_is_a_listener(self) -> None:
        assert isinstance(PBListener(9988), Listener)
        assert PBListener(9988) == PBListener("9988") != PBListener(9988, passwd="x")

    def test_a_wrong_port_is_said(self) -> None:
        self.assertRaises(ConfigErrors, PBListener, "nonsense")
