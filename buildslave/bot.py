"""The whole buildslave as a service: what buildbot.tac makes. It puts the parts together and does nothing itself."""

import codecs
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildslave import __version__, facts, overpb
from buildslave.address import without_tls
from buildslave.arguments import is_int
from buildslave.background import in_background
from buildslave.commands import versions
from buildslave.commands.base import Site
from buildslave.commands.trees import remove_tree
from buildslave.connection import Connection
from buildslave.defaults import MSGPACK, ORPHAN_GRACE_SECONDS, PB, PROTOCOLS, SPOOL_BYTES, protocol_refused
from buildslave.endpoints import authority, master_endpoint
from buildslave.eras.bound import BoundCommands
from buildslave.leftovers import builder_directories, leftover_directories, remove_secrets
from buildslave.line import Dial
from buildslave.mind import Mind
from buildslave.patience import PatientClock
from buildslave.registry import Commands
from buildslave.session import Session
from buildslave.shutdown import ALLOW_FILE, ALLOW_SIGNAL, Shutdown
from buildslave.spooldir import SpoolDirectory
from buildslave.started import StartedProcesses

DIALECT = 1


class BuildSlave(MultiService):
    """A buildslave.

    - `buildmaster_host`, `port`: where the master listens for slaves. A host may also be an IPv6 address.
    - `slavename`, `passwd`: as in the master's configuration.
    - `basedir`: the directory that holds everything of this slave.
    - `keepalive`: seconds between two signs of life to the master, default 600; 0 or None for none.
    - `usepty`: run commands on a terminal unless the step says otherwise; default no.
    - `umask`: of the files that commands make; default: as the slave was started with.
    - `maxdelay`: longest pause in seconds between two attempts to connect, default 300.
    - `numcpus`: what the master is told, default: as many as the machine has.
    - `allow_shutdown`: `"signal"` (SIGHUP) or `"file"` (shutdown.stamp is touched) ends the slave gracefully.
    - `maxRetries`: stop the slave when so many attempts after a first one have failed, too; default: never.
    - `useTls`: connect with TLS and check the master's certificate.
    - `delete_leftover_dirs`: remove directories of builders that the master no longer names; default no.
    - `connection_string`: a Twisted client endpoint, instead of host and port.
    - `proxy_connection_string`: the HTTP proxy that connects to host and port: a Twisted client endpoint such as
      `tcp:proxy.example.org:3128`, or `http://[USER:PASSWORD@]HOST[:PORT]`.
    - `orphan_grace_seconds`: how long commands go on without any master, default 3600.
    - `unicode_encoding`: of the output of commands, for a master of Buildbot 0.9 to 4.x, which takes text alone. What
      does not fit becomes U+FFFD. Default UTF-8. Our own master takes the bytes as they are.
    - `spool_size`: how many bytes of output may lie on disk, all commands together, while no master takes it; default 1
      GiB. When that is full the commands wait.
    - `protocol`: `"pb"` (Perspective Broker, the default) or `"msgpack_experimental_v7"` (msgpack over WebSocket, for
      which the packages msgpack and wsproto must be there). The master has a port for each.
    - `path`: over WebSocket, that of the master's URL, if a proxy in front of the master wants one; default `/`.

    `usePTY`, `name` and `keepaliveTimeout` are accepted for tac files of other eras.
    Raises ValueError if an argument makes no sense.
    """

    _log = Logger()

    def __init__(
        self,
        buildmaster_host: str | None = None,
        port: int | str | None = None,
        slavename: str | None = None,
        passwd: str | None = None,
        basedir: str = ".",
        keepalive: float | None = 600,
        usepty: bool | int | None = None,
        keepaliveTimeout: float | None = None,
        umask: int | None = None,
        maxdelay: float | None = 300,
        numcpus: int | None = None,
        unicode_encoding: str | None = None,
        allow_shutdown: str | None = None,
        maxRetries: int | None = None,
        useTls: bool | int | None = False,
        delete_leftover_dirs: bool = False,
        *,
        usePTY: bool | int | None = None,
        name: str | None = None,
        protocol: str = PB,
        path: str | None = None,
        connection_string: str | None = None,
        proxy_connection_string: str | None = None,
        orphan_grace_seconds: float = ORPHAN_GRACE_SECONDS,
        spool_size: int = SPOOL_BYTES,
        reactor: Any = None,
        endpoint: IStreamClientEndpoint | None = None,
        stop_process: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        if protocol not in PROTOCOLS:
            raise ValueError(protocol_refused(protocol))
        if allow_shutdown not in (None, ALLOW_SIGNAL, ALLOW_FILE):
            raise ValueError(f"allow_shutdown must be 'signal', 'file' or None, not {allow_shutdown!r}")
        if not is_int(spool_size) or spool_size < 0:
            raise ValueError(f"spool_size must be a number of bytes, not {spool_size!r}")
        if not orphan_grace_seconds > 0:
            raise ValueError(f"orphan_grace_seconds must be more than 0, not {orphan_grace_seconds!r}")
        self.encoding = known_encoding(unicode_encoding or "utf-8")
        self.slavename = slavename or name or ""
        if not self.slavename or passwd is None:
            raise ValueError("a buildslave needs a slavename and a passwd")
        self._reactor = reactor if reactor is not None else global_reactor()
        self.basedir = Path(os.path.abspath(basedir))
        self._umask = umask
        self._numcpus = numcpus
        self._delete_leftovers = delete_leftover_dirs
        self._environ = dict(os.environ)
        self._incarnation = os.urandom(16).hex()
        self.spool = SpoolDirectory(self.basedir, spool_size)
        self._clock = PatientClock(self._reactor)
        self._processes = StartedProcesses(self.spool.path, self._reactor)
        self.site = Site(
            basedir=self.basedir,
            reactor=self._reactor,
            clock=self._clock,
            environ=self._environ,
            use_pty=bool(usepty or usePTY),
            umask=umask,
            processes=self._processes,
        )
        self.commands = Commands(
            self.site,
            self.spool,
            orphan_grace_seconds=orphan_grace_seconds,
            forsaken=lambda: remove_secrets(self.basedir),
        )
        self.bound = BoundCommands(self._clock)
        self._connection = Connection(
            clock=self._clock,
            endpoint=endpoint
            or master_endpoint(
                self._reactor,
                buildmaster_host,
                port,
                tls=bool(useTls),
                string=connection_string,
                proxy=proxy_connection_string,
            ),
            dial=dial_of(protocol, self.slavename, None if connection_string else buildmaster_host, port, path),
            name=self.slavename,
            password=passwd,
            owner=self,
            keepalive_seconds=keepalive or None,
            most_delay_seconds=maxdelay or 300,
            most_retries=maxRetries,
        )
        self._tls_is_lost = bool(useTls) and without_tls(connection_string)
        self._shutdown = Shutdown(
            how=allow_shutdown, basedir=self.basedir, clock=self._reactor, ask=self._ask_to_be_retired
        )
        self._stop_process = stop_process or self._reactor.stop
        self._retiring = LoopingCall(self._stop_if_idle)
        self._retiring.clock = self._reactor
        self._told_to_stop = False
        self.gave_up_connecting = False
        """True once maxRetries attempts have failed: the process ends with its own exit code."""

    # -- service

    def startService(self) -> None:
        self.basedir.mkdir(parents=True, exist_ok=True)
        if self._umask is not None:
            os.umask(self._umask)
        self.spool.open()
        self._clock.start()
        if self.spool.ours:
            self._processes.start()
            remove_secrets(self.basedir)
        self.commands.restore()
        super().startService()
        self._log.info("buildslave {version} {name!r} in {basedir}", version=__version__, name=self.slavename,
                       basedir=str(self.basedir))  # fmt: skip
        if self._tls_is_lost:
            self._log.warn("useTls has no effect: connection_string says how to connect, and not with tls:")
        self._shutdown.start()
        self._connection.startService()

    async def _stop(self) -> None:
        self._shutdown.stop()
        if self._retiring.running:
            self._retiring.stop()
        await maybeDeferred(self._connection.stopService)
        await self.bound.stop()
        await self.commands.stop()
        if self.spool.ours:
            remove_secrets(self.basedir)
        self._processes.stop()
        self._clock.stop()
        self.spool.close()
        await maybeDeferred(super().stopService)

    def stopService(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    # -- for the connection

    def make_mind(self, session: Session, heard: Callable[[], None]) -> Mind:
        return Mind(self, session, heard)

    def connected(self, session: Session) -> None:
        pass

    def disconnected(self, session: Session) -> None:
        self.commands.detach(session)
        self.bound.connection_lost(session)

    def holds_commands(self) -> bool:
        return not self.commands.idle

    def gave_up(self) -> None:
        self.gave_up_connecting = True
        self.stop_when_told()

    # -- for the mind

    def describe(self) -> dict[str, Any]:
        return {
            **facts.describe(self.basedir, self._environ, self._numcpus),
            "version": __version__,
            "slave_commands": versions(),
            "worker_commands": versions(),
            "delete_leftover_dirs": self._delete_leftovers,
            "resumable": {"dialect": DIALECT, "incarnation": self._incarnation, "commands": self.commands.ids},
        }

    def make_builder_directories(self, builders: list[tuple[str, str]]) -> list[Path]:
        directories = builder_directories(self.basedir, builders)
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
        if self._delete_leftovers:
            _ = in_background(self._remove_leftovers(directories), doing="removing the directories of former builders")
        return directories

    async def _remove_leftovers(self, wanted: list[Path]) -> None:
        for directory in leftover_directories(self.basedir, wanted):
            self._log.info("no builder uses {directory}: removing it", directory=directory.name)
            pool = self._reactor.getThreadPool()
            await deferToThreadPool(self._reactor, pool, remove_tree, str(directory), Event())

    def stop_when_told(self) -> None:
        """End the process, soon: the master must still get its answer."""
        if not self._told_to_stop:
            self._told_to_stop = True
            self._reactor.callLater(0.1, self._stop_process)

    # -- graceful shutdown

    def _ask_to_be_retired(self) -> None:
        """The master lets running builds end, gives no new ones, and then says shutdown. Without it: when idle."""
        session = self._connection.session
        if session is None:
            self._log.info("shutdown is wanted and there is no master: stopping as soon as nothing runs")
            self._stop_when_idle()
            return
        self._log.info("shutdown is wanted: asking the master for it")
        _ = session.call("shutdown").addErrback(self._not_retired)

    def _not_retired(self, failure: Failure) -> None:
        self._log.warn(
            "the master does not retire this slave ({why}): stopping as soon as nothing runs",
            why=failure.getErrorMessage(),
        )
        self._stop_when_idle()

    def _stop_when_idle(self) -> None:
        if not self._retiring.running:
            _ = self._retiring.start(1.0).addErrback(
                lambda failure: self._log.failure("cannot stop the slave", failure=failure)
            )

    def _stop_if_idle(self) -> None:
        if self.commands.idle and self.bound.idle:
            self._retiring.stop()
            self.stop_when_told()


Worker = BuildSlave
"""The name in tac files of buildbot-worker."""


def dial_of(protocol: str, slavename: str, host: str | None, port: int | str | None, path: str | None) -> Dial:
    """How to connect by this protocol. Raises ValueError, also if the packages for it are missing."""
    if protocol == PB:
        return overpb.dial
    if ":" in slavename:
        raise ValueError(f"slavename {slavename!r}: over WebSocket a name has no colon")
    path = "/" + (path or "").lstrip("/")
    if not path.isascii() or any(letter <= " " for letter in path):
        raise ValueError(f"path {path!r} is none of a URL: write what is no ASCII, and spaces, as %XX")
    try:
        from buildslave.oversocket import dial_as
    except ImportError as error:
        raise ValueError(
            f"protocol {MSGPACK!r} needs the packages msgpack and wsproto ({error}): `pip install msgpack wsproto`"
        ) from None
    return dial_as(None if host is None else authority(host, port), path)


def known_encoding(name: str) -> str:
    """Raises ValueError for one that Python does not know."""
    try:
        codecs.getincrementaldecoder(name)
    except LookupError:
        raise ValueError(f"unicode_encoding: {name!r} is no encoding of text") from None
    return name


def global_reactor() -> Any:
    """The process's reactor: buildbot.tac has none to give, tests give their own."""
    from twisted.internet import reactor  # noqa: TID251

    return reactor
