"""Locks over the end of the master's process, and over reconfigurations."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

LOCKED = """
one_at_a_time = util.MasterLock('one at a time', maxCount={most})
place = util.SlaveLock('place')
ran = {ran!r}
command = ['sh', '-c', 'echo began $0 >> ' + ran + '; sleep 1; echo ended $0 >> ' + ran]
c['builders'] = []
for name in {names!r}:
    locked = steps.ShellCommand(name='locked', command=command + [name], locks=[one_at_a_time.access('counting')])
    c['builders'].append(util.BuilderConfig(
        name=name, slavenames=['one'], factory=util.BuildFactory([locked]),
        locks=[place.access('exclusive')] if name == {alone!r} else []))
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames={names!r})]
"""
NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def waiting(master: AMaster) -> list[str]:
    return [
        name
        for (name,) in master.rows(
            "SELECT r.name FROM steps AS s JOIN builds AS b ON b.id = s.build_id JOIN builders AS r "
            "ON r.id = b.builder_id WHERE s.locks_since IS NOT NULL AND s.complete_at IS NULL ORDER BY s.locks_since"
        )
    ]


def most_at_once(said: str) -> int:
    running, most = 0, 0
    for line in said.splitlines():
        running += 1 if line.startswith("began") else -1
        most = max(most, running)
    return most


def test_who_held_holds_and_who_waited_keeps_its_place(master: AMaster) -> None:
    ran = master.where / "RAN"
    master.configure(LOCKED.format(most=1, ran=str(ran), names=NAMES, alone="none"))
    master.start()
    master.slave()
    master.send("r1", branch="main")
    wait_until(lambda: ran.exists() and len(waiting(master)) == 3)
    order = waiting(master)
    for _ in range(2):
        master.kill()
        time.sleep(0.3)
        master.start()
    for name in NAMES:
        assert master.finished(name, 1).result is Result.SUCCESS
    said = ran.read_text()
    assert most_at_once(said) == 1, said
    began = [line.split()[1] for line in said.splitlines() if line.startswith("began")]
    assert began[1:] == order
    assert waiting(master) == []
    assert "Traceback" not in master.log


def test_a_limit_that_grows_counts_from_the_reconfiguration_on(master: AMaster) -> None:
    ran = master.where / "RAN"
    master.configure(LOCKED.format(most=1, ran=str(ran), names=NAMES, alone="none"))
    master.start()
    master.slave()
    master.send("r1", branch="main")
    wait_until(lambda: ran.exists() and len(waiting(master)) == 3)
    master.configure(LOCKED.format(most=4, ran=str(ran), names=NAMES, alone="none"))
    master.reconfig()
    for name in NAMES:
        assert master.finished(name, 1).result is Result.SUCCESS
    assert most_at_once(ran.read_text()) >= 3


def test_a_limit_that_changes_over_a_restart_ends_no_build(master: AMaster) -> None:
    ran = master.where / "RAN"
    usual = LOCKED.format(most=1, ran=str(ran), names=NAMES, alone="a")
    master.configure(usual)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    wait_until(lambda: ran.exists() and len(waiting(master)) >= 2)
    master.kill()
    changed = LOCKED.format(most=4, ran=str(ran), names=NAMES, alone="a")
    changed = changed.replace("SlaveLock('place')", "SlaveLock('place', maxCount=3)")
    master.configure(changed.replace(".access('counting')", ".access('counting', 2)"))
    master.start()
    for name in NAMES:
        build = master.finished(name, 1)
        assert (build.result, build.attempt) == (Result.SUCCESS, 1)
    assert most_at_once(ran.read_text()) == 2
    assert sorted(ran.read_text().split()) == sorted([*["began", "ended"] * 4, *NAMES * 2])


def test_a_build_that_goes_on_keeps_its_builders_lock(master: AMaster) -> None:
    ran = master.where / "RAN"
    both = LOCKED.format(most=2, ran=str(ran), names=["a", "b"], alone="a")
    both += "c['builders'][1].locks = [place.access('exclusive')]\n"
    master.configure(both)
    master.start()
    master.slave()
    master.send("r1", branch="main")
    wait_until(ran.exists)
    master.kill()
    master.start()
    for name in ("a", "b"):
        assert master.finished(name, 1).result is Result.SUCCESS
    assert most_at_once(ran.read_text()) == 1
