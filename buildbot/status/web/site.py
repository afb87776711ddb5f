"""The web server: one port, one resource. Everything it reads comes from the store and the configuration in force."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web import server
from twisted.web.resource import Resource

from buildbot.config.builder import BuilderConfig
from buildbot.config.master import Config
from buildbot.config.ports import server_endpoint
from buildbot.config.web import Web
from buildbot.model import Event, EventKind
from buildbot.process.lockqueue import Locks
from buildbot.process.reattach import Away
from buildbot.process.waiting import InTheWay, nothing_in_the_way
from buildbot.status.web.answers import Answers
from buildbot.status.web.asked import User
from buildbot.status.web.auth import Accounts
from buildbot.status.web.formats import make_environment
from buildbot.status.web.login_page import Login
from buildbot.status.web.pages import Control, Master, Route, Routes
from buildbot.status.web.routes import ROUTES
from buildbot.status.web.sessions import SESSION_SECONDS, Guesses, Sessions
from buildbot.status.web.static_files import StaticFiles
from buildbot.status.web.streams import Streams
from buildbot.store import pages as page_queries
from buildbot.store.logfiles import LogFiles
from buildbot.store.store import Store

LARGEST_FORM_BYTES = 8 << 20


class _Request(server.Request):
    """Refuses bodies that are too large: before they are read, or, when their length is not said, as they come.

    Twisted would take a form apart by itself, for seconds when somebody means ill: it does not see that it is one, and
    `posted` does it instead.
    """

    _received = 0
    _kinds: Sequence[bytes] | None = None

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self._kinds = self.requestHeaders.getRawHeaders(b"content-type")
        self.requestHeaders.removeHeader(b"content-type")
        super().requestReceived(command, path, version)

    def process(self) -> None:
        if self._kinds is not None:
            self.requestHeaders.setRawHeaders(b"content-type", self._kinds)
        super().process()

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > LARGEST_FORM_BYTES:
            self._refuse()
            return
        super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= LARGEST_FORM_BYTES:
            super().handleContentChunk(data)
        elif self._received - len(data) <= LARGEST_FORM_BYTES:  # said once
            self._refuse()

    def _refuse(self) -> None:
        channel: Any = self.channel
        channel._respondToBadRequestAndDisconnect()


class Pages(Resource):
    """Every address is below this one resource; `Answers` finds what is there."""

    isLeaf = True
    _log = Logger()

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    def render(self, request: server.Request) -> int:
        answering = Deferred.fromCoroutine(self._answers.answer(request))
        _ = request.notifyFinish().addErrback(lambda _: answering.cancel())
        _ = answering.addErrback(lambda failure: failure.trap(CancelledError))  # its browser has gone
        _ = answering.addErrback(lambda failure: self._log.failure("no answer could be made", failure))
        return server.NOT_DONE_YET


class WebSite:
    """The web status of one master. `config` gives the configuration in force; a new one needs no restart of the port
    unless the port changed. `in_thread` runs the verification of a password; the reactor's thread pool by default.
    `in_the_way` says what keeps a builder's requests waiting that the store does not know; `locks` are those of what
    runs, `away` the slaves that builds wait for.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        log_files: LogFiles,
        config: Callable[[], Config],
        control: Control,
        reactor: Any,
        now: Callable[[], float],
        *,
        in_thread: Callable[..., Awaitable[User | None]] | None = None,
        in_the_way: Callable[[BuilderConfig], InTheWay] = nothing_in_the_way,
        locks: Locks | None = None,
        away: Mapping[str, Away] | None = None,
        routes: Sequence[Route] = ROUTES,
    ) -> None:
        self._store = store
        known_locks = Locks() if locks is None else locks
        self._config = config
        self._reactor = reactor
        self._port: IListeningPort | None = None
        self._listening_on = ""
        basedir = store.path.absolute().parent
        www = config().www
        options = www.options if www is not None else {}
        own_templates = basedir / str(options.get("custom_templates_dir") or "templates")
        self.streams = Streams(store, control.progress, reactor)
        self._answers = Answers(
            master=lambda: Master(
                store=store,
                log_files=log_files,
                config=config(),
                control=control,
                streams=self.streams,
                in_the_way=in_the_way,
                locks=known_locks,
                away={} if away is None else away,
            ),
            routes=Routes(routes),
            environment=make_environment(own_templates if own_templates.is_dir() else None),
            static=StaticFiles(),
            public_html=basedir / ((www.public_html if www is not None else None) or "public_html"),
            sessions=Sessions(now, _seconds(options.get("cookie_expiration_time"))),
            login=Login(Accounts(basedir), Guesses(now), in_thread or self._in_thread),
            cookie_name="buildbot_" + hashlib.sha256(str(basedir).encode()).hexdigest()[:8],
            now=now,
        )
        self.resource = Pages(self._answers)

    def _in_thread(self, call: Callable[..., User | None], *args: Any) -> Awaitable[User | None]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), call, *args)

    @property
    def port_number(self) -> int | None:
        """Where it listens, for who configured port 0."""
        address: Any = self._port.getHost() if self._port is not None else None
        return getattr(address, "port", None)

    async def start(self) -> None:
        """Listen where the configuration says, if it says so."""
        self._answers.problem = page_queries.config_problem(self._store)
        self._store.event_listeners.append(self._heard)
        await self.move_to(self._config().www)

    async def move_to(self, www: Web | None) -> None:
        """Listen where this says. Raises what keeps it from that, and then listens where it did."""
        wanted = www.port if www is not None else ""
        before = self._listening_on
        if wanted == before:
            return
        if not wanted or not before:
            await self._close()
            await self._listen(wanted)
            return
        old = self._port
        try:
            await self._listen(wanted)
        except CannotListenError:  # it may be our own port that is in the way
            await self._close()
            try:
                await self._listen(wanted)
            except CannotListenError:
                await self._listen(before)
                raise
            return
        await _stop_listening(old)

    async def stop(self) -> None:
        if self._heard in self._store.event_listeners:
            self._store.event_listeners.remove(self._heard)
        self.streams.close()
        await self._close()

    async def _listen(self, where: str) -> None:
        if not where:
            return
        site = server.Site(self.resource, requestFactory=_Request)
        site.displayTracebacks = False
        endpoint = server_endpoint(self._reactor, where)
        self._port = await endpoint.listen(site)
        self._listening_on = where
        self._log.info("the web status listens on {address}", address=self._port.getHost())

    async def _close(self) -> None:
        port, self._port, self._listening_on = self._port, None, ""
        await _stop_listening(port)

    def _heard(self, event: Event) -> None:
        if event.kind is EventKind.CONFIG_LOADED:
            self._answers.problem = ""
        elif event.kind is EventKind.CONFIG_REFUSED:
            self._answers.problem = page_queries.problem_text(event)


async def _stop_listening(port: IListeningPort | None) -> None:
    if port is not None:
        await maybeDeferred(port.stopListening)


def _seconds(given: Any) -> float:
    """cookie_expiration_time is a number of seconds or a timedelta."""
    if given is None:
        return SESSION_SECONDS
    return float(given.total_seconds()) if hasattr(given, "total_seconds") else float(given)
