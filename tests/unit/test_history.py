"""What once went wrong in Buildbot, and the tests that it does not here.

| what went wrong | where it is tested |
| --- | --- |
| Nightly's second night | schedulers/test_timed.py: `test_every_night_once` |
| Periodic after a restart | schedulers/test_timed.py: `test_a_restart_builds_nothing_twice_and_loses_nothing` |
| the order of changes within a source stamp | here |
| EXCEPTION fails the buildset | store/test_children.py: `test_an_exception_fails_the_buildset` |
| unimportant changes without a stable timer are retired | here |
| more ids than SQL variables | here |
| waking after a lock's release | process/test_locking.py; here, without any sweep |
| paused over a restart | tests/integration/test_operators.py: `test_a_pause_outlives_kill_9_...`; here |
| the parent of triggered builds over a restart | tests/integration/test_triggered.py; here |
"""

from __future__ import annotations

import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import BuilderID, BuildsetID, ChangeID, Result
from buildbot.schedulers.basic import SingleBranchScheduler
from buildbot.store import buildsets, pauses, queue, requests, schedulers
from tests.lives.world import World
from tests.unit.schedulers.cases import SchedulerCase


class TestChanges(SchedulerCase):
    def test_changes_of_a_stamp_are_in_the_order_in_which_they_came(self) -> None:
        """Twelve, so that an order of texts shows; their own dates go backwards."""
        scheduler = SingleBranchScheduler("s", "main", 60, ["full"])
        self.configure(scheduler)
        self.drive(scheduler)
        came = [self.change(revision=str(number), committed_at=5000.0 - number) for number in range(12)]
        self.drive(scheduler)
        self.now += 61
        self.drive(scheduler)
        self.assertEqual(self.built(), [came])
        self.assertEqual([stamp.revision for stamp in self.stamps(self.buildsets()[0])], ["11"])

    def test_unimportant_changes_are_retired_where_there_is_no_timer(self) -> None:
        scheduler = SingleBranchScheduler("s", "main", None, ["full"], lambda change: False)
        self.configure(scheduler)
        self.drive(scheduler)
        ids = [self.change(revision=str(number)) for number in range(3)]
        self.drive_until_idle(scheduler)
        retired = self.store.column("SELECT change_id FROM classifications WHERE retired = 1 ORDER BY change_id")
        self.assertEqual((self.built(), retired), ([], ids))

    def test_more_ids_than_a_statement_takes_variables(self) -> None:
        self.store._connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 15)
        many = range(1, 200)
        sets = [BuildsetID(number) for number in many]
        self.assertEqual(buildsets.count_open(self.store, sets), 0)
        self.assertEqual(buildsets.results(self.store, sets), {})
        self.assertEqual(requests.of_buildsets(self.store, sets, 10), [])
        self.assertEqual(queue.heads(self.store, [BuilderID(number) for number in many]), {})
        scheduler = SingleBranchScheduler("s", "main", 60, ["full"])
        self.configure(scheduler)
        self.drive(scheduler)
        came = [self.change(revision=str(number)) for number in range(60)]
        self.drive_until_idle(scheduler)
        self.now += 61
        self.drive_until_idle(scheduler)
        self.assertEqual([id for ids in self.built() for id in ids], came)
        self.store.transact(schedulers.retire, "s", [ChangeID(number) for number in many], self.buildsets()[0].id)


class TestLives(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World.of(self)
        self.come()

    def come(self) -> None:
        self.world.connect("x")
        self.world.connect("y")
        self.world.happen()

    def ask(self, *names: str) -> None:
        self.world.ask(list(names), revision=f"r{self.world.seconds}")
        self.world.happen()

    @property
    def running(self) -> list[str]:
        return sorted(command.text for _, command in self.world.running)

    def end(self, text: str) -> None:
        slave, command = next(each for each in self.world.running if each[1].text == text)
        slave.end(command, 0)
        self.world.happen()

    def test_a_lock_that_is_released_wakes_the_next_build_without_time_passing(self) -> None:
        self.world.ask(["locked"], revision="1")
        self.world.ask(["locked"], revision="2")
        self.world.happen()
        self.assertEqual(self.running, ["net"])
        self.end("net")
        self.assertEqual(self.running, ["net"])
        self.end("net")
        self.assertEqual(self.world.life.store.column("SELECT result FROM builds"), [Result.SUCCESS] * 2)

    def test_what_is_paused_is_paused_after_a_restart(self) -> None:
        control = self.world.life.parts.control
        control.pause(pauses.Kind.BUILDER, "plain", "ada", "so")
        for again in (self.world.die, self.world.stop_and_start):
            again()
            self.world.happen()
            self.come()
            self.ask("plain", "child")
            self.assertEqual(self.running, ["small"])
            self.end("small")
        self.world.life.parts.control.unpause(pauses.Kind.BUILDER, "plain", "ada", "so")
        self.world.happen()
        self.assertEqual(self.running[:1], ["one"])

    def test_triggered_builds_know_their_parent_after_a_restart_and_it_waits_for_them(self) -> None:
        self.ask("parent")
        self.assertEqual(self.running, ["small"])
        for again in (self.world.die, self.world.stop_and_start):
            again()
            self.world.happen()
            self.come()
            self.assertEqual(self.running, ["small"])
        self.end("small")
        self.assertEqual(self.running, ["net"])
        self.end("net")
        self.assertEqual(self.world.life.store.column("SELECT result FROM builds"), [Result.SUCCESS] * 2)
        self.assertEqual(self.world.life.store.column("SELECT parent_build_id FROM buildsets ORDER BY id"), [None, 1])
