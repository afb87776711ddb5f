"""How long a master that was killed takes until every build that was running goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.contender import Contender

# A command that prints something and then waits, without using the processor, until somebody writes to the pipe.
CFG = """
from buildbot.plugins import *
c = BuildmasterConfig = {{}}
names = ['w%d' % n for n in range({slaves})]
c['workers'] = [worker.Worker(name, 'pw') for name in names]
c['protocols'] = {{'pb': {{'port': 'tcp:{pb}:interface=127.0.0.1'}}}}
c['change_source'] = [changes.PBChangeSource(user='change', passwd='changepw')]
factory = util.BuildFactory([
    steps.ShellCommand(name='quick', command=['seq', '100']),
    steps.ShellCommand(name='waits', command=['sh', '-c', 'seq {lines}; read x < {where}/pipe; seq {lines}']),
    steps.ShellCommand(name='after', command=['true']),
])
c['builders'] = [util.BuilderConfig(name='b%d' % n, workernames=[names[n % {slaves}]], factory=factory)
                 for n in range({builders})]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=[b.name for b in c['builders']])]
"""
LINES = 200


class Recovery(NamedTuple):
    """Seconds from the new process's start until it serves, and until all builds go on; its CPU seconds till then."""

    serves: float
    goes_on: float
    cpu: float


def recovery(where: Path, *, builds: int = 200, slaves: int = 10) -> Recovery:
    """Kill a master with so many running builds, start it again, and see all of them to a good end."""
    contender = Contender(where, ours=True, slaves=slaves, builders=builds, lines=LINES)
    contender.make(CFG)
    pipe = where / "pipe"
    os.mkfifo(pipe)
    try:
        contender.start()
        contender.start_slaves()
        contender.send("main", ["r1"])
        waiting = "SELECT count(*) FROM commands WHERE state = 'running'"
        contender.wait(lambda: contender.ask(waiting) == builds, f"{builds} commands")
        time.sleep(2)  # what they have printed is on the disk
        contender.master.kill()
        contender.master.wait_for_exit()
        begun = time.monotonic()
        contender.start()
        contender.wait(lambda: contender.master.output().count(" goes on: ") == builds, "all to go on")
        found = Recovery(contender.started_in, time.monotonic() - begun, contender.cpu())
        pipe.open("w").close()
        contender.wait(lambda: contender.finished_builds() == builds, "the builds' ends")
        assert contender.ask("SELECT count(*) FROM builds") == builds
        return found
    finally:
        contender.stop()
