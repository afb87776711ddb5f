"""Buildsets that a build waits for: what ends with it, and what does not."""

from __future__ import annotations

from buildbot.model import Build, BuildRequest, BuildRequestID, Result
from buildbot.store import builds, buildsets, requests
from tests.unit.store.cases import NOW, StoreCase


class TestChildren(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.parent = self.start(self.ask("full"))

    def ask(self, builder: str, *, waited_for: bool = False, parent: Build | None = None) -> BuildRequestID:
        _, (request,) = self.store.transact(
            buildsets.submit,
            builders=[self.builders[builder]],
            source_stamps=[],
            reason="test",
            waited_for=waited_for,
            parent_build_id=None if parent is None else parent.id,
            now=NOW,
        )
        return request

    def start(self, request: BuildRequestID) -> Build:
        builder = self.row(request).builder_id
        return self.store.transact(
            builds.start, builder=builder, slave=self.slave, claimed=[request], reason="test", now=NOW
        )

    def finish(self, build: Build, result: Result = Result.SUCCESS) -> None:
        self.store.transact(builds.finish, build.id, result, "over", NOW + 1)

    def row(self, request: BuildRequestID) -> BuildRequest:
        found = requests.get(self.store, request)
        assert found is not None
        return found

    def test_what_waits_is_cancelled_with_the_parent_however_it_ends(self) -> None:
        for result in Result:
            with self.subTest(result.name):
                parent = self.start(self.ask("full"))
                child = self.ask("quick", waited_for=True, parent=parent)
                self.finish(parent, result)
                row = self.row(child)
                self.assertEqual((row.result, row.complete_at), (Result.CANCELLED, NOW + 1))
                buildset = buildsets.get(self.store, row.buildset_id)
                self.assertEqual(buildset and buildset.result, Result.CANCELLED)

    def test_what_it_does_not_wait_for_lives_on_whether_it_waits_or_runs(self) -> None:
        waiting, running = (self.ask("quick", parent=self.parent) for _ in range(2))
        build = self.start(running)
        self.finish(self.parent, Result.RETRY)
        self.assertIsNone(self.row(waiting).complete_at)
        self.assertEqual(builds.running_orphans(self.store), [])
        self.finish(build, Result.RETRY)
        self.assertEqual((self.row(running).complete_at, self.row(running).claimed_at), (None, None))

    def test_what_runs_is_known_until_it_is_over(self) -> None:
        build = self.start(self.ask("quick", waited_for=True, parent=self.parent))
        self.assertEqual(builds.running_orphans(self.store), [])
        self.finish(self.parent)
        self.assertEqual(builds.running_orphans(self.store), [(build.id, self.parent.id)])
        self.finish(build)
        self.assertEqual(builds.running_orphans(self.store), [])

    def test_a_child_whose_slave_is_lost_is_tried_again_only_while_somebody_waits_for_it(self) -> None:
        child = self.ask("quick", waited_for=True, parent=self.parent)
        self.finish(self.start(child), Result.RETRY)
        self.assertEqual((self.row(child).claimed_at, self.row(child).complete_at), (None, None))
        build = self.start(child)
        self.finish(self.parent)
        self.finish(build, Result.RETRY)
        self.assertEqual(self.row(child).result, Result.CANCELLED)

    def test_an_exception_fails_the_buildset(self) -> None:
        buildset, asked = self.store.transact(
            buildsets.submit, builders=list(self.builders.values()), source_stamps=[], reason="test", now=NOW
        )
        for request, result in zip(asked, (Result.EXCEPTION, Result.SUCCESS), strict=True):
            self.finish(self.start(request), result)
        found = buildsets.get(self.store, buildset)
        self.assertEqual(found and found.result, Result.EXCEPTION)
