"""All builders at a glance."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.status.web import glance, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View
from buildbot.store import builders

PAGE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildersView(View):
    glances: tuple[glance.Glance, ...]
    count: int
    tags: tuple[tuple[str, str, bool], ...]  # tag, address, chosen
    filtered: bool
    next: str
    first: str


def all_builders(asked: Asked, master: Master) -> View:
    known = builders.present(master.store)
    chosen = glance.choose(known, asked)
    offset = asked.number("from", 0, 0, max(len(chosen) - 1, 0))
    kept = [(name, value) for name, values in asked.query.items() if name != "from" for value in values]
    more = offset + PAGE < len(chosen)
    return BuildersView(
        title="Builders",
        events="/events",
        glances=tuple(glance.glances(master, chosen[offset : offset + PAGE])),
        count=len(chosen),
        tags=tuple((tag, *_tag_link(asked, tag)) for tag in glance.all_tags(known)[:60]),
        filtered=len(chosen) < len(known),
        next=urls.with_query("/builders", [*kept, ("from", offset + PAGE)]) if more else "",
        first=urls.with_query("/builders", kept) if offset else "",
    )


def _tag_link(asked: Asked, tag: str) -> tuple[str, bool]:
    """An address on which this tag is chosen, or no longer is; builders with any of the chosen tags are shown."""
    chosen = asked.every("tag", "category")
    kept = [("builder", name) for name in asked.every("builder", "show")]
    tags = [other for other in chosen if other != tag] if tag in chosen else [*chosen, tag]
    return urls.with_query("/builders", [*kept, *(("tag", other) for other in tags)]), tag in chosen


ROUTES = (Page("/builders", "builders.html", all_builders),)
