"""What a `buildbot try` client sees on the wire: login, jobs of both eras, and the objects that tell of the builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.spread import pb

from buildbot.model import BuildRequestID, Result
from buildbot.process.progress import Progress
from buildbot.schedulers.trysched import Try_Userpass
from buildbot.schedulers.trywire import RemoteBuild, RemoteBuildset, TryClient, TryLogins, TryRefused
from buildbot.store import builds, buildsets, requests, slaves, steps
from tests.unit.schedulers.cases import SchedulerCase


class Ports:
    """Who may log in where; with what makes their avatars."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], tuple[str, Any]] = {}

    def register(self, endpoint: str, username: str, password: str, make_avatar: Any) -> Any:
        assert (endpoint, username) not in self.users
        self.users[endpoint, username] = password, make_avatar
        return Undo(lambda: self.users.pop((endpoint, username)))


class Undo:
    def __init__(self, unregister: Callable[[], object]) -> None:
        self.unregister = unregister


class Observer(pb.RemoteReference):
    """A client's object: remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __del__(self) -> None:
        pass

    def callRemote(self, name: str, *args: Any, **_: Any) -> Any:
        self.told.append((name, *args))
        return ensureDeferred(_nothing())


async def _nothing() -> None:
    return None


class WireCase(SchedulerCase):
    def setUp(self) -> None:
        super().setUp()
        self.scheduler = Try_Userpass("try", ["full", "quick"], 8031, [("joe", "pw"), ("ann", "pw2")])
        self.configure(self.scheduler)
        self.ports, self.progress = Ports(), Progress()
        self.known: dict[str, Any] = {"try": self.scheduler}
        self.logins = TryLogins(
            ports=self.ports,
            store=self.store,
            progress=self.progress,
            now=lambda: self.now,
            scheduler=self.known.get,
        )
        self.logins.sync([self.scheduler], ())
        self.client = self.log_in()
        (self.slave,) = self.store.transact(slaves.sync, ["bot"], self.now).values()

    def log_in(self, user: str = "joe") -> TryClient:
        _, make = self.ports.users["tcp:8031", user]
        client: TryClient = make(None, None)
        client.attached(None)
        self.addCleanup(client.detached)
        return client

    def try_(self, *args: Any) -> RemoteBuildset:
        return self.value_of(self.client.perspective_try(*args))

    def refusal(self, *args: Any) -> str:
        failed = self.failureResultOf(ensureDeferred(self.client.perspective_try(*args)), TryRefused)
        self.assertEqual(self.buildsets(), [])
        return str(failed.value)

    def a_job(self, *names: str) -> RemoteBuildset:
        return self.try_("topic", "r1", (1, "diff\n"), "repo", "proj", list(names), "Ann", "why", {"a": 1})

    def start(self, request: BuildRequestID) -> Any:
        row = requests.get(self.store, request)
        assert row is not None
        return self.store.transact(
            builds.start, builder=row.builder_id, slave=self.slave, claimed=[request], reason="", now=self.now
        )

    def finish(self, build: Any, result: Result, text: str = "done") -> None:
        self.store.transact(builds.finish, build.id, result, text, self.now)


class TestJobs(WireCase):
    def test_todays_arguments(self) -> None:
        self.a_job("full")
        (buildset,) = self.buildsets()
        (stamp,) = self.stamps(buildset)
        self.assertEqual((stamp.branch, stamp.revision), ("topic", "r1"))
        self.assertEqual((stamp.repository, stamp.project), ("repo", "proj"))
        found = {name: each.value for name, each in self.properties(buildset).items()}
        self.assertEqual(found, {"a": 1, "owner": "Ann", "scheduler": "try"})

    def test_those_of_07(self) -> None:
        self.try_(None, None, [0, b"diff\n"], ["quick"], {"a": 1})
        (buildset,) = self.buildsets()
        self.assertEqual(len(self.requests(buildset)), 1)
        found = {name: each.value for name, each in self.properties(buildset).items()}
        self.assertEqual(found, {"a": 1, "owner": "joe", "scheduler": "try"})

    def test_without_a_patch(self) -> None:
        self.try_(None, None, None, "", "", [])
        self.assertIsNone(self.stamps(self.buildsets()[0])[0].patch_id)

    def test_everything_is_checked(self) -> None:
        for args, word in (
            ((None, None, "diff"), "(level, diff)"),
            ((None, None, (1,)), "(level, diff)"),
            ((None, None, (-1, "")), "level"),
            ((None, None, (1, 5)), "text"),
            ((None, None, (1, b"x" * 5_000_000)), "at most"),
            ((5, None, None), "text"),
            ((None, {}, None), "text"),
            ((None, None, None, "", "", "full"), "list"),
            ((None, None, None, "", "", ["nobody"]), "does not build 'nobody'"),
            ((None, None, None, "", "", [], "", "", {"a": object()}), "plain data"),
        ):
            self.assertIn(word, self.refusal(*args))

    def test_a_full_disk_is_not_acknowledged(self) -> None:
        class Full(Try_Userpass):
            def accept(self, *args: Any) -> Any:
                raise OSError("No space left on device")

        self.known["try"] = Full("try", ["full"], 8031, [("joe", "pw")])
        self.assertIn("send it again", self.refusal(None, None, None))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_the_builders(self) -> None:
        names = self.value_of(self.client.perspective_getAvailableBuilderNames())
        self.assertEqual(names, ["full", "quick"])

    def test_a_job_can_be_found_again_but_not_that_of_another_scheduler(self) -> None:
        id = self.a_job("full").remote_getID()
        self.assertEqual(self.client.perspective_getBuildset(id).remote_getReason(), "try job by Ann: why")
        other, _ = self.store.transact(
            buildsets.submit, builders=[], source_stamps=[], reason="x", now=1.0, scheduler="other"
        )
        for wrong in (other, 77, -1, 1 << 70, "1", None):
            with self.assertRaises(TryRefused):
                self.client.perspective_getBuildset(wrong)


class TestWaiting(WireCase):
    def watch(self, *names: str) -> tuple[Observer, dict[str, Any]]:
        observer, found = Observer(), dict(self.a_job(*names).remote_getBuildRequests())
        for request in found.values():
            request.remote_subscribe(observer)
        return observer, found

    def test_a_build_is_told_once_and_its_steps_and_its_end(self) -> None:
        observer, found = self.watch("full")
        (row,) = self.requests(self.buildsets()[0])
        self.assertEqual((list(found), observer.told), (["full"], []))
        build = self.start(row.id)
        ((name, remote, builder),) = observer.told
        self.assertEqual((name, builder), ("newbuild", "full"))
        assert isinstance(remote, RemoteBuild)
        remote.remote_subscribe(observer, 3)
        waiting = remote.remote_waitUntilFinished()
        step = self.store.transact(steps.start, build.id, 0, "compile", "", self.now)
        self.progress.tell(build.id)
        self.progress.tell(build.id)
        self.store.transact(steps.finish, step, Result.WARNINGS, "", False, self.now)
        self.progress.tell(build.id)
        self.assertEqual(
            [(each[0], each[1], *each[3:]) for each in observer.told[1:]],
            [("stepStarted", "full", "compile", None), ("stepFinished", "full", "compile", None, 1)],
        )
        self.assertNoResult(waiting)
        self.finish(build, Result.FAILURE, "failed compile")
        self.assertIs(self.successResultOf(waiting), remote)
        self.assertEqual((remote.remote_getResults(), remote.remote_getText()), (2, ["failed compile"]))
        self.assertEqual((remote.remote_getNumber(), remote.remote_isFinished()), (1, True))

    def test_a_build_that_is_tried_again_is_not_the_end(self) -> None:
        observer, _ = self.watch("full")
        (row,) = self.requests(self.buildsets()[0])
        build = self.start(row.id)
        remote = observer.told[0][1]
        waiting = remote.remote_waitUntilFinished()
        self.finish(build, Result.RETRY, "slave lost")
        self.assertNoResult(waiting)
        self.assertIsNone(remote.remote_getResults())
        self.finish(self.start(row.id), Result.SUCCESS)
        self.assertIs(self.successResultOf(waiting), remote)
        self.assertEqual((remote.remote_getResults(), len(observer.told)), (0, 1))

    def test_a_request_that_is_cancelled_before_its_build_is_told_and_over(self) -> None:
        observer, _ = self.watch("full")
        (row,) = self.requests(self.buildsets()[0])
        self.store.transact(requests.cancel, row.id, self.now, "ann", "no")
        remote = observer.told[0][1]
        self.assertIs(self.successResultOf(remote.remote_waitUntilFinished()), remote)
        self.assertEqual((remote.remote_getResults(), remote.remote_getText()), (6, ["not built"]))

    def test_who_comes_late_is_told_too(self) -> None:
        job = self.a_job("full")
        (row,) = self.requests(self.buildsets()[0])
        self.finish(self.start(row.id), Result.SUCCESS)
        ((_, request),) = job.remote_getBuildRequests()
        observer = Observer()
        request.remote_subscribe(observer)
        self.assertEqual(observer.told[0][0], "newbuild")
        self.assertEqual((job.remote_isFinished(), job.remote_getResults()), (True, 0))

    def test_after_unsubscribing_nothing_is_told(self) -> None:
        observer, found = self.watch("full")
        found["full"].remote_unsubscribe(observer)
        (row,) = self.requests(self.buildsets()[0])
        self.start(row.id)
        self.assertEqual(observer.told, [])

    def test_who_is_gone_is_forgotten(self) -> None:
        observer, _ = self.watch("full")
        self.client.detached()
        self.assertEqual(self.store.event_listeners, [])
        (row,) = self.requests(self.buildsets()[0])
        self.start(row.id)
        self.assertEqual(observer.told, [])

    def test_nobody_to_call_is_refused(self) -> None:
        ((_, request),) = self.a_job("full").remote_getBuildRequests()
        with self.assertRaises(TryRefused):
            request.remote_subscribe("me")


class TestLogins(WireCase):
    def test_who_stays_keeps_the_connection_and_who_goes_does_not(self) -> None:
        before = self.ports.users["tcp:8031", "joe"]
        changed = Try_Userpass("try", ["full"], 8031, [("joe", "pw"), ("ann", "other"), ("new", "pw3")])
        self.logins.sync([changed, object()], ())
        self.assertIs(self.ports.users["tcp:8031", "joe"], before)
        self.assertEqual({user: password for (_, user), (password, _) in self.ports.users.items()},
                         {"joe": "pw", "ann": "other", "new": "pw3"})  # fmt: skip
        self.logins.sync([], ())
        self.assertEqual(self.ports.users, {})

    def test_without_a_port_it_is_that_of_the_slaves(self) -> None:
        self.logins.sync([Try_Userpass("try", ["full"], None, [("joe", "pw")])], ("tcp:1", "tcp:2"))
        self.assertEqual(set(self.ports.users), {("tcp:1", "joe"), ("tcp:2", "joe")})

    def test_a_scheduler_that_is_gone_takes_no_jobs(self) -> None:
        del self.known["try"]
        self.assertIn("no longer in the configuration", self.refusal(None, None, None))
