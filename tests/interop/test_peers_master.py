"""Our slave as a worker of Buildbot 4.3's master: stopped builds, a killed master, a slave that is stopped."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.interop.masters import CONFIG, OVER_WEBSOCKET, SLAVE, PeersMaster, Sources
from tests.processes import Processes, pid_alive, wait_until
from tests.tools import Peer

CANCELLED, RETRY = 6, 5


@pytest.fixture
def master(processes: Processes, tmp_path: Path, peer: Peer) -> PeersMaster:
    """Buildbot 4.3's master with one worker."""
    sources = Sources(tmp_path)
    return PeersMaster(processes, tmp_path / "peer", sources, peer=peer, workers=[SLAVE], config=CONFIG.read_text())


def begun(master: PeersMaster) -> list[int]:
    """The next build of `waiting` runs: its processes."""
    directory = master.where / "slave" / "waiting" / "build"
    wait_until((directory / "begun").exists, 60, "the build's command")
    (directory / "begun").unlink()
    return [int(line) for line in (directory / "pids").read_text().split()]


def gone(pids: list[int]) -> None:
    wait_until(lambda: not any(pid_alive(pid) for pid in pids), 30, f"the end of {pids}")


@pytest.mark.parametrize("options", [(), (OVER_WEBSOCKET,)])
def test_commands_end_with_their_build_and_with_their_master(master: PeersMaster, options: tuple[str, ...]) -> None:
    directory = master.where / "slave" / "waiting" / "build"
    slave = master.our_slave(*options)
    wait_until(lambda: master.connected(SLAVE), 30, "the slave")
    master.send("waiting")
    pids = begun(master)
    master.stop_build("waiting", 1)
    gone(pids)
    master.wait_for_build("waiting", 1)
    read = master.read("waiting", 1)
    assert (read.result, read.steps[-1].result) == (CANCELLED, CANCELLED)
    assert "interrupted: enough of it" in read.steps[-1].logs["stdio"]["header"]

    master.send("waiting")
    pids = begun(master)
    master.process.kill()
    gone(pids)
    master.start()
    pids = begun(master)  # it builds again
    (directory / "go").touch()
    gone(pids)
    number = len(master.builds("waiting"))
    master.wait_for_build("waiting", number)
    last = master.read("waiting", number)
    assert (last.result, last.steps[-1].logs["stdio"]["stdout"]) == (0, "gone on\n")

    (directory / "go").unlink()
    master.send("waiting")
    pids = begun(master)
    slave.kill(signal.SIGTERM)
    assert slave.wait_for_exit() == 0
    gone(pids)
    master.wait_for_build("waiting", number + 1)
    assert master.builds("waiting")[number]["results"] == RETRY

    slave = master.our_slave("--allow-shutdown=signal", *options)
    pids = begun(master)  # what was retried
    slave.kill(signal.SIGHUP)
    wait_until(lambda: "asking the master for it" in (master.where / "slave" / "twistd.log").read_text(), 30, "SIGHUP")
    assert slave.running
    (directory / "go").touch()
    assert slave.wait_for_exit() == 0
    gone(pids)
    master.wait_for_build("waiting", number + 2)
    assert master.builds("waiting")[number + 1]["results"] == 0
