"""Every request that waits, each with what for, with boxes to tick and cancel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from buildbot.process.waiting import Why
from buildbot.status.web import auth, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View
from buildbot.status.web.waits import Waits
from buildbot.store import pages

PAGE = 100


class Waiting(NamedTuple):
    builder: str
    request: pages.WaitingRequest
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingView(View):
    waiting: tuple[Waiting, ...]
    next: str
    first: str
    may_cancel: bool
    may_cancel_all: bool


def pending(asked: Asked, master: Master) -> View:
    after = asked.maybe_number("after")
    found = pages.all_waiting(master.store, after or 0, PAGE + 1)
    more, shown = len(found) > PAGE, found[:PAGE]
    waits = Waits(master, dict.fromkeys(builder for builder, _ in shown), asked.now)
    www, user = master.config.www, asked.user
    return PendingView(
        title="Waiting requests",
        events="/events",
        waiting=tuple(Waiting(builder, request, waits.why(builder, request)) for builder, request in shown),
        next=urls.with_query(urls.pending(), [("after", found[PAGE - 1][1].id)]) if more else "",
        first=urls.pending() if after else "",
        may_cancel=auth.might(www, user, auth.CANCEL),
        may_cancel_all=auth.might(www, user, auth.CANCEL_ALL),
    )


ROUTES = (Page("/pendingbuildrequests", "pending.html", pending),)
