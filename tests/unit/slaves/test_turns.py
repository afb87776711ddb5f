"""Turns of the reactor are shared out: what does not fit waits, in order, and nothing is lost."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.slaves.turns import TURN_SECONDS, Turns


class TestTurns(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def work(self, name: str, seconds: float) -> None:
        """As a connection does it."""
        if not self.turns.has_time():
            self.turns.later(lambda: self.work(name, seconds))
            return
        self.done.append(name)
        self.clock.rightNow += seconds  # it took so long

    def test_what_does_not_fit_waits_for_its_turn(self) -> None:
        for name in "abcdef":
            self.work(name, TURN_SECONDS * 0.6)
        self.assertEqual((self.done, self.turns.has_time()), (["a", "b"], False))
        self.work("g", 0)  # behind those who wait
        self.clock.advance(0)
        self.assertEqual(self.done, list("abcdefg"))

    def test_a_turn_ends_with_the_reactor_s(self) -> None:
        self.work("a", TURN_SECONDS * 0.9)
        self.clock.advance(0)
        self.work("b", TURN_SECONDS * 0.9)
        self.clock.advance(0)
        self.assertEqual((self.done, self.clock.getDelayedCalls()), (["a", "b"], []))
