"""Steps on the master, when the master is killed or stopped while they run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, pid_alive, wait_until

STEPS = """
runs, go = {runs!r}, {go!r}


class Harmless(steps.MasterShellCommand):
    idempotent = True


command = f'echo $$ >> {{runs}}; test -e {{go}} || sleep 600; echo done'
kind = {{'once': steps.MasterShellCommand, 'again': Harmless}}
step = kind[{builder!r}](['sh', '-c', command], name='it')
c['builders'] = [util.BuilderConfig(name='b', slavenames=['one'], factory=util.BuildFactory([step]))]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['b'])]
"""


@pytest.mark.parametrize(
    ("builder", "results"), [("once", [Result.RETRY, Result.SUCCESS]), ("again", [Result.SUCCESS])]
)
@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_tried_again_or_run_again(
    processes: Processes, tmp_path: Path, builder: str, results: list[Result], ends: signal.Signals
) -> None:
    master = AMaster(processes, tmp_path)
    runs, go = tmp_path / "runs", tmp_path / "go"
    master.configure(STEPS.format(runs=str(runs), go=str(go), builder=builder))
    master.start()
    master.slave()
    master.send("r1", branch="main")
    wait_until(lambda: runs.exists() and runs.read_text().endswith("\n"))
    (first,) = map(int, runs.read_text().split())
    assert master.process is not None
    master.process.kill(ends)
    master.process.wait_for_exit()
    if ends is signal.SIGKILL:
        os.killpg(first, signal.SIGKILL)  # it has outlived the master
    else:
        wait_until(lambda: not pid_alive(first))  # a master that stops takes it along
    go.touch()
    master.start()
    wait_until(lambda: [build.result for build in master.builds()] == results)
    assert len(runs.read_text().split()) == 2
