"""A running master: its backup is started as a master of its own, and retention removes what it does not keep."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until

KEEP = """
c['retention'] = [util.Keep("logs", newest=1), util.Keep("builds", newest=2), util.Keep("changes", newest=1)]
"""
SLOW = """
c['builders'] = [util.BuilderConfig(name='tests', slavenames=['one'], factory=runs('sh', '-c',
    'i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; sleep 0.1; done'))]
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    return AMaster(processes, tmp_path)


def test_backup_and_check_while_a_build_runs(master: AMaster) -> None:
    master.configure(SLOW)
    master.start()
    master.slave()
    master.send("r1")
    master.running("tests", 1)
    target = master.where / "copy"
    for number in range(5):
        backup = master.where / f"copy-{number}"
        master.buildbot("backup", master.basedir, backup)
        assert "is in order" in master.buildbot("check", master.basedir)
        assert "is in order" in master.buildbot("check", backup)
    backup.rename(target)
    master.finished("tests", 1)
    assert "nothing is repaired" in broken_while_it_runs(master)
    master.stop()

    for part in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        (master.basedir / part).unlink(missing_ok=True)
    (master.basedir / "logs").rename(master.where / "former-logs")
    (target / "state.sqlite").rename(master.basedir / "state.sqlite")
    (target / "logs").rename(master.basedir / "logs")
    master.start()
    master.idle()
    assert master.open_rows() == {}
    assert "is in order" in master.buildbot("check", master.basedir)


def broken_while_it_runs(master: AMaster) -> str:
    stray = master.basedir / "logs" / "stray.txt"
    stray.write_text("x")
    assert "see --repair" in master.buildbot("check", master.basedir, code=1)
    told = master.buildbot("check", "--repair", master.basedir, code=1)
    stray.unlink()
    return told


def test_retention_in_a_running_master(master: AMaster) -> None:
    master.configure()
    master.start()
    master.slave()
    for number in range(1, 5):
        master.send(f"r{number}")
        master.finished("tests", number)
    master.configure(KEEP)
    master.reconfig()
    done = "SELECT count(*) FROM retention_passes WHERE ended_at IS NOT NULL AND problem IS NULL"
    wait_until(lambda: master.value(done) == 1, 30, "a pass of retention")
    assert [build.number for build in master.builds()] == [3, 4]
    assert master.value("SELECT count(*) FROM changes") == 2
    assert "retention rule Keep(&#39;logs&#39;, newest=1)" in log_page(master, 3).text
    assert log_page(master, 3).status == 410
    assert log_page(master, 4).status == 200
    about = master.web.get("/about").text
    assert "2 builds" in about
    assert "is in order" in master.buildbot("check", master.basedir)
    master.send("r5")
    assert master.finished("tests", 5).attempt == 1
    master.stop()
    with closing(sqlite3.connect(master.basedir / "state.sqlite")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def log_page(master: AMaster, number: int):
    return master.web.get(f"/builders/tests/builds/{number}/steps/run/logs/stdio")
