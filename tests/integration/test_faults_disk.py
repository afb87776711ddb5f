"""The disk of a master or a slave is full for a while, and has room again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.numbered import Numbered
from tests.processes import Processes
from tests.torture.faults.disk import SmallDisk

MUCH = """
import os
script = 'while [ ! -e {0}/go ]; do sleep 0.1; done; seq 600000; touch {0}/said'
c['builders'] = [util.BuilderConfig(name='numbered', slavenames=['one'], factory=util.BuildFactory([
    steps.ShellCommand(name='a', command=script.format(os.path.dirname(basedir)))]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['numbered'])]
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as made:
        yield made


def test_a_master_whose_disk_is_full_goes_on_when_there_is_room(
    processes: Processes, tmp_path: Path, disk: SmallDisk
) -> None:
    work = Numbered("a", "b", "c", lines=80, pause=0.02)
    master = AMaster(processes, tmp_path, basedir=disk.where / "master")
    master.configure(work.config)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    master.running("numbered", 1)
    with disk.full():
        sender = master.sending(tuple(f"r{number}" for number in range(2, 40)), branch="main", comments="c" * 5000)
        sender.wait_for_line("^again", 30)
        for _ in range(5):
            disk.fill()
            assert master.web.get("/builders/numbered/builds/1").status == 200
            time.sleep(1)
        assert sender.running
    assert sender.wait_for_exit(60) == 0
    work.check(master)
    master.idle(90)
    assert master.value("SELECT count(*) FROM changes") == 39
    assert {build.result for build in master.builds()} == {Result.SUCCESS}
    assert master.open_rows() == {}
    assert "is in order" in master.buildbot("check", master.basedir)


def test_a_slave_whose_disk_is_full_slows_its_command_down(
    processes: Processes, tmp_path: Path, disk: SmallDisk
) -> None:
    """The master is away, so output goes to the slave's disk, where there is no room for it."""
    slave = disk.where / "slave"
    master = AMaster(processes, tmp_path)
    master.configure(MUCH)
    master.start()
    master.slave(directory=str(slave))
    master.send("r1", branch="main")
    master.running("numbered", 1)
    with disk.full():
        master.kill()
        (tmp_path / "go").touch()
        time.sleep(3)
        disk.fill()
        assert not (tmp_path / "said").exists()  # it waits
        master.start()
        build = master.finished("numbered", 1)
    assert build.result is Result.SUCCESS
    text = master.log_file("numbered", 1).read_bytes()
    assert b"".join(b"%d\n" % number for number in range(1, 600001)) in text
    master.send("r2", branch="main")
    assert master.finished("numbered", 2).result is Result.SUCCESS
    assert master.open_rows() == {}
