"""Which requests one build serves: the rule, the user's own, and what comes of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import (
    BuilderID,
    BuildRequest,
    BuildRequestID,
    BuildsetID,
    EventKind,
    NewChange,
    PatchID,
    Result,
)
from buildbot.process import merging
from buildbot.process.buildrequest import BuildRequest as RequestView
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.store import buildsets, changes, requests, sourcestamps
from buildbot.store.queue import Asked, AskedSource
from tests.rig import RigCase, Source

QUICK = BuildFactory([ShellCommand(command="true")])


def asked(*sources: AskedSource, properties: str = "{}", waited_for: bool = False, id: int = 1) -> Asked:
    row = BuildRequest(
        BuildRequestID(id), BuildsetID(id), BuilderID(1), 0, 0.0, None, None, None, waited_for, 0, None
    )
    return Asked(row, f"reason {id}", properties, sources or (source(),))


def source(codebase: str = "", changed: bool = True, **fields: Any) -> AskedSource:
    given: dict[str, Any] = {"repository": "r", "project": "p", "branch": "b", "revision": "1", "patch_id": None}
    return AskedSource(codebase, **(given | fields), changed=changed)


class TestTheRule(SynchronousTestCase):
    def test_what_may_be_built_together(self) -> None:
        newer, newest = source(revision="2"), source(changed=False, revision=None)
        table: list[tuple[str, Asked, Asked, bool]] = [
            ("the same source", asked(), asked(), True),
            ("two changes on a branch", asked(), asked(newer), True),
            ("the same revision, without changes", asked(source(changed=False)), asked(source(changed=False)), True),
            ("the newest, twice", asked(newest), asked(newest), True),
            ("other revisions without changes", asked(source(changed=False)), asked(newer._replace(changed=0)), False),
            ("a change and a forced revision", asked(), asked(newer._replace(changed=0)), False),
            ("a change and the newest", asked(), asked(newest), False),
            ("other branches", asked(), asked(source(branch="c")), False),
            ("other repositories", asked(), asked(source(repository="s")), False),
            ("other projects", asked(), asked(source(project="q")), False),
            ("other codebases", asked(), asked(source("lib")), False),
            ("one codebase more", asked(), asked(source(), source("lib")), False),
            ("two codebases", asked(source(), source("lib")), asked(newer, source("lib", revision="9")), True),
            ("other properties", asked(), asked(properties='{"a": 1}'), False),
            ("the same properties", asked(properties='{"a": 1}'), asked(properties='{"a": 1}'), True),
            ("a patch", asked(source(patch_id=PatchID(1))), asked(), False),
            ("the same patch twice", asked(source(patch_id=PatchID(1))), asked(source(patch_id=PatchID(1))), False),
            ("what a build waits for", asked(waited_for=True), asked(), False),
        ]
        for what, one, other, together in table:
            self.assertEqual(merging.why_compatible(one, other) is not None, together, what)
            self.assertEqual(merging.why_compatible(other, one) is not None, together, what)

    def test_how_a_function_is_called_is_seen_by_what_it_takes(self) -> None:
        table: list[tuple[Any, bool]] = [
            (lambda builder, one, other: True, False),
            (lambda master, builder, one, other: True, True),
            (lambda builder, one, other, more=1: True, False),
            (RequestView.canBeCollapsed, False),
            (max, False),
        ]
        for function, with_master in table:
            self.assertEqual(merging.takes_the_master(function), with_master, function)

    def test_the_reason_of_a_build_is_every_reason_once(self) -> None:
        several = [asked(id=number) for number in (1, 2, 1)]
        self.assertEqual(merging.reason_of(several), "reason 1; reason 2")
        self.assertEqual(
            merging.reason_of([asked(id=number) for number in range(7)]),
            "reason 0; reason 1; reason 2; reason 3; reason 4; and 2 more",
        )


class TestMerging(RigCase):
    with_slave = False

    def change(self, revision: str, who: str = "ann", **more: Any) -> Source:
        new = NewChange(author=who, revision=revision, branch="main", files=(f"{revision}.c",))
        return Source(**{"branch": "main", "revision": revision, "changes": [new], **more})

    async def built_together(self, *ids: BuildRequestID) -> list[list[int]]:
        """Which of these requests were built by one build, in the order of the builds."""
        await self.rig.start_slave()
        for id in ids:
            await self.rig.built(id)
        of_build: dict[int, list[int]] = {}
        for build, request in self.rig.store.all(
            lambda *row: row, "SELECT build_id, request_id FROM build_requests_of_builds ORDER BY 1, 2"
        ):
            of_build.setdefault(build, []).append(request)
        return list(of_build.values())

    async def test_changes_that_wait_are_built_together_and_all_are_blamed(self) -> None:
        self.rig.add_builder("b", QUICK)
        ids = [self.rig.submit("b", self.change(str(n), who)) for n, who in enumerate(("ann", "bob", "cy"))]
        self.assertEqual(await self.built_together(*ids), [ids])
        built = await self.rig.built(ids[0])
        self.assertEqual((built.properties["revision"], built.properties["owners"]), ("2", ["ann", "bob", "cy"]))
        blamed = changes.of_build(self.rig.store, built.row.id)
        self.assertEqual([change.revision for change in blamed], ["0", "1", "2"])
        for id in ids:
            request = requests.get(self.rig.store, id)
            assert request is not None
            buildset = buildsets.get(self.rig.store, request.buildset_id)
            assert buildset is not None
            self.assertEqual((request.result, buildset.result), (Result.SUCCESS, Result.SUCCESS))
            self.assertEqual(buildset.complete_at, built.row.complete_at)

    async def test_no_merging_where_the_configuration_says_so(self) -> None:
        for options, everywhere, together in (
            ({"mergeRequests": False}, {}, False),
            ({"collapseRequests": False}, {}, False),
            ({}, {"mergeRequests": False}, False),
            ({}, {"collapseRequests": False}, False),
            ({"collapseRequests": True}, {"mergeRequests": False}, True),
            ({"mergeRequests": False}, {"collapseRequests": True}, False),
            ({}, {}, True),
        ):
            self.rig.config.other = everywhere
            self.rig.add_builder("b", BuildFactory(), ["bot"], **options)
            count = self.rig.store.value("SELECT count(*) FROM builds")
            ids = [self.rig.submit("b", Source(revision="1")) for _ in range(2)]
            if "bot" not in self.rig.slaves:
                await self.rig.start_slave()
            for id in ids:
                await self.rig.built(id)
            made = self.rig.store.value("SELECT count(*) FROM builds") - count
            self.assertEqual(made == 1, together, (options, everywhere))

    async def test_what_differs_is_built_apart(self) -> None:
        self.rig.add_builder("b", QUICK)
        one = self.rig.submit("b", Source(revision="1"))
        other = self.rig.submit("b", Source(revision="1"), given={"color": "red"})
        again = self.rig.submit("b", Source(revision="1"))
        self.assertEqual(await self.built_together(one, other, again), [[one, again], [other]])

    async def test_a_function_of_0_8_decides(self) -> None:
        def same_branch(builder: Any, one: Any, other: Any) -> Any:
            assert builder.name == "b"
            return succeed(one.source.branch == other.source.branch)

        self.rig.add_builder("b", QUICK, mergeRequests=same_branch)
        ids = [self.rig.submit("b", Source(branch=name, revision=name + "1")) for name in ("x", "y", "x")]
        ids.append(self.rig.submit("b", Source(branch="x", revision="x2"), given={"color": "red"}))
        self.assertEqual(await self.built_together(*ids), [[ids[0], ids[2], ids[3]], [ids[1]]])
        built = await self.rig.built(ids[0])
        self.assertEqual((built.properties["revision"], built.properties["color"]), ("x2", "red"))

    async def test_a_function_of_0_9_asks_the_master(self) -> None:
        async def same_branch(master: Any, builder: Any, one: Any, other: Any) -> bool:
            if not await RequestView.canBeCollapsed(master, one, other):
                return False
            branches = []
            for request in (one, other):
                buildset = await master.data.get(("buildsets", request["buildsetid"]))
                branches.append(buildset["sourcestamps"][0]["branch"])
            return branches[0] == branches[1] == "x"

        self.rig.config.other["collapseRequests"] = lambda *args: Deferred.fromCoroutine(same_branch(*args))
        self.rig.add_builder("b", QUICK, collapseRequests=same_branch)
        ids = [self.rig.submit("b", Source(branch=name, revision="1")) for name in ("x", "y", "x", "y")]
        self.assertEqual(await self.built_together(*ids), [[ids[0], ids[2]], [ids[1]], [ids[3]]])

    async def test_patches_are_never_mixed_whatever_a_function_says(self) -> None:
        self.rig.add_builder("b", BuildFactory(), mergeRequests=lambda builder, one, other: True)
        plain = self.rig.submit("b", Source(revision="1"))
        patched = [self.rig.submit("b", Source(revision="1", patch=(1, b"diff", ""))) for _ in range(2)]
        self.assertEqual(await self.built_together(plain, *patched), [[plain], [patched[0]], [patched[1]]])

    async def test_a_function_that_fails_merges_nothing(self) -> None:
        self.rig.add_builder("b", QUICK, mergeRequests=lambda builder, one, other: 1 / 0)
        ids = [self.rig.submit() for _ in range(2)]
        self.assertEqual(await self.built_together(*ids), [[ids[0]], [ids[1]]])
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    async def test_on_retry_all_go_back_and_are_built_together_again(self) -> None:
        sleeps = ShellCommand(name="it", command="echo begun; test -e ../quick || sleep 60")
        self.rig.add_builder("b", BuildFactory([sleeps]))
        ids = [self.rig.submit("b", self.change(str(n))) for n in range(3)]
        await self.rig.start_slave()
        step = await self.rig.until_step_runs("it", "begun\n")
        later = self.rig.submit("b", self.change("3"))
        self.rig.slave_dir().joinpath("quick").touch()
        await step.build.stopBuild("another time", results=Result.RETRY)
        first = await self.rig.built(ids[0])
        self.assertEqual(first.result, Result.RETRY)
        second = await self.rig.built(later)
        self.assertEqual([r.id for r in requests.of_build(self.rig.store, second.row.id)], [*ids, later])
        self.assertEqual((second.properties["revision"], second.row.attempt), ("3", 2))
        kinds = self.rig.store.column("SELECT kind FROM events")
        self.assertEqual(kinds.count(EventKind.REQUEST_REQUEUED), 3)

    async def test_a_build_takes_a_bounded_number_along(self) -> None:
        self.rig.add_builder("b", BuildFactory())
        first = merging.MOST_MERGED + 1
        ids = [self.rig.submit("b", Source(revision="1")) for _ in range(first + 2)]
        self.assertEqual(await self.built_together(*ids), [ids[:first], ids[first:]])

    async def test_stamps_of_a_build_are_one_a_codebase(self) -> None:
        self.rig.add_builder("b", BuildFactory(), mergeRequests=lambda builder, one, other: True)
        one = self.rig.submit("b", Source(codebase="app", revision="a1"), Source(codebase="lib", revision="l1"))
        other = self.rig.submit("b", Source(codebase="lib", revision="l2"))
        await self.built_together(one, other)
        built = await self.rig.built(one)
        stamps = sourcestamps.of_build(self.rig.store, built.row.id)
        self.assertEqual([(stamp.codebase, stamp.revision) for stamp in stamps], [("app", "a1"), ("lib", "l2")])
        again = self.rig.control.rebuild(built.row.id, "ada", "")
        self.assertEqual(sourcestamps.of_buildset(self.rig.store, again), stamps)
