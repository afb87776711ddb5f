"""How long a master that was killed takes until all its slaves are there again, and how long it keeps its reactor busy
at a time meanwhile.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.contender import ROOT, Contender
from tests.processes import port_answers

# Its reactor's turns are measured from where it stops waiting to where it waits again.
CFG = """
import time
from buildbot.plugins import *
from twisted.internet import reactor


class Watched:
    def __init__(self, poller):
        self.poller, self.woken = poller, None
        self.out = open('{where}/turns', 'a', buffering=1)

    def poll(self, *args):
        now, used = time.monotonic(), time.thread_time()
        if self.woken is not None and now - self.woken[0] > 0.01:
            print(self.woken[0], now - self.woken[0], used - self.woken[1], file=self.out)
        try:
            return self.poller.poll(*args)
        finally:
            self.woken = time.monotonic(), time.thread_time()

    def __getattr__(self, name):
        return getattr(self.poller, name)


if hasattr(reactor, '_poller') and type(reactor._poller).__name__ != 'Watched':
    reactor._poller = Watched(reactor._poller)

c = BuildmasterConfig = {{}}
names = ['w%d' % n for n in range({slaves})]
c['workers'] = [worker.Worker(name, 'pw') for name in names]
c['protocols'] = {{'pb': {{'port': 'tcp:{pb}:interface=127.0.0.1'}}}}
factory = util.BuildFactory([steps.ShellCommand(command=['true'])])
c['builders'] = [util.BuilderConfig(name='b%d' % n, workernames=names, factory=factory) for n in range({builders})]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=[b.name for b in c['builders']])]
"""


class Reconnecting(NamedTuple):
    """Seconds until all are there, counted from the open port; the longest turn of the reactor in ms, by the clock and
    by the processor; the master's CPU seconds for all of it, its start included."""

    seconds: float
    longest_ms: float
    longest_cpu_ms: float
    cpu: float


def reconnecting(where: Path, *, slaves: int = 400, builders: int = 20) -> Reconnecting:
    """Kill a master with so many slaves and start it again."""
    contender = Contender(where, ours=True, slaves=slaves, builders=builders)
    contender.make(CFG)
    try:
        contender.start()
        swarm = ["tests.bench.swarm", str(contender.port), str(slaves), str(where)]
        contender.processes.python("-m", *swarm, name="swarm", cwd=ROOT)
        _wait_for_all(contender)
        contender.master.kill()
        contender.master.wait_for_exit()
        contender.start()
        begun = time.monotonic()
        assert port_answers(contender.port)
        _wait_for_all(contender)
        seconds = time.monotonic() - begun
        time.sleep(1)  # what they have set off
        turns = [tuple(map(float, line.split())) for line in (where / "turns").read_text().splitlines()]
        late = [(0.0, 0.0, 0.0), *(turn for turn in turns if turn[0] >= begun)]
        longest = [max(turn[which] for turn in late) * 1000 for which in (1, 2)]
        return Reconnecting(seconds, *longest, contender.cpu())
    finally:
        contender.stop()


def _wait_for_all(contender: Contender) -> None:
    contender.wait(lambda: contender.master.output().count(" is connected") == contender.slaves, "all slaves", 120)
