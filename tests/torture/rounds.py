"""A seeded run of rounds against one master, and what must hold at its end."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.integration.a_master import BUILDBOT, AMaster
from tests.integration.smtp_server import SmtpServer
from tests.processes import Gone, Late, Process, Processes
from tests.torture.checking import Checker
from tests.torture.faults.clock import Clock
from tests.torture.faults.disk import full
from tests.torture.faults.fsync import Failing
from tests.torture.faults.network import Network
from tests.torture.faults.power import Disk
from tests.torture.gaps import GAPS, WHEN
from tests.torture.load import Load

RETRIED_SECONDS = 240
GAP_SECONDS = 15
FIRST_LINE = re.compile(r"(\S+) #(\d+) ")


class Torture:
    """One run. `log` is told what is done, so that a failure can be read and, with its seed, repeated."""

    def __init__(self, processes: Processes, where: Path, seed: int, log: Callable[[str], object] = print) -> None:
        self.random = random.Random(seed)
        self.log = log
        self.network: Network | None = None  # slave two is behind it
        self.disk: Disk | None = None  # the master is on it
        self.clock: Clock | None = None  # the master looks at it
        with ExitStack() as machine:
            if os.geteuid() == 0:
                self.network = machine.enter_context(Network())
                self.disk = machine.enter_context(Disk(where / "disk", mebibytes=256))
                self.clock = Clock(where)
            self.master = AMaster(
                processes,
                where,
                basedir=self.disk.where / "master" if self.disk else None,
                pb_host=self.network.host if self.network else "127.0.0.1",
            )
            self._machine = machine.pop_all()
        self.smtp = SmtpServer()
        self.load = Load(self.master, self.random, self.smtp.port)
        self.slaves: dict[str, Process] = {}
        self.kills = 0
        self.struck: list[str] = []  # the gaps in which a master has died
        self.blows: list[Callable[[], None]] = [
            self.kill_master,
            self.kill_master_in_a_gap,
            self.kill_slave,
            self.freeze_slave,
            self.freeze_master,
            self.reconfigure,
            self.restart_master,
        ]
        if self.network:
            self.blows += [self.cut_network, self.reset_connections]
        if self.disk:
            self.blows += [self.lose_power, self.fill_disk, self.fail_to_sync]
        if self.clock:
            self.blows.append(self.set_the_clock)

    def run(self, rounds: int) -> None:
        """Do `rounds` things to it, each while it has something to do."""
        with self.world():
            for number in range(rounds):
                self.ask()
                time.sleep(self.random.uniform(0, 1.2))
                blow = self.random.choice(self.blows)
                self.log(f"round {number + 1}: {blow.__name__.replace('_', ' ')}")
                blow()

    def run_through(self, whens: Sequence[str] = WHEN) -> None:
        """Instead of rounds: a master for each gap, which dies in it."""
        with self.world():
            for when in whens:
                for gap in GAPS:
                    self.die_in(when, gap, 1)

    @contextmanager
    def world(self) -> Iterator[None]:
        """Start everything; in the end, let it come to rest and check what it has kept."""
        with self.living():
            yield
            self.end()

    @contextmanager
    def living(self) -> Iterator[None]:
        """Start everything; in the end, take the machine away."""
        try:
            with self._machine:
                if self.disk:
                    self.disk.settle()
                self.start_master()
                for name in ("one", "two"):
                    self.slaves[name] = self.slave(name)
                try:
                    yield
                except BaseException:
                    if self.disk:  # it is gone after this
                        shutil.copytree(self.disk.where, self.disk.where.with_name("what-was-on-the-disk"))
                    raise
        finally:
            self.smtp.stop()

    def start_master(self, *command: str | Path) -> None:
        """`command`: what runs the words of a `buildbot` command, if not the command itself."""
        words = self.clock.words if self.clock else ()
        self.master.start([*words, *(command or (BUILDBOT,))])

    def slave(self, name: str, *, wait: bool = True) -> Process:
        inside = self.network.inside if self.network and name == "two" else ()
        return self.master.slave(name, wait=wait, inside=inside)

    def end(self) -> None:
        """Let it come to rest, and check what it has kept."""
        self.come_to_rest()
        self.check()
        retried = self.master.value("SELECT count(*) FROM builds WHERE result = 5")
        parked = self.master.value("SELECT count(*) FROM build_requests WHERE parked_reason IS NOT NULL")
        self.log(
            f"{len(self.load.sent)} changes, {len(self.load.forced)} forced, {len(self.load.stopped)} stopped; "
            f"{len(self.master.builds())} builds, {retried} of them tried again, {parked} requests parked; "
            f"{self.kills} times kill -9 of the master, in {len(set(self.struck))} named gaps"
        )

    def check(self) -> None:
        """Raises AssertionError with everything that is wrong. At rest, and while the master runs."""
        Checker(self.master, self.load).check(self.told())

    def ask(self) -> None:
        """What users do meanwhile."""
        self.load.send_changes()
        if self.random.random() < 0.5:
            self.load.force()
        if self.random.random() < 0.2:
            self.load.stop_a_build()

    def told(self) -> list[tuple[str, int]]:
        """The builds of which mails came."""
        return [
            (found[1], int(found[2]))
            for mail in list(self.smtp.mails)
            if (found := FIRST_LINE.match(mail.message.get_content()))
        ]

    # -- what is done to it

    def kill_master(self) -> None:
        self.kills += 1
        self.master.kill()
        time.sleep(self.random.uniform(0, 0.5))
        self.start_master()

    def kill_master_in_a_gap(self) -> None:
        """A master that ends itself there, followed by one that does not."""
        when, gap = self.random.choice(WHEN), self.random.choice(sorted(GAPS))
        self.die_in(when, gap, self.random.randint(1, 3))

    def die_in(self, when: str, gap: str, count: int) -> bool:
        """Whether a master died there while there was something to do; in any case, another one runs now."""
        self.kills += 1
        self.master.kill()
        with suppress(Gone):
            self.start_master(sys.executable, "-m", "tests.torture.gaps", when, gap, str(count))
            self.load.send_changes()
        process = self.master.process
        assert process is not None
        with suppress(Late):
            process.wait_for_exit(GAP_SECONDS)
        died = not process.running
        if died:
            assert process.popen.returncode == -signal.SIGKILL, process.output()
            self.struck.append(f"{when} {gap}")
        else:
            self.master.kill()
        self.log(f"  {when} {gap}, {count}: {'died there' if died else 'it did not come to that'}")
        self.start_master()
        return died

    def lose_power(self) -> None:
        """Of the master's machine: what was not brought to its disk is gone, and the process with it."""
        assert self.disk is not None
        self.disk.lose_power()
        self.load.power_lost_at.append(time.monotonic())
        assert self.master.process is not None
        self.master.process.wait_for_exit()
        time.sleep(self.random.uniform(0, 0.5))
        self.disk.come_back()
        self.start_master()

    def fill_disk(self) -> None:
        assert self.disk is not None
        with full(self.disk.where):
            self.load.send_changes()
            time.sleep(self.random.uniform(0.2, 3))

    def fail_to_sync(self) -> None:
        """Every fsync of the master fails for a while."""
        assert self.master.process is not None
        with Failing(self.master.process.pid, self.master.where / "fsync"):
            self.load.send_changes()
            time.sleep(self.random.uniform(0.2, 3))

    def set_the_clock(self) -> None:
        """The time of day jumps, and some time later jumps back."""
        assert self.clock is not None
        seconds = self.random.choice([-3600, 86400])
        self.clock.jump(seconds)
        self.load.send_changes()
        time.sleep(self.random.uniform(0.2, 3))
        self.clock.jump(-seconds)

    def restart_master(self) -> None:
        self.master.stop()
        self.start_master()

    def freeze_master(self) -> None:
        assert self.master.process is not None
        self.master.process.kill(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 2))
        self.master.process.kill(signal.SIGCONT)

    def kill_slave(self) -> None:
        name = self.random.choice(sorted(self.slaves))
        self.slaves[name].kill(signal.SIGKILL)
        self.slaves[name].wait_for_exit()
        self.slaves[name] = self.slave(name, wait=False)

    def freeze_slave(self) -> None:
        slave = self.slaves[self.random.choice(sorted(self.slaves))]
        slave.kill(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 2))
        slave.kill(signal.SIGCONT)

    def cut_network(self) -> None:
        """Packets are lost for a while, some or all of them, with or without a word."""
        assert self.network is not None
        cuts = [self.network.silent, self.network.deaf, self.network.refusing, self.network.link_down]
        cut = self.random.choice([*cuts, lambda: self.network.losing(0.3)])
        with cut():
            self.load.send_changes()
            time.sleep(self.random.uniform(0.2, 4))

    def reset_connections(self) -> None:
        assert self.network is not None
        self.network.reset()

    def reconfigure(self) -> None:
        self.load.other_configuration()
        self.master.reconfig()

    # -- its end

    def come_to_rest(self) -> None:
        self.load.all_acknowledged()
        deadline = time.monotonic() + RETRIED_SECONDS
        quiet = 0
        while quiet < 5:  # a finished build may still ring a Dependent, a stable timer may still run
            quiet = 0 if self.busy() else quiet + 1
            if time.monotonic() > deadline:
                raise AssertionError(f"not at rest: {self.master.builds()[-5:]}, {self.master.open_rows()}")
            time.sleep(0.3)

    def busy(self) -> int:
        """How much is still to be done."""
        return int(
            self.master.value(
                "SELECT (SELECT count(*) FROM build_requests WHERE complete_at IS NULL AND parked_reason IS NULL) "
                "+ (SELECT count(*) FROM classifications WHERE retired = 0 AND verdict = 'important') "
                "+ (SELECT count(*) FROM cursors WHERE event_id < "
                "(SELECT max(id) FROM events WHERE kind = 'build finished'))"
            )
        )
