"""Long work on the store, in transactions so short that whatever else runs does not notice."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from buildbot.store import Store

SLICE_SECONDS = 0.015  # of one transaction, after which no further statement begins
STATEMENT_SECONDS = 0.004  # that its statements should take
FIRST_ROWS = 4  # of a statement about which nothing is known yet
MOST_ROWS = 100

Some = Callable[[Store, int], bool]  # does at most so many rows; whether there may be more to do
Delete = Callable[[Store, Sequence[int]], int]


class Slices:
    """How many rows a statement takes follows from how long the last one of its kind took.

    pause: between two transactions. seconds: a clock for durations, in seconds.
    """

    def __init__(
        self, store: Store, pause: Callable[[], Awaitable[None]], seconds: Callable[[], float] = time.perf_counter
    ) -> None:
        self._store = store
        self._pause = pause
        self._seconds = seconds
        self._rows: defaultdict[str, int] = defaultdict(lambda: FIRST_ROWS)

    async def work_off(self, kind: str, some: Some) -> None:
        """Do all there is to do, in as many transactions as it takes."""
        more = True
        while more:
            more = self._store.transact(self._slice, kind, some)
            await self._pause()

    async def delete(self, kind: str, ids: Sequence[int], delete: Delete) -> int:
        """Give each of these ids to `delete`, some at a time. The sum of what it returns."""
        at = deleted = 0

        def some(store: Store, rows: int) -> bool:
            nonlocal at, deleted
            deleted += delete(store, ids[at : at + rows])
            at += rows
            return at < len(ids)

        if ids:
            await self.work_off(kind, some)
        return deleted

    def _slice(self, store: Store, kind: str, some: Some) -> bool:
        began = now = self._seconds()
        while now - began < SLICE_SECONDS:
            if not some(store, self._rows[kind]):
                return False
            before, now = now, self._seconds()
            self._rows[kind] = _next_rows(self._rows[kind], now - before)
        return True


def _next_rows(rows: int, took: float) -> int:
    """Twice as many while there is time enough, and fewer at once when it took too long."""
    fitting = int(rows * STATEMENT_SECONDS / took) if took > 0 else 2 * rows
    return max(1, min(2 * rows, fitting, MOST_ROWS))
