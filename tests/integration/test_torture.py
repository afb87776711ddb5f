"""Short forms of `make torture` and of the demonstration, and each of the named gaps."""

from __future__ import annotations

from pathlib import Path

from tests.processes import Processes
from tests.torture.demonstration import Demonstration
from tests.torture.gaps import GAPS
from tests.torture.rounds import Torture


def test_nothing_is_lost_whatever_is_killed(processes: Processes, tmp_path: Path) -> None:
    Torture(processes, tmp_path, seed=20080815).run(rounds=8)


def test_the_master_is_killed_in_each_gap(processes: Processes, tmp_path: Path) -> None:
    torture = Torture(processes, tmp_path, seed=1)
    torture.run_through(["after"])
    assert torture.struck == [f"after {gap}" for gap in GAPS]


def test_a_killed_master_and_an_undisturbed_one_keep_the_same(processes: Processes, tmp_path: Path) -> None:
    Demonstration(processes, tmp_path, minutes=0.4, builders=3, kills=2, seed=1).run()
