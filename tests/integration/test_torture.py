"""A short form of `make torture`."""

from __future__ import annotations

from pathlib import Path

from tests.processes import Processes
from tests.torture.rounds import Torture


def test_nothing_is_lost_whatever_is_killed(processes: Processes, tmp_path: Path) -> None:
    Torture(processes, tmp_path, seed=20080815).run(rounds=8)
