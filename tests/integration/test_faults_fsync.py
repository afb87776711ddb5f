"""The disk of a master does not keep what it is told to."""

from __future__ import annotations

import time
from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.integration.numbered import Numbered
from tests.processes import Processes
from tests.torture.faults.fsync import Failing


def test_what_could_not_be_kept_is_not_acknowledged(processes: Processes, tmp_path: Path) -> None:
    work = Numbered("a", lines=60, pause=0.02)
    master = AMaster(processes, tmp_path)
    master.configure(work.config)
    process = master.start()
    master.slave()
    master.send("r1", branch="main")
    master.finished("numbered", 1)
    with Failing(process.pid, tmp_path / "strace") as failing:
        sender = master.sending(("r2",), branch="main")
        sender.wait_for_line("^again", 30)
        time.sleep(1)
        assert "acknowledged" not in sender.output()
        assert failing.count
        assert master.value("SELECT count(*) FROM changes") == 1
        assert master.web.get("/builders/numbered").status == 200
    assert sender.wait_for_exit(60) == 0
    assert "the disk takes what it is told to keep again" in master.log
    master.idle()
    assert [build.result for build in master.builds()] == [Result.SUCCESS, Result.SUCCESS]
    assert master.value("SELECT count(*) FROM changes") == 2
    assert master.open_rows() == {}
    assert "is in order" in master.buildbot("check", master.basedir)


def test_a_step_whose_logs_could_not_be_kept_fails(processes: Processes, tmp_path: Path) -> None:
    work = Numbered("a", lines=100, pause=0.02)
    master = AMaster(processes, tmp_path)
    master.configure(work.config)
    process = master.start()
    master.slave()
    master.send("r1", branch="main")
    master.running("numbered", 1)
    with Failing(process.pid, tmp_path / "strace"):
        build = master.finished("numbered", 1)
    assert build.result is Result.EXCEPTION
    assert "could not be brought to the disk" in master.value("SELECT state_text FROM steps")
    master.send("r2", branch="main")
    assert master.finished("numbered", 2).result is Result.SUCCESS
