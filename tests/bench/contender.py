"""A master and its slaves as processes: ours, or Buildbot 4.3.0 from .venv-peer, from one and the same master.cfg."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.processes import Process, Processes, free_port, port_answers, wait_until

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
        self.processes = Processes(where / "output")
        self.master: Process
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
        self._run("buildbot", "create-master", "master")
        text = config.format(
            slaves=self.slaves, builders=self.builders, pb=self.port, where=self.where, line=LINE, lines=self.lines
        )
        (self.where / "master" / "master.cfg").write_text(text)

    def _run(self, program: str, *words: str) -> None:
        self.processes.run([self.bin / program, *words], cwd=self.where)

    def _spawn(self, program: str, name: str) -> Process:
        return self.processes.start([self.bin / program, "start", "--nodaemon", name], name=name, cwd=self.where)

    def start(self) -> None:
        begun = time.monotonic()
        self.master = self._spawn("buildbot", "master")
        self.wait(lambda: port_answers(self.port), "the master")
        self.started_in = time.monotonic() - begun

    def start_slaves(self) -> list[Process]:
        program, make = ("buildslave", "create-slave") if self.ours else ("buildbot-worker", "create-worker")
        started = []
        for number in range(self.slaves):
            name = f"w{number}"
            self._run(program, make, name, f"127.0.0.1:{self.port}", name, "pw")
            started.append(self._spawn(program, name))
        self.wait(lambda: self.connected() >= self.slaves, "slaves")
        return started

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
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
            return int(connection.execute(question).fetchone()[0])

    def send(self, branch: str, revisions: list[str], pause: float = 0) -> dict[str, float]:
        """Bring changes; {revision: time of the acknowledgement}."""
        words = ["-m", "tests.bench.send", str(self.port), branch, str(pause), *revisions]
        said = self.processes.run([sys.executable, *words], cwd=ROOT, timeout=300)
        return {line.split()[0]: float(line.split()[1]) for line in said.splitlines()}

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
        """Until it is so. A master that ended meanwhile is told at once, with its last words."""

        def so() -> bool:
            assert self.master.running, self.master.output()[-4000:]
            return condition()

        wait_until(so, seconds, what)

    def cpu(self) -> float:
        """CPU seconds of the master so far."""
        fields = Path(f"/proc/{self.master.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, which: str = "VmHWM") -> float:
        """Resident MiB of the master: its peak, or VmRSS for now."""
        for line in Path(f"/proc/{self.master.pid}/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def forget_peak(self) -> None:
        Path(f"/proc/{self.master.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        self.processes.stop_all()
