"""Random lives of a master (HYPOTHESIS_PROFILE=long: many more), and plain tests of what they found."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Result
from buildbot.store import builds
from tests.lives.machine import Lives
from tests.lives.promises import ALWAYS, nothing_is_held_or_runs
from tests.lives.world import World

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"

TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=2000 if LONG else 60,
    stateful_step_count=50 if LONG else 25,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class TestFound(SynchronousTestCase):
    """A build of `plain` whose second step is being rendered, which takes a second, when something happens."""

    def setUp(self) -> None:
        self.world = World.of(self)
        self.world.connect("y")
        self.world.happen()
        self.world.ask(["plain"])
        self.world.happen()
        self.end_command()

    def end_command(self) -> None:
        slave, command = self.world.running[0]
        slave.end(command, 0)
        self.world.happen()

    def promises_are_kept(self) -> None:
        for promise in ALWAYS:
            promise(self.world)

    @property
    def results(self) -> list[Result | None]:
        """Of the builds that are over."""
        sql = "SELECT result FROM builds WHERE complete_at IS NOT NULL ORDER BY id"
        return [Result(result) for result in self.world.life.store.column(sql)]

    def test_a_slave_lost_while_the_master_is_still_starting_is_waited_for_with_a_limit(self) -> None:
        self.world.die()
        self.world.happen()
        self.world.connect("y")
        self.world.happen()
        self.assertFalse(self.world.life.serves)
        connection = self.world.slaves["y"].connection
        assert connection is not None
        connection.cut()
        self.world.happen()
        self.promises_are_kept()
        self.world.let_pass(70)
        self.assertEqual(self.results, [Result.RETRY])

    def test_what_was_given_up_before_its_step_goes_on_is_dropped_by_the_slave_that_comes(self) -> None:
        self.world.let_pass(1.5)
        (running,) = self.world.running
        self.assertEqual(running[1].text, "slow")
        self.world.die()
        self.world.happen()
        self.assertEqual(self.world.life.parts.control.give_up_slave("y", "ada", "it burns"), 1)
        self.assertEqual(len(builds.running(self.world.life.store)), 1)
        self.world.connect("y")
        self.world.happen()
        self.assertEqual(self.world.running, [])
        self.world.let_pass(1.5)
        self.assertEqual(self.results[0], Result.RETRY)
        left = "SELECT id FROM commands WHERE left_at IS NOT NULL OR state = 'running' AND id = ?"
        self.assertEqual(self.world.life.store.column(left, int(running[1].id)), [])
        self.end_command()
        self.world.let_pass(1.5)
        self.end_command()
        nothing_is_held_or_runs(self.world)
