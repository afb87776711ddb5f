"""What a page is: the types between the site, the page functions and the templates.

A module of pages has a tuple `ROUTES` of `Page`, `Action`, `Raw` and `Json`; `routes.py` lists the modules.
A pattern's `{name}` stands for one segment of the path, found decoded in `asked.place`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from buildbot.config.builder import BuilderConfig
from buildbot.config.master import Config
from buildbot.model import JSON, BuilderID, BuildID, BuildRequestID, BuildsetID, ChangeID
from buildbot.process.cleanstop import Stopping
from buildbot.process.lockqueue import Locks
from buildbot.process.reattach import Away
from buildbot.process.waiting import InTheWay, nothing_in_the_way
from buildbot.status.web.asked import Asked, User
from buildbot.status.web.streams import Streams
from buildbot.store.logfiles import LogFiles
from buildbot.store.pauses import Kind
from buildbot.store.store import Store

if TYPE_CHECKING:
    from twisted.web.server import Request


class NotFound(Exception):
    """There is nothing at this address; the text says what was looked for."""


class Forbidden(Exception):
    """This person may not do this; the text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go there next (303: with GET). `notice` is shown there, once, to whoever is logged in."""

    path: str
    notice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What every page's record has. `events` is the address of the stream that tells what changes on this page."""

    title: str
    events: str = ""
    reload_seconds: int | None = None
    status: int = 200


class Progress(Protocol):
    """Steps' and logs' progress, told in memory only."""

    def subscribe(self, call: Callable[[BuildID], object]) -> Callable[[], None]: ...


class CleanStop(Protocol):
    """A clean shutdown of the master."""

    @property
    def under_way(self) -> Stopping | None: ...

    def begin(self, who: str, why: str, /) -> bool: ...

    def call_off(self, who: str, why: str, /) -> bool: ...


class Control(Protocol):
    """What people may ask of the running master. Everything is durable and written down with who and why."""

    @property
    def progress(self) -> Progress: ...

    @property
    def clean_stop(self) -> CleanStop: ...

    def stop_build(self, id: BuildID, who: str, why: str, /) -> bool: ...

    def rebuild(self, id: BuildID, who: str, why: str, /) -> BuildsetID: ...

    def cancel_request(self, id: BuildRequestID, who: str, why: str, /) -> bool: ...

    def retry_request(self, id: BuildRequestID, who: str, why: str, /) -> bool: ...

    async def cancel_requests(self, ids: Sequence[BuildRequestID], who: str, why: str, /) -> int: ...

    async def cancel_pending(self, wanted: Sequence[BuilderID], who: str, why: str, /) -> int: ...

    async def stop_change(
        self, change: ChangeID, builder: BuilderID | None, who: str, why: str, /
    ) -> tuple[int, int]: ...

    def pause(self, kind: Kind, name: str, who: str, why: str, /, *, graceful: bool = False) -> bool: ...

    def unpause(self, kind: Kind, name: str, who: str, why: str, /) -> bool: ...

    def give_up_slave(self, name: str, who: str, why: str, /) -> int: ...

    def free_slave(self, name: str, who: str, why: str, /) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """What a page may read and an action may ask."""

    store: Store
    log_files: LogFiles
    config: Config  # the one in force
    control: Control
    streams: Streams
    locks: Locks = field(default_factory=Locks)  # of what runs
    in_the_way: Callable[[BuilderConfig], InTheWay] = nothing_in_the_way  # what only the running process knows
    away: Mapping[str, Away] = field(default_factory=dict)  # slaves, by name, for which builds may wait


Seen = View | Redirect


class Page(NamedTuple):
    """Answers GET and HEAD with a template made of the view record; the record is the template's `view`."""

    pattern: str
    template: str
    view: Callable[[Asked, Master], Seen | Awaitable[Seen]]
    open_to_all: bool = False  # shown even to those who may not look at anything


class Action(NamedTuple):
    """Answers POST. Called only with a valid token of the form, by somebody who has the right `needs` to `place`."""

    pattern: str
    needs: str
    act: Callable[[Asked, Master, User], Seen | Awaitable[Seen]]
    template: str = ""  # for the View of a form with mistakes


class Raw(NamedTuple):
    """Answers GET by itself, with anything: `answer` writes to the request and finishes it."""

    pattern: str
    answer: Callable[[Asked, Master, Request], Awaitable[None] | None]


class Json(NamedTuple):
    """Answers GET and HEAD with plain data, as JSON."""

    pattern: str
    answer: Callable[[Asked, Master], JSON]


Route = Page | Action | Raw | Json


@dataclass(frozen=True, slots=True)
class Routes:
    """Finds the route of a path. Patterns of equal shape: the one with more plain words wins."""

    routes: Sequence[Route]
    _by_shape: dict[int, list[tuple[tuple[str, ...], Route]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for route in self.routes:
            parts = tuple(route.pattern.removeprefix("/").split("/"))
            self._by_shape.setdefault(len(parts), []).append((parts, route))
        for known in self._by_shape.values():
            known.sort(key=lambda entry: sum(part.startswith("{") for part in entry[0]))

    def find(self, segments: Sequence[str], kinds: tuple[type, ...]) -> tuple[Route, dict[str, str]] | None:
        """The route of one of these kinds and what its names stand for."""
        for parts, route in self._by_shape.get(len(segments), ()):
            if isinstance(route, kinds):
                place = _match(parts, segments)
                if place is not None:
                    return route, place
        return None


def _match(parts: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    place = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{"):
            if not segment:
                return None
            place[part[1:-1]] = segment
        elif part != segment:
            return None
    return place
