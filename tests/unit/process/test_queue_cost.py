"""A pass of assigning costs the same however many requests wait: in statements, and in what SQLite does for them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot.process import merging
from tests.bench.queue import PassCost, pass_cost


class TestCost(SynchronousTestCase):
    def cost(self, builders: int, pending: int, merging: bool = False) -> PassCost:
        return pass_cost(Path(self.mktemp()), builders=builders, pending=pending, merging=merging, rounds=1)

    def test_a_long_queue_costs_no_more_than_a_short_one(self) -> None:
        short, long = self.cost(20, 100), self.cost(20, 6000)
        self.assertEqual(short.statements, long.statements)
        self.assertLess(long.steps, short.steps * 1.2 + 0.1)
        self.assertEqual((short.requests, long.requests), (1, 1))

    def test_merging_is_bounded(self) -> None:
        short, long = (self.cost(2, 2 * count, merging=True) for count in (1000, 3000))
        self.assertEqual(short.requests, merging.MOST_MERGED + 1)
        self.assertEqual((long.requests, long.statements), (short.requests, short.statements))
        self.assertLess(long.steps, short.steps * 1.2)

    def test_statements_do_not_grow_with_the_builders(self) -> None:
        self.assertEqual(self.cost(2, 10).statements, self.cost(200, 400).statements)
