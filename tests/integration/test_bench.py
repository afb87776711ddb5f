"""A short form of `make bench`: our side alone, small amounts; what is counted must hold, what is timed need not."""

from __future__ import annotations

from pathlib import Path

from tests.bench.contender import Contender
from tests.bench.keeping import retention_cost
from tests.bench.pages import page_costs
from tests.bench.reconnect import reconnecting
from tests.bench.recovery import recovery
from tests.bench.testing import cost_of_tests
from tests.bench.transfers import transfers


def test_no_page_asks_or_sends_too_much(tmp_path: Path) -> None:
    for cost in page_costs(tmp_path / "history", builds=2000):
        assert cost.statements <= 10, cost
        assert cost.size <= 100_000, cost


def test_every_build_goes_on_after_a_kill(tmp_path: Path) -> None:
    assert recovery(tmp_path / "recovery", builds=20, slaves=2).cpu > 0


def test_all_slaves_come_back_at_once(tmp_path: Path) -> None:
    found = reconnecting(tmp_path / "reconnecting", slaves=150, builders=2)
    assert found.seconds < 25, found  # a connection that the system has lost waits for the slave's time limit, 30 s
    assert found.longest_cpu_ms < 100, found


def test_a_pass_of_retention_is_many_small_transactions(tmp_path: Path) -> None:
    cost = retention_cost(tmp_path, builds=300)
    assert cost.rows > 1000
    assert cost.rows / cost.transactions < 200, cost


def test_results_of_tests_cost_little(tmp_path: Path) -> None:
    for cost in cost_of_tests(tmp_path, results=2000):
        assert cost.statements <= 60, cost
        assert cost.bytes_each < 250, cost


def test_the_benchmark_s_work_is_done(tmp_path: Path) -> None:
    from tests.bench.__main__ import build_cost, latency, output

    contender = Contender(tmp_path / "work", ours=True, slaves=2, builders=3, lines=50_000)
    contender.make()
    try:
        contender.start()
        contender.start_slaves()
        build_cost(contender, "one", 2)
        build_cost(contender, "five", 1)
        assert contender.finished_builds() == 9
        assert latency(contender, 1) > 0
        _, growth = output(contender)
        assert growth < 20, f"4 MB of output made the master grow by {growth:.1f} MiB"
        log = contender.where / "master" / "logs" / "much" / "1" / "shell-stdio.txt"
        assert log.read_text().count("x" * 79 + "\n") == 50_000
    finally:
        contender.stop()


def test_files_pass_through_no_memory(tmp_path: Path) -> None:
    for each in transfers(tmp_path / "transfers", megabytes=60):
        assert each.master_grew < 20, each
        assert each.slave_grew < 20, each
