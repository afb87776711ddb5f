"""One build request: what it asks for, why it waits, and which builds worked on it, or took it along, and why."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.model import BuildRequestID, Change, Property, SourceStamp
from buildbot.process.waiting import Why
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked, whole
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.status.web.waits import Waits
from buildbot.store import properties, request_pages, sourcestamps

MOST_PROPERTIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView(View):
    about: request_pages.AboutRequest
    state: str  # waiting, parked, building, or over
    why: Why | None  # while it waits
    builds: tuple[request_pages.BuildOfRequest, ...]
    siblings: tuple[request_pages.Sibling, ...]
    stamps: tuple[SourceStamp, ...]
    changes: tuple[Change, ...]
    more_changes: bool
    properties: tuple[Property, ...]


def request_page(asked: Asked, master: Master) -> View:
    id = BuildRequestID(whole(asked.place["request"], "the request's number"))
    about = request_pages.about(master.store, id)
    if about is None:
        raise NotFound(f"There is no build request {id}.")
    request, builder = about.request, about.builder
    waits = request.complete_at is None and request.claimed_at is None
    changes = request_pages.changes_of(master.store, request.buildset_id)
    return RequestView(
        title=f"Request {id} of {builder.name}",
        events=urls.with_query("/events", [("builder", builder.name)]) if request.complete_at is None else "",
        about=about,
        state=_state(about),
        why=Waits(master, [builder.name], asked.now).why(builder.name, request) if waits else None,
        builds=tuple(request_pages.builds_of(master.store, id)),
        siblings=tuple(request_pages.siblings(master.store, request.buildset_id, id)),
        stamps=tuple(sourcestamps.of_buildset(master.store, request.buildset_id)),
        changes=tuple(changes[: request_pages.MOST]),
        more_changes=len(changes) > request_pages.MOST,
        properties=tuple(properties.shown(master.store, "buildset", request.buildset_id)[:MOST_PROPERTIES]),
    )


def _state(about: request_pages.AboutRequest) -> str:
    request = about.request
    if request.complete_at is not None:
        return "over"
    if request.claimed_at is not None:
        return "building"
    return "parked" if request.parked_reason is not None else "waiting"


ROUTES = (Page("/buildrequests/{request}", "request.html", request_page),)
