"""How fast a file comes from a slave to its master and back, and how much memory that takes on both sides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.bench.contender import TICK, Contender
from tests.processes import Process

CFG = """
from buildbot.plugins import *
c = BuildmasterConfig = {{}}
c['workers'] = [worker.Worker('w0', 'pw')]
c['protocols'] = {{'pb': {{'port': 'tcp:{pb}:interface=127.0.0.1'}}}}
c['change_source'] = [changes.PBChangeSource(user='change', passwd='changepw')]
kinds = {{
    'warm': steps.FileUpload('small', 'up/small', workdir='../files'),
    'upload': steps.FileUpload('big', 'up/big', workdir='../files'),
    'download': steps.FileDownload('up/big', 'back', workdir='../files'),
    'directory': steps.DirectoryUpload('tree', 'up/tree', workdir='../files'),
}}
c['builders'] = [util.BuilderConfig(name=kind, workernames=['w0'], factory=util.BuildFactory([step]))
                 for kind, step in kinds.items()]
c['schedulers'] = [schedulers.AnyBranchScheduler(name=kind, change_filter=util.ChangeFilter(branch=kind),
                   treeStableTimer=None, builderNames=[kind]) for kind in kinds]
c['buildbotNetUsageData'] = None
"""
KINDS = ("upload", "download", "directory")


class Transfer(NamedTuple):
    """MB of the file a second; growth of the peak resident memory, MiB; CPU seconds of master and slave."""

    kind: str
    rate: float
    master_grew: float
    slave_grew: float
    master_cpu: float
    slave_cpu: float


class Side:
    """A process, as the system sees it."""

    def __init__(self, process: Process) -> None:
        self.proc = Path(f"/proc/{process.pid}")
        (self.proc / "clear_refs").write_text("5")
        self._before, self._cpu = self._memory("VmRSS"), self.cpu()

    def _memory(self, which: str) -> float:
        text = (self.proc / "status").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(which + ":"))

    def cpu(self) -> float:
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def grew(self) -> float:
        return self._memory("VmHWM") - self._before

    def used(self) -> float:
        return self.cpu() - self._cpu


def transfers(where: Path, megabytes: int, kinds: tuple[str, ...] = KINDS) -> list[Transfer]:
    """Each kind with a file of so many MB."""
    contender = Contender(where, ours=True, slaves=1)
    contender.make(CFG)
    there = where / "w0" / "files"
    found = []
    try:
        contender.start()
        (slave,) = contender.start_slaves()
        (there / "tree").mkdir(parents=True)
        (there / "small").write_bytes(b"small")
        with (there / "big").open("wb") as big:
            for _ in range(megabytes):
                big.write(os.urandom(1_000_000))
        os.link(there / "big", there / "tree" / "big")
        for kind in ("warm", *kinds):  # what is done once is not counted
            before, sides = contender.finished_builds(), (Side(contender.master), Side(slave))
            contender.send(kind, contender.revisions(1))
            contender.wait(lambda before=before: contender.finished_builds() > before, kind, 600)  # type: ignore[misc]
            seconds = contender.ask(
                "SELECT CAST((complete_at - started_at) * 1000 AS INTEGER) FROM builds ORDER BY id DESC LIMIT 1"
            )
            master, other = sides
            rate = megabytes / seconds * 1000
            found.append(Transfer(kind, rate, master.grew(), other.grew(), master.used(), other.used()))
    finally:
        contender.stop()
    return found[1:]


def print_transfers(where: Path, megabytes: int) -> None:
    heading = f"{f'a file of {megabytes:,} MB':34}{'MB/s':>9}{'master +MiB':>13}{'slave +MiB':>12}"
    print(f"\n{heading}{'master CPU s':>14}{'slave CPU s':>13}")
    for each in transfers(where, megabytes):
        print(f"{each.kind:34}{each.rate:9.0f}{each.master_grew:13.1f}{each.slave_grew:12.1f}"
              f"{each.master_cpu:14.1f}{each.slave_cpu:13.1f}")  # fmt: skip
