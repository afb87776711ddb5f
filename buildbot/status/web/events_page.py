"""`/events`: what changed, as server-sent events, for the pages' own script and for whoever else wants to listen.

`?builder=` (several times), `?build=` and `?kind=` choose; `?after=` or the Last-Event-ID header says from which event
on. Each event `change` has as data its kind, builder and build; `gap` says that too much happened to tell all of it.
"""

from __future__ import annotations

from twisted.web.server import Request

from buildbot.model import EventID
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Raw
from buildbot.status.web.streams import TooMany, Wish


def address(builder: str | None = None, build: int | None = None, after: EventID | None = None) -> str:
    """The stream of a page that shows the state after an event."""
    return urls.with_query("/events", [("builder", builder), ("build", build), ("after", after)])


def listen(asked: Asked, master: Master, request: Request) -> None:
    if request.method == b"HEAD":
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.write(b"")
        request.finish()
        return
    wish = Wish(asked.every("builder"), asked.maybe_number("build"), asked.every("kind"))
    resumed = asked.headers.get("last-event-id", "")
    after = int(resumed) if resumed.isdecimal() and len(resumed) < 19 else asked.maybe_number("after")
    try:
        stream = master.streams.open(request)
    except TooMany as error:
        request.setResponseCode(503)
        request.setHeader("Retry-After", "60")
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.write(f"{error}\n".encode())
        request.finish()
        return
    master.streams.page_events.feed(stream, wish, None if after is None else EventID(after))


ROUTES = (Raw("/events", listen),)
