"""The life of a master's process: it starts, is configured anew, is told to stop, and stops.

`BuildMaster` is what a buildbot.tac makes. It loads the configuration, opens the store, settles what the last process
left, and lets the parts serve that `buildbot.composition` joins together.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.application import service
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.logger import Logger

from buildbot.composition import Parts
from buildbot.config.aside import load_config_aside
from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.config.master import Config
from buildbot.model import EventKind
from buildbot.process.cleanstop import CLEAN_SECONDS, Stopping, in_words
from buildbot.process.recovery import last_touched
from buildbot.scripts import status_file, stop_order
from buildbot.secrets.base import SecretProblem
from buildbot.secrets.lookup import Secrets
from buildbot.secrets.outside import with_passwords
from buildbot.slaves.ports import CannotListen
from buildbot.store import Store, actions, events
from buildbot.store.opened import OpenedStore

CONFIG_SECONDS = 60.0  # a reconfiguration that takes longer is refused


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
        self.parts: Parts
        self.reconfiguring = False
        self._umask = int(umask, 8) if isinstance(umask, str) else umask
        self._reactor = reactor
        self._incarnation = secrets.token_hex(8)
        self._opened: OpenedStore
        self.secrets = Secrets(reactor)
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
        self._opened = OpenedStore(self.basedir, self._reactor, self.secrets.mask)
        before = self._opened.store.transact(actions.master_started, self._incarnation, time.time())
        if before is not None and before.stopped_at is None:
            self._log.warn("the last process of this master ended without saying so")
        self.secrets.use(config.secrets_providers)
        self.parts = Parts(
            basedir=self.basedir,
            config=await with_passwords(config, self.secrets),
            opened=self._opened,
            secrets=self.secrets,
            life=self,
            reactor=self._reactor,
            now=time.time,
        )
        restored = self.parts.restore(before, touched)
        await self.parts.apply(self.parts.config)
        await self.parts.start(restored)
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
        self._reactor.callLater(0, self.stop_reactor)

    def stop_reactor(self) -> None:
        with suppress(ReactorNotRunning):  # it is being stopped already
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        return ensureDeferred(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        if not self._started:
            return
        self._started = False
        await self.parts.stop()
        self._opened.store.transact(actions.master_stopped, self._incarnation, time.time())
        self._opened.close()
        self._write_status("stopped")

    def clean_stop_changed(self, stopping: Stopping | None, who: str) -> None:
        if stopping is None:
            self._write_status("running", called_off_by=who)
            self.parts.bell.ring()
        else:
            self._write_status("draining", waiting_for=in_words(stopping.waits_for))
            self.parts.bell.ring("clean stop")

    def _stop_is_ordered(self) -> None:
        order = stop_order.take(self.basedir) or stop_order.StopOrder(who="a signal (SIGUSR1)")
        if order.cancel:
            self.parts.clean_stop.call_off(order.who, "")
        else:
            self.parts.clean_stop.begin(order.who, "", CLEAN_SECONDS if order.seconds is None else order.seconds)

    # -- configuration

    def reconfig(self) -> Deferred[None]:
        """Load the configuration again. Fails with ConfigErrors, and then the one in force stays."""
        return ensureDeferred(self._reconfig())

    async def _reconfig(self) -> None:
        if self.reconfiguring:
            raise ConfigErrors(["a reconfiguration is under way already; try again when it has ended"])
        self.reconfiguring = True
        try:
            config = await load_config_aside(self.config_file, self._reactor, CONFIG_SECONDS)
            await self._change_to(config)
        except ConfigErrors as wrong:
            self._log.error("the new configuration is refused; the old one stays:\n{problems}", problems=str(wrong))
            self._opened.store.transact(self._note_refusal, str(wrong))
            self._write_status("running", config_error=str(wrong))
            raise
        finally:
            self.reconfiguring = False
            self.parts.bell.ring("removed builders")
        self._log.info("configuration update complete")
        self._write_status("running")

    async def _change_to(self, config: Config) -> None:
        """Go over to it, or stay with the one in force. Raises ConfigErrors: what kept it from working."""
        before = self.parts.config
        try:
            self.secrets.use(config.secrets_providers)
            config = await with_passwords(config, self.secrets)
            await self.parts.web.move_to(config.www)  # first what may fail for reasons outside
            await self.parts.apply(config)
            await self.parts.listen()
        except CancelledError:
            raise
        except Exception as wrong:
            if not isinstance(wrong, (ConfigErrors, CannotListenError, CannotListen, SecretProblem)):
                self._log.failure("the new configuration does not work")
            self.secrets.use(before.secrets_providers)
            if self.parts.config is config:
                await self.parts.apply(before)
            await self.parts.web.move_to(before.www)
            raise wrong if isinstance(wrong, ConfigErrors) else ConfigErrors([f"it does not work: {wrong}"]) from wrong

    def _note_refusal(self, store: Store, problems: str) -> None:
        events.add(store, time.time(), EventKind.CONFIG_REFUSED, problems=store.hide(problems))

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
            self.basedir, state=state, config_generation=self.parts.generation, config_error=config_error, **more
        )
