"""A slave behind a network that loses packets, resets connections and is cut, with real packets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.numbered import Numbered
from tests.processes import Processes, wait_until
from tests.torture.faults.network import Network

# A twentieth of the limits, so that a test need not wait for minutes. What they are compared with stays as it is.
MASTER_IN_A_HURRY = """
import buildbot.slaves.link
import buildbot.slaves.session
buildbot.slaves.session.PING_SECONDS = buildbot.slaves.link.ANSWER_SECONDS = 1.0
"""
SLAVE_IN_A_HURRY = """
import buildslave.connection as connection
connection.PROBE_AFTER_SECONDS, connection.PROBE_EVERY_SECONDS, connection.KEEPALIVE_ANSWER_SECONDS = 2.5, 0.25, 0.75
"""
LITTLE_PATIENCE = """
import buildbot.process.reattach
buildbot.process.reattach.PATIENCE_SECONDS, buildbot.process.reattach.LEAST_PATIENCE_SECONDS = 3.0, 1.0
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
def master(processes: Processes, tmp_path: Path, network: Network) -> AMaster:
    return AMaster(processes, tmp_path, pb_host=network.host)


def hurried(network: Network, where: Path) -> tuple[str, ...]:
    """The words before a slave's command line that put it into the network and shorten its limits."""
    (where / "hurry").mkdir()
    (where / "hurry" / "sitecustomize.py").write_text(SLAVE_IN_A_HURRY)
    return (*network.inside, "env", f"PYTHONPATH={where / 'hurry'}")


def slave_log(master: AMaster) -> str:
    return (master.where / "slave-one" / "twistd.log").read_text()


def begin(master: AMaster, inside: tuple[str, ...], work: Numbered, before: str = "") -> None:
    master.configure(work.config, before=before)
    master.start()
    master.slave(inside=inside)
    master.send("r1", branch="main")
    master.running("numbered", 1)


def test_a_build_goes_on_through_lost_packets_and_resets(master: AMaster, network: Network, tmp_path: Path) -> None:
    work = Numbered("a", "b", "c", lines=120, pause=0.025)
    begin(master, hurried(network, tmp_path), work)
    with network.losing(0.3):
        time.sleep(2)
    with network.silent():
        time.sleep(1.5)
    before = master.log.count("slave one is connected")
    network.reset()
    wait_until(lambda: master.log.count("slave one is connected") > before, 30, "the slave's second connection")
    with network.link_down():
        time.sleep(1)
    before = slave_log(master).count("lost the connection")
    with network.refusing():
        wait_until(lambda: slave_log(master).count("lost the connection") > before, 30, "the loss of the connection")
    work.check(master)
    assert master.open_rows() == {}
    page = master.web.get("/builders/numbered/builds/1").text
    assert page.count("the slave was away from") >= 2, page
    assert "Traceback" not in master.log


def test_both_sides_find_a_connection_that_is_dead(master: AMaster, network: Network, tmp_path: Path) -> None:
    work = Numbered("a", "b", lines=70, pause=0.04)
    begin(master, hurried(network, tmp_path), work, MASTER_IN_A_HURRY)
    with network.silent():
        wait_until(lambda: "slave one is lost" in master.log, 30, "the master to find that the slave is silent")
        wait_until(lambda: "lost the connection" in slave_log(master), 30, "the slave to find the same of the master")
    work.check(master)
    assert master.open_rows() == {}
    assert "the slave was away from" in master.web.get("/builders/numbered/builds/1").text
    assert "Traceback" not in master.log


def test_a_slave_that_only_the_master_hears(master: AMaster, network: Network, tmp_path: Path) -> None:
    """What is sent to the slave is lost, what it sends arrives, but is never acknowledged."""
    work = Numbered("a", "b", lines=70, pause=0.04)
    begin(master, hurried(network, tmp_path), work, MASTER_IN_A_HURRY)
    with network.deaf():
        wait_until(lambda: "slave one is lost" in master.log, 30, "the loss of the connection")
    work.check(master)
    assert master.open_rows() == {}


def test_a_cut_that_lasts_too_long_is_a_retry(master: AMaster, network: Network, tmp_path: Path) -> None:
    work = Numbered("a", lines=40, pause=0.1)
    begin(master, hurried(network, tmp_path), work, MASTER_IN_A_HURRY + LITTLE_PATIENCE)
    with network.silent():
        lost = master.finished("numbered", 1)
    assert lost.result is Result.RETRY
    assert "did not come back within" in lost.text
    again = master.finished("numbered", 2)
    assert (again.result, again.attempt) == (Result.SUCCESS, 2)
    # Run twice, by rule; the first one was killed when its slave was back: nothing of it is left.
    assert (tmp_path / "slave-one/numbered/build/RAN").read_text().splitlines() == ["1 a", "2 a"]
    assert master.open_rows() == {}
