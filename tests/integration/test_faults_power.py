"""The machine of a master or a slave loses its power: a real file system keeps only what was brought to the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.numbered import Numbered
from tests.processes import Processes, wait_until
from tests.torture.faults.power import Disk

FORCED = """
c['schedulers'].append(schedulers.ForceScheduler(name='force', builderNames=['numbered']))
"""
BUILDER = "/builders/numbered"
RUNNING = "SELECT count(*) FROM commands WHERE state = 'running'"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with Disk(tmp_path / "disk") as made:
        yield made


def end(master: AMaster) -> None:
    """Wait until all that was asked for is done, and look at what is kept."""
    master.idle(90)
    assert master.open_rows() == {}
    assert "is in order" in master.buildbot("check", master.basedir)


def test_what_a_master_has_acknowledged_outlives_its_power(processes: Processes, tmp_path: Path, disk: Disk) -> None:
    work = Numbered("a", "b", lines=60, pause=0.03)
    master = AMaster(processes, tmp_path, basedir=disk.where / "master")
    master.configure(work.config + FORCED)
    disk.settle()
    master.start()
    slave = master.slave()
    master.web.log_in()
    sent: list[str] = []
    for number in range(3):
        before = master.value("SELECT count(*) FROM build_requests")
        if number == 1:
            answer = master.web.press(BUILDER, f"{BUILDER}/force", forcescheduler="force", reason="forced")
            assert "was asked for" in answer.text
        elif number == 2:
            assert master.web.press(BUILDER, f"{BUILDER}/pause", comments="no power").status == 200
        sent.append(f"r{number}")
        master.send(sent[-1], branch="main")
        disk.lose_power()
        disk.come_back()
        assert "is in order" in master.buildbot("check", master.basedir)
        assert [revision for (revision,) in master.rows("SELECT revision FROM changes ORDER BY id")] == sent
        master.start()
        master.web.log_in()
        wanted = before + 1 + (number == 1)
        wait_until(
            lambda wanted=wanted: master.value("SELECT count(*) FROM build_requests") == wanted,  # type: ignore[misc]
            30,
            "the requests",
        )
        if number < 2:
            wait_until(lambda: master.value(RUNNING), 30, "a command")
    assert "no power" in master.web.get(BUILDER).text
    master.web.press(BUILDER, f"{BUILDER}/unpause")
    end(master)
    assert slave.running
    reasons = {reason for (reason,) in master.rows("SELECT reason FROM buildsets")}
    assert "forced" in " ".join(reasons)
    assert {build.result for build in master.builds()} <= {Result.SUCCESS, Result.RETRY}


SAYS_MUCH = """
c['builders'] = [util.BuilderConfig(name='numbered', slavenames=['one'], factory=util.BuildFactory([steps.ShellCommand(
    name='a', command=['sh', '-c', 'echo a >> RAN; sleep 1; seq 300000; exit 0'])]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['numbered'])]
"""


@pytest.fixture
def away(processes: Processes, tmp_path: Path, disk: Disk) -> AMaster:
    """A master that was killed while its slave, which lives on the disk, ran a command; the command's end is kept."""
    master = AMaster(processes, tmp_path)
    master.configure(SAYS_MUCH)
    master.start()
    master.slave(directory=str(disk.where / "slave"))
    disk.settle()
    master.send("r1", branch="main")
    master.running("numbered", 1)
    master.kill()
    wait_until(lambda: list((disk.where / "slave" / ".spool").glob("*.end")), 30, "the end that the slave keeps")
    return master


def both_again(master: AMaster, disk: Disk) -> list[str]:
    """Start both, wait for the end of all work, and look at the log. Which commands ran, as the slave's disk knows."""
    disk.come_back()
    master.start()
    master.slave(directory=str(disk.where / "slave"))
    end(master)
    last = master.builds()[-1]
    assert last.result is Result.SUCCESS
    text = master.log_file("numbered", last.number).read_bytes()
    assert b"".join(b"%d\n" % number for number in range(1, 300001)) in text
    return (disk.where / "slave/numbered/build/RAN").read_text().split()


def test_an_end_that_the_slave_has_kept_and_that_is_on_its_disk(away: AMaster, disk: Disk) -> None:
    disk.settle()
    disk.lose_power()
    assert both_again(away, disk) == ["a"]
    assert [build.result for build in away.builds()] == [Result.SUCCESS]


def test_an_end_that_was_lost_with_the_power_of_the_slave_is_tried_again(away: AMaster, disk: Disk) -> None:
    disk.lose_power()
    both_again(away, disk)
    lost, again = away.builds()
    assert (lost.result, again.result, again.attempt) == (Result.RETRY, Result.SUCCESS, 2)
    assert "slave one was restarted" in lost.text


def test_a_slave_that_loses_its_power_in_mid_command(processes: Processes, tmp_path: Path, disk: Disk) -> None:
    work = Numbered("a", lines=60, pause=0.03)
    master = AMaster(processes, tmp_path)
    master.configure(work.config)
    master.start()
    master.slave(directory=str(disk.where / "slave"))
    master.send("r1", branch="main")
    master.running("numbered", 1)
    disk.lose_power()
    assert list(disk.users()) == []
    disk.come_back()
    master.slave(directory=str(disk.where / "slave"))
    work.check(master, 2, slave=str(disk.where / "slave"))
    lost, again = master.builds()
    assert (lost.result, again.attempt) == (Result.RETRY, 2)
    assert "slave one was restarted" in lost.text
    end(master)
