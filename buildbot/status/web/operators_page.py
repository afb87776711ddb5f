"""What people did, lately: forced, stopped, cancelled, paused; who, and why."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.model import OperatorAction
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View
from buildbot.store import actions

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsView(View):
    actions: tuple[OperatorAction, ...]
    older: str
    newest: str


def operators(asked: Asked, master: Master) -> View:
    before = asked.maybe_number("before")
    found = actions.newest(master.store, PAGE + 1, before)
    more = len(found) > PAGE
    return ActionsView(
        title="What people did",
        events="/events" if before is None else "",
        actions=tuple(found[:PAGE]),
        older=urls.with_query(urls.operators(), [("before", found[PAGE - 1].id)]) if more else "",
        newest=urls.operators() if before is not None else "",
    )


ROUTES = (Page("/actions", "actions.html", operators),)
