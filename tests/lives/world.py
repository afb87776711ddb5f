"""The world in which a master lives, dies and is started again: its time, its slaves, its disk, and who is told."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from buildbot.composition import Parts
from buildbot.config import BuilderConfig, BuildSlave
from buildbot.config.master import Config
from buildbot.model import BuilderID, BuildRequestID, BuildsetID, Event, EventID, Property
from buildbot.process.cleanstop import Stopping
from buildbot.process.factory import BuildFactory
from buildbot.process.locks import MasterLock
from buildbot.process.properties import renderer
from buildbot.process.recovery import last_touched
from buildbot.schedulers.basic import AnyBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.triggerable import Triggerable
from buildbot.secrets.lookup import Secrets
from buildbot.status.receiver import NotNow, ReceiverContext
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trigger import Trigger
from buildbot.store import Store, actions, buildsets, sourcestamps
from buildbot.store.logfiles import LogFiles
from tests.lives.reactor import StepReactor
from tests.lives.slave import Connection, FakeCommand, FakeSlave, Network, registered
from tests.stores import new_store

EPOCH = 1_700_000_000.0
ENDPOINT = "tcp:9989"
MOST_STEPS = 20_000
SLAVES: dict[str, int | None] = {"x": 1, "y": None}  # with their max_builds
ALL_BUILDERS = ("plain", "locked", "parent", "child")


class NeverRests(AssertionError):
    """Something goes on and on without time passing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration says, as far as it varies."""

    has_locked: bool = True  # the builder of this name
    longer: bool = False  # one step more in builder `plain`
    plain_takes_disk: bool = False
    tree_seconds: float | None = None


def configuration(wanted: Wanted, teller: Teller) -> Config:
    """A new one, with new objects, as each reading of a master.cfg gives it.

    `plain`: two steps. `locked`: its builds exclude each other by lock `disk`, and its step `net` all other such steps.
    `parent`: triggers `child` and waits, then a step `net`. `child` is also built after every good buildset of `any`.
    """
    disk, net = MasterLock("disk", 2), MasterLock("net")

    def shell(name: str, **options: Any) -> ShellCommand:
        return ShellCommand(name=name, **{"command": name, **options})

    def builder(name: str, *steps: Any, slaves: tuple[str, ...] = ("x", "y"), **options: Any) -> BuilderConfig:
        return BuilderConfig(name=name, slavenames=list(slaves), factory=BuildFactory(list(steps)), **options)

    @renderer
    def slow(props: Any) -> Deferred[str]:
        """What a step runs, after a second: as a secret from another machine would be."""
        return deferLater(props.build.clock, 1.0, lambda: "slow")

    only = net.access("exclusive")
    plain = [shell("one", haltOnFailure=True), shell("two", command=slow), *([shell("three")] if wanted.longer else [])]
    builders = [
        builder("plain", *plain, locks=[disk.access("counting")] if wanted.plain_takes_disk else []),
        builder(
            "parent",
            Trigger(name="trigger", schedulerNames=["trig"], waitForFinish=True),
            shell("net", locks=[only], alwaysRun=True),
        ),
        builder("child", shell("small"), slaves=("y",)),
    ]
    if wanted.has_locked:
        builders.append(builder("locked", shell("net", locks=[only]), locks=[disk.access("exclusive")]))
    every = AnyBranchScheduler("any", treeStableTimer=wanted.tree_seconds, builderNames=["plain", "parent"])
    return Config(
        title="Test",
        title_url="",
        buildbot_url="http://localhost/",
        builders=tuple(builders),
        slaves=tuple(BuildSlave(name, "secret", max_builds=most) for name, most in SLAVES.items()),
        schedulers=(every, Dependent("after", every, ["child"]), Triggerable("trig", ["child"])),
        change_sources=(),
        status=(teller,),
        www=None,
        pb_ports=(ENDPOINT,),
        properties={},
        validation={},
    )


class Teller:
    """A receiver of all events. What it was told outlives the master."""

    name = "teller"

    def __init__(self) -> None:
        self.told: list[EventID] = []
        self.is_away = False

    def wants(self, event: Event) -> bool:
        return True

    async def tell(self, event: Event, context: ReceiverContext) -> None:
        if self.is_away:
            raise NotNow("nobody listens")
        self.told.append(event.id)


class Life:
    """One process of the master, from its start: its parts on the disk of the world. `serves` once it has started."""

    def __init__(self, world: World, directory: Path) -> None:
        self.directory = directory
        self.reactor = StepReactor(world.seconds)
        self.reconfiguring = False
        self.serves = False
        self.connections: list[Connection] = []
        path = directory / "state.sqlite"
        touched = last_touched(path)
        self.store = Store.open(path)
        opened: Any = SimpleNamespace(store=self.store, log_files=LogFiles(directory / "logs"))
        before = self.store.transact(actions.master_started, f"life {directory.name}", self.now())
        self.parts = Parts(
            basedir=directory,
            config=configuration(world.wanted, world.teller),
            opened=opened,
            secrets=Secrets(self.reactor),
            life=self,
            reactor=self.reactor,
            now=self.now,
        )
        restored = self.parts.restore(before, touched)
        self.starting = ensureDeferred(self._start(restored))
        self.work: list[Deferred[Any]] = [self.starting]

    async def _start(self, restored: list[Any]) -> None:
        await self.parts.apply(self.parts.config)
        await self.parts.start(restored)
        self.serves = True

    def now(self) -> float:
        return EPOCH + self.reactor.seconds()

    def stop_reactor(self) -> None:
        raise AssertionError("nobody has asked for that")

    def clean_stop_changed(self, stopping: Stopping | None, who: str) -> None:
        raise AssertionError("nobody has asked for that")

    def reconfigure(self, config: Config) -> None:
        """As `BuildMaster._reconfig` does, when nothing is wrong with it."""

        async def change() -> None:
            self.reconfiguring = True
            try:
                await self.parts.apply(config)
                await self.parts.ports.ready()
            finally:
                self.reconfiguring = False
                self.parts.bell.ring("removed builders")

        self.work.append(ensureDeferred(change()))

    def leave(self) -> None:
        """It is dead; whatever its objects still do is done to what it leaves behind."""
        for connection in self.connections:
            connection.is_known = False
        self.parts.under_way.leave()
        for work in self.work:
            work.addErrback(lambda _: None)
            work.cancel()
        self.store.close()


class World:
    """`life` is the master that lives now. `steps`: how many things have happened."""

    @classmethod
    def of(cls, case: SynchronousTestCase) -> Self:
        """One that a test has for itself, at rest; it ends with it."""
        directory = Path(case.mktemp())
        directory.mkdir(parents=True)
        world = cls(directory)
        case.addCleanup(world.close)
        world.happen()
        return world

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seconds = 0.0
        self.wanted = Wanted()
        self.teller = Teller()
        self.network = Network()
        self.slaves = {name: FakeSlave(name, self.network) for name in SLAVES}
        self.lives = 1
        first = directory / "1"
        first.mkdir()
        new_store(first / "state.sqlite").close()
        self.life = Life(self, first)

    # -- things happen

    def happen(self, most: int = MOST_STEPS, *, network_first: bool = False) -> int:
        """Let so many things happen that are due, one after another. How many have."""
        parties = [self.life.reactor.turn, self.network.deliver]
        if network_first:
            parties.reverse()
        for count in range(most):
            first, second = parties[count % 2], parties[1 - count % 2]
            if not first() and not second():
                return count
        if most == MOST_STEPS:
            raise NeverRests(f"{most} things have happened, and there is more to do")
        return most

    def let_pass(self, seconds: float) -> None:
        """Time passes, and all happens that is due by then."""
        until = self.seconds + seconds
        while True:
            self.happen()
            next_at = self.life.reactor.next_at()
            self.seconds = until if next_at is None else min(max(next_at, self.seconds + 0.001), until)
            self.life.reactor.rightNow = self.seconds
            if self.seconds >= until:
                break
        for slave in self.slaves.values():
            slave.try_again()
        self.happen()

    # -- the master

    def next_directory(self) -> Path:
        self.lives += 1
        return self.directory / str(self.lives)

    def die(self) -> None:
        """kill -9. The next process finds the files as they are at this moment, and nothing else."""
        after = self.next_directory()
        shutil.copytree(self.life.directory, after, ignore=lambda _, names: [n for n in names if n.endswith("-shm")])
        old = self.life
        for connection in old.connections:
            connection.break_silently()
        self.network.messages.clear()
        old.leave()
        self.life = Life(self, after)

    def stop_and_start(self) -> None:
        """As `buildbot restart` does."""
        stopping = ensureDeferred(self.life.parts.stop())
        self.happen()
        assert stopping.called, "it does not stop"
        stopping.addErrback(lambda why: why.raiseException())
        self.life.store.transact(actions.master_stopped, f"life {self.life.directory.name}", self.life.now())
        self.die()

    def reconfigure(self, **changes: Any) -> None:
        self.wanted = replace(self.wanted, **changes)
        self.life.reconfigure(configuration(self.wanted, self.teller))

    # -- slaves

    def connect(self, name: str) -> bool:
        """The slave logs in. False if it cannot."""
        user, slave = registered(self.life.parts.ports, ENDPOINT, name), self.slaves[name]
        if user is None or not slave.is_up or slave.is_gone:
            return False
        life = self.life
        connection = Connection(
            self.network, slave, lambda gone: life.reactor.callLater(0, self._tell_master, life, gone)
        )
        life.connections.append(connection)
        slave.log_in(connection)
        connection.avatar = user.make_avatar(connection, connection)
        connection.avatar.attached(connection)
        return True

    def _tell_master(self, life: Life, connection: Connection) -> None:
        life.connections.remove(connection)
        connection.tell_master()

    def restart_slave(self, name: str, *, killed: bool) -> None:
        slave = self.slaves[name]
        if slave.connection is not None:
            slave.connection.cut()
        slave.restart(killed=killed)

    @property
    def running(self) -> list[tuple[FakeSlave, FakeCommand]]:
        """What runs on the slaves, oldest first."""
        found = [(slave, command) for slave in self.slaves.values() for command in slave.running]
        return sorted(found, key=lambda each: int(each[1].id))

    # -- asking for builds

    def builder(self, name: str) -> BuilderID | None:
        return self.life.parts._builder_ids.get(name)

    def ask(self, names: list[str], *, priority: int = 0, revision: str | None = None) -> BuildsetID | None:
        """As a forced build of several builders. None: the configuration has none of them."""
        ids = [id for name in names if (id := self.builder(name)) is not None]
        if not ids:
            return None

        def work(store: Store) -> tuple[BuildsetID, list[BuildRequestID]]:
            stamp = sourcestamps.add(store, revision=revision, now=self.life.now())
            return buildsets.submit(
                store, builders=ids, source_stamps=[stamp], reason="forced", now=self.life.now(), priority=priority,
                given=[Property("p", revision or "", "test")],
            )  # fmt: skip

        return self.life.store.transact_durable(work)[0]

    def close(self) -> None:
        self.life.leave()
