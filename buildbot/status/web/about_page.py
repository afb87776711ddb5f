"""What runs here: versions, the configuration's state, the store's size, and where else to look."""

from __future__ import annotations

import platform
import sqlite3
from dataclasses import dataclass

import jinja2
import twisted

from buildbot import __version__
from buildbot.model import Cursor, EventKind
from buildbot.process.retention import next_look
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, Page, View
from buildbot.store import actions, events, pages, passes


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutView(View):
    versions: tuple[tuple[str, str], ...]
    config_loaded_at: float | None
    config_refused_at: float | None
    config_problem: str
    config_warnings: tuple[str, ...]
    running_since: float | None
    size: pages.Size
    schema: int
    receivers: tuple[Cursor, ...]
    rules: tuple[str, ...]  # of retention
    last_look: passes.Pass | None
    next_look: float


def about(asked: Asked, master: Master) -> View:
    store = master.store
    newest = pages.last_config(store)
    refused = newest is not None and newest[0] is EventKind.CONFIG_REFUSED
    run = actions.last_run(store)
    own = master.config.www.options.get("versions", ()) if master.config.www is not None else ()
    plan, last_look = master.config.retention, passes.last(store)
    return AboutView(
        title="About",
        versions=(*_versions(), *((str(name), str(number)) for name, number in own)),
        config_loaded_at=None if newest is None or refused else newest[1],
        config_refused_at=newest[1] if newest is not None and refused else None,
        config_problem=newest[2] if newest is not None else "",
        config_warnings=tuple(str(warning) for warning in master.config.warnings[:50]),
        running_since=None if run is None else run.started_at,
        size=pages.size(store),
        schema=store.schema_version,
        receivers=tuple(events.cursors(store)),
        rules=tuple(map(repr, plan.rules[:100])),
        last_look=last_look,
        next_look=next_look(plan, last_look, asked.now),
    )


def _versions() -> tuple[tuple[str, str], ...]:
    return (
        ("Buildbot", __version__),
        ("Twisted", twisted.__version__),
        ("Jinja2", jinja2.__version__),
        ("SQLite", sqlite3.sqlite_version),
        ("Python", platform.python_version()),
        ("Platform", platform.platform()),
    )


ROUTES = (Page("/about", "about.html", about),)
