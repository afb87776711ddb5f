"""Files on their way, when the master is killed or stopped: the same bytes, once, in one build."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until
from tests.torture.faults.disk import SmallDisk
from tests.torture.faults.power import Disk

MEGABYTES = int(os.environ.get("TRANSFER_MEGABYTES", "60"))
STEPS = """
work = [
    steps.FileUpload(name='file', workersrc='big', masterdest='up/file', maxsize=1 << 40),
    steps.DirectoryUpload(name='tree', workersrc='tree', masterdest='up/tree'),
    steps.FileDownload(name='back', mastersrc='up/file', workerdest='back/big', blocksize=65536),
]
c['builders'] = [util.BuilderConfig(name='b', slavenames=['one'], factory=util.BuildFactory(work))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['b'])]
"""

UPLOAD = """
c['builders'] = [util.BuilderConfig(name='b', slavenames=['one'], factory=util.BuildFactory([
    steps.FileUpload('../../big', 'up/file')]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['b'])]
"""


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parts(directory: Path) -> list[Path]:
    return [path for path in directory.glob(".*.part") if path.stat().st_size] if directory.is_dir() else []


def under_way(master: AMaster, there: Path) -> Iterator[str]:
    """Waits for each of the transfers to have begun, and not to have ended."""
    for name, directory in (("file", master.basedir / "up"), ("tree", master.basedir / "up"), ("back", there / "back")):
        wait_until(
            lambda name=name, directory=directory: (
                parts(directory)  # type: ignore[misc]
                and master.value(f"SELECT count(*) FROM steps WHERE name = '{name}' AND result IS NULL")
            ),
            60,
        )
        yield name


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_transfers_go_on(processes: Processes, tmp_path: Path, how: str) -> None:
    master = AMaster(processes, tmp_path)
    master.configure(STEPS)
    master.start()
    master.slave()
    there = master.where / "slave-one" / "b" / "build"
    (there / "tree" / "deep").mkdir(parents=True)
    with (there / "big").open("wb") as big:
        for _ in range(MEGABYTES):
            big.write(os.urandom(1 << 20))
    os.link(there / "big", there / "tree" / "deep" / "big")
    master.send("r1", branch="main")
    for _ in under_way(master, there):
        assert master.process is not None
        master.process.kill(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        master.process.wait_for_exit()
        master.start()
    master.idle(120)
    assert [(build.result, build.attempt) for build in master.builds()] == [(Result.SUCCESS, 1)]
    wanted = digest(there / "big")
    for path in (
        master.basedir / "up" / "file",
        master.basedir / "up" / "tree" / "deep" / "big",
        there / "back" / "big",
    ):
        assert digest(path) == wanted, path
    assert sorted(os.listdir(master.basedir / "up")) == ["file", "tree"]
    assert master.rows("SELECT name, count(*) FROM commands GROUP BY name ORDER BY name") == [
        ("arrived", 2),
        ("downloadFile", 1),
        ("file", 1),
        ("uploadDirectory", 1),
        ("uploadFile", 1),
    ]


def test_an_upload_of_200_megabytes_and_a_master_killed_three_times(processes: Processes, tmp_path: Path) -> None:
    size = 200 << 20
    master = AMaster(processes, tmp_path)
    master.configure(UPLOAD)
    master.start()
    master.slave()
    big = master.where / "slave-one" / "big"
    with big.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    master.send("r1", branch="main")
    held = [0]
    for quarter in (1, 2, 3):
        least = max(size * quarter // 4, held[-1] + 1)
        wait_until(lambda least=least: sum(each.stat().st_size for each in parts(master.basedir / "up")) >= least, 60)
        master.kill()
        (part,) = parts(master.basedir / "up")
        held.append(part.stat().st_size)
        assert held[-1] < size, "the kill came too late"
        master.start()
    master.idle(120)
    assert [(build.result, build.attempt) for build in master.builds()] == [(Result.SUCCESS, 1)]
    assert digest(master.basedir / "up" / "file") == digest(big)
    assert os.listdir(master.basedir / "up") == ["file"]
    assert master.value("SELECT count(*) FROM commands WHERE name = 'uploadFile'") == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_master_dies_when_all_has_come(processes: Processes, tmp_path: Path, when: str) -> None:
    """Of the file first, and then of the tree: right before, or right after, that is written down."""
    master = AMaster(processes, tmp_path)
    master.configure(STEPS)
    there = master.where / "slave-one" / "b" / "build"
    (there / "tree").mkdir(parents=True)
    for path in (there / "big", there / "tree" / "big"):
        path.write_bytes(os.urandom(3_000_000))
    senders = []
    for count in ("1", "2" if when == "before" else "1"):  # what was not written down comes again
        process = master.start([sys.executable, "-m", "tests.torture.gaps", when, "upload arrived", count])
        if not senders:
            master.slave()
            senders.append(master.sending(("r1",), branch="main"))
        process.wait_for_exit(60)
    master.start()
    assert senders[0].wait_for_exit(60) == 0
    wait_until(lambda: [(build.result, build.attempt) for build in master.builds()] == [(Result.SUCCESS, 1)], 60)
    assert digest(master.basedir / "up" / "file") == digest(there / "big") == digest(there / "back" / "big")
    assert digest(master.basedir / "up" / "tree" / "big") == digest(there / "tree" / "big")
    assert sorted(os.listdir(master.basedir / "up")) == ["file", "tree"]


def test_a_loss_of_power_in_an_upload_costs_no_byte(processes: Processes, tmp_path: Path) -> None:
    with Disk(tmp_path / "disk") as disk:
        master = AMaster(processes, tmp_path, basedir=disk.where / "master")
        master.configure(UPLOAD)
        disk.settle()
        master.start()
        master.slave()
        big = master.where / "slave-one" / "big"
        big.write_bytes(os.urandom(40 << 20))  # twice on a disk of 96 MiB
        master.send("r1", branch="main")
        wait_until(lambda: any(part.stat().st_size > 33 << 20 for part in parts(master.basedir / "up")), 60)
        disk.lose_power()
        disk.come_back()
        master.start()
        wait_until(lambda: [build.result for build in master.builds()][-1:] == [Result.SUCCESS], 120)
        assert digest(master.basedir / "up" / "file") == digest(big)
        master.send("r2", branch="main")  # which also removes what a build that could not go on had left
        wait_until(lambda: [build.result for build in master.builds()].count(Result.SUCCESS) == 2, 120)
        disk.lose_power()  # what was told is there
        disk.come_back()
        assert digest(master.basedir / "up" / "file") == digest(big)
        assert os.listdir(master.basedir / "up") == ["file"]
        assert os.listdir(master.basedir / "uploads") == []


def test_an_upload_waits_while_the_disk_is_full(processes: Processes, tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk") as disk:
        master = AMaster(processes, tmp_path, basedir=disk.where / "master")
        master.configure(UPLOAD)
        master.start()
        slave = master.slave()
        big = master.where / "slave-one" / "big"
        big.write_bytes(os.urandom(40 << 20))
        master.send("r1", branch="main")
        wait_until(lambda: parts(master.basedir / "up"), 60)
        with disk.full():
            wait_until(lambda: "the master could not take output" in slave.output(), 60)
            assert [build.result for build in master.builds()] == [None]
        wait_until(lambda: [build.result for build in master.builds()] == [Result.SUCCESS], 120)
        assert digest(master.basedir / "up" / "file") == digest(big)
        assert os.listdir(master.basedir / "up") == ["file"]
