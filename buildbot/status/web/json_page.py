"""`/json`: what machines ask, in the words of Buildbot 0.8. Each answer is bounded, as a page is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from buildbot.model import JSON, Change, ChangeID
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked, whole
from buildbot.status.web.builder_page import find
from buildbot.status.web.glance import Glance, choose, glances
from buildbot.status.web.pages import Json, Master, NotFound
from buildbot.status.web.slaves_page import SlaveLine, lines_of
from buildbot.status.web.waits import Waits
from buildbot.store import builders, changes, pages, properties, slaves

MOST = 100  # of each kind in one answer; `from` or `before` asks for those after them


def everything(asked: Asked, master: Master) -> JSON:
    return {
        "project": project(asked, master),
        "builders": all_builders(asked, master),
        "slaves": all_slaves(asked, master),
    }


def project(asked: Asked, master: Master) -> JSON:
    config = master.config
    return {"title": config.title, "titleURL": config.title_url, "buildbotURL": config.buildbot_url}


# -- builders


def all_builders(asked: Asked, master: Master) -> JSON:
    chosen = [each for each in builders.present(master.store) if not _left_out(asked, each.name)]
    return {each.builder.name: _builder(each, master) for each in glances(master, _part(asked, choose(chosen, asked)))}


def one_builder(asked: Asked, master: Master) -> JSON:
    return _builder(glances(master, [find(asked, master)])[0], master)


def _builder(seen: Glance, master: Master) -> JSON:
    builder = seen.builder
    config = master.config.builder(builder.name)
    return {
        "basedir": "" if config is None else config.builddir,
        "category": builder.tags[0] if builder.tags else None,
        "tags": list(builder.tags),
        "slaves": [slave.name for slave in seen.slaves],
        "schedulers": [
            scheduler.name for scheduler in master.config.schedulers if builder.name in scheduler.listBuilderNames()
        ],
        "cachedBuilds": sorted([build.number for build in seen.finished] + [build.number for build in seen.running]),
        "currentBuilds": [build.number for build in seen.running],
        "pendingBuilds": seen.waiting,
        "state": "building" if seen.running else "idle" if seen.connected else "offline",
        "paused": seen.pause is not None,
    }


def pending_builds(asked: Asked, master: Master) -> JSON:
    """The head of a builder's queue, in the order in which it is built, each with why it waits."""
    builder = find(asked, master)
    waits = Waits(master, [builder.name], asked.now)
    told: list[JSON] = []
    for request in pages.waiting(master.store, builder.id, MOST):
        why = waits.why(builder.name, request)
        told.append(
            {
                "brid": request.id,
                "builderName": builder.name,
                "source": {"branch": request.branch, "revision": request.revision},
                "submittedAt": request.submitted_at,
                "priority": request.priority,
                "reason": request.reason,
                "builds": [],
                "why": list(why.reasons),
                "startsAt": why.starts_at,
                "url": urls.request(request.id),
            }
        )
    return told


# -- slaves


def all_slaves(asked: Asked, master: Master) -> JSON:
    known = [slave for slave in slaves.present(master.store) if not _left_out(asked, slave.name)]
    return {line.slave.name: _slave(line) for line in lines_of(master, _part(asked, known))}


def one_slave(asked: Asked, master: Master) -> JSON:
    slave = slaves.by_name(master.store, asked.place["slave"])
    if slave is None:
        raise NotFound(f"There is no buildslave called {asked.place['slave']}.")
    return _slave(lines_of(master, [slave])[0])


def _slave(line: SlaveLine) -> JSON:
    slave = line.slave
    return {
        "name": slave.name,
        "host": slave.details.get("host"),
        "admin": slave.details.get("admin"),
        "access_uri": slave.details.get("access_uri"),
        "version": slave.version,
        "connected": slave.connected_at is not None,
        "paused": line.pause is not None,
        "builders": {name: {} for name in line.builders},
        "runningBuilds": [{"builderName": each.builder, "number": each.build.number} for each in line.running],
    }


# -- changes


def newest_changes(asked: Asked, master: Master) -> JSON:
    """Without their files and properties, which each change by itself tells."""
    before = asked.maybe_number("before")
    found = changes.newest(master.store, MOST, None if before is None else ChangeID(before))
    return {str(change.id): _change(change) for change in found}


def one_change(asked: Asked, master: Master) -> JSON:
    id = ChangeID(whole(asked.place["change"], "the change's number"))
    change = changes.get(master.store, id)
    if change is None:
        raise NotFound(f"There is no change {id}.")
    given = properties.shown(master.store, "change", id)
    return _change(change) | {
        "files": [{"name": name, "url": None} for name in changes.files(master.store, id)],
        "properties": [[each.name, each.value, each.source] for each in given],
    }


def _change(change: Change) -> dict[str, JSON]:
    return {
        "number": change.id,
        "who": change.author,
        "comments": change.comments,
        "branch": change.branch,
        "revision": change.revision,
        "rev": change.revision,
        "category": change.category,
        "revlink": change.revlink,
        "repository": change.repository,
        "project": change.project,
        "codebase": change.codebase,
        "when": change.arrived_at if change.committed_at is None else change.committed_at,
    }


# -- which of many


def _left_out(asked: Asked, name: str) -> bool:
    wanted = asked.every("select")
    return bool(wanted) and name not in wanted


def _part(asked: Asked, known: Iterable[Any]) -> list[Any]:
    found = list(known)
    start = asked.number("from", 0, 0, len(found))
    return found[start : start + MOST]


ROUTES = (
    Json("/json", everything),
    Json("/json/project", project),
    Json("/json/builders", all_builders),
    Json("/json/builders/{builder}", one_builder),
    Json("/json/builders/{builder}/pendingBuilds", pending_builds),
    Json("/json/slaves", all_slaves),
    Json("/json/slaves/{slave}", one_slave),
    Json("/json/changes", newest_changes),
    Json("/json/changes/{change}", one_change),
)
