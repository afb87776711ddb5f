"""The Trigger step and the Triggerable scheduler: what the children get, and that neither is without the other."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot.config.errors import ConfigErrors
from buildbot.model import BuildID, NewChange, Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.journal import Journal
from buildbot.process.properties import Interpolate, Property, Secret, renderer
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.process.sourcestamp import SourceStamp as UserStamp
from buildbot.schedulers import base
from buildbot.schedulers.basic import SingleBranchScheduler
from buildbot.schedulers.triggerable import Triggerable
from buildbot.secrets.environment import SecretInEnvironment
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trigger import Trigger
from buildbot.store import builds, buildsets, changes, commands, pauses, properties, requests, sourcestamps, steps
from tests.rig import Built, RigCase, Source

WAITS = "while ! [ -e ../../../go ]; do sleep 0.05; done"


class Ends(BuildStep):
    """Ends as it is told."""

    name = "ends"
    warnOnWarnings = True

    def __init__(self, how: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.how = how

    async def run(self) -> int:
        return self.how


class Sets(BuildStep):
    name = "sets"

    async def run(self) -> int:
        self.setProperty("got_revision", "found")
        return SUCCESS


class TriggerCase(RigCase):
    """Builder `b` on slave `bot` is the parent; builders `kid1` and `kid2` on slave `kids` are triggered."""

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.store = self.rig.store
        self.rig.add_slaves("kids")
        await self.rig.start_slave("kids")
        self.kids(kid1=Ends(SUCCESS), kid2=Ends(SUCCESS))

    def kids(self, **steps: BuildStep) -> None:
        """Builders of these names with one step each, and Triggerable schedulers of the same names."""
        for name, step in steps.items():
            self.rig.add_builder(name, BuildFactory([step]), ["kids"])
            self.schedulers(Triggerable(name, [name]))

    def schedulers(self, *given: Any) -> None:
        names = [scheduler.name for scheduler in given]
        self.rig.config.schedulers = [s for s in self.rig.config.schedulers if s.name not in names] + list(given)

    def children(self) -> list[Any]:
        """The buildsets that have a parent."""
        ids = self.store.column("SELECT id FROM buildsets WHERE parent_build_id IS NOT NULL ORDER BY id")
        return [buildsets.get(self.store, id) for id in ids]

    def requests(self) -> list[Any]:
        return [request for child in self.children() for request in requests.of_buildset(self.store, child.id)]

    def stamps(self, child: int = 0) -> list[Any]:
        return sourcestamps.of_buildset(self.store, self.children()[child].id)

    def given(self, child: int = 0) -> dict[str, Any]:
        return {p.name: p.value for p in properties.of(self.store, "buildset", self.children()[child].id)}

    async def settled(self) -> None:
        await self.rig.until(lambda: all(child.complete_at for child in self.children()), "the end of the children")

    def go(self) -> None:
        (self.rig.base / "go").write_text("")


class TestWithoutWaiting(TriggerCase):
    async def test_the_build_goes_on_at_once_and_the_child_knows_its_parent(self) -> None:
        self.kids(kid1=ShellCommand(command=WAITS))
        built = await self.run_steps(Trigger(schedulerNames=["kid1"]))
        self.assertEqual(built.result, Result.SUCCESS)
        self.assertEqual(built.step("trigger").state_text, "triggered kid1")
        (child,), (request,) = self.children(), self.requests()
        self.assertIsNone(child.complete_at)
        self.assertEqual((child.parent_build_id, child.parent_relationship), (built.row.id, "Triggered from"))
        self.assertEqual(child.reason, "The Triggerable scheduler named 'kid1' triggered this build")
        self.assertEqual((child.scheduler, request.waited_for), ("kid1", False))
        links = [(url.name, url.url) for url in steps.urls_of_build(self.store, built.row.id)]
        self.assertEqual(links, [(f"kid1: request {request.id}", f"/buildrequests/{request.id}")])
        self.go()
        await self.settled()
        self.assertEqual(self.children()[0].result, Result.SUCCESS)

    async def test_a_secret_reaches_no_child(self) -> None:
        self.rig.secrets.use([SecretInEnvironment("X_", {"X_TOKEN": "hunter2"})])
        given = {"token": Secret("token"), "reason": Interpolate("with %(secret:token)s")}
        stamp = {"codebase": "", "repository": Interpolate("https://me:%(secret:token)s@host/x"), "branch": "b"}
        built = await self.run_steps(Trigger(["kid1"], set_properties=given, sourceStamps=[stamp], waitForFinish=True))
        self.assertEqual(built.result, Result.SUCCESS)
        (child,) = self.children()
        self.assertEqual(child.reason, "with <token>")
        values = {each.name: each.value for each in properties.of(self.store, "buildset", child.id)}
        self.assertEqual(values["token"], "<token>")
        (source,) = sourcestamps.of_buildset(self.store, child.id)
        self.assertEqual(source.repository, "https://me:<token>@host/x")

    async def test_several_schedulers_and_a_rendered_name(self) -> None:
        await self.run_steps(
            Trigger(schedulerNames=[Property("which"), "kid2"], parent_relationship="Part of"),
            properties={"which": "kid1"},
        )
        self.assertEqual([child.scheduler for child in self.children()], ["kid1", "kid2"])
        self.assertEqual(self.children()[0].parent_relationship, "Part of")

    async def test_a_child_that_fails_is_not_the_parents_business(self) -> None:
        self.kids(kid1=Ends(FAILURE))
        built = await self.run_steps(Trigger(schedulerNames=["kid1"]))
        await self.settled()
        self.assertEqual((built.result, self.children()[0].result), (Result.SUCCESS, Result.FAILURE))

    async def test_stopping_the_parent_leaves_it_alone(self) -> None:
        self.kids(kid1=ShellCommand(command=WAITS), kid2=ShellCommand(command=WAITS))
        self.rig.add_builder("b", BuildFactory([Trigger(["kid1", "kid2"]), ShellCommand(command="sleep 60")]))
        request = self.rig.submit("b")
        await self.rig.until_step_runs("shell")
        (parent,) = builds.of_request(self.store, request)
        await self.rig.until(lambda: len(self.children()) == 2, "the children")
        self.rig.control.stop_build(parent.id, "ada", "")
        self.assertEqual((await self.rig.built(request)).result, Result.CANCELLED)
        self.go()
        await self.settled()
        self.assertEqual([child.result for child in self.children()], [Result.SUCCESS, Result.SUCCESS])


class TestSources(TriggerCase):
    SOURCE = Source("main", "asked", repository="r", changes=[NewChange(author="ann", revision="asked", branch="main")])

    async def stamp_of(self, *given: Any, sources: Any = None) -> Any:
        await self.run_steps(*given, sources=[self.SOURCE] if sources is None else sources)
        (stamp,) = self.stamps()
        return stamp

    async def test_the_revision_that_was_checked_out(self) -> None:
        stamp = await self.stamp_of(Sets(), Trigger(["kid1"]))
        self.assertEqual((stamp.branch, stamp.revision, stamp.repository), ("main", "found", "r"))
        self.assertEqual([c.author for c in changes.of_buildset(self.store, self.children()[0].id)], ["ann"])

    async def test_the_revision_that_was_asked_for(self) -> None:
        self.assertEqual((await self.stamp_of(Sets(), Trigger(["kid1"], updateSourceStamp=False))).revision, "asked")
        self.rig.config.builders.clear()

    async def test_without_a_checkout_it_is_the_one_that_was_asked_for(self) -> None:
        self.assertEqual((await self.stamp_of(Trigger(["kid1"]))).revision, "asked")

    async def test_the_patch_goes_along_and_is_stored_once(self) -> None:
        stamp = await self.stamp_of(Trigger(["kid1"]), sources=[Source("main", "7", patch=(1, b"--- a", ""))])
        self.assertEqual(self.store.value("SELECT count(*) FROM patches"), 1)
        self.assertIsNotNone(stamp.patch_id)

    async def test_the_newest_of_what_the_scheduler_builds(self) -> None:
        self.schedulers(Triggerable("kid1", ["kid1"], codebases={"": {"branch": "stable", "repository": "own"}}))
        stamp = await self.stamp_of(Sets(), Trigger(["kid1"], alwaysUseLatest=True))
        self.assertEqual((stamp.branch, stamp.revision, stamp.repository), ("stable", None, "own"))

    async def test_what_the_step_says_with_the_schedulers_defaults_under_it(self) -> None:
        self.schedulers(Triggerable("kid1", ["kid1"], codebases={"": {"branch": "stable", "repository": "own"}}))
        given = {"revision": Interpolate("%(prop:wanted)s"), "patch_body": "diff", "patch_level": 0}
        stamp = await self.stamp_of(Trigger(["kid1"], sourceStamp=given, set_properties={}), sources=[Source()])
        self.assertEqual((stamp.branch, stamp.revision, stamp.repository), ("stable", "", "own"))
        patch = sourcestamps.patch(self.store, stamp.patch_id)
        self.assertEqual((patch.body, patch.level), (b"diff", 0))

    async def test_several_codebases(self) -> None:
        self.schedulers(Triggerable("kid1", ["kid1"], codebases={"a": {}, "c": {"branch": "main", "repository": "rc"}}))

        class SetsBoth(Sets):
            async def run(self) -> int:
                self.setProperty("got_revision", {"a": "a2", "b": "b2"})
                return SUCCESS

        sources = [Source("main", "a1", "a", "ra"), Source("main", "b1", "b", "rb")]
        await self.run_steps(SetsBoth(), Trigger(["kid1"]), sources=sources)
        found = {stamp.codebase: (stamp.repository, stamp.branch, stamp.revision) for stamp in self.stamps()}
        self.assertEqual(found, {"a": ("ra", "main", "a2"), "b": ("rb", "main", "b2"), "c": ("rc", "main", None)})

    async def test_a_scheduler_without_codebases_builds_those_of_the_parent_only(self) -> None:
        await self.run_steps(Trigger(["kid1"]), sources=[Source(codebase="a"), Source(codebase="b")])
        self.assertEqual([stamp.codebase for stamp in self.stamps()], ["a", "b"])

    async def test_a_source_stamp_made_by_the_configuration(self) -> None:
        self.schedulers(Triggerable("kid1", ["kid1"], codebases={"a": {"repository": "r", "branch": "trunk"}}))
        made = UserStamp("b", "12", (2, "a patch", "sub"), codebase="a", project="p")
        built = await self.run_steps(Trigger(["kid1"], sourceStamps=[made]))
        self.assertEqual(built.result, Result.SUCCESS)
        (stamp,) = self.stamps()
        self.assertEqual((stamp.codebase, stamp.repository, stamp.project), ("a", "r", "p"))
        self.assertEqual((stamp.branch, stamp.revision), ("b", "12"))
        patch = sourcestamps.patch(self.store, stamp.patch_id)
        self.assertEqual((patch.level, patch.body, patch.subdir), (2, b"a patch", "sub"))

    def test_which_source_stamps_one_build_may_serve(self) -> None:
        plain = UserStamp("b", "1")
        for other, merged in (
            (UserStamp("b", "1"), True),
            (UserStamp("b", "2"), False),
            (UserStamp("c", "1"), False),
            (UserStamp("b", "1", codebase="x"), False),
            (UserStamp("b", "1", (1, b"diff")), False),
        ):
            self.assertIs(plain.canBeMergedWith(other), merged, other.asDict())
        self.assertTrue(UserStamp("b", "1", changes=[1]).canBeMergedWith(UserStamp("b", "2", changes=[2])))

    async def test_a_misspelt_field_triggers_nothing(self) -> None:
        built = await self.run_steps(Trigger(["kid1"], sourceStamps=[{"brunch": "x"}]))
        self.assertEqual((built.result, self.children()), (Result.EXCEPTION, []))
        self.assertIn("did you mean 'branch'?", built.step("trigger").state_text)


class TestProperties(TriggerCase):
    async def test_set_and_copied_ones_go_over_the_schedulers(self) -> None:
        self.schedulers(Triggerable("kid1", ["kid1"], properties={"a": "own", "b": "own"}))
        step = Trigger(
            ["kid1"],
            set_properties={"a": Interpolate("<%(prop:x)s>"), "n": 1},
            copy_properties=["x", "not there"],
        )
        await self.run_steps(step, properties={"x": "y"})
        wanted = {"a": "<y>", "b": "own", "n": 1, "x": "y", "scheduler": "kid1"}
        self.assertEqual(self.given(), wanted)

    async def test_the_reason_may_be_one_of_them(self) -> None:
        await self.run_steps(Trigger(["kid1"], set_properties={"reason": "because"}))
        self.assertEqual(self.children()[0].reason, "because")

    async def test_builders_and_properties_may_depend_on_them(self) -> None:
        @renderer
        def which(props: Any) -> list[str]:
            return [props.getProperty("kid")]

        self.schedulers(Triggerable("kid1", which, properties={"p": Interpolate("%(prop:kid)s!")}))
        await self.run_steps(Trigger(["kid1"], set_properties={"kid": "kid2"}))
        await self.settled()
        (request,) = self.requests()
        self.assertEqual(request.builder_id, self.rig._builder_ids["kid2"])
        self.assertEqual(self.given()["p"], "kid2!")

    async def test_a_subclass_decides_per_scheduler(self) -> None:
        class Mine(Trigger):
            async def getSchedulersAndProperties(self) -> Any:
                return [
                    {"sched_name": "kid1", "props_to_set": {"n": 1}, "unimportant": True},
                    ("kid2", {"n": 2}),
                ]

        self.kids(kid1=Ends(FAILURE), kid2=Ends(WARNINGS))
        built = await self.run_steps(Mine(waitForFinish=True))
        self.assertEqual([self.given(child)["n"] for child in (0, 1)], [1, 2])
        self.assertEqual(built.step("trigger").result, Result.WARNINGS)

    async def test_the_priority_is_the_parents_unless_the_scheduler_has_one(self) -> None:
        self.schedulers(Triggerable("kid2", ["kid2"], priority=3))
        self.rig.add_builder("b", BuildFactory([Trigger(["kid1", "kid2"])]))
        request = self.rig.submit("b")
        self.store.execute("UPDATE build_requests SET priority = 7 WHERE id = ?", request)
        await self.rig.built(request)
        self.assertEqual([each.priority for each in self.requests()], [7, 3])


class TestWaiting(TriggerCase):
    async def test_the_worst_result_of_the_children(self) -> None:
        self.kids(kid1=Ends(FAILURE), kid2=Ends(WARNINGS))
        built = await self.run_steps(Trigger(["kid1", "kid2"], waitForFinish=True), Ends(SUCCESS, name="after"))
        self.assertEqual(built.results, {"trigger": Result.FAILURE, "after": Result.SUCCESS})
        self.assertEqual(built.result, Result.FAILURE)
        self.assertTrue(all(request.waited_for for request in self.requests()))
        urls = steps.urls_of_build(self.store, built.row.id)
        self.assertEqual(
            sorted((url.name, url.url) for url in urls),
            [("kid1 #1", "/builders/kid1/builds/1"), ("kid2 #1", "/builders/kid2/builds/1")],
        )

    async def test_halt_on_failure_is_obeyed(self) -> None:
        self.kids(kid1=Ends(FAILURE))
        built = await self.run_steps(Trigger(["kid1"], waitForFinish=True, haltOnFailure=True), Ends(SUCCESS))
        self.assertEqual(built.results, {"trigger": Result.FAILURE})

    async def test_unimportant_children_do_not_count(self) -> None:
        self.kids(kid1=Ends(FAILURE))
        built = await self.run_steps(
            Trigger(["kid1", "kid2"], waitForFinish=True, unimportantSchedulerNames=["kid1"])
        )
        self.assertEqual(built.result, Result.SUCCESS)

    async def test_it_says_what_it_waits_for_and_ends_only_after_them(self) -> None:
        self.kids(kid1=ShellCommand(command=WAITS))
        parent = self.run_steps_later(Trigger(["kid1", "kid2"], waitForFinish=True))
        step = await self.rig.until_step_runs("trigger")
        await self.rig.until(lambda: step.getCurrentSummary()["step"] == "waiting for kid1, kid2: 1 of 2 complete")
        self.assertNoResult(parent)
        self.go()
        built = await parent
        self.assertEqual(built.result, Result.SUCCESS)
        self.assertTrue(all(child.complete_at <= built.row.complete_at for child in self.children()))

    async def test_a_child_that_is_retried_is_waited_for_all_the_same(self) -> None:
        self.kids(kid1=ShellCommand(command=WAITS))
        parent = self.run_steps_later(Trigger(["kid1"], waitForFinish=True))
        await self.rig.until_step_runs("shell")
        await self.rig.stop_slave("kids")
        await self.rig.until(lambda: "kids" in self.rig.reattaching.away, "it is away")
        self.rig.reattaching.give_up("kids", "slave kids was lost for good")
        await self.rig.until(lambda: self.requests()[0].claimed_at is None, "it is put back")
        self.go()
        await self.rig.start_slave("kids")
        self.assertEqual((await parent).result, Result.SUCCESS)
        self.assertEqual(len(self.children()), 1)

    async def test_grandchildren(self) -> None:
        self.kids(kid2=Ends(WARNINGS))
        self.rig.add_slaves("more")
        await self.rig.start_slave("more")
        step = Trigger(["kid2"], waitForFinish=True, warnOnWarnings=True)
        self.rig.add_builder("kid1", BuildFactory([step]), ["more"])
        built = await self.run_steps(Trigger(["kid1"], waitForFinish=True, warnOnWarnings=True))
        self.assertEqual(built.result, Result.WARNINGS)

    async def test_a_child_without_builders_is_complete_at_once(self) -> None:
        self.schedulers(Triggerable("kid1", []))
        built = await self.run_steps(Trigger(["kid1"], waitForFinish=True))
        self.assertEqual(built.result, Result.SUCCESS)


class TestStopping(TriggerCase):
    """What a build waits for ends with it, and before it."""

    async def start(self, *given: Any) -> BuildID:
        self.kids(kid1=ShellCommand(command="sleep 60"), kid2=ShellCommand(command="sleep 60"))
        self.rig.config.slaves[-1].max_builds = 1
        self.rig.add_builder("b", BuildFactory([Trigger(["kid1", "kid2"], waitForFinish=True), *given]))
        self.request = self.rig.submit("b")
        await self.rig.until_step_runs("shell")
        (parent,) = builds.of_request(self.store, self.request)
        return parent.id

    async def ended(self) -> Built:
        built = await self.rig.built(self.request)
        for child in self.children():
            self.assertIsNotNone(child.complete_at)
            self.assertLessEqual(child.complete_at, built.row.complete_at)
        return built

    async def test_one_that_runs_and_one_that_waits(self) -> None:
        parent = await self.start()
        self.rig.control.stop_build(parent, "ada", "enough")
        built = await self.ended()
        self.assertEqual(built.result, Result.CANCELLED)
        self.assertEqual([child.result for child in self.children()], [Result.CANCELLED, Result.CANCELLED])
        running, waiting = self.requests()
        (child,) = builds.of_request(self.store, running.id)
        self.assertEqual(
            child.state_text, "cancelled: stopped by the build that triggered it, b/1: stopped by ada: enough"
        )
        self.assertEqual(builds.of_request(self.store, waiting.id), [])
        self.assertIn("the build that triggered it, b/1", waiting.cancelled_because)

    async def test_a_child_whose_slave_is_lost_meanwhile_is_not_built_again(self) -> None:
        parent = await self.start()
        self.rig.control.stop_build(parent, "ada", "")
        self.rig.cut("kids")
        built = await self.ended()
        self.assertEqual(built.result, Result.CANCELLED)
        self.assertEqual([child.result for child in self.children()], [Result.CANCELLED, Result.CANCELLED])

    async def test_grandchildren_too(self) -> None:
        self.rig.add_slaves("more")
        await self.rig.start_slave("more")
        self.kids(kid2=ShellCommand(command="sleep 60"))
        self.rig.add_builder("kid1", BuildFactory([Trigger(["kid2"], waitForFinish=True)]), ["more"])
        self.rig.add_builder("b", BuildFactory([Trigger(["kid1"], waitForFinish=True)]))
        self.request = self.rig.submit("b")
        await self.rig.until_step_runs("shell")
        (parent,) = builds.of_request(self.store, self.request)
        self.rig.control.stop_build(parent.id, "ada", "")
        await self.ended()
        self.assertEqual([child.result for child in self.children()], [Result.CANCELLED, Result.CANCELLED])

    async def test_a_parent_whose_slave_is_lost_is_tried_again_with_children_of_its_own(self) -> None:
        parent = await self.start()
        self.rig.running.by_id[parent].lose_slave("its machine burnt down")
        built = await self.rig.built(self.request)
        self.assertEqual((built.result, built.row.state_text), (Result.RETRY, "retry: its machine burnt down"))
        first = [child for child in self.children() if child.parent_build_id == parent]
        self.assertEqual([child.result for child in first], [Result.CANCELLED, Result.CANCELLED])
        self.assertTrue(all(child.complete_at <= built.row.complete_at for child in first))
        await self.rig.until(lambda: len(self.children()) == 4, "the children of the next attempt")
        (_, again) = builds.of_request(self.store, self.request)
        self.assertEqual([child.parent_build_id for child in self.children()[2:]], [again.id, again.id])
        self.rig.control.stop_build(again.id, "test", "")
        await self.rig.built(self.request, attempt=2)

    async def test_stopped_before_anything_is_triggered(self) -> None:
        asked: Deferred[Any] = Deferred()

        class Slow(Trigger):
            def getSchedulersAndProperties(self) -> Any:
                return asked

        self.rig.add_builder("b", BuildFactory([Slow(waitForFinish=True)]))
        request = self.rig.submit("b")
        await self.rig.until_step_runs("trigger")
        (parent,) = builds.of_request(self.store, request)
        self.rig.control.stop_build(parent.id, "ada", "")
        asked.callback([("kid1", {})])
        self.assertEqual((await self.rig.built(request)).result, Result.CANCELLED)
        self.assertEqual(self.children(), [])

    async def test_a_parent_that_ends_otherwise_takes_them_along(self) -> None:
        """As when it cannot go on: the store cancels what waits, the doorbell stops what runs."""
        parent = await self.start()
        build = self.rig.running.by_id[parent]
        self.store.transact(builds.finish, parent, Result.EXCEPTION, "exception: a bug", self.rig.now())
        await self.rig.until(lambda: all(child.complete_at for child in self.children()), "the end of the children")
        self.assertEqual([child.result for child in self.children()], [Result.CANCELLED, Result.CANCELLED])
        await self.rig.until(lambda: build.id not in self.rig.running.by_id, "its end")


class TestMistakes(TriggerCase):
    async def test_an_unknown_scheduler(self) -> None:
        built = await self.run_steps(Trigger(["kid1", "kid3"]))
        self.assertEqual((built.result, self.children()), (Result.EXCEPTION, []))
        self.assertEqual(
            built.step("trigger").state_text, "there is no scheduler 'kid3'; did you mean 'kid2'? (exception)"
        )
        self.assertIn("there is no scheduler 'kid3'", built.text("trigger", "err.text"))

    async def test_one_that_cannot_be_triggered(self) -> None:
        self.schedulers(SingleBranchScheduler("kid1", "main", builderNames=["kid1"]))
        built = await self.run_steps(Trigger(["kid1"]))
        self.assertIn("is a SingleBranchScheduler, and only a Triggerable", built.step("trigger").state_text)

    async def test_one_that_is_paused(self) -> None:
        self.store.transact(pauses.begin, pauses.Kind.SCHEDULER, "kid2", 1.0, who="ada", why="moving")
        built = await self.run_steps(Trigger(["kid1", "kid2"], waitForFinish=True))
        self.assertEqual((built.result, self.children()), (Result.EXCEPTION, []))
        self.assertIn("scheduler 'kid2' is paused by ada: moving", built.step("trigger").state_text)

    async def test_a_function_of_the_scheduler_that_fails_triggers_nothing(self) -> None:
        @renderer
        def fails(props: Any) -> list[str]:
            raise ValueError("no idea")

        self.schedulers(Triggerable("kid2", fails))
        built = await self.run_steps(Trigger(["kid1", "kid2"]))
        self.assertEqual((built.result, self.children()), (Result.EXCEPTION, []))
        self.assertIn("scheduler 'kid2' cannot be triggered", built.step("trigger").state_text)
        self.assertIn("no idea", built.step("trigger").state_text)
        self.flushLoggedErrors(ValueError)

    async def test_a_function_of_the_step_that_fails(self) -> None:
        class Mine(Trigger):
            def getSchedulersAndProperties(self) -> Any:
                raise ValueError("no idea")

        built = await self.run_steps(Mine(["kid1"]))
        self.assertEqual((built.result, self.children()), (Result.EXCEPTION, []))
        self.flushLoggedErrors(ValueError)

    def test_arguments_that_cannot_be_meant(self) -> None:
        for wrong, message in (
            ({}, "needs schedulerNames"),
            ({"schedulerNames": "kid1"}, "needs schedulerNames, a list"),
            ({"schedulerNames": ["a"], "unimportantSchedulerNames": ["b"]}, "is not one of schedulerNames"),
            ({"schedulerNames": ["a"], "alwaysUseLatest": True, "updateSourceStamp": True}, "takes one of"),
            ({"schedulerNames": ["a"], "alwaysUseLatest": True, "sourceStamps": [{}]}, "takes one of"),
            ({"schedulerNames": ["a"], "sourceStamp": {}, "sourceStamps": []}, "not both"),
            ({"schedulerNames": ["a"], "waitForFinsh": True}, "did you mean 'waitForFinish'?"),
        ):
            with self.subTest(wrong), self.assertRaises(ConfigErrors) as caught:
                Trigger(**wrong)
            self.assertIn(message, str(caught.exception))


class TestReplay(TriggerCase):
    """The step's code runs again over its journal."""

    async def test_the_same_children_are_found_and_the_user_is_not_asked_again(self) -> None:
        asked = []

        class Mine(Trigger):
            def getSchedulersAndProperties(self) -> Any:
                asked.append(self)
                return [("kid1", {})]

        self.kids(kid1=Ends(WARNINGS))
        built = await self.run_steps(Mine(waitForFinish=True))
        (ran,) = asked
        again = Mine(waitForFinish=True)
        again.build, again._row, again.name = ran.build, ran._row, ran.name
        again.journal = Journal(commands.of_step(self.rig.store, ran.step_id))
        self.addCleanup(again.finish_logs)
        self.assertEqual(await again.run(), WARNINGS)
        self.assertEqual((len(asked), len(self.children())), (1, 1))
        self.assertEqual(built.step("trigger").result, Result.WARNINGS)

    async def test_a_transaction_that_is_not_committed_leaves_no_child(self) -> None:
        class Breaks(Triggerable):
            def trigger(self, *args: Any, **kwargs: Any) -> Any:
                super().trigger(*args, **kwargs)
                raise base.UserCodeFailed("here the process dies")

        self.schedulers(Breaks("kid2", ["kid2"]))
        built = await self.run_steps(Trigger(["kid1", "kid2"]))
        self.assertEqual((built.result, self.children(), built.commands("trigger")), (Result.EXCEPTION, [], []))
        self.flushLoggedErrors(base.UserCodeFailed)
