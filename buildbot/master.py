"""The only composition root: a base directory and a configuration become a running master.

`BuildMaster` is what a buildbot.tac makes. It opens the store, settles what the last process left, builds the parts,
and `apply`s a configuration to them: at the start, and again at each reconfiguration that is accepted.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.application import service
from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredSemaphore,
    ensureDeferred,
    maybeDeferred,
)
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from buildbot.changes.base import SourceContext
from buildbot.changes.codebase import with_codebase
from buildbot.config.aside import load_config_aside
from buildbot.config.checks import locks_of
from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.config.master import Config
from buildbot.doorbell import Doorbell
from buildbot.model import BuilderID, ChangeID, Event, EventKind, NewChange
from buildbot.process import buildsetup
from buildbot.process.assigning import Assigning
from buildbot.process.build import BuildServices
from buildbot.process.cleanstop import CLEAN_SECONDS, CleanStop, Stopping, in_words
from buildbot.process.control import Control
from buildbot.process.family import Family
from buildbot.process.logpacking import LogPacking
from buildbot.process.progress import Progress
from buildbot.process.reattach import Reattaching
from buildbot.process.recovery import absence_since, last_touched, restore
from buildbot.process.removed import RemovedBuilders
from buildbot.process.retention import Retention
from buildbot.process.retiring import Retiring
from buildbot.process.running import RunningBuilds
from buildbot.schedulers.base import drive
from buildbot.schedulers.trywire import TryLogins
from buildbot.scripts import status_file, stop_order
from buildbot.secrets.base import SecretProblem
from buildbot.secrets.lookup import Secrets
from buildbot.secrets.outside import with_passwords
from buildbot.slaves.pbport import CannotListen, PBPorts
from buildbot.slaves.session import SlaveSession
from buildbot.slaves.sessions import SlaveSessions
from buildbot.status.build_report import build_url
from buildbot.status.receiver import ReceiverContext, Receivers
from buildbot.status.web.site import WebSite
from buildbot.store import Store, absences, actions, builders, changes, commands, events, schedulers, slaves
from buildbot.store.logfiles import LogFiles
from buildbot.store.readers import ThreadedReaders

GIT_PROCESSES = 4  # of all pollers together
CONFIG_SECONDS = 60.0  # a reconfiguration that takes longer is refused
CHECKPOINT_SECONDS = 10.0

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


class BuildMaster(service.MultiService):
    """The master of one base directory.

    basedir: its directory. configFileName: of the configuration, relative to it. umask: of the files it makes (None:
    as it is). `ready` fires when everything serves, or fails with what kept it from starting. The arguments after
    those, and others that older tac files give, are of no use here and are ignored.
    """

    _log = Logger()

    def __init__(
        self,
        basedir: str,
        configFileName: str = "master.cfg",
        umask: int | str | None = None,
        *_older: Any,
        reactor: Any = None,
        **_other: Any,
    ) -> None:
        super().__init__()
        if reactor is None:  # a tac file has no other way to say which one it means
            from twisted.internet import reactor as running_reactor  # noqa: TID251

            reactor = running_reactor
        self.basedir = Path(basedir).absolute()
        self.config_file = self.basedir / configFileName
        self.ready: Deferred[None] = Deferred()
        self.log_rotation = SimpleNamespace(rotateLength=None, maxRotatedFiles=None)  # set by tac files of 0.8
        self.config: Config
        self.secrets = Secrets(reactor)
        self._umask = int(umask, 8) if isinstance(umask, str) else umask
        self._reactor = reactor
        self._incarnation = secrets.token_hex(8)
        self._generation = 0
        self._reconfiguring = False
        self._builder_ids: dict[str, BuilderID] = {}
        self._schedulers: dict[str, Any] = {}
        self._dependents: list[str] = []
        self._sources: list[Any] = []
        self._source_ports: tuple[str, ...] = ()
        self._started = False

    # -- life

    def startService(self) -> None:
        super().startService()
        ensureDeferred(self._start()).addErrback(self._cannot_start)  # type: ignore[unused-awaitable]  # ends there

    async def _start(self) -> None:
        if self._umask is not None:
            os.umask(self._umask)
        config = load_config(self.config_file)
        touched = last_touched(self.basedir / "state.sqlite")
        self._open_store()
        before = self.store.transact(actions.master_started, self._incarnation, time.time())
        if before is not None and before.stopped_at is None:
            self._log.warn("the last process of this master ended without saying so")
        self.secrets.use(config.secrets_providers)
        config = await with_passwords(config, self.secrets)
        self._build_parts(config)
        restored = restore(config, self._services)
        for build in restored:
            self.under_way.by_id[build.id] = build
            self.reattaching.expect(build.slavename)
        if restored and before is not None:
            self.store.transact(absences.add, None, *absence_since(before, touched, time.time()))
        await self.apply(config)
        await self.under_way.go_on_with(restored, self._reactor)
        await self.ports.ready()
        await self.web.start()
        self.bell.start()
        self._started = True
        self._watch_signals()
        self._write_status("running")
        self._log.info("BuildMaster is running")
        self.ready.callback(None)

    def _cannot_start(self, failure: Any) -> None:
        if failure.check(ConfigErrors):
            self._log.error("the configuration is wrong:\n{problems}", problems=str(failure.value))
        else:
            self._log.failure("the master cannot start", failure)
        self._reactor.callLater(0, self._say_that_it_failed, failure)  # once whoever starts us listens

    def _say_that_it_failed(self, failure: Any) -> None:
        self.ready.errback(failure)
        self.ready.addErrback(lambda _: None)  # type: ignore[unused-awaitable]  # it is in the log already
        self._reactor.callLater(0, self._stop_reactor)

    def _stop_reactor(self) -> None:
        with suppress(ReactorNotRunning):  # it is being stopped already
            self._reactor.stop()

    def _open_store(self) -> None:
        path = self.basedir / "state.sqlite"
        self.readers = ThreadedReaders(path, self._reactor)  # opens the file only when it is asked
        try:
            self.store = Store.open(path, readers=self.readers)
        except BaseException:
            self.readers.close()
            raise
        self.store.checkpoint_elsewhere()
        self.log_files = LogFiles(self.basedir / "logs")
        self._checkpoints = LoopingCall(self._checkpoint)
        self._checkpoints.clock = self._reactor
        self._checkpoints.start(CHECKPOINT_SECONDS, now=False)  # type: ignore[unused-awaitable]  # catches all

    async def _checkpoint_now(self) -> None:
        try:
            await self.readers.checkpoint()
        except CancelledError:
            raise
        except Exception:
            self._log.failure("a checkpoint failed; it is tried again")

    def _checkpoint(self) -> Deferred[None]:
        return ensureDeferred(self._checkpoint_now())

    def _build_parts(self, config: Config) -> None:
        self.config = config
        store, reactor = self.store, self._reactor
        self.bell = Doorbell(reactor, time.time)
        self.progress = Progress()
        self.under_way = RunningBuilds()
        self.under_way.locks.released.append(lambda: self.bell.ring("assigning"))
        self.clean_stop = CleanStop(store, self.under_way, time.time, self._stop_reactor, self._clean_stop_changed)
        self.control = Control(store, self.under_way, self.progress, time.time, reactor, self.clean_stop)
        self.family = Family(store, self.under_way, self.control.interrupt, time.time)
        self.ports = PBPorts(reactor, reactor)
        self.reattaching = Reattaching(running=self.under_way, store=store, clock=reactor, now=time.time)
        self.sessions = SlaveSessions(
            store=store,
            ports=self.ports,
            clock=reactor,
            now=time.time,
            wanted=lambda slave: commands.open_on(store, slave),
            came=self.reattaching.came,
            lost=self._slave_is_lost,
            retire=self.control.retire,
        )
        self.try_logins = TryLogins(
            ports=self.ports,
            store=store,
            progress=self.progress,
            now=time.time,
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
                now=time.time,
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
            time.time,
            in_the_way=self.assigning.in_the_way,
            locks=self.under_way.locks,
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
        self.removed = RemovedBuilders(store, lambda: not self._reconfiguring, time.time, reactor)
        self.bell.add("removed builders", self.removed.run)

    def _services(self) -> BuildServices:
        return BuildServices(
            store=self.store,
            log_files=self.log_files,
            clock=self._reactor,
            now=time.time,
            progress=self.progress,
            properties=self.config.properties,
            locks=self.under_way.locks,
            url_of=lambda builder, number: build_url(self.config.buildbot_url, builder, number),
            **buildsetup.log_settings(self.config.other),
            family=self.family,
            scheduler=lambda name: self._schedulers.get(name),
            scheduler_names=lambda: list(self._schedulers),
            secrets=self.secrets,
            in_thread=self._in_thread,
        )

    def _ring(self, event: Event) -> None:
        self.bell.ring("receivers")
        if event.kind in _WAKES:
            self.bell.ring(*_WAKES[event.kind])
        if event.kind is EventKind.BUILDSET_COMPLETE:
            self.bell.ring(*self._dependents)

    def _slave_is_lost(self, session: SlaveSession, why: str) -> None:
        if self._started:  # otherwise we stop, and the next process waits for it
            self.reattaching.lost(session, why, session.silent_for)

    def stopService(self) -> Deferred[None]:
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        if not self._started:
            return
        self._started = False
        for source in self._sources:
            await source.stop()
        await self.web.stop()
        await self.receivers.stop()
        self.under_way.draining = True
        await self.bell.stop()
        self.reattaching.stop()
        self.under_way.leave()
        self.sessions.stop()
        await self.ports.stop()
        self._checkpoints.stop()
        self.store.transact(actions.master_stopped, self._incarnation, time.time())
        self.store.close()
        self._write_status("stopped")

    def _clean_stop_changed(self, stopping: Stopping | None, who: str) -> None:
        if stopping is None:
            self._write_status("running", called_off_by=who)
            self.bell.ring()
        else:
            self._write_status("draining", waiting_for=in_words(stopping.waits_for))
            self.bell.ring("clean stop")

    def _stop_is_ordered(self) -> None:
        order = stop_order.take(self.basedir) or stop_order.StopOrder(who="a signal (SIGUSR1)")
        if order.cancel:
            self.clean_stop.call_off(order.who, "")
        else:
            self.clean_stop.begin(order.who, "", CLEAN_SECONDS if order.seconds is None else order.seconds)

    # -- configuration

    async def apply(self, config: Config) -> None:
        """Make the running parts agree with this configuration; what has not changed runs on untouched."""
        ids = self.store.transact(self._sync_rows, config)
        self.config = config
        self.under_way.locks.configure(locks_of(config))
        self.sessions.sync(config.pb_ports, config.slaves, ids)
        self._sync_schedulers(config)
        self.try_logins.sync(config.schedulers, config.pb_ports)
        await self._sync_sources(config)
        await self.receivers.sync(config.status)
        self._generation += 1
        for warning in config.warnings:
            self._log.warn("{warning}", warning=str(warning))
        self.bell.ring()

    def _sync_rows(self, store: Store, config: Config) -> Any:
        now = time.time()
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
            now=time.time,
            add_change=self._add_change,
            basedir=self.basedir,
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
        return self.store.transact_durable(changes.add, placed, time.time())

    def reconfig(self) -> Deferred[None]:
        """Load the configuration again. Fails with ConfigErrors, and then the one in force stays."""
        return ensureDeferred(self._reconfig())

    async def _reconfig(self) -> None:
        if self._reconfiguring:
            raise ConfigErrors(["a reconfiguration is under way already; try again when it has ended"])
        self._reconfiguring = True
        try:
            config = await load_config_aside(self.config_file, self._reactor, CONFIG_SECONDS)
            await self._change_to(config)
        except ConfigErrors as wrong:
            self._log.error("the new configuration is refused; the old one stays:\n{problems}", problems=str(wrong))
            self.store.transact(self._note_refusal, str(wrong))
            self._write_status("running", config_error=str(wrong))
            raise
        finally:
            self._reconfiguring = False
            self.bell.ring("removed builders")
        self._log.info("configuration update complete")
        self._write_status("running")

    async def _change_to(self, config: Config) -> None:
        """Go over to it, or stay with the one in force. Raises ConfigErrors: what kept it from working."""
        before = self.config
        try:
            self.secrets.use(config.secrets_providers)
            config = await with_passwords(config, self.secrets)
            await self.web.move_to(config.www)  # first what may fail for reasons outside
            await self.apply(config)
            await self.ports.ready()
        except CancelledError:
            raise
        except Exception as wrong:
            if not isinstance(wrong, (ConfigErrors, CannotListenError, CannotListen, SecretProblem)):
                self._log.failure("the new configuration does not work")
            self.secrets.use(before.secrets_providers)
            if self.config is config:
                await self.apply(before)
            await self.web.move_to(before.www)
            raise wrong if isinstance(wrong, ConfigErrors) else ConfigErrors([f"it does not work: {wrong}"]) from wrong

    def _note_refusal(self, store: Store, problems: str) -> None:
        events.add(store, time.time(), EventKind.CONFIG_REFUSED, problems=problems)

    # -- the outside

    def _watch_signals(self) -> None:
        def on(number: int, call: Any) -> None:
            try:
                signal.signal(number, lambda *_: self._reactor.callFromThread(call))
            except ValueError:
                self._log.debug("not in the main thread: no signals")

        on(signal.SIGHUP, lambda: self.reconfig().addErrback(self._reconfig_failed))
        stop_order.take(self.basedir)  # nobody waits for it any more
        on(signal.SIGUSR1, self._stop_is_ordered)

    def _reconfig_failed(self, failure: Any) -> None:
        if not failure.check(ConfigErrors):
            self._log.failure("the reconfiguration failed", failure)
            self._write_status("running", config_error=failure.getErrorMessage())

    def _write_status(self, state: str, config_error: str | None = None, **more: Any) -> None:
        """For the command line: what this process does, and how the last reconfiguration ended."""
        status_file.write(
            self.basedir, state=state, config_generation=self._generation, config_error=config_error, **more
        )
