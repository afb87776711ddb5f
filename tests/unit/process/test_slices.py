"""Slices: as much in a transaction as there is time for, whatever a row costs."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import ensureDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot.process.slices import MOST_ROWS, SLICE_SECONDS, STATEMENT_SECONDS, Slices
from buildbot.store import Store
from tests.unit.store.cases import StoreCase


class TestSlices(StoreCase, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = 0.0
        self.cost = 0.0  # seconds a row
        self.at_once: list[int] = []  # rows of each statement
        self.transactions: list[float] = []
        self.began = 0.0
        self.slices = Slices(self.store, self.pause, lambda: self.clock)

    def pause(self) -> None:
        self.transactions.append(self.clock - self.began)
        self.began = self.clock
        return succeed(None)  # type: ignore[return-value]

    def remove(self, store: Store, ids: Sequence[int]) -> int:
        self.assertTrue(store.in_transaction())
        self.at_once.append(len(ids))
        self.clock += self.cost * len(ids)
        return len(ids)

    def delete(self, count: int, cost: float) -> None:
        self.cost = cost
        self.at_once.clear()
        self.transactions.clear()
        done = self.slices.delete("rows", range(count), self.remove)
        self.assertEqual(self.successResultOf(ensureDeferred(done)), count)
        self.assertEqual(sum(self.at_once), count)

    def test_cheap_rows_go_many_at_a_time(self) -> None:
        self.delete(3000, STATEMENT_SECONDS / 1000)
        self.assertEqual(max(self.at_once), MOST_ROWS)
        self.assertEqual(self.at_once[:4], [4, 8, 16, 32])
        self.assertLess(len(self.transactions), 10)

    def test_costly_rows_go_one_by_one(self) -> None:
        self.delete(40, STATEMENT_SECONDS * 2)
        self.assertEqual(set(self.at_once[1:]), {1})
        self.assertLess(max(self.transactions[1:]), SLICE_SECONDS + 2 * STATEMENT_SECONDS + 1e-9)

    def test_what_becomes_costly_is_noticed_at_once(self) -> None:
        self.delete(1000, STATEMENT_SECONDS / 1000)
        self.delete(1000, STATEMENT_SECONDS / 50)
        self.assertLess(self.at_once[1], 51)
        self.assertLess(max(self.transactions), SLICE_SECONDS + 2 * STATEMENT_SECONDS)

    def test_nothing_to_do_is_no_transaction(self) -> None:
        self.delete(0, 1.0)
        self.assertEqual((self.at_once, self.transactions), ([], []))

    def test_each_kind_has_its_own_size(self) -> None:
        self.delete(1000, STATEMENT_SECONDS / 1000)
        self.at_once.clear()
        self.assertEqual(self.successResultOf(ensureDeferred(self.slices.delete("others", [1], self.remove))), 1)
        many = self.slices.delete("others", range(10), self.remove)
        self.successResultOf(ensureDeferred(many))
        self.assertEqual(self.at_once[1], 4)
