"""The first page: what runs now, what ended last, and where everything is."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.model import BuilderID
from buildbot.status.web import glance
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, Redirect, Seen, View
from buildbot.store import pages

RECENT = 20
RUNNING = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView(View):
    running: tuple[tuple[str, glance.Activity], ...]  # builder, build
    recent: tuple[pages.RecentBuild, ...]


def home(asked: Asked, master: Master) -> Seen:
    wanted = "" if master.config.www is None else str(master.config.www.options.get("default_page") or "")
    if wanted.strip("/") in ("waterfall", "builders", "buildslaves", "changes", "about"):
        return Redirect("/" + wanted.strip("/"))
    running = pages.running(master.store, RUNNING)
    ids = list({build.build.builder_id: None for build in running})
    finished = pages.latest_finished(master.store, [BuilderID(id) for id in ids])
    newest = pages.newest_builds(master.store, RECENT + RUNNING)
    return HomeView(
        title="Welcome",
        events="/events",
        running=tuple((b.builder, glance.activity(b, finished.get(b.build.builder_id, []))) for b in running),
        recent=tuple([b for b in newest if b.build.complete_at is not None][:RECENT]),
    )


ROUTES = (Page("/", "home.html", home),)
