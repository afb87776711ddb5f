"""Server-sent events: who listens, how many may, and what changed on the pages.

`EventStream` is one browser's connection: it knows whether the browser keeps up, says something every 15 seconds and
ends after an hour, so that the right to look is asked again. `Streams` counts them and lets no address have too many.
`PageEvents` tells each of them what happened, from the store's events (with their ids, so that a browser that comes
back goes on where it was) and from the progress of running builds (without). Events for one browser are coalesced
five times a second; a browser that is too slow is told that there is a gap, never more than it can take.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.server import Request
from zope.interface import implementer

from buildbot.model import BuildID, Event, EventID
from buildbot.store import events, log_pages
from buildbot.store.store import Store

KEEPALIVE_SECONDS = 15.0
COALESCE_SECONDS = 0.2
PROGRESS_SECONDS = 1.0
STUCK_SECONDS = 120.0  # a browser that reads nothing for so long is gone
LONGEST_SECONDS = 3600.0
RETRY_SECONDS = 3
MOST_STREAMS = 500
MOST_STREAMS_OF_AN_ADDRESS = 30
MOST_WAITING = 100  # events for one browser
MOST_NAMES = 2000


class TooMany(Exception):
    """There are too many live pages open already; this one does not update itself."""


class Progress(Protocol):
    def subscribe(self, call: Callable[[BuildID], object]) -> Callable[[], None]: ...


class Source(Protocol):
    """What a stream carries. `ready` is called when the browser has taken what it was sent; `closed` once."""

    def ready(self) -> None: ...

    def closed(self) -> None: ...


@implementer(IPushProducer)
class EventStream:
    """One browser's connection. `full` says that it has not yet taken what it was sent."""

    def __init__(self, request: Request, clock: IReactorTime, forget: Callable[[EventStream], object]) -> None:
        self._request = request
        self._clock = clock
        self._forget = forget
        self._source: Source | None = None
        self._beat: IDelayedCall | None = None
        self._began = clock.seconds()
        self._full_since = 0.0
        self.full = False
        self.open = False

    def start(self, source: Source) -> None:
        request = self._request
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Accel-Buffering", "no")
        self.open = True
        self._source = source
        _gone = request.notifyFinish().addErrback(lambda _: self._close())
        request.registerProducer(self, True)
        self._write(f"retry: {RETRY_SECONDS * 1000}\n\n")
        self._beat = self._clock.callLater(KEEPALIVE_SECONDS, self._keep_alive)

    def send(self, kind: str, data: Any, id: int | None = None) -> None:
        """One event. The browser says the id again when it comes back."""
        head = "" if id is None else f"id: {id}\n"
        self._write(f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n")

    def end(self) -> None:
        """Finish the answer. The browser will come back unless it was told not to."""
        if self.open:
            self._close()
            self._request.unregisterProducer()
            self._request.finish()

    def _write(self, text: str) -> None:
        if self.open:
            self._request.write(text.encode())

    def _keep_alive(self) -> None:
        now = self._clock.seconds()
        if self.full and now - self._full_since > STUCK_SECONDS:
            self._close()
            transport: Any = self._request.transport
            if transport is not None:
                transport.abortConnection()
            return
        if now - self._began > LONGEST_SECONDS and not self.full:
            self.end()
            return
        self._beat = self._clock.callLater(KEEPALIVE_SECONDS, self._keep_alive)
        if not self.full:
            self._write(": still here\n\n")

    def pauseProducing(self) -> None:
        self.full = True
        self._full_since = self._clock.seconds()

    def resumeProducing(self) -> None:
        self.full = False
        if self._source is not None:
            self._source.ready()

    def stopProducing(self) -> None:
        self._close()

    def _close(self) -> None:
        if not self.open:
            return
        self.open = False
        if self._beat is not None and self._beat.active():
            self._beat.cancel()
        source, self._source = self._source, None
        if source is not None:
            source.closed()
        self._forget(self)


class Streams:
    """All open streams of the site."""

    def __init__(
        self,
        store: Store,
        progress: Progress,
        clock: IReactorTime,
        most: int = MOST_STREAMS,
        most_of_an_address: int = MOST_STREAMS_OF_AN_ADDRESS,
    ) -> None:
        self.clock = clock
        self.page_events = PageEvents(store, progress, clock)
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._open: dict[EventStream, str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, request: Request) -> EventStream:
        """A stream to start. Raises TooMany."""
        address = str(getattr(request.getClientAddress(), "host", "") or "")
        if len(self._open) >= self._most:
            raise TooMany("too many live pages are open on this master")
        if sum(known == address for known in self._open.values()) >= self._most_of_an_address:
            raise TooMany("too many live pages are open from this address")
        stream = EventStream(request, self.clock, self._forget)
        self._open[stream] = address
        return stream

    def _forget(self, stream: EventStream) -> None:
        self._open.pop(stream, None)

    def close(self) -> None:
        """End them all: the master stops."""
        for stream in list(self._open):
            stream.end()
        self._open.clear()


# -- what changes on the pages


class Told(NamedTuple):
    """What a browser hears of one event."""

    id: EventID | None  # None: progress
    kind: str
    builder: str | None
    build: int | None

    def data(self) -> dict[str, Any]:
        return {"kind": self.kind, "builder": self.builder, "build": self.build}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a page wants to hear. Empty: everything."""

    builders: tuple[str, ...] = ()
    build: int | None = None
    kinds: tuple[str, ...] = ()

    def wants(self, told: Told) -> bool:
        if self.kinds and told.kind not in self.kinds:
            return False
        if self.builders and told.builder not in self.builders:
            return False
        return self.build is None or told.build == self.build


class PageEvents:
    """Hears the store and the running builds for all feeds, and only while there are any."""

    def __init__(self, store: Store, progress: Progress, clock: IReactorTime) -> None:
        self._store = store
        self._progress = progress
        self._clock = clock
        self._feeds: list[Feed] = []
        self._unsubscribe: Callable[[], None] | None = None
        self._builds: dict[BuildID, tuple[str, int]] = {}
        self._builders: dict[int, str | None] = {}

    def feed(self, stream: EventStream, wish: Wish, after: EventID | None) -> None:
        """Start the stream: first what happened after that event, then whatever happens."""
        feed = Feed(stream, wish, self._clock, self._forget)
        if not self._feeds:
            self._store.event_listeners.append(self._heard)
            self._unsubscribe = self._progress.subscribe(self._progressed)
        self._feeds.append(feed)
        stream.start(feed)
        newest = events.last_id(self._store)
        missed = [] if after is None or after > newest else events.after(self._store, after, MOST_WAITING)
        stream.send("hello", {}, newest if after is None or after > newest else after)
        if len(missed) == MOST_WAITING:
            feed.gap(newest)
            return
        for event in missed:
            feed.offer(self._told(event))

    def _forget(self, feed: Feed) -> None:
        self._feeds.remove(feed)
        if not self._feeds:
            self._store.event_listeners.remove(self._heard)
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None

    def _heard(self, event: Event) -> None:
        told = self._told(event)
        for feed in list(self._feeds):
            feed.offer(told)

    def _progressed(self, build: BuildID) -> None:
        known = self._builds.get(build)
        if known is None:
            known = log_pages.name_of_build(self._store, build)
            if known is None:
                return
            if len(self._builds) >= MOST_NAMES:
                self._builds.clear()
            self._builds[build] = known
        told = Told(None, "progress", *known)
        for feed in list(self._feeds):
            feed.offer(told)

    def _told(self, event: Event) -> Told:
        builder = event.detail.get("builder_id")
        if builder is None and event.subject_id is not None and event.kind.startswith("request"):
            builder = log_pages.builder_of_request(self._store, event.subject_id)
        if builder is not None and builder not in self._builders:
            self._builders[builder] = log_pages.name_of_builder(self._store, builder)
        name = None if builder is None else self._builders[builder]
        if event.detail.get("thing") == "builder":
            name = event.detail["name"]
        return Told(event.id, event.kind.value, name, event.detail.get("number"))


@dataclass(eq=False, slots=True)
class Feed:
    """What waits for one browser."""

    stream: EventStream
    wish: Wish
    clock: IReactorTime
    forget: Callable[[Feed], object]
    waiting: list[Told] = field(default_factory=list)
    progressed: dict[Told, None] = field(default_factory=dict)
    flushing: IDelayedCall | None = None
    flush_at: float = 0.0
    lost_up_to: EventID | None = None  # there is a gap, up to this event

    def offer(self, told: Told) -> None:
        if not self.wish.wants(told):
            return
        if told.id is None:
            if len(self.progressed) < MOST_WAITING:
                self.progressed[told] = None
                self._flush_in(PROGRESS_SECONDS)
        elif self.lost_up_to is not None or len(self.waiting) >= MOST_WAITING:
            self.gap(told.id)
        else:
            self.waiting.append(told)
            self._flush_in(COALESCE_SECONDS)

    def gap(self, newest: EventID) -> None:
        """Too much happened: the browser loads its page again instead."""
        self.waiting.clear()
        self.progressed.clear()
        self.lost_up_to = newest
        self._flush_in(COALESCE_SECONDS)

    def _flush_in(self, seconds: float) -> None:
        at = self.clock.seconds() + seconds
        if self.flushing is not None and self.flushing.active():
            if at < self.flush_at:
                self.flushing.reset(seconds)
                self.flush_at = at
            return
        self.flushing = self.clock.callLater(seconds, self.ready)
        self.flush_at = at

    def ready(self) -> None:
        if self.stream.full:
            return  # called again when there is room
        if self.lost_up_to is not None:
            self.stream.send("gap", {}, self.lost_up_to)
            self.lost_up_to = None
        told, self.waiting = [*self.waiting, *self.progressed], []
        self.progressed.clear()
        for each in told:
            self.stream.send("change", each.data(), each.id)

    def closed(self) -> None:
        if self.flushing is not None and self.flushing.active():
            self.flushing.cancel()
        self.forget(self)
