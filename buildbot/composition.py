"""The only composition root: a configuration, a store and a reactor become the parts of a running master.

`Parts` makes each of them, joins them with one another, and `apply`s a configuration to them: at the start, and again
at each reconfiguration that is accepted. `now` is the time of day. When they start and stop is the business of
`buildbot.master`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from buildbot.changes.base import SourceContext
from buildbot.changes.codebase import with_codebase
from buildbot.config.builder import directories_on
from buildbot.config.checks import locks_of
from buildbot.config.master import Config
from buildbot.doorbell import Doorbell
from buildbot.model import BuilderID, ChangeID, Event, EventKind, NewChange
from buildbot.process import buildsetup
from buildbot.process.assigning import Assigning
from buildbot.process.build import Build, BuildServices
from buildbot.process.cleanstop import CleanStop, Stopping
from buildbot.process.control import Control
from buildbot.process.family import Family
from buildbot.process.logpacking import LogPacking
from buildbot.process.progress import Progress
from buildbot.process.reattach import Reattaching
from buildbot.process.recipe import look_at_classes
from buildbot.process.recovery import absence_since, restore
from buildbot.process.removed import RemovedBuilders
from buildbot.process.retention import Retention
from buildbot.process.retiring import Retiring
from buildbot.process.running import RunningBuilds
from buildbot.schedulers.base import drive
from buildbot.schedulers.trywire import TryLogins
from buildbot.secrets.lookup import Secrets
from buildbot.slaves.pbport import PBPorts
from buildbot.slaves.session import Session
from buildbot.slaves.sessions import SlaveSessions
from buildbot.slaves.websocket import WebSocketPorts
from buildbot.status.build_report import build_url
from buildbot.status.build_status import status_of
from buildbot.status.receiver import ReceiverContext, Receivers
from buildbot.status.web.site import WebSite
from buildbot.store import Store, absences, actions, builders, changes, events, schedulers, slaves
from buildbot.store.opened import OpenedStore

GIT_PROCESSES = 4  # of all pollers together

_WAKES: dict[EventKind, tuple[str, ...]] = {
    EventKind.CHANGE_ADDED: ("schedulers",),
    EventKind.PAUSED: ("assigning", "retiring"),
    EventKind.UNPAUSED: ("assigning", "retiring", "removed builders", "schedulers"),
    EventKind.REQUEST_CANCELLED: ("assigning",),  # nobody waits for its locks any more
    EventKind.BUILD_FINISHED: ("assigning", "retiring", "removed builders", "families"),
} | dict.fromkeys(
    (
        EventKind.BUILDSET_SUBMITTED,
        EventKind.REQUEST_REQUEUED,
        EventKind.SLAVE_CONNECTED,
        EventKind.SLAVE_LOST,
    ),
    ("assigning", "retiring", "removed builders"),
)


class Life(Protocol):
    """What the parts ask of whoever starts and stops them."""

    @property
    def reconfiguring(self) -> bool:
        """Whether a new configuration is being made, so that what the old one says may not hold."""

    def stop_reactor(self) -> None: ...

    def clean_stop_changed(self, stopping: Stopping | None, who: str) -> None:
        """A clean stop has begun or waits for something else now, or (None) was called off."""


class Parts:
    """All that serves, joined together. config: in force until `apply` is given another one."""

    _log = Logger()

    def __init__(
        self,
        *,
        basedir: Path,
        config: Config,
        opened: OpenedStore,
        secrets: Secrets,
        life: Life,
        reactor: Any,
        now: Callable[[], float],
    ) -> None:
        self.generation = 0  # of the configuration
        self._basedir = basedir
        self._opened = opened
        self._life = life
        self._reactor = reactor
        self._now = now
        self._stops = False
        self._builder_ids: dict[str, BuilderID] = {}
        self._schedulers: dict[str, Any] = {}
        self._dependents: list[str] = []
        self._sources: list[Any] = []
        self._source_ports: tuple[str, ...] = ()
        self.config = config
        self.secrets = secrets
        self.store = opened.store
        self.log_files = opened.log_files
        self._build()

    def _build(self) -> None:
        store, reactor, now = self.store, self._reactor, self._now
        self.bell = Doorbell(reactor, now)
        self.progress = Progress()
        self.under_way = RunningBuilds()
        self.under_way.locks.released.append(lambda: self.bell.ring("assigning"))
        self.clean_stop = CleanStop(
            store, self.under_way, now, self._life.stop_reactor, self._life.clean_stop_changed
        )
        self.reattaching = Reattaching(running=self.under_way, store=store, clock=reactor, now=now)
        self.control = Control(
            store,
            self.under_way,
            self.progress,
            now,
            reactor,
            self.clean_stop,
            self.reattaching.give_up_by_order,
        )
        self.family = Family(store, self.under_way, self.control.interrupt, now)
        self.ports = PBPorts(reactor, reactor)
        self.sockets = WebSocketPorts(reactor, reactor)
        self.sessions = SlaveSessions(
            store=store,
            ports=self.ports,
            sockets=self.sockets,
            clock=reactor,
            now=now,
            wanted=self.reattaching.wanted,
            directories=self._directories_on,
            came=self.reattaching.came,
            lost=self._slave_is_lost,
            retire=self.control.retire,
        )
        self.try_logins = TryLogins(
            ports=self.ports,
            store=store,
            progress=self.progress,
            now=now,
            scheduler=lambda name: self._schedulers.get(name),
        )
        self.assigning = Assigning(
            running=self.under_way,
            services=self._services,
            sessions=lambda: self.sessions.here,
            config=lambda: self.config,
            builder_ids=lambda: self._builder_ids,
        )
        self.receivers = Receivers(
            self.bell,
            ReceiverContext(
                store=store,
                log_files=self.log_files,
                config=lambda: self.config,
                now=now,
                reactor=reactor,
                pb=self.ports,
                progress=self.progress,
                control=self.control,
                secrets=self.secrets,
            ),
        )
        self._in_thread = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        self.packing = LogPacking(store, self.log_files, self._in_thread, lambda: self.config.packing)
        self.retention = Retention(
            store=store,
            log_files=self.log_files,
            clock=reactor,
            in_thread=self._in_thread,
            plan=lambda: self.config.retention,
            receivers=self.receivers.names,
        )
        self.web = WebSite(
            store,
            self.log_files,
            lambda: self.config,
            self.control,
            reactor,
            now,
            in_the_way=self.assigning.in_the_way,
            locks=self.under_way.locks,
            away=self.reattaching.away,
        )
        self._git_slots = DeferredSemaphore(GIT_PROCESSES)
        store.event_listeners.append(self._ring)
        self.bell.add("assigning", self.assigning.run)
        self.bell.add("retention", self.retention.run)
        self.bell.add("packing of logs", self.packing.run)
        self.retiring = Retiring(store, self.under_way, lambda: self.sessions.here)
        self.bell.add("retiring", self.retiring.run)
        self.bell.add("families", self.family.run)
        self.bell.add("clean stop", self.clean_stop.run)
        self.removed = RemovedBuilders(store, lambda: not self._life.reconfiguring, now, reactor)
        self.bell.add("removed builders", self.removed.run)

    def _services(self) -> BuildServices:
        return BuildServices(
            store=self.store,
            log_files=self.log_files,
            clock=self._reactor,
            now=self._now,
            progress=self.progress,
            properties=self.config.properties,
            locks=self.under_way.locks,
            url_of=lambda builder, number: build_url(self.config.buildbot_url, builder, number),
            **buildsetup.log_settings(self.config.other),
            control=self.control,
            family=self.family,
            scheduler=lambda name: self._schedulers.get(name),
            scheduler_names=lambda: list(self._schedulers),
            secrets=self.secrets,
            in_thread=self._in_thread,
            reactor=self._reactor,
            basedir=self._basedir,
            status=lambda: status_of(self.store, self.log_files, self.config),
            config=self.config,
        )

    def _directories_on(self, slave: str) -> list[tuple[str, str]]:
        """Those of its builders, and of builds that still run for a builder that it had."""
        running = [(f"build {build.id}", build.builddir) for build in self.under_way.on_slave(slave)]
        return directories_on(slave, self.config.builders) + running

    # -- starting and stopping them

    def restore(self, before: actions.MasterRun | None, touched: float | None) -> list[Build]:
        """The builds that the last process left under way. before: that process. touched: its last sign of life."""
        restored = restore(self.config, self._services)
        for build in restored:
            self.under_way.by_id[build.id] = build
            self.reattaching.expect(build.slavename)
        if restored and before is not None:
            self.store.transact(absences.add, None, *absence_since(before, touched, self._now()))
        return restored

    async def start(self, restored: list[Build]) -> None:
        """Serve, and go on with these builds."""
        await self.under_way.go_on_with(restored, self._reactor)
        await self.listen()
        await self.web.start()
        self.bell.start()

    async def stop(self) -> None:
        """All but the store, which is the last thing to close. Builds under way are left to the next process."""
        self._stops = True
        for source in self._sources:
            await source.stop()
        await self.web.stop()
        await self.receivers.stop()
        self.under_way.closed = True
        await self.bell.stop()
        self.reattaching.stop()
        self.under_way.leave()
        self.sessions.stop()
        await self.ports.stop()
        await self.sockets.stop()

    def _ring(self, event: Event) -> None:
        self.bell.ring("receivers")
        if event.kind in _WAKES:
            self.bell.ring(*_WAKES[event.kind])
        if event.kind is EventKind.BUILDSET_COMPLETE:
            self.bell.ring(*self._dependents)

    def _slave_is_lost(self, session: Session, why: str) -> None:
        if not self._stops:  # then the next process waits for it
            self.reattaching.lost(session, why, session.silent_for)

    # -- what the configuration says

    async def listen(self) -> None:
        """Wait until all slaves' ports are open, and those only. Raises CannotListen."""
        await self.sockets.close_unused()  # one for WebSocket may become one for Perspective Broker
        await self.ports.ready()
        await self.sockets.ready()

    async def apply(self, config: Config) -> None:
        """Make the running parts agree with this configuration; what has not changed runs on untouched."""
        ids = self.store.transact(self._sync_rows, config)
        self.config = config
        look_at_classes(config.builders)
        self.under_way.locks.configure(locks_of(config))
        self.sessions.sync(config.pb_ports, config.slaves, ids, config.msgpack_ports)
        self._sync_schedulers(config)
        self.try_logins.sync(config.schedulers, config.pb_ports)
        await self._sync_sources(config)
        await self.receivers.sync(config.status)
        self.generation += 1
        for warning in config.warnings:
            self._log.warn("{warning}", warning=str(warning))
        self.bell.ring()

    def _sync_rows(self, store: Store, config: Config) -> Any:
        now = self._now()
        wanted = [(builder.name, builder.description or "", builder.tags) for builder in config.builders]
        self._builder_ids = builders.sync(store, wanted, now)
        schedulers.sync(store, [scheduler.name for scheduler in config.schedulers], now)
        events.add(store, now, EventKind.CONFIG_LOADED)
        return slaves.sync(store, [slave.name for slave in config.slaves], now)

    def _sync_schedulers(self, config: Config) -> None:
        wanted = {scheduler.name: scheduler for scheduler in config.schedulers}
        for name in [name for name in self._schedulers if name not in wanted]:
            self.bell.remove(f"scheduler {name}")
        for name in wanted:
            if name not in self._schedulers:
                self.bell.add(f"scheduler {name}", self._scheduler_worker(name), "schedulers")
        self._schedulers = wanted
        self._dependents = [f"scheduler {name}" for name, each in wanted.items() if hasattr(each, "upstream_name")]

    def _scheduler_worker(self, name: str) -> Any:
        return lambda now: drive(self._schedulers[name], self.store, now)

    async def _sync_sources(self, config: Config) -> None:
        moved = config.pb_ports != self._source_ports  # those without a port of their own listen there
        self._source_ports = config.pb_ports
        kept = [source for source in self._sources if source in config.change_sources and not moved]
        for source in [source for source in self._sources if source not in kept]:
            await source.stop()
        self._sources = kept
        context = SourceContext(
            store=self.store,
            reactor=self._reactor,
            now=self._now,
            add_change=self._add_change,
            basedir=self._basedir,
            pb=self.ports,
            pb_ports=config.pb_ports,
            git_slots=self._git_slots,
            secrets=self.secrets,
        )
        for source in config.change_sources:
            if source not in kept:
                await source.start(context)
                self._sources.append(source)

    def _add_change(self, change: NewChange) -> tuple[ChangeID, bool]:
        placed = with_codebase(change, self.config.other.get("codebaseGenerator"))
        return self.store.transact_durable(changes.add, placed, self._now())
