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
