"""A master's inside without its configuration file, and real buildslaves, in one reactor: a factory goes in, a finished
build comes out, with its rows and logs.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot.config import BuilderConfig
from buildbot.config import BuildSlave as SlaveConfig
from buildbot.config.builder import directories_on
from buildbot.doorbell import Doorbell
from buildbot.model import (
    Build,
    BuilderID,
    BuildRequestID,
    BuildsetID,
    Log,
    NewChange,
    Property,
    Result,
    Step,
)
from buildbot.process.assigning import Assigning
from buildbot.process.build import BuildServices
from buildbot.process.cleanstop import CleanStop
from buildbot.process.control import Control
from buildbot.process.factory import BuildFactory
from buildbot.process.family import Family
from buildbot.process.progress import Progress
from buildbot.process.reattach import Reattaching
from buildbot.process.retiring import Retiring
from buildbot.process.running import RunningBuilds
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.slaves.sessions import SlaveSessions
from buildbot.slaves.websocket import WebSocketPorts
from buildbot.status.build_status import status_of
from buildbot.store import (
    Store,
    builders,
    builds,
    buildsets,
    changes,
    commands,
    logs,
    properties,
    requests,
    slaves,
    sourcestamps,
    steps,
)
from buildbot.store.logfiles import Channel, Limit, LogFiles
from buildslave.bot import BuildSlave
from tests.stores import new_store

ENDPOINT = "tcp:0:interface=127.0.0.1"
SOCKET_ENDPOINT = "tcp:port=0:interface=127.0.0.1"
clock: Any = reactor


@dataclass
class RigConfig:
    """As much of a configuration as running builds ask for."""

    builders: list[BuilderConfig] = field(default_factory=list)
    slaves: list[SlaveConfig] = field(default_factory=list)
    title: str = "Rig"
    title_url: str | None = None
    buildbot_url: str | None = "http://rig/"
    other: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    schedulers: list[Any] = field(default_factory=list)

    def builder(self, name: str) -> BuilderConfig | None:
        return next((builder for builder in self.builders if builder.name == name), None)


class Source(NamedTuple):
    """A source stamp to be built."""

    branch: str | None = None
    revision: str | None = None
    codebase: str = ""
    repository: str = ""
    patch: tuple[int, bytes, str] | None = None
    changes: Sequence[NewChange] = ()
    project: str = ""


class Rig:
    """The running parts. `add_builder`, `add_slave`, then `build(...)` or `submit(...)`."""

    def __init__(self, base: Path, with_sockets: bool = False) -> None:
        """with_sockets: slaves may also connect over WebSocket."""
        self.base = base
        self.socket_endpoints = [SOCKET_ENDPOINT] if with_sockets else []
        self.config = RigConfig()
        self.store = new_store(base / "state.sqlite")
        self.log_files = LogFiles(base / "logs")
        self.progress = Progress()
        self.build_clock: Any = clock  # of the timers of builds and their steps
        self.running = RunningBuilds()
        self.running.locks.released.append(lambda: self.bell.ring("assigning"))
        self.secrets: Any = Secrets(clock)
        self.log_limit: Limit | None = None
        self.bell = Doorbell(clock, self.now)
        self.ports = PBPorts(clock, clock)
        self.sockets = WebSocketPorts(clock, clock)
        self.reattaching = Reattaching(running=self.running, store=self.store, clock=clock, now=self.now)
        self.sessions = SlaveSessions(
            store=self.store,
            ports=self.ports,
            sockets=self.sockets,
            clock=clock,
            now=self.now,
            wanted=self.reattaching.wanted,
            directories=lambda slave: directories_on(slave, self.config.builders),
            came=self.reattaching.came,
            lost=lambda session, why: self.reattaching.lost(session, why, session.silent_for),
            retire=lambda name: self.control.retire(name),
        )
        self.stopped: list[str] = []  # the process was to end
        self.clean_stop = CleanStop(
            self.store, self.running, self.now, lambda: self.stopped.append("stop"), lambda *_: self.bell.ring()
        )
        give_up = self.reattaching.give_up_by_order
        self.control = Control(self.store, self.running, self.progress, self.now, clock, self.clean_stop, give_up)
        self.family = Family(self.store, self.running, self.control.interrupt, self.now)
        self.retiring = Retiring(self.store, self.running, lambda: self.sessions.here)
        self.slaves: dict[str, BuildSlave] = {}
        self._builder_ids: Mapping[str, BuilderID] = {}
        self.assigning = Assigning(
            running=self.running,
            services=self._services,
            sessions=lambda: self.sessions.here,
            config=lambda: self.config,
            builder_ids=lambda: self._builder_ids,
            pick=lambda names: names[0],
        )
        self.store.event_listeners.append(lambda event: self.bell.ring())
        self.bell.add("assigning", self.assigning.run)
        self.bell.add("retiring", self.retiring.run)
        self.bell.add("families", self.family.run)
        self.bell.add("clean stop", self.clean_stop.run)
        self.bell.start()

    @staticmethod
    def now() -> float:
        return float(clock.seconds())

    def _services(self) -> BuildServices:
        return BuildServices(
            store=self.store,
            log_files=self.log_files,
            clock=self.build_clock,
            now=self.now,
            progress=self.progress,
            properties=self.config.properties,
            locks=self.running.locks,
            url_of=lambda builder, number: f"http://rig/builders/{builder}/builds/{number}",
            family=self.family,
            control=self.control,
            scheduler=lambda name: next((each for each in self.config.schedulers if each.name == name), None),
            scheduler_names=lambda: [each.name for each in self.config.schedulers],
            secrets=self.secrets,
            log_limit=self.log_limit,
            reactor=clock,
            basedir=self.base,
            status=lambda: status_of(self.store, self.log_files, self.config),
            config=self.config,
        )

    # -- configuration

    def add_slaves(self, *names: str, **options: Any) -> None:
        """Slaves that may log in with the password `secret`."""
        self.config.slaves += [SlaveConfig(name, "secret", **options) for name in names]
        ids = self.store.transact(slaves.sync, [slave.name for slave in self.config.slaves], self.now())
        self.sessions.sync([ENDPOINT], self.config.slaves, ids, self.socket_endpoints)

    def add_builder(self, name: str, factory: BuildFactory, slavenames: Sequence[str] = ("bot",), **kw: Any) -> None:
        self.config.builders = [builder for builder in self.config.builders if builder.name != name]
        self.config.builders.append(BuilderConfig(name=name, slavenames=list(slavenames), factory=factory, **kw))
        wanted = [(builder.name, "", ()) for builder in self.config.builders]
        self._builder_ids = self.store.transact(builders.sync, wanted, self.now())

    @property
    def socket_port(self) -> int:
        (address,) = self.sockets.addresses(SOCKET_ENDPOINT)
        return int(getattr(address, "port"))  # noqa: B009  # IAddress does not say it

    @property
    def port(self) -> int:
        (address,) = self.ports.addresses(ENDPOINT)
        return int(getattr(address, "port"))  # noqa: B009  # IAddress does not say it

    async def start_slave(self, name: str = "bot", directory: str | None = None, **options: Any) -> BuildSlave:
        """Start a real buildslave in this reactor, in the directory of its name, and wait until the master has it."""
        await self.ports.ready()
        given: dict[str, Any] = {"maxdelay": 1, "usepty": False, "stop_process": lambda: None} | options
        slave = BuildSlave("127.0.0.1", self.port, name, "secret", str(self.base / (directory or name)), **given)
        slave.startService()
        self.slaves[name] = slave
        await self.until(lambda: name in self.sessions.here, f"slave {name} is here")
        return slave

    async def stop_slave(self, name: str = "bot") -> None:
        await self.slaves.pop(name).stopService()

    def cut(self, name: str = "bot") -> None:
        """Cut the connection of a slave: it is lost at once, and comes back by itself."""
        self.sessions.here[name].link.abort()

    async def lose(self, name: str = "bot") -> None:
        """Lose a slave for good, and have its builds given up, without the wait that there would be."""
        self.sessions.here[name].lose("the test says so")
        self.reattaching.give_up(name, f"slave {name} was lost for good")

    def slave_dir(self, builder: str = "b", name: str = "bot") -> Path:
        return self.base / name / builder

    # -- builds

    def submit(self, builder: str = "b", *sources: Source, given: Mapping[str, Any] | None = None) -> BuildRequestID:
        """A request for a build of these sources (default: the newest of the only codebase)."""
        return self.store.transact(self._submit, builder, sources or (Source(),), given or {})

    def _submit(self, store: Store, builder: str, sources: Sequence[Source], given: Mapping[str, Any]) -> Any:
        stamps = []
        for source in sources:
            patch = None
            if source.patch is not None:
                level, body, subdir = source.patch
                patch = sourcestamps.add_patch(store, body, level, subdir)
            stamps.append(
                sourcestamps.add(
                    store,
                    codebase=source.codebase,
                    repository=source.repository,
                    project=source.project,
                    branch=source.branch,
                    revision=source.revision,
                    patch_id=patch,
                    changes=[changes.add(store, change, self.now())[0] for change in source.changes],
                    now=self.now(),
                )
            )
        _, (request,) = buildsets.submit(
            store,
            builders=[self._builder_ids[builder]],
            source_stamps=stamps,
            reason="test",
            given=[Property(name, value, "test") for name, value in given.items()],
            now=self.now(),
        )
        return request

    async def build(
        self, builder: str = "b", *sources: Source, given: Mapping[str, Any] | None = None, timeout: float = 60
    ) -> Built:
        """Ask for a build and wait for its end."""
        request = self.submit(builder, *sources, given=given)
        return await self.built(request, timeout)

    async def built(self, request: BuildRequestID, timeout: float = 60, attempt: int = 1) -> Built:
        """The build number `attempt` of this request, once it is finished."""

        def finished() -> bool:
            found = builds.of_request(self.store, request)
            return len(found) >= attempt and found[attempt - 1].complete_at is not None

        await self.until(finished, f"the end of build {attempt} of request {request}", timeout)
        return Built(self, builds.of_request(self.store, request)[attempt - 1])

    async def until(self, true: Callable[[], object], what: str = "it", timeout: float = 30) -> None:
        deadline = self.now() + timeout
        while not true():
            if self.now() > deadline:
                raise AssertionError(f"waited {timeout} s for {what}")
            await deferLater(clock, 0.01, lambda: None)

    async def until_step_runs(self, name: str, text: str = "") -> Any:
        """The running step of this name, once its stdio holds the text."""

        def found() -> Any:
            for build in self.running.by_id.values():
                step = build.currentStep
                if step is not None and step.name == name:
                    log = step.logs.get("stdio")
                    if not text or (log is not None and text in log.getTextWithHeaders()):
                        return step
            return None

        await self.until(found, f"the step {name} says {text!r}")
        return found()

    async def stop(self) -> None:
        self.running.closed = True
        await self.bell.stop()
        for name in list(self.slaves):
            await self.stop_slave(name)
        self.reattaching.stop()
        self.running.leave()
        self.sessions.stop()
        await self.ports.stop()
        await self.sockets.stop()
        self.store.close()


class Built:
    """A finished build, as the store and the log files know it."""

    def __init__(self, rig: Rig, row: Build) -> None:
        self.rig = rig
        self.row = row
        self.steps: list[Step] = steps.of_build(rig.store, row.id)

    @property
    def result(self) -> Result | None:
        return self.row.result

    @property
    def results(self) -> dict[str, Result | None]:
        """What each step came to, in their order."""
        return {step.name: step.result for step in self.steps}

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def logs(self, step: str) -> dict[str, Log]:
        return {log.name: log for log in logs.of_step(self.rig.store, self.step(step).id)}

    def text(self, step: str, log: str = "stdio", headers: bool = False) -> str:
        """What a log holds; without the header lines unless they are asked for."""
        with self.rig.log_files.read(self.logs(step)[log].path) as reader:
            pieces = [data for run, data in reader.pieces(0, reader.size) if headers or run.channel != Channel.HEADER]
        return b"".join(pieces).decode("utf-8", "backslashreplace")

    def everything(self, step: str) -> str:
        return self.text(step, headers=True)

    def commands(self, step: str) -> list[Any]:
        return commands.of_step(self.rig.store, self.step(step).id)

    @property
    def properties(self) -> dict[str, Any]:
        return {each.name: each.value for each in properties.of(self.rig.store, "build", self.row.id)}

    @property
    def request(self) -> Any:
        return requests.of_build(self.rig.store, self.row.id)[-1]

    @property
    def buildset(self) -> Any:
        return buildsets.get(self.rig.store, BuildsetID(self.request.buildset_id))


class RigCase(TestCase):
    """`self.rig` with one slave `bot`, running unless `with_slave` is False. Tests are `async def`."""

    timeout = 120
    with_slave = True
    with_sockets = False

    async def setUp(self) -> None:  # type: ignore[override]
        base = Path(tempfile.mkdtemp(prefix="rig-"))
        self.addCleanup(shutil.rmtree, base, True)
        self.rig = Rig(base, self.with_sockets)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.rig.stop()))
        self.rig.add_slaves("bot")
        if self.with_slave:
            await self.rig.start_slave()

    async def run_steps(self, *given: Any, sources: Sequence[Source] = (), **options: Any) -> Built:
        """Build these steps on builder `b`."""
        self.rig.add_builder("b", BuildFactory(list(given)), **options)
        return await self.rig.build("b", *sources)

    def run_steps_later(self, *given: Any, sources: Sequence[Source] = (), **options: Any) -> Deferred[Built]:
        """As run_steps, for a test that does something meanwhile."""
        return Deferred.fromCoroutine(self.run_steps(*given, sources=sources, **options))
