"""A checkout with a key goes on when the master is killed in the middle of it, and the key does not outlive the build;
nor does it when the slave is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from buildbot.model import Result
from tests.integration.a_master import AMaster
from tests.processes import Processes, wait_until
from tests.source.repositories import Repository
from tests.source.servers import SSHServer

CONFIG = """
def key():
    with open({key!r}) as file:
        return file.read()

c['builders'] = [util.BuilderConfig(name='tests', slavenames=['one'], factory=util.BuildFactory([
    steps.Git({url!r}, mode='full', method='clobber', sshPrivateKey=key(), sshHostKey={host!r}, submodules=True,
              config={{'remote.origin.uploadpack': {script!r}}}),
    steps.ShellCommand(name='after', command=['sh', '-c', 'ls -A ../../.secrets; cat a']),
]))]
"""

WAITS = """#!/bin/sh
echo begun >> {where}/begun
while [ ! -e {where}/go ]; do sleep 0.05; done
exec git-upload-pack "$@"
"""


@pytest.fixture
def master(processes: Processes, tmp_path: Path) -> AMaster:
    """A master whose builds fetch over ssh; the server waits for the file `go` and then does its work."""
    server = SSHServer(processes, tmp_path / "sshd")
    repository = Repository(tmp_path / "upstream")
    repository.commit("first", a="one\n")
    (tmp_path / "key").write_text(server.private_key)
    (tmp_path / "upload-pack").write_text(WAITS.format(where=tmp_path))
    (tmp_path / "upload-pack").chmod(0o755)
    master = AMaster(processes, tmp_path)
    master.configure(
        CONFIG.format(
            url=f"{server.url}{repository.path}", host=server.host_key, key=str(tmp_path / "key"),
            script=str(tmp_path / "upload-pack"),
        )
    )  # fmt: skip
    master.start()
    return master


def keys(master: AMaster) -> list[Path]:
    return list((master.where / "slave-one/.secrets").glob("*/*"))


def begun(master: AMaster, times: int = 1) -> None:
    """Wait until the server has been asked so often."""
    path = master.where / "begun"
    wait_until(lambda: path.exists() and path.read_text().count("begun") >= times, 60, "the fetch")


def stdio(master: AMaster, step: str) -> str:
    sql = "SELECT l.path FROM logs AS l JOIN steps AS s ON s.id = l.step_id WHERE s.name = ? ORDER BY l.id DESC"
    return (master.basedir / "logs" / master.value(sql, step)).read_text(errors="replace")


def test_the_master_is_killed_in_the_middle_of_a_checkout(master: AMaster) -> None:
    master.slave()
    master.send("", branch="main")
    begun(master)
    for _ in range(2):
        master.kill()
        assert {path.name for path in keys(master)} == {"key", "known_hosts"}  # the fetch that goes on needs it
        master.start()
    (master.where / "go").touch()
    build = master.finished("tests", 1)
    assert (build.result, build.attempt) == (Result.SUCCESS, 1), stdio(master, "git")
    assert stdio(master, "git").count(" fetch ") == 1
    assert "one\n" in stdio(master, "after")
    assert keys(master) == []
    secret = (master.where / "key").read_text().splitlines()[1]
    assert secret not in stdio(master, "git")
    assert secret.encode() not in (master.basedir / "state.sqlite").read_bytes()
    assert "Traceback" not in master.log


def test_a_stop_that_was_asked_for_before_the_master_died_takes_the_key_away(master: AMaster) -> None:
    slave = master.slave()
    master.send("", branch="main")
    begun(master)
    master.web.log_in()
    slave.kill(signal.SIGSTOP)  # so that the stop does not reach it
    assert master.web.press("/builders/tests/builds/1", "/builders/tests/builds/1/stop", comments="x").status < 400
    master.kill()
    slave.kill(signal.SIGCONT)
    master.start()
    assert master.finished("tests", 1, timeout=90).result is Result.CANCELLED
    assert keys(master) == []
    (master.where / "go").touch()


def test_the_slave_is_killed_in_the_middle_of_a_checkout(master: AMaster) -> None:
    slave = master.slave()
    master.send("", branch="main")
    begun(master)
    slave.kill(signal.SIGKILL)
    slave.wait_for_exit()
    assert keys(master) != []
    (master.where / "go").touch()
    master.slave()
    assert master.finished("tests", 1).result is Result.RETRY
    build = master.finished("tests", 2)
    assert build.result is Result.SUCCESS, stdio(master, "git")
    assert keys(master) == []
