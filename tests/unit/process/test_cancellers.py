"""Requests that nobody needs any more are ended: superseded ones, siblings of a failure, those of removed builders."""

from __future__ import annotations

from typing import Any

from buildbot.changes.filter import SourceStampFilter
from buildbot.config.errors import ConfigErrors
from buildbot.model import BuildRequestID, EventKind, NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.process.removed import RemovedBuilders
from buildbot.schedulers.canceller import FailingBuildsetCanceller, OldBuildCanceller
from buildbot.status.receiver import ReceiverContext, ReceiverWorker
from buildbot.steps.shell import ShellCommand
from buildbot.store import actions, builders, buildsets, changes, events, requests, sourcestamps
from tests.rig import RigCase, clock

ALL = SourceStampFilter()


class CancellerCase(RigCase):
    """`ask(builders, branch)` makes a change and a buildset of it; nothing runs until a slave is started."""

    with_slave = False

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.store = self.rig.store
        self.revision = 0
        for name in ("b", "c", "other"):
            self.rig.add_builder(name, BuildFactory([ShellCommand(command="sleep 60")]), mergeRequests=False)

    def use(self, canceller: Any) -> None:
        context = ReceiverContext(
            store=self.store,
            log_files=self.rig.log_files,
            config=lambda: self.rig.config,
            now=self.rig.now,
            reactor=clock,
            secrets=self.rig.secrets,
            control=self.rig.control,
        )
        self.store.transact(events.start_cursor, canceller.name)
        self.rig.bell.add(canceller.name, ReceiverWorker(canceller.name, canceller, context))

    def ask(self, *names: str, change: bool = True, **stamp: Any) -> list[BuildRequestID]:
        def work(store: Any) -> list[BuildRequestID]:
            self.revision += 1
            ids = []
            if change:
                new = NewChange(author="eve", revision=str(self.revision), branch=stamp.get("branch"))
                ids = [changes.add(store, new, self.rig.now())[0]]
            stamp_id = sourcestamps.add(store, changes=ids, now=self.rig.now(), **stamp)
            wanted = [self.rig._builder_ids[name] for name in names]
            return buildsets.submit(
                store, builders=wanted, source_stamps=[stamp_id], reason="change", now=self.rig.now()
            )[1]

        return self.store.transact(work)

    def cancelled(self, id: BuildRequestID) -> str | None:
        request = requests.get(self.store, id)
        assert request is not None
        return request.cancelled_because

    def are_open(self, *ids: BuildRequestID) -> bool:
        found = [requests.get(self.store, id) for id in ids]
        return all(request is not None and request.complete_at is None for request in found)

    async def settle(self, name: str) -> None:
        """Until the canceller has dealt with everything."""
        self.rig.bell.ring()
        for _ in range(3):
            last = events.last_id(self.store)
            marker = self.store.transact(buildsets.submit, builders=[], source_stamps=[], reason="", now=1.0)
            await self.rig.until(lambda last=last: events.cursor(self.store, name).event_id > last, "the cursor")
            assert marker


class TestOldBuilds(CancellerCase):
    async def test_a_newer_change_of_the_branch_cancels_what_waits(self) -> None:
        self.use(OldBuildCanceller("old", [(["b"], ALL)]))
        (old,), (elsewhere,) = self.ask("b", branch="main"), self.ask("b", branch="topic")
        (uncovered,) = self.ask("other", branch="main")
        (new,) = self.ask("b", branch="main")
        await self.rig.until(lambda: self.cancelled(old))
        self.assertEqual(
            self.cancelled(old), "cancelled by OldBuildCanceller old: change 4 of the same branch supersedes it"
        )
        self.assertTrue(self.are_open(elsewhere, uncovered, new))
        (action,) = actions.about(self.store, f"request {old}")
        self.assertEqual((action.who, action.what), ("OldBuildCanceller old", "cancel request"))

    async def test_a_running_build_is_stopped(self) -> None:
        self.use(OldBuildCanceller("old", [("b", SourceStampFilter(branch_eq=["main"]))]))
        await self.rig.start_slave()
        (old,) = self.ask("b", branch="main")
        await self.rig.until_step_runs("shell")
        (new,) = self.ask("b", branch="main")
        built = await self.rig.built(old)
        self.assertEqual(built.result, Result.CANCELLED)
        self.assertIn("change 2 of the same branch supersedes it", built.row.state_text)
        await self.rig.until_step_runs("shell")
        self.assertTrue(self.are_open(new))
        self.rig.control.stop_build(next(iter(self.rig.running.by_id)), "ada", "")

    async def test_what_no_change_has_made_neither_supersedes_nor_is_superseded(self) -> None:
        self.use(OldBuildCanceller("old", [(["b"], ALL)]))
        (old,), (forced,) = self.ask("b", branch="main"), self.ask("b", branch="main", change=False)
        await self.settle("old")
        self.assertTrue(self.are_open(old, forced))
        self.ask("b", branch="main")
        await self.rig.until(lambda: self.cancelled(old))
        self.assertTrue(self.are_open(forced))

    async def test_patch_sets_of_one_gerrit_change_are_one_branch(self) -> None:
        self.use(OldBuildCanceller("old", [(["b"], ALL)]))
        (old,) = self.ask("b", branch="refs/changes/10/1010/1")
        (other,) = self.ask("b", branch="refs/changes/11/1011/1")
        self.ask("b", branch="refs/changes/10/1010/2")
        await self.rig.until(lambda: self.cancelled(old))
        self.assertTrue(self.are_open(other))

    async def test_the_users_branch_key(self) -> None:
        self.use(OldBuildCanceller("old", [(["b"], ALL)], branch_key=lambda stamp: stamp.branch.split("@")[0]))
        (old,), _ = self.ask("b", branch="main@1"), self.ask("b", branch="main@2")
        await self.rig.until(lambda: self.cancelled(old))

    async def test_a_filter_that_does_not_match_protects(self) -> None:
        self.use(OldBuildCanceller("old", [(["b"], SourceStampFilter(branch_not_eq=["release"]))]))
        (kept,), _ = self.ask("b", branch="release"), self.ask("b", branch="release")
        (old,), _ = self.ask("b", branch="main"), self.ask("b", branch="main")
        await self.rig.until(lambda: self.cancelled(old))
        self.assertTrue(self.are_open(kept))

    async def test_what_came_while_it_was_away_is_dealt_with(self) -> None:
        self.store.transact(events.start_cursor, "old")
        (old,), _ = self.ask("b", branch="main"), self.ask("b", branch="main")
        self.use(OldBuildCanceller("old", [(["b"], ALL)]))
        await self.rig.until(lambda: self.cancelled(old))

    async def test_a_build_that_serves_one_that_is_needed_goes_on(self) -> None:
        (old,), (forced,) = self.ask("b", branch="main"), self.ask("b", branch="main", change=False)
        self.store.execute("UPDATE build_requests SET claimed_at = 1.0 WHERE id IN (?, ?)", old, forced)
        build = self.store.insert(
            "INSERT INTO builds (builder_id, number, started_at, state_text, reason, attempt) "
            "VALUES (?, 1, 1.0, '', '', 1)",
            self.rig._builder_ids["b"],
        )
        self.store.execute_many(
            "INSERT INTO build_requests_of_builds (build_id, request_id) VALUES (?, ?)", [(build, old), (build, forced)]
        )
        stopped: list[Any] = []
        self.rig.control.stop_build = lambda *given: bool(stopped.append(given))  # type: ignore[method-assign]
        await self.rig.control.end_requests([old], "policy", "")
        self.assertEqual(stopped, [])
        await self.rig.control.end_requests([old, forced], "policy", "why")
        self.assertEqual(stopped, [(build, "policy", "why")])

    def test_mistakes_say_what_is_wanted(self) -> None:
        for filters, words in (
            ("b", "filters is a list"),
            ([("b",)], "(builders, SourceStampFilter)"),
            ([("b", "main")], "(builders, SourceStampFilter)"),
            ([(7, ALL)], "a name or a list of names"),
        ):
            with self.assertRaises(ConfigErrors) as raised:
                OldBuildCanceller("old", filters)
            self.assertIn(words, str(raised.exception))


class TestFailingBuildsets(CancellerCase):
    async def fail(self, request: BuildRequestID, result: Result = Result.FAILURE) -> None:
        builder = self.rig.config.builder("b")
        assert builder is not None
        builder.factory = BuildFactory([ShellCommand(command="exit 1" if result is Result.FAILURE else "true")])
        await self.rig.start_slave()
        self.assertEqual((await self.rig.built(request)).result, result)

    async def test_the_siblings_are_cancelled_and_no_others(self) -> None:
        self.rig.config.slaves[0].max_builds = 1
        self.use(FailingBuildsetCanceller("failing", [(["b"], ["c"], ALL)]))
        ours, theirs = self.ask("b", "c", "other"), self.ask("c")
        await self.fail(ours[0])
        await self.rig.until(lambda: not self.are_open(ours[1]))
        self.assertTrue(self.are_open(ours[2], theirs[0]))
        for build in list(self.rig.running.by_id):
            self.rig.control.stop_build(build, "ada", "")

    async def test_none_means_every_builder(self) -> None:
        self.use(FailingBuildsetCanceller("failing", [("b", None, ALL)]))
        ours = self.ask("b", "c", "other")
        await self.fail(ours[0])
        await self.rig.until(lambda: not self.are_open(ours[1]) and not self.are_open(ours[2]))

    def test_success_is_of_no_interest(self) -> None:
        canceller = FailingBuildsetCanceller("failing", [("b", None, ALL)])
        for result in Result:
            event = self.store.transact(events.add, 1.0, EventKind.BUILD_FINISHED, 1, result=result)
            self.assertEqual(canceller.wants(event), result in (Result.FAILURE, Result.EXCEPTION))


class TestRemovedBuilders(CancellerCase):
    def remove(self, *left: str) -> None:
        self.store.transact(builders.sync, [(name, "", ()) for name in left], 2.0)

    def worker(self, settled: bool = True) -> RemovedBuilders:
        return RemovedBuilders(self.store, lambda: settled, self.rig.now, clock)

    async def test_their_requests_are_cancelled_with_that_reason(self) -> None:
        both, alone = self.ask("b", "c"), self.ask("b")
        self.remove("c", "other")
        await self.worker().run(3.0)
        reason = "cancelled by the configuration: it no longer names this builder"
        self.assertEqual([self.cancelled(id) for id in (both[0], alone[0])], [reason, reason])
        self.assertTrue(self.are_open(both[1]))
        row = requests.get(self.store, alone[0])
        assert row is not None
        buildset = buildsets.get(self.store, row.buildset_id)
        assert buildset is not None
        self.assertEqual(buildset.result, Result.CANCELLED)
        self.assertEqual([action.who for action in actions.about(self.store, "builder b")], ["the configuration"])

    async def test_a_configuration_that_is_only_tried_cancels_nothing(self) -> None:
        (request,) = self.ask("b")
        self.remove("c", "other")
        await self.worker(settled=False).run(3.0)
        self.assertTrue(self.are_open(request))
        self.remove("b", "c", "other")
        await self.worker().run(4.0)
        self.assertTrue(self.are_open(request))
