"""The time of day jumps while builds run and schedulers wait."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import BUILDBOT, AMaster
from tests.integration.numbered import Numbered
from tests.processes import Processes, wait_until
from tests.torture.faults.clock import Clock

DAY, HOUR = 86400, 3600
# Whoever waits for a time of day is asked once a minute, and a silent slave three times; a test need not wait so long.
IN_A_HURRY = """
import buildbot.doorbell
import buildbot.slaves.session
buildbot.doorbell.SWEEP_SECONDS = 1.0
buildbot.slaves.session.PING_SECONDS = 1.0
"""
TIMED = """
c['builders'].append(util.BuilderConfig(name='tests', slavenames=['one'], factory=runs('true')))
c['schedulers'] = [
    schedulers.AnyBranchScheduler(name='all', builderNames=['numbered']),
    schedulers.AnyBranchScheduler(name='stable', builderNames=['tests'], treeStableTimer=3),
    schedulers.Periodic(name='periodic', builderNames=['tests'], periodicBuildTimer=20 * 3600),
    schedulers.Nightly(name='nightly', builderNames=['tests'], hour=[{hour}], minute=0, timezone='UTC'),
]
"""


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def made_by(master: AMaster, scheduler: str) -> int:
    return int(master.value("SELECT count(*) FROM buildsets WHERE scheduler = ?", scheduler))


def pings(master: AMaster) -> int:
    return (master.where / "slave-one" / "twistd.log").read_text().count("are you there?")


def times_in_order(master: AMaster) -> None:
    """Nothing that people see lasted less than nothing."""
    for page in ("/builders/numbered/builds/1", "/builders/numbered", "/waterfall", "/buildslaves/one", "/schedulers"):
        answer = master.web.get(page)
        assert answer.status == 200, page
        assert not re.search(r"[^\w.]-\d+(\.\d+)? ?(s|ms|min|m|h|d|seconds|minutes|hours)\b", answer.text), page


def test_builds_and_schedulers_when_the_clock_is_set(processes: Processes, tmp_path: Path, clock: Clock) -> None:
    work = Numbered("a", "b", lines=100, pause=0.03)
    master = AMaster(processes, tmp_path)
    hour = (int(clock.now() // HOUR) + 12) % 24  # far from now
    master.configure(work.config + TIMED.format(hour=hour), before=IN_A_HURRY)
    master.start((*clock.words, BUILDBOT))
    master.slave(inside=clock.words)
    wait_until(lambda: made_by(master, "periodic") == 1, 30, "the first periodic build")
    master.send("r1", branch="main")
    master.running("numbered", 1)

    clock.jump(DAY)
    wait_until(lambda: made_by(master, "periodic") == 2, 30, "the second periodic build")
    wait_until(lambda: made_by(master, "nightly") == 1, 30, "the build of the night")
    wait_until(lambda: made_by(master, "stable") == 1, 30, "the build of the change")
    clock.jump(-HOUR)
    work.check(master)
    times_in_order(master)

    master.send("r2", branch="main")
    wait_until(lambda: made_by(master, "stable") == 2, 30, "the build of the second change")
    master.idle(90)

    wait_until(lambda: pings(master) > 0, 30, "the master to ask the slave whether it is there")
    clock.jump(-HOUR)
    before = pings(master)
    wait_until(lambda: pings(master) > before + 2, 20, "the master to ask again: its timers do not wait for the clock")
    time.sleep(2)  # whatever would come twice comes now
    assert [made_by(master, name) for name in ("all", "stable", "periodic", "nightly")] == [2, 2, 2, 1]
    assert {build.result for build in master.builds()} == {Result.SUCCESS}
    assert master.open_rows() == {}
    assert "Traceback" not in master.log
    assert master.log.count("slave one is lost") == 0
    times_in_order(master)
