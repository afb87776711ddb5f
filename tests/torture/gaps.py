"""A master that kills itself in a named gap: right before, or right after, the commit of a certain fact.

`python -m tests.torture.gaps WHEN GAP COUNT` followed by the words of a `buildbot` command runs that command in this
process and sends it SIGKILL at the COUNT-th commit that holds the fact. The product knows nothing of it: SQLite tells
its own statements (sqlite3_trace_v2).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, Final

from buildbot.scripts.runner import run
from buildbot.store.store import Store

GAPS: Final = {
    "change stored": r"INSERT INTO changes ",
    "change classified": r"INSERT INTO classifications ",
    "requested": r"INSERT INTO build_requests ",
    "claimed": r"UPDATE build_requests SET claimed_at = [0-9]",
    "build started": r"INSERT INTO builds ",
    "step begun": r"INSERT INTO steps ",
    "log opened": r"INSERT INTO logs ",
    "ordered": r"INSERT INTO commands .*'ordered'",
    "command running": r"UPDATE commands SET state = 'running'",
    "command finished unacknowledged": r"UPDATE commands SET state = 'finished'",
    "children submitted": r"INSERT INTO buildsets .*INSERT INTO commands",
    "step finished": r"UPDATE steps SET complete_at = ",
    "build finished untold": r"UPDATE builds SET complete_at = ",
    "receiver told": r"(INSERT INTO|UPDATE) cursors ",
}
OF_TRANSFERS: Final = {"upload arrived": r"INSERT INTO commands .*'arrived'"}
WHEN: Final = ("before", "after")


class Gap:
    """Counts the commits that hold the fact, and ends the process in the one it waits for."""

    def __init__(self, when: str, fact: str, count: int) -> None:
        self.when = when
        self.fact = re.compile((GAPS | OF_TRANSFERS)[fact], re.DOTALL)
        self.missing = count
        self.said = ""

    def watch(self, store: Store) -> None:
        store._connection.set_trace_callback(self.hear)
        committed = store._committed

        def after(started: float) -> None:
            if self.when == "after" and self.holds():
                self.strike()
            committed(started)

        store._committed = after  # type: ignore[method-assign]

    def hear(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self.said = ""
        elif statement != "COMMIT":
            self.said += statement + "\n"
        elif self.when == "before" and self.holds():
            self.strike()

    def holds(self) -> bool:
        return self.fact.search(self.said) is not None

    def strike(self) -> None:
        self.missing -= 1
        if self.missing <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(words: list[str]) -> None:
    when, fact, count, *command = words
    gap = Gap(when, fact, int(count))
    opened = Store.open.__func__  # type: ignore[attr-defined]

    def opening(cls: type[Store], path: Path, **options: Any) -> Store:
        store: Store = opened(cls, path, **options)
        gap.watch(store)
        return store

    Store.open = classmethod(opening)  # type: ignore[assignment]
    sys.argv = ["buildbot", *command]
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
