"""Schedulers of which each decision is made by a process of its own, which ends after it."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from buildbot.store import Store
from tests.unit.schedulers.histories import KINDS, Doing, HistoryCase, Way

_fork = multiprocessing.get_context("fork")
_spawn = multiprocessing.get_context("spawn")


def _mother(orders: Connection) -> None:
    """Has imported the modules, decides nothing, and bears a process for each order until there are no more."""
    while (order := orders.recv()) is not None:
        child = _fork.Process(target=_life, args=(*order, orders))
        child.start()
        child.join()
        if child.exitcode != 0:
            orders.send((child.pid, f"ended with {child.exitcode}"))


def _life(path: Path, kind: str, do: Doing, answer: Connection) -> None:
    """One decision: the store is opened, the scheduler made, and both are left."""
    store = Store.open(path)
    value = do(store, KINDS[kind]())
    store.close()
    answer.send((os.getpid(), value))


class TestFreshProcess(HistoryCase):
    def elsewhere(self, kind: str) -> Way:
        def has_it(do: Doing) -> Any:
            self.store.close()
            self.orders.send((self.path.absolute(), kind, do))
            pid, value = self.orders.recv()
            self.deciders.append(pid)
            self.store = Store.open(self.path)
            return value

        return has_it

    def test_each_kind(self) -> None:
        self.orders, theirs = _spawn.Pipe()
        mother = _spawn.Process(target=_mother, args=(theirs,), daemon=False)
        mother.start()
        theirs.close()
        self.addCleanup(mother.join)
        self.addCleanup(self.orders.send, None)
        self.deciders: list[int] = []
        self.assert_the_same(self.elsewhere)
        self.assertEqual(len(self.deciders), (36 + 9) * len(KINDS))
        self.assertNotIn(os.getpid(), self.deciders)
        self.assertGreater(len(set(self.deciders)), len(KINDS))
