"""A master and its slaves as processes: ours, or Buildbot 4.3.0 from .venv-peer, from one and the same master.cfg."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")

CFG = """
from buildbot.plugins import *
c = BuildmasterConfig = {{}}
c['workers'] = [worker.Worker('w%d' % n, 'pw') for n in range({slaves})]
c['protocols'] = {{'pb': {{'port': 'tcp:{pb}:interface=127.0.0.1'}}}}
c['change_source'] = [changes.PBChangeSource(user='change', passwd='changepw')]
names = ['w%d' % n for n in range({slaves})]
def factory(*commands):
    return util.BuildFactory([steps.ShellCommand(command=words, logEnviron=False, workdir='.') for words in commands])
c['builders'] = [
    util.BuilderConfig(name='%s-%d' % (kind, n), workernames=names, factory=factory(*commands))
    for kind, commands in [
        ('one', [['true']]),
        ('five', [['true']] * 5),
    ] for n in range({builders})
] + [
    util.BuilderConfig(name='when', workernames=names, factory=factory(
        ['sh', '-c', util.Interpolate('date +%%s.%%N > {where}/when-%(prop:revision)s')])),
    util.BuilderConfig(name='much', workernames=names, factory=factory(
        ['sh', '-c', util.Interpolate('yes {line} | head -n {lines}; touch {where}/much-%(prop:revision)s')])),
]
c['schedulers'] = [
    schedulers.AnyBranchScheduler(name=kind, change_filter=util.ChangeFilter(branch=kind), treeStableTimer=None,
        builderNames=[b.name for b in c['builders'] if b.name.split('-')[0] == kind])
    for kind in ('one', 'five', 'when', 'much')
]
c['buildbotNetUsageData'] = None
c['collapseRequests'] = False
"""
LINE = "x" * 79


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Contender:
    """One master with its slaves below `where`. `ours` says which."""

    def __init__(self, where: Path, *, ours: bool, slaves: int = 10, builders: int = 20, lines: int = 0) -> None:
        self.ours = ours
        self.where = where
        self.bin = Path(sys.executable).parent if ours else ROOT / ".venv-peer" / "bin"
        self.port = free_port()
        self.slaves = slaves
        self.builders = builders
        self.lines = lines
        self.processes: list[subprocess.Popen[bytes]] = []
        self.started_in = 0.0
        self._changes = 0

    def revisions(self, count: int) -> list[str]:
        """Revisions that were not used before: a change that is known already is not built again."""
        self._changes += count
        return [f"r{number}" for number in range(self._changes - count, self._changes)]

    @property
    def database(self) -> Path:
        return self.where / "master" / "state.sqlite"

    def make(self, config: str = CFG) -> None:
        self.where.mkdir(parents=True)
        self._run("buildbot", "create-master", "master")
        text = config.format(
            slaves=self.slaves, builders=self.builders, pb=self.port, where=self.where, line=LINE, lines=self.lines
        )
        (self.where / "master" / "master.cfg").write_text(text)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run([str(self.bin / program), *words], cwd=self.where, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(words)} failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        begun = time.monotonic()
        self._spawn("buildbot", "start", "--nodaemon", "master")
        self.wait(lambda: listens(self.port), "the master")
        self.started_in = time.monotonic() - begun

    def start_slaves(self) -> None:
        program, make = ("buildslave", "create-slave") if self.ours else ("buildbot-worker", "create-worker")
        for number in range(self.slaves):
            name = f"w{number}"
            self._run(program, make, name, f"127.0.0.1:{self.port}", name, "pw")
            self._spawn(program, "start", "--nodaemon", name)
        self.wait(lambda: self.connected() >= self.slaves, "slaves")

    def connected(self) -> int:
        question = (
            "SELECT count(*) FROM slaves WHERE connected_at IS NOT NULL"
            if self.ours
            else "SELECT count(*) FROM connected_workers"
        )
        return self.ask(question)

    def finished_builds(self) -> int:
        return self.ask(f"SELECT count(*) FROM builds WHERE {'result' if self.ours else 'results'} = 0")

    def ask(self, question: str) -> int:
        import sqlite3

        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return int(connection.execute(question).fetchone()[0])
        finally:
            connection.close()

    def _spawn(self, program: str, *words: str) -> None:
        with open(self.where / f"{len(self.processes)}.out", "wb") as output:
            self.processes.append(
                subprocess.Popen(
                    [str(self.bin / program), *words],
                    cwd=self.where,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def send(self, branch: str, revisions: list[str], pause: float = 0) -> dict[str, float]:
        """Bring changes; {revision: time of the acknowledgement}."""
        words = ["-m", "tests.bench.send", str(self.port), branch, str(pause), *revisions]
        done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self.processes[0].poll() is not None:
                raise RuntimeError((self.where / "0.out").read_text(errors="replace")[-4000:])
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.where}: {what}: not within {seconds:.0f} s")
            time.sleep(0.05)

    def cpu(self) -> float:
        """CPU seconds of the master so far."""
        fields = Path(f"/proc/{self.processes[0].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, which: str = "VmHWM") -> float:
        """Resident MiB of the master: its peak, or VmRSS for now."""
        for line in Path(f"/proc/{self.processes[0].pid}/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def forget_peak(self) -> None:
        Path(f"/proc/{self.processes[0].pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
