"""Triggered builds and their parents over the end of the master's process, and schedulers that go by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

FAMILY = """
c['slaves'].append(buildslave.BuildSlave('two', 'secret'))
waits = "echo ran >> ../../../RAN; while ! [ -e ../../../go ]; do sleep 0.05; done"
c['builders'] = [
    util.BuilderConfig(name='parent', slavenames=['one'], factory=util.BuildFactory([
        steps.Trigger(schedulerNames=['kids', 'other'], waitForFinish={wait}, set_properties={{'number': 7}}),
        steps.ShellCommand(name='after', command='echo after >> ../../../RAN'),
    ])),
    *(util.BuilderConfig(name=name, slavenames=['two'], factory=runs('sh', '-c', waits)) for name in ('a', 'b', 'c')),
]
c['schedulers'] = [
    schedulers.AnyBranchScheduler(name='all', builderNames=['parent']),
    schedulers.Triggerable(name='kids', builderNames=['a', 'b']),
    schedulers.Triggerable(name='other', builderNames=['c']),
]
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def begin(master: AMaster, *, wait: bool) -> None:
    master.configure(FAMILY.format(wait=wait))
    master.start()
    master.slave("one")
    master.slave("two")
    master.send("r1", branch="main")
    for name in ("a", "b", "c"):
        master.running(name, 1)


def ran(master: AMaster) -> list[str]:
    return (master.where / "RAN").read_text().split()


def children(master: AMaster) -> int:
    return int(master.value("SELECT count(*) FROM buildsets WHERE parent_build_id IS NOT NULL"))


def test_the_master_is_killed_while_a_build_waits_for_others(master: AMaster) -> None:
    begin(master, wait=True)
    for _ in range(2):
        master.kill()
        master.start()
        wait_until(lambda: "goes on" in master.log or master.rows("SELECT 1 FROM absences"), 60, "what ran goes on")
    assert children(master) == 2
    (master.where / "go").touch()
    parent = master.finished("parent", 1)
    assert (parent.result, parent.attempt) == (Result.SUCCESS, 1)
    assert ran(master) == ["ran", "ran", "ran", "after"]
    assert children(master) == 2
    assert master.value("SELECT count(*) FROM builds") == 4
    ends = [row[0] for row in master.rows("SELECT complete_at FROM builds ORDER BY id")]
    assert max(ends) == ends[0]
    links = {row[0] for row in master.rows("SELECT url FROM step_urls")}
    assert links == {f"/builders/{name}/builds/1" for name in ("a", "b", "c")}
    assert master.open_rows() == {}
    assert "Traceback" not in master.log


def test_a_restart_by_order_does_not_end_them_either(master: AMaster) -> None:
    begin(master, wait=True)
    master.stop()
    assert {build.result for build in master.builds()} == {None}
    (master.where / "go").touch()
    master.start()
    assert master.finished("parent", 1).result is Result.SUCCESS
    assert ran(master) == ["ran", "ran", "ran", "after"]
    assert "Traceback" not in master.log


def test_a_parent_that_cannot_go_on_takes_along_what_it_waits_for(master: AMaster) -> None:
    begin(master, wait=True)
    master.kill()
    master.configure(FAMILY.format(wait=True).replace("echo after", "echo then"))
    master.start()
    assert master.finished("parent", 1).result is Result.RETRY
    for name in ("a", "b", "c"):
        assert master.finished(name, 1).result is Result.CANCELLED
    (master.where / "go").touch()
    assert master.finished("parent", 2).result is Result.SUCCESS
    assert children(master) == 4
    assert master.open_rows() == {}


def test_what_it_does_not_wait_for_lives_on(master: AMaster) -> None:
    begin(master, wait=False)
    assert master.finished("parent", 1).result is Result.SUCCESS
    master.kill()
    master.start()
    (master.where / "go").touch()
    for name in ("a", "b", "c"):
        assert master.finished(name, 1).result is Result.SUCCESS
    assert sorted(ran(master)) == ["after", "ran", "ran", "ran"]


def test_times_and_what_comes_after_them(master: AMaster) -> None:
    """A Periodic builds at once, its Dependent after it; a restart makes no second one of either."""
    master.configure(
        """
often = schedulers.Periodic(name='often', builderNames=['tests'], periodicBuildTimer=3600)
c['builders'].append(util.BuilderConfig(name='down', slavenames=['one'], factory=runs('true')))
c['schedulers'] = [often, schedulers.Dependent(name='after', upstream=often, builderNames=['down'])]
"""
    )
    master.start()
    master.slave()
    assert master.finished("tests", 1).result is Result.SUCCESS
    assert master.finished("down", 1).result is Result.SUCCESS
    master.kill()
    master.start()
    master.reconfig()
    master.send("r1", branch="main")
    master.idle()
    assert [(build.builder, build.number) for build in master.builds()] == [("tests", 1), ("down", 1)]
