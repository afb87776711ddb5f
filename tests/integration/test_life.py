"""The life of a master as its operator sees it: made, started, used through the web, stopped, found stale, started."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from buildbot.model import Result
from tests.integration.a_master import WEB_USER, AMaster
from tests.processes import Processes, pid_alive, wait_until

FORCE = """
c['builders'][0].factory = runs('sh', '-c', 'for i in $(seq 600); do [ -e %s ] && exit 0; sleep 0.1; done; exit 1')
c['schedulers'].append(schedulers.ForceScheduler(name='force', builderNames=['tests']))
"""
TESTS = "/builders/tests"


def daemon(master: AMaster, command: str) -> int:
    """`start` or `restart` in the background; the number of the new process."""
    said = master.buildbot(command, master.basedir)
    pid = int((master.basedir / "twistd.pid").read_text())
    assert f"(pid {pid})" in said
    return pid


def test_a_master_is_made_used_and_outlives_its_process(processes: Processes, tmp_path: Path) -> None:
    basedir = tmp_path / "master"
    processes.daemon(basedir / "twistd.pid")
    master = AMaster(processes, tmp_path, make=False)
    master.buildbot("create-master", basedir)
    go = tmp_path / "go"
    master.furnish()
    master.configure(FORCE % go)
    first = daemon(master, "start")
    master.slave()
    web = master.web

    # nothing is open to strangers, and nothing to a form of another site
    assert web.post(f"{TESTS}/force", {"forcescheduler": "force"}).status == 403
    assert web.post("/login", {"username": WEB_USER, "password": "wonderland"}).status == 403, (
        "without the form's token"
    )
    web.log_in()
    for token in ("", "guessed"):
        assert web.post(f"{TESTS}/force", {"forcescheduler": "force", "token": token}).status == 403
    assert master.rows("SELECT 1 FROM build_requests") == []

    # force, stop, rebuild, cancel
    assert "was asked for" in web.press(TESTS, f"{TESTS}/force", forcescheduler="force", reason="to <see>").text
    master.running("tests", 1)
    web.press(f"{TESTS}/builds/1", f"{TESTS}/builds/1/stop", comments="too & slow")
    stopped = master.finished("tests", 1)
    assert stopped.result is Result.CANCELLED
    assert "too & slow" in stopped.text
    assert "too &amp; slow" in web.get(f"{TESTS}/builds/1").text
    web.press(f"{TESTS}/builds/1", f"{TESTS}/builds/1/rebuild", comments="again")
    master.running("tests", 2)
    web.press(TESTS, f"{TESTS}/force", forcescheduler="force", reason="one too many")
    waiting = master.value("SELECT id FROM build_requests WHERE claimed_at IS NULL AND complete_at IS NULL")
    web.press(TESTS, f"{TESTS}/cancelbuild", id=str(waiting), comments="never mind")
    assert master.value("SELECT result FROM build_requests WHERE id = ?", waiting) == Result.CANCELLED
    assert "could not be cancelled" in web.press(TESTS, f"{TESTS}/cancelbuild", id=str(waiting)).text
    actions = [
        (WEB_USER, "force", "to <see>"),
        (WEB_USER, "stop build", "too & slow"),
        (WEB_USER, "rebuild", "again"),
        (WEB_USER, "force", "one too many"),
        (WEB_USER, "cancel request", "never mind"),
    ]
    written = "SELECT who, what, why FROM operator_actions ORDER BY id"
    assert master.rows(written) == actions

    # the process ends: by order with a build running, then by accident
    second = daemon(master, "restart")
    assert not pid_alive(first)
    assert [build.result for build in master.builds()] == [Result.CANCELLED, None], "it goes on"
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: not pid_alive(second), what="its end")
    assert int((basedir / "twistd.pid").read_text()) == second, "the file is stale"
    daemon(master, "start")
    go.touch()
    master.idle()
    ended = master.builds()[-1]
    assert (ended.number, ended.result, ended.attempt) == (2, Result.SUCCESS, 1)
    assert master.rows(written) == actions
    assert master.open_rows() == {}
    master.buildbot("stop", basedir)
    assert not (basedir / "twistd.pid").exists()
    assert [stopped is None for (stopped,) in master.rows("SELECT stopped_at FROM master_runs ORDER BY id")] == [
        False,
        True,
        False,
    ]
