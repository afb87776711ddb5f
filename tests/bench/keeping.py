"""What one pass of retention costs those who share the reactor with it: its transactions, one by one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import Clock

from buildbot.config.retention import DAY, Keep, RetentionPlan
from buildbot.process.retention import Retention
from buildbot.store import Store
from buildbot.store.logfiles import LogFiles
from tests import history

NOW = 1_700_000_000.0
RULES = (
    Keep("builds", newest=20),
    Keep("changes", newest=20),
    Keep("events", newest=100),
    Keep("requests", days=0.001),
)
TOO_LONG_MS = 50.0


class PassCost(NamedTuple):
    """Of one pass: rows gone, its transactions, the longest in milliseconds of CPU and in thousands of SQLite's own
    instructions, and how many took more CPU than TOO_LONG_MS."""

    rows: int
    transactions: int
    longest_cpu_ms: float
    steps: float
    too_long: int


def retention_cost(where: Path, *, builds: int) -> PassCost:
    """A pass that removes nearly all of a history of so many builds."""
    where.mkdir(parents=True, exist_ok=True)
    store = Store.open(where / "state.sqlite")
    try:
        return _Measured(store, LogFiles(where / "logs")).run(builds)
    finally:
        store.close()


class _Measured:
    def __init__(self, store: Store, files: LogFiles) -> None:
        self.store = store
        self.files = files
        self.took: list[float] = []
        self.steps: list[int] = []
        self.ticks = 0

    def run(self, builds: int) -> PassCost:
        history.fill(self.store, now=NOW, builds_count=builds, log_files=self.files)
        before = self.rows()
        clock: Any = Clock()
        in_thread: Any = lambda work: succeed(work())  # noqa: E731
        keeper = Retention(
            store=self.store,
            log_files=self.files,
            clock=clock,
            in_thread=in_thread,
            plan=lambda: RetentionPlan(RULES),
            receivers=lambda: (),
        )
        real, self.store.transact = self.store.transact, self.transact  # type: ignore[method-assign]
        self.real: Any = real
        self.store._connection.set_progress_handler(self.tick, 100)
        done = ensureDeferred(keeper.run(NOW + DAY))
        while not done.called:
            clock.advance(1.0)
        self.store._connection.set_progress_handler(None, 0)
        self.store.transact = real  # type: ignore[method-assign]
        too_long = sum(took > TOO_LONG_MS for took in self.took)
        return PassCost(before - self.rows(), len(self.took), max(self.took), max(self.steps) / 10, too_long)

    def rows(self) -> int:
        tables = self.store.column("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        return sum(self.store.value(f"SELECT count(*) FROM {table}") for table in tables)

    def tick(self) -> int:
        self.ticks += 1
        return 0

    def transact(self, work: Any, *args: Any, **kw: Any) -> Any:
        self.ticks, began = 0, time.thread_time()
        try:
            return self.real(work, *args, **kw)
        finally:
            self.took.append((time.thread_time() - began) * 1000)
            self.steps.append(self.ticks)
