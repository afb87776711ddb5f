"""Locks of builders, slaves and steps, in builds with a real slave."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.lockqueue import LockUser
from buildbot.process.locks import MasterLock, SlaveLock
from buildbot.process.properties import Interpolate, Property, renderer
from buildbot.process.results import SUCCESS
from buildbot.steps.shell import ShellCommand
from buildbot.store import steps
from tests.rig import Built, RigCase

DISK = MasterLock("disk", 2)
NET = MasterLock("net")


class Held(BuildStep):
    """Runs until the test lets it go."""

    name = "held"
    running: list[Held] = []  # of the test
    gates: dict[int, Deferred[int]] = {}

    async def run(self) -> int:
        self.running.append(self)
        gate = self.gates[id(self)] = Deferred()
        return await gate

    def go(self) -> None:
        self.running.remove(self)
        self.gates.pop(id(self)).callback(SUCCESS)

    async def interrupt(self, reason: Any) -> None:
        await super().interrupt(reason)
        self.go()


class LocksCase(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.asked: list[Deferred[Built]] = []
        self.addCleanup(self.let_all_go)

    def let_all_go(self) -> None:
        self.rig.running.draining = True
        for build in self.asked:
            build.addErrback(lambda _: None)
            build.cancel()
        for running in list(self.rig.running.by_id.values()):
            running.lose_slave("the test is over")
        for step in list(Held.running):
            step.go()

    def add(self, name: str, *given: Any, slaves: tuple[str, ...] = ("bot",), **options: Any) -> None:
        self.rig.add_builder(name, BuildFactory(list(given) or [Held()]), slaves, **options)

    def later(self, builder: str, **options: Any) -> Deferred[Built]:
        self.asked.append(Deferred.fromCoroutine(self.rig.build(builder, **options)))
        return self.asked[-1]

    async def until_held(self, *builders: str) -> None:
        await self.rig.until(lambda: self.held == sorted(builders), f"the steps of {builders}, not {self.held}")

    @property
    def held(self) -> list[str]:
        return sorted(step.build.builder_name for step in Held.running)

    def let_go(self, builder: str) -> None:
        next(step for step in Held.running if step.build.builder_name == builder).go()

    def step_row(self, builder: str, name: str = "held") -> Any:
        for build in self.rig.running.by_id.values():
            if build.builder_name == builder:
                return steps.by_name(self.rig.store, build.id, name)
        return None

    async def until_waiting(self, builder: str, text: str, name: str = "held") -> Any:
        def waits() -> bool:
            row = self.step_row(builder, name)
            return row is not None and row.state_text == text

        await self.rig.until(waits, f"{builder} says {text!r}, not {self.step_row(builder, name)}")
        return self.step_row(builder, name)

    def since(self, step: Any) -> Any:
        return self.rig.store.value("SELECT locks_since FROM steps WHERE id = ?", step.id)

    def nothing_is_left(self) -> None:
        self.assertEqual(self.rig.running.locks._claims, {})


class TestSteps(LocksCase):
    async def test_steps_wait_in_the_order_in_which_they_came(self) -> None:
        for name in "abc":
            self.add(name, Held(locks=[NET.access("exclusive")]))
        builds = []
        for name in "abc":
            builds.append(self.later(name))
            await self.rig.until(lambda name=name: self.step_row(name) is not None)
        row = await self.until_waiting("c", "waiting for lock net held by a/1 (step held)")
        self.assertIsNotNone(self.since(row))
        self.assertEqual(self.held, ["a"])
        self.let_go("a")
        await self.until_held("b")
        await self.until_waiting("c", "waiting for lock net held by b/1 (step held)")
        self.let_go("b")
        await self.until_held("c")
        self.assertIsNone(self.since(row))
        self.let_go("c")
        for build in builds:
            self.assertEqual((await build).result, Result.SUCCESS)
        self.nothing_is_left()

    async def test_a_bare_lock_counts(self) -> None:
        for name in "abc":
            self.add(name, Held(locks=[DISK]))
        builds = [self.later(name) for name in "abc"]
        await self.rig.until(lambda: len(self.held) == 2)
        waiting = next(name for name in "abc" if name not in self.held)
        self.let_go(self.held[0])
        await self.rig.until(lambda: waiting in self.held)
        for name in self.held:
            self.let_go(name)
        for build in builds:
            self.assertEqual((await build).result, Result.SUCCESS)

    async def test_with_real_commands_one_runs_at_a_time(self) -> None:
        mark = self.rig.base / "mark"
        command = f"mkdir {mark} && sleep 0.1 && rmdir {mark}"
        for name in "abcd":
            self.add(name, ShellCommand(command=command, locks=[NET.access("exclusive")]))
        for build in [self.later(name) for name in "abcd"]:
            self.assertEqual((await build).result, Result.SUCCESS)
        self.nothing_is_left()

    async def test_a_stop_ends_the_waiting_at_once(self) -> None:
        self.add("a", Held(locks=[NET]))
        self.add("b", Held(locks=[NET]), Held(name="after"))
        first, second = self.later("a"), self.later("b")
        await self.until_held("a")
        await self.until_waiting("b", "waiting for lock net held by a/1 (step held)")
        (waiting,) = [id for id, build in self.rig.running.by_id.items() if build.builder_name == "b"]
        self.rig.control.stop_build(waiting, "me", "")
        built = await second
        self.assertEqual((built.result, built.results), (Result.CANCELLED, {"held": Result.CANCELLED}))
        self.assertIn("stopped by me", built.step("held").state_text)
        self.assertEqual(self.held, ["a"])
        self.let_go("a")
        await first
        self.nothing_is_left()

    async def test_a_lost_slave_ends_the_waiting_at_once(self) -> None:
        self.rig.add_slaves("other")
        await self.rig.start_slave("other")
        self.add("a", Held(locks=[NET]))
        self.add("b", Held(locks=[NET]), slaves=("other",))
        first = self.later("a")
        await self.until_held("a")
        second = self.later("b")
        await self.until_waiting("b", "waiting for lock net held by a/1 (step held)")
        for build in self.rig.running.on_slave("other"):
            build.lose_slave("it burns")
        built = await second
        self.assertEqual(built.result, Result.RETRY)
        self.assertIn("it burns", built.step("held").state_text)
        await self.until_waiting("b", "waiting for lock net held by a/1 (step held)")  # its next attempt
        self.let_go("a")
        await first
        await self.until_held("b")
        self.let_go("b")
        await self.rig.until(lambda: not self.rig.running.by_id)
        self.nothing_is_left()

    async def test_locks_may_depend_on_the_build(self) -> None:
        @renderer
        def locks(properties: Any) -> Any:
            return [MasterLock(properties.getProperty("which")).access("exclusive")]

        for name, which in (("a", "x"), ("b", "x"), ("c", "y")):
            self.add(name, Held(locks=locks), properties={"which": which})
        self.later("a")
        await self.until_held("a")
        self.later("b")
        self.later("c")
        await self.until_held("a", "c")
        await self.until_waiting("b", "waiting for lock x held by a/1 (step held)")

    async def test_a_skipped_step_waits_for_nothing(self) -> None:
        self.add("a", Held(locks=[NET]))
        self.add("b", Held(locks=[NET], doStepIf=False))
        self.later("a")
        await self.until_held("a")
        self.assertEqual((await self.later("b")).results, {"held": Result.SKIPPED})

    async def test_what_is_no_lock_is_said(self) -> None:
        built = await self.run_steps(Held(locks=Interpolate("%(prop:buildername)s")))
        self.assertEqual(built.result, Result.EXCEPTION)
        self.assertIn("is not a lock", built.text("held", "err.text"))
        self.flushLoggedErrors(TypeError)

    async def test_what_can_never_be_had_is_said(self) -> None:
        lock = SlaveLock("cpu", maxCountForSlave={"bot": 0})
        built = await self.run_steps(Held(locks=[lock]))
        self.assertEqual(built.result, Result.EXCEPTION)
        self.assertIn("lock cpu of bot admits 0 at once", built.text("held", "err.text"))
        self.nothing_is_left()

    async def test_what_its_build_has_is_not_had_twice(self) -> None:
        built = await self.run_steps(Held(locks=Property("x", default=[NET])), locks=[NET])
        self.assertEqual(built.result, Result.EXCEPTION)
        self.assertIn("lock net is held by its own build already", built.text("held", "err.text"))
        self.nothing_is_left()


class TestBuilders(LocksCase):
    async def test_a_build_starts_with_its_locks_or_not_at_all(self) -> None:
        self.add("a", locks=[NET])
        self.add("b", locks=[NET, DISK.access("exclusive")])
        first = self.later("a")
        await self.until_held("a")
        second = self.later("b")
        await self.rig.until(lambda: self.rig.running.locks.expected("b"))
        self.assertEqual([str(b) for b in self.rig.running.by_id.values()], ["<Build a/1>"])
        claim = self.rig.running.locks.expected("b")
        self.assertEqual([str(each) for each in self.rig.running.locks.obstacles(claim)], ["lock net held by a/1"])
        self.let_go("a")
        await first
        await self.until_held("b")
        held = {str(each.key): [str(c.user) for c in each.holders] for each in self.rig.running.locks.overview()}
        self.assertEqual(held, {"disk": ["b/1"], "net": ["b/1"]})
        self.let_go("b")
        await second
        self.nothing_is_left()

    async def test_an_exclusive_build_is_not_passed_by_later_counting_ones(self) -> None:
        self.add("a", locks=[DISK])
        self.add("e", locks=[DISK.access("exclusive")])
        self.add("c", locks=[DISK])
        first = self.later("a")
        await self.until_held("a")
        second = self.later("e")
        await self.rig.until(lambda: self.rig.running.locks.expected("e"))
        third = self.later("c")
        await self.rig.until(lambda: self.rig.running.locks.expected("c"))
        self.let_go("a")
        await self.until_held("e")
        self.let_go("e")
        await self.until_held("c")
        self.let_go("c")
        for build in (first, second, third):
            await build

    async def test_a_locked_builder_keeps_no_other_waiting(self) -> None:
        self.add("a", locks=[NET])
        self.add("b", locks=[NET])
        self.add("c")
        self.later("a")
        await self.until_held("a")
        self.later("b")
        await self.rig.until(lambda: self.rig.running.locks.expected("b"))
        self.later("c")
        await self.until_held("a", "c")

    async def test_nobody_waits_behind_a_request_that_was_cancelled(self) -> None:
        self.add("a", locks=[DISK])
        self.add("e", locks=[DISK.access("exclusive")])
        self.add("s", Held(locks=[DISK]))
        self.later("a")
        await self.until_held("a")
        request = self.rig.submit("e")
        await self.rig.until(lambda: self.rig.running.locks.expected("e"))
        self.later("s")
        await self.until_waiting("s", "waiting for lock disk after the next build of e")
        self.rig.control.cancel_request(request, "me", "")
        await self.until_held("a", "s")

    async def test_nobody_waits_behind_builders_when_the_master_stops(self) -> None:
        self.add("a", locks=[DISK])
        self.add("e", locks=[DISK.access("exclusive")])
        self.add("s", Held(name="before"), Held(locks=[DISK]))
        self.later("a")
        self.later("s")
        await self.until_held("a", "s")
        self.rig.submit("e")
        await self.rig.until(lambda: self.rig.running.locks.expected("e"))
        self.rig.running.draining = True
        self.let_go("s")
        await self.until_waiting("s", "waiting for lock disk after the next build of e")
        self.rig.bell.ring()
        await self.until_held("a", "s")

    async def test_another_slave_is_taken_when_its_lock_is_free(self) -> None:
        self.rig.add_slaves("other")
        await self.rig.start_slave("other")
        cpu = SlaveLock("cpu")
        self.add("a", locks=[cpu])
        self.add("b", slaves=("bot", "other"), locks=[cpu])
        self.later("a")
        await self.until_held("a")
        second = self.later("b")
        await self.until_held("a", "b")
        self.let_go("b")
        self.assertEqual((await second).properties["slavename"], "other")

    async def test_the_locks_of_a_slave_are_taken_by_every_build_on_it(self) -> None:
        self.rig.add_slaves("other", locks=[NET])
        await self.rig.start_slave("other")
        self.add("a", slaves=("other",))
        self.add("b", slaves=("other",))
        self.add("c", locks=[NET.access("exclusive")])
        self.later("a")
        await self.until_held("a")
        for name in "bc":
            self.later(name)
            await self.rig.until(lambda name=name: self.rig.running.locks.expected(name))
        self.assertEqual(self.held, ["a"])
        self.let_go("a")
        await self.until_held("b")
        self.let_go("b")
        await self.until_held("c")

    async def test_locks_of_a_builder_may_depend_on_the_request(self) -> None:
        @renderer
        def locks(properties: Any) -> Any:
            assert properties.getProperty("slavename") == "bot"
            return [MasterLock(properties.getProperty("which")).access("exclusive")]

        self.add("a", locks=locks, max_builds_per_slave=3, mergeRequests=False)
        first = self.later("a", given={"which": "x"})
        await self.until_held("a")
        second = self.later("a", given={"which": "x"})
        third = self.later("a", given={"which": "y"})
        await self.until_held("a", "a")
        self.assertEqual(sorted(b.getProperty("which") for b in self.rig.running.by_id.values()), ["x", "y"])
        for _ in range(2):
            self.let_go("a")
        for build in (first, third):
            await build
        await self.until_held("a")
        self.let_go("a")
        self.assertEqual((await second).properties["which"], "x")

    async def test_a_renderable_that_fails_starts_nothing_and_is_said(self) -> None:
        self.add("a", locks=Interpolate("%(prop:buildername)s"))
        self.later("a")
        await self.rig.until(lambda: self.rig.assigning.refusals)
        self.assertEqual(self.rig.running.by_id, {})
        self.flushLoggedErrors(TypeError)


class TestCircles(LocksCase):
    async def test_the_last_of_those_that_wait_for_each_other_is_tried_again(self) -> None:
        self.add("a", Held(name="first"), Held(locks=[NET]), locks=[DISK.access("exclusive")])
        self.add("b", Held(name="first"), Held(locks=[DISK]), locks=[NET])
        first, second = self.later("a"), self.rig.submit("b")
        await self.until_held("a", "b")
        self.let_go("a")
        await self.until_waiting("a", "waiting for lock net held by b/1")
        self.let_go("b")
        built = await self.rig.built(second)
        self.assertEqual(built.result, Result.RETRY)
        self.assertIn("builds wait for each other's locks", built.step("held").state_text)
        await self.until_held("a")
        self.let_go("a")
        self.assertEqual((await first).result, Result.SUCCESS)
        for _ in range(2):
            await self.until_held("b")
            self.let_go("b")
        self.assertEqual((await self.rig.built(second, attempt=2)).result, Result.SUCCESS)
        self.nothing_is_left()


class TestReconfiguration(LocksCase):
    async def test_the_same_lock_made_again_is_the_same(self) -> None:
        self.rig.running.locks.configure([NET])
        self.add("a", locks=[NET])
        first = self.later("a")
        await self.until_held("a")
        again = MasterLock("net")
        self.add("a", locks=[again])
        self.add("b", locks=[again])
        self.rig.running.locks.configure([again])
        second = self.later("b")
        await self.rig.until(lambda: self.rig.running.locks.expected("b"))
        self.assertEqual(self.held, ["a"])
        self.let_go("a")
        await first
        await self.until_held("b")
        self.let_go("b")
        await second
        self.nothing_is_left()

    async def test_a_greater_limit_lets_in_at_once(self) -> None:
        self.rig.running.locks.configure([NET])
        self.add("a", Held(locks=[NET]))
        self.add("b", Held(locks=[NET]))
        self.later("a")
        await self.until_held("a")
        self.later("b")
        await self.until_waiting("b", "waiting for lock net held by a/1 (step held)")
        self.rig.running.locks.configure([MasterLock("net", 2)])
        self.assertEqual(self.held, ["a", "b"])

    async def test_a_smaller_limit_takes_from_nobody(self) -> None:
        self.rig.running.locks.configure([DISK])
        for name in "abc":
            self.add(name, Held(locks=[DISK]))
        self.later("a")
        self.later("b")
        await self.until_held("a", "b")
        self.rig.running.locks.configure([MasterLock("disk", 1)])
        self.later("c")
        await self.rig.until(lambda: self.step_row("c") is not None)
        self.let_go("a")
        await self.until_waiting("c", "waiting for lock disk held by b/1 (step held)")
        self.let_go("b")
        await self.until_held("c")


class TestAfterARestart(LocksCase):
    async def test_a_process_that_ends_begins_nothing_with_the_locks_that_it_leaves(self) -> None:
        self.add("a", Held(locks=[NET]))
        self.add("b", Held(locks=[NET]))
        for build in (self.later("a"), self.later("b")):
            build.addErrback(lambda _: None)
        await self.until_held("a")
        await self.until_waiting("b", "waiting for lock net held by a/1 (step held)")
        self.rig.running.draining = True
        self.rig.running.leave()
        began = "SELECT count(*) FROM steps WHERE code_began_at IS NOT NULL"
        self.assertEqual(self.rig.store.value(began), 1)
        self.assertEqual(self.rig.store.value("SELECT count(*) FROM steps WHERE locks_since IS NOT NULL"), 1)

    async def test_whoever_held_holds_and_whoever_waited_waits(self) -> None:
        locks = self.rig.running.locks
        locks.freeze()
        self.add("a", Held(locks=[NET]))
        self.later("a")
        await self.rig.until(lambda: self.step_row("a") is not None)
        locks.hold(LockUser("z", 1, "s", None), {NET.key_on("bot"): NET.access("counting")}, 0.0)
        locks.thaw()
        await self.until_waiting("a", "waiting for lock net held by z/1 (step s)")
        locks.end(LockUser("z", 1, "s", None))
        await self.until_held("a")
