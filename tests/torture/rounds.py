"""A seeded run of rounds against one master, and what must hold at its end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.a_master import AMaster
from tests.processes import Process, Processes

MORE = """
c['slaves'].append(buildslave.BuildSlave('two', 'secret'))
c['builders'] = [
    util.BuilderConfig(name='short', slavenames=['one', 'two'], factory=runs('true')),
    util.BuilderConfig(name='long', slavenames=['one', 'two'], factory=runs(
        'sh', '-c', 'seq 2000; sleep 0.3; seq 2000')),
]
c['schedulers'] = [schedulers.AnyBranchScheduler(name='all', builderNames=['short', 'long'])]
"""
RETRIED_SECONDS = 180
WITH_PARKED = ("buildsets", "build_requests")  # what a parked request keeps open


class Torture:
    """One run. `log` is told what is done, so that a failure can be read and, with its seed, repeated."""

    def __init__(self, processes: Processes, where: Path, seed: int, log: Callable[[str], object] = print) -> None:
        self.random = random.Random(seed)
        self.log = log
        self.master = AMaster(processes, where)
        self.master.configure(MORE)
        self.slaves: dict[str, Process] = {}
        self.sent: list[str] = []
        self.senders: list[Process] = []
        self.kills = 0

    def run(self, rounds: int) -> None:
        """Start everything, do `rounds` things to it, let it come to rest, and look at what it has kept."""
        self.master.start()
        for name in ("one", "two"):
            self.slaves[name] = self.master.slave(name)
        blows = [self.kill_master, self.kill_slave, self.freeze_slave, self.reconfigure, self.restart_master]
        for number in range(rounds):
            self.send_changes()
            time.sleep(self.random.uniform(0, 0.8))
            blow = self.random.choice(blows)
            self.log(f"round {number + 1}: {blow.__name__.replace('_', ' ')}")
            blow()
        self.come_to_rest()
        self.check()

    # -- what is done to it

    def send_changes(self) -> None:
        revisions = tuple(f"r{len(self.sent) + number}" for number in range(self.random.randint(1, 5)))
        self.sent.extend(revisions)
        self.senders.append(self.master.sending(revisions, repository="r", branch="main"))

    def kill_master(self) -> None:
        self.kills += 1
        self.master.kill()
        time.sleep(self.random.uniform(0, 0.5))
        self.master.start()

    def restart_master(self) -> None:
        self.master.stop()
        self.master.start()

    def kill_slave(self) -> None:
        name = self.random.choice(sorted(self.slaves))
        self.slaves[name].kill(signal.SIGKILL)
        self.slaves[name].wait_for_exit()
        self.slaves[name] = self.master.slave(name, wait=False)

    def freeze_slave(self) -> None:
        slave = self.slaves[self.random.choice(sorted(self.slaves))]
        slave.kill(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 2))
        slave.kill(signal.SIGCONT)

    def reconfigure(self) -> None:
        self.master.configure(MORE + f"c['title'] = 'Tested {self.random.random()}'\n")
        self.master.reconfig()

    # -- what must hold

    def come_to_rest(self) -> None:
        for sender in self.senders:
            assert sender.wait_for_exit(120) == 0
        deadline = time.monotonic() + RETRIED_SECONDS
        while self.open_requests():
            if time.monotonic() > deadline:
                raise AssertionError(f"not at rest: {self.master.builds()[-5:]}, {self.master.open_rows()}")
            time.sleep(0.2)

    def open_requests(self) -> int:
        return int(
            self.master.value(
                "SELECT count(*) FROM build_requests WHERE complete_at IS NULL AND parked_reason IS NULL"
            )
        )

    def check(self) -> None:
        """Each acknowledged change is there once, and led to one finished request of each builder; nothing dangles."""
        stored = [revision for (revision,) in self.master.rows("SELECT revision FROM changes ORDER BY id")]
        assert sorted(stored) == sorted(self.sent), set(self.sent) ^ set(stored)
        asked = self.master.rows(
            "SELECT c.revision, count(*) FROM changes AS c JOIN source_stamp_changes AS s ON s.change_id = c.id "
            "JOIN buildset_source_stamps AS b ON b.source_stamp_id = s.source_stamp_id "
            "JOIN build_requests AS r ON r.buildset_id = b.buildset_id GROUP BY c.id"
        )
        assert {count for _, count in asked} == {2} and len(asked) == len(self.sent), asked
        parked = self.master.value("SELECT count(*) FROM build_requests WHERE parked_reason IS NOT NULL")
        open_rows = self.master.open_rows()
        unfinished = {name: count for name, count in open_rows.items() if not (parked and name in WITH_PARKED)}
        assert not unfinished, unfinished
        self.log(
            f"{len(self.sent)} changes, {len(self.master.builds())} builds, {self.kills} times kill -9 of the master; "
            f"{parked} requests parked after too many retries"
        )
