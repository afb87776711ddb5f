"""Our slave with a buildmaster of 2010: Buildbot 0.8.3 on Python 2, which wants bytes and asks for `getSlaveInfo`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.interop.masters import PairedMaster, Sources
from tests.processes import Processes, pid_alive, wait_until
from tests.tools import make_old_peer

CONFIG = Path(__file__).parent / "master-0.8.cfg"


class OldestMaster(PairedMaster):
    """It keeps builds as pickles, which only it can read; what it has done is in its log and in the logs of steps."""

    def __init__(self, processes: Processes, where: Path) -> None:
        super().__init__(processes, where, Sources(where))
        programs = make_old_peer("master-0.8.3")
        processes.run([programs / "buildbot", "create-master", "--quiet", self.basedir])
        self.furnish(["slave"], CONFIG.read_text())
        self.process = processes.start(
            [programs / "twistd", "--nodaemon", "--no_save", "-y", "buildbot.tac", "--logfile=twistd.log"],
            cwd=self.basedir,
        )
        self.wait_for("configuration update complete")

    def log(self) -> str:
        path = self.basedir / "twistd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for(self, text: str) -> None:
        def said() -> bool:
            assert self.process.running, self.log()
            return text in self.log()

        wait_until(said, 60, text)

    def results(self) -> list[tuple[str, str]]:
        """Each step that has ended, and how."""
        return re.findall(r" step '(.+?)' complete: (\w+)", self.log())

    def step_log(self, step: str, log: str = "stdio") -> dict[int, bytes]:
        """The bytes of each channel: the file has netstrings of a digit and what it wrote."""
        data = (self.basedir / "tried" / f"0-log-{step}-{log}").read_bytes()
        channels: dict[int, bytes] = {}
        while data:
            size, _, rest = data.partition(b":")
            channel, text = int(rest[:1]), rest[1 : int(size)]
            channels[channel] = channels.get(channel, b"") + text
            data = rest[int(size) + 1 :]
        return channels


def test_it_builds_on_our_slave(processes: Processes, tmp_path: Path) -> None:
    master = OldestMaster(processes, tmp_path)
    slave = master.our_slave()
    slave.wait_for_line("logged in to the master", timeout=60)
    master.send()
    master.wait_for("<Build tried>: build finished")
    results = master.results()
    assert [name for name, _ in results] == [
        "out", "fails", "silent", "environment", "hidden", "follows", "setproperty", "upload", "upload_1", "upload_2",
        "download", "string_download", "came",
    ]  # fmt: skip
    assert [name for name, result in results if result != "success"] == ["fails", "silent", "upload_1"]
    assert master.step_log("out")[0] == b"out\n\xc3\xa9 \xff"
    assert master.step_log("out")[1] == b"err\n"
    assert b"program finished with exit code 3\n" in master.step_log("fails")[2]
    assert b"no output for 1 s" in master.step_log("silent")[2]
    assert master.step_log("environment")[0] == b"blue\n"
    assert master.step_log("hidden")[0] == b"real\n"
    assert b"real" not in master.step_log("hidden")[2]
    assert master.step_log("follows", "it")[0] == b"followed\n"
    assert master.step_log("setproperty", "property_changes")[0] == b"found: 'value'"
    big = (tmp_path / "slave" / "tried" / "build" / "big.txt").read_bytes()
    for copy in ("big.txt", "all/big.txt"):
        assert hashlib.sha1((master.incoming / copy).read_bytes()).digest() == hashlib.sha1(big).digest()
    assert master.step_log("came")[0] == b"100000 600\ntext\n"

    master.send("waiting")
    directory = tmp_path / "slave" / "waiting" / "build"
    wait_until((directory / "begun").exists, 30, "the build's command")
    pids = [int(line) for line in (directory / "pids").read_text().split()]
    master.process.kill()
    wait_until(lambda: not any(pid_alive(pid) for pid in pids), 30, f"the end of {pids}")
    assert slave.running
