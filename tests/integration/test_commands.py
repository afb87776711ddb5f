"""`buildbot` as people run it: real processes, a real master, and everything that can go wrong with one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.smtp_server import SmtpServer
from tests.processes import Processes, pid_alive, port_answers, wait_until

BIN = Path(sys.executable).parent
BUILDBOT = BIN / "buildbot"

CONFIG = """\
from buildbot.plugins import changes, schedulers, status, steps, util, worker
c = BuildmasterConfig = {{}}
c["workers"] = [worker.Worker("local", "secret")]
c["protocols"] = {{"pb": {{"port": "tcp:{port}:interface=127.0.0.1"}}}}
c["change_source"] = [changes.PBChangeSource(user="change", passwd="changepw")]
c["schedulers"] = [schedulers.AnyBranchScheduler(name="all", builderNames=["runtests"])]
factory = util.BuildFactory([steps.ShellCommand(name="hello", command={command!r})])
c["builders"] = [util.BuilderConfig(name="runtests", workernames=["local"], factory=factory)]
c["status"] = [status.PBListener("tcp:{port}:interface=127.0.0.1")]
"""

ERAS = {
    "0.7": """
from twisted.application import service
from buildbot.master import BuildMaster
basedir = r'{basedir}'
configfile = r'master.cfg'
application = service.Application('buildmaster')
BuildMaster(basedir, configfile).setServiceParent(application)
""",
    "0.8": """
import os
from twisted.application import service
from buildbot.master import BuildMaster
basedir = '.'
rotateLength = 10000000
maxRotatedFiles = 10
configfile = 'master.cfg'
umask = None
if basedir == '.':
    import os.path
    basedir = os.path.abspath(os.path.dirname(__file__))
application = service.Application('buildmaster')
from twisted.python.logfile import LogFile
from twisted.python.log import ILogObserver, FileLogObserver
logfile = LogFile.fromFullPath(os.path.join(basedir, "twistd.log"), rotateLength=rotateLength,
                               maxRotatedFiles=maxRotatedFiles)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
m = BuildMaster(basedir, configfile, umask)
m.setServiceParent(application)
m.log_rotation.rotateLength = rotateLength
m.log_rotation.maxRotatedFiles = maxRotatedFiles
""",
    "4.x": """
import os
from twisted.application import service
from buildbot.master import BuildMaster
basedir = '.'
rotateLength = 10000000
maxRotatedFiles = 10
configfile = 'master.cfg'
umask = 0o027
if basedir == '.':
    basedir = os.path.abspath(os.path.dirname(__file__))
application = service.Application('buildmaster')
from twisted.python.logfile import LogFile
from twisted.python.log import ILogObserver, FileLogObserver
logfile = LogFile.fromFullPath(os.path.join(basedir, "twistd.log"), rotateLength=rotateLength,
                               maxRotatedFiles=maxRotatedFiles)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
m = BuildMaster(basedir, configfile, umask)
m.setServiceParent(application)
""",
}


class Master:
    """A master's directory and the command line for it."""

    def __init__(self, processes: Processes, basedir: Path, port: int) -> None:
        self.processes = processes
        self.basedir = basedir
        self.port = port
        processes.daemon(basedir / "twistd.pid")
        self("create-master", basedir)

    def __call__(self, *words: str | Path, code: int | None = 0, timeout: float = 60) -> str:
        return self.processes.run([BUILDBOT, *words], code=code, timeout=timeout)

    def configure(self, more: str = "", command: list[str] | None = None) -> None:
        text = CONFIG.format(port=self.port, command=command or ["echo", "hello"])
        (self.basedir / "master.cfg").write_text(text + more)

    @property
    def pid(self) -> int:
        return int((self.basedir / "twistd.pid").read_text())

    @property
    def log(self) -> str:
        return (self.basedir / "twistd.log").read_text()

    def sendchange(self, revision: str, code: int = 0) -> str:
        words = ["sendchange", "-m", f"127.0.0.1:{self.port}", "-W", "Joe <joe@example.org>", "-r", revision, "a.c"]
        return self(*words, code=code)


@pytest.fixture
def master(processes: Processes, basedir: Path, free_port: Callable[[], int]) -> Master:
    made = Master(processes, basedir, free_port())
    made.configure()
    return made


def test_start_returns_when_it_serves_and_stop_when_it_is_gone(master: Master) -> None:
    master("checkconfig", master.basedir)
    said = master("start", master.basedir)
    pid = master.pid
    assert f"pid {pid}" in said
    assert port_answers(master.port)
    assert os.getsid(pid) == pid
    said = master("stop", master.basedir)
    assert f"pid {pid}" in said
    wait_until(lambda: not pid_alive(pid), 5, "the end of the process")  # its lock goes a moment before it does
    assert not (master.basedir / "twistd.pid").exists()
    assert "no buildmaster is running" in master("stop", master.basedir)


def test_a_second_start_is_refused(master: Master) -> None:
    master("start", master.basedir)
    assert f"already running in {master.basedir} (pid {master.pid})" in master("start", master.basedir, code=3)
    assert pid_alive(master.pid)


def test_a_stale_pid_file_does_no_harm(master: Master) -> None:
    (master.basedir / "twistd.pid").write_text(f"{os.getpid()}\n")
    assert "no buildmaster is running" in master("stop", master.basedir)
    master("start", master.basedir)
    os.kill(master.pid, signal.SIGKILL)
    wait_until(lambda: not pid_alive(master.pid))
    master("start", master.basedir)
    assert pid_alive(master.pid)


def test_every_mistake_of_the_configuration_is_shown(master: Master) -> None:
    master.configure('c["bulders"] = []\nsteps.ShellCommand(comand="x")\nc["title"] = 5\n')
    for said in (master("checkconfig", master.basedir, code=1), master("start", master.basedir, code=1)):
        assert said.count(f"{master.basedir / 'master.cfg'}:") >= 3
        assert "builders" in said
        assert "'command'" in said
    assert not (master.basedir / "twistd.pid").exists()


def test_a_taken_port_is_said(master: Master) -> None:
    import socket

    with socket.create_server(("127.0.0.1", master.port)):
        said = master("start", master.basedir, code=1)
    assert str(master.port) in said
    assert "Traceback" not in said


def test_no_configuration_is_said(master: Master) -> None:
    (master.basedir / "master.cfg").unlink()
    assert "master.cfg" in master("start", master.basedir, code=1)
    assert "master.cfg" in master("checkconfig", master.basedir, code=1)


def test_start_timeout_ends_the_waiting_and_not_the_master(master: Master) -> None:
    master.configure("import time\ntime.sleep(3)\n")
    began = time.monotonic()
    said = master("start", "--start_timeout=1", master.basedir, code=5)
    assert time.monotonic() - began < 3
    assert "goes on starting" in said
    wait_until(lambda: port_answers(master.port))
    master("stop", master.basedir)


def test_reconfig_says_what_came_of_it(master: Master) -> None:
    assert "no buildmaster is running" in master("reconfig", master.basedir, code=4)
    master("start", master.basedir)
    master.configure('c["bulders"] = []\n')
    said = master("reconfig", master.basedir, code=1)
    assert "did you mean 'builders'?" in said
    assert "old one stays" in said
    assert "did you mean" in master("sighup", master.basedir, code=1), "a second refusal is told as well"
    master.configure('c["title"] = "Better"\n')
    assert "new configuration" in master("reconfig", master.basedir)
    assert pid_alive(master.pid)


def test_restart(master: Master) -> None:
    master("restart", master.basedir)
    first = master.pid
    master("restart", master.basedir)
    assert master.pid != first
    assert not pid_alive(first)


def test_in_the_foreground_it_logs_to_the_terminal_and_ends_by_sigterm(master: Master) -> None:
    process = master.processes.start([BUILDBOT, "start", "--nodaemon", master.basedir], name="foreground")
    process.wait_for_line("BuildMaster is running")
    process.wait_for_port(master.port)
    process.kill(signal.SIGTERM)
    assert process.wait_for_exit() == 0
    assert "BuildMaster is running" in master.log


def test_in_the_foreground_a_wrong_configuration_ends_it_with_1(master: Master) -> None:
    master.configure('c["bulders"] = []\n')
    process = master.processes.start([BUILDBOT, "start", "--nodaemon", master.basedir], name="foreground")
    assert process.wait_for_exit() == 1
    assert "did you mean 'builders'?" in process.output()


@pytest.mark.parametrize("era", ERAS)
def test_a_tac_of_every_era_starts(master: Master, era: str) -> None:
    (master.basedir / "buildbot.tac").write_text(ERAS[era].format(basedir=master.basedir))
    master("start", master.basedir)
    assert "BuildMaster is running" in master.log
    master("stop", master.basedir)


def test_a_tac_in_python_2_is_said(master: Master) -> None:
    (master.basedir / "buildbot.tac").write_text("from buildbot.master import BuildMaster\numask = 022\n")
    said = master("start", master.basedir, code=1)
    assert "buildbot.tac, line 2" in said


def test_the_log_is_rotated_as_the_tac_says(master: Master) -> None:
    tac = master.basedir / "buildbot.tac"
    tac.write_text(tac.read_text().replace("rotateLength = 10000000", "rotateLength = 1000"))
    for _ in range(3):
        master("start", master.basedir)
        master("stop", master.basedir)
    assert (master.basedir / "twistd.log.1").exists()


def test_a_relocatable_master_can_be_moved(master: Master, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    made = tmp_path / "made"
    master("create-master", "--relocatable", made)
    made.rename(moved)
    master.processes.daemon(moved / "twistd.pid")
    (moved / "master.cfg").write_text((master.basedir / "master.cfg").read_text())
    master("start", moved)
    assert (moved / "twistd.log").exists()
    assert not made.exists()
    master("stop", moved)


def test_the_sample_is_good(master: Master) -> None:
    master("checkconfig", master.basedir / "master.cfg.sample")


def test_quickstart_is_ready_to_run(
    processes: Processes, tmp_path: Path, free_port: Callable[[], int], free_repository: Path
) -> None:
    port, http = str(free_port()), free_port()
    where = tmp_path / "quick"
    for name in ("master", "slave"):
        processes.daemon(where / name / "twistd.pid")
    processes.run([BUILDBOT, "quickstart", where, "--repo", free_repository, "--port", port, "--http-port", str(http)])
    processes.run([BUILDBOT, "checkconfig", where / "master"])
    processes.run([BUILDBOT, "start", where / "master"])
    processes.run([BIN / "buildslave", "start", where / "slave"])
    assert port_answers(http)
    wait_until(lambda: "slave local is connected" in (where / "master" / "twistd.log").read_text())
    processes.run([BIN / "buildslave", "stop", where / "slave"])
    processes.run([BUILDBOT, "stop", where / "master"])


@pytest.fixture
def free_repository(processes: Processes, tmp_path: Path) -> Path:
    from tests.tools import require_tool

    git, path = require_tool("git", "git"), tmp_path / "repository"
    processes.run([git, "init", "-q", path])
    (path / "README").write_text("hello\n")
    processes.run([git, "add", "README"], cwd=path)
    processes.run([git, "commit", "-q", "-m", "First"], cwd=path)
    return path


class TestWithASlave:
    @pytest.fixture
    def slave(self, master: Master, tmp_path: Path) -> Path:
        path = tmp_path / "slave"
        master.processes.daemon(path / "twistd.pid")
        where = f"127.0.0.1:{master.port}"
        master.processes.run([BIN / "buildslave", "create-slave", path, where, "local", "secret"])
        return path

    def start(self, master: Master, slave: Path) -> None:
        master("start", master.basedir)
        master.processes.run([BIN / "buildslave", "start", slave])

    def test_statuslog_prints_a_line_an_event_and_ends_with_the_master(self, master: Master, slave: Path) -> None:
        self.start(master, slave)
        where = f"127.0.0.1:{master.port}"
        log = master.processes.start([BUILDBOT, "statuslog", "-m", where], name="statuslog")
        log.wait_for_line("^builder runtests is (idle|offline)$")
        master.sendchange("r1")
        log.wait_for_line("^runtests #1 finished: success$")
        lines = log.output().splitlines()
        wanted = [
            "builder runtests is building",
            "runtests #1 started",
            "runtests #1 step hello started",
            "runtests #1 step hello finished: success",
            "runtests #1 finished: success",
        ]
        assert [line for line in lines if line in wanted] == wanted
        log.wait_for_line("^builder runtests is idle$")
        master("stop", master.basedir)
        assert log.wait_for_exit() == 0
        assert log.output().splitlines()[-1] == "the master has ended the connection"

    def test_statuslog_says_why_it_cannot(self, master: Master) -> None:
        master("start", master.basedir)
        where = f"127.0.0.1:{master.port}"
        assert "refused the login" in master("statuslog", "-m", where, "-p", "wrong", code=1)
        master("stop", master.basedir)
        assert "cannot connect" in master("statuslog", "-m", where, code=1)
        assert "HOST:PORT" in master("statuslog", code=2)

    def test_a_clean_stop_lets_the_build_end_and_says_what_it_waits_for(self, master: Master, slave: Path) -> None:
        master.configure(command=["sleep", "4"])
        self.start(master, slave)
        master.sendchange("r1")
        wait_until(lambda: "runtests" in master.log)
        time.sleep(1)
        said = master("stop", "--clean", master.basedir)
        assert "waiting at most 3600 s for runtests #1 (since " in said
        import sqlite3

        connection = sqlite3.connect(master.basedir / "state.sqlite")
        assert connection.execute("SELECT number, result FROM builds").fetchall() == [(1, 0)]
        connection.close()

    def test_stop_ends_soon_although_a_build_runs(self, master: Master, slave: Path) -> None:
        master.configure(command=["sleep", "60"])
        self.start(master, slave)
        master.sendchange("r1")
        time.sleep(1)
        began = time.monotonic()
        master("stop", master.basedir)
        assert time.monotonic() - began < 12

    def test_a_mail_that_could_not_be_sent_outlives_kill_9(
        self, master: Master, slave: Path, free_port: Callable[[], int]
    ) -> None:
        port = free_port()
        master.configure(
            "from buildbot.plugins import reporters\n"
            f"c['services'] = [reporters.MailNotifier('ci@example.org', mode='all', smtpPort={port})]\n"
        )
        self.start(master, slave)
        master.sendchange("r1")
        wait_until(lambda: "is tried again in 5 s" in master.log)
        os.kill(master.pid, signal.SIGKILL)
        server = SmtpServer(port=port)
        try:
            wait_until(lambda: not pid_alive(master.pid))
            master("start", master.basedir)
            wait_until(lambda: server.mails)
        finally:
            server.stop()
        (mail,) = server.mails
        assert mail.recipients == ("joe@example.org",)
        assert "success" in mail.message["Subject"]

    def test_the_status_file_tells_of_this_process_only(self, master: Master) -> None:
        master("start", master.basedir)
        path = master.basedir / "master.status.json"
        assert json.loads(path.read_text())["pid"] == master.pid
        master("stop", master.basedir)
        assert not path.exists()
