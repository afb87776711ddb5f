"""The buildslaves: who they are, whether they are here, and what they built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from buildbot.model import OperatorAction, Slave
from buildbot.process.reattach import Away
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.status.web.step_page import command_line
from buildbot.store import actions, commands, pages, pauses, queue, slaves

PAGE = 100
BUILDS = 25
MOST_BUILDS = 200
SHOWN_DETAILS = 60
SHOWN_WAITING = 20
SHOWN_COMMANDS = 50


class AtIt(NamedTuple):
    """A command that may run on a slave."""

    command: commands.AtSlave
    build: str  # its address
    step: str  # its address
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaveLine:
    slave: Slave
    href: str
    builders: tuple[str, ...]
    running: tuple[pages.RunningBuild, ...]
    pause: pauses.Pause | None
    away: Away | None  # its builds wait for it
    left: int  # commands that were given up and may still run there


@dataclass(frozen=True, slots=True, kw_only=True)
class SlavesView(View):
    lines: tuple[SlaveLine, ...]
    count: int
    connected: int
    show_builders: bool
    next: str
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaveView(View):
    line: SlaveLine
    details: tuple[tuple[str, str], ...]
    at_it: tuple[AtIt, ...]  # what may run on it although the master does not see it
    builds: tuple[pages.RecentBuild, ...]
    waiting: tuple[queue.First, ...]  # the next request of each of its builders
    actions: tuple[OperatorAction, ...]
    older: str
    newest: str


def all_slaves(asked: Asked, master: Master) -> View:
    known = slaves.present(master.store)
    offset = asked.number("from", 0, 0, max(len(known) - 1, 0))
    lines = lines_of(master, known[offset : offset + PAGE])
    more = offset + PAGE < len(known)
    return SlavesView(
        title="Buildslaves",
        events="/events",
        lines=tuple(lines),
        count=len(known),
        connected=sum(slave.connected_at is not None for slave in known),
        show_builders=not asked.flag("no_builders"),
        next=urls.with_query("/buildslaves", [("from", offset + PAGE)]) if more else "",
        first="/buildslaves" if offset else "",
    )


def slave_page(asked: Asked, master: Master) -> View:
    slave = slaves.by_name(master.store, asked.place["slave"])
    if slave is None:
        raise NotFound(f"There is no buildslave called {asked.place['slave']}.")
    limit = asked.number("numbuilds", BUILDS, 1, MOST_BUILDS)
    before = asked.maybe_number("before")
    found = pages.builds_of_slave(master.store, slave.id, before, limit + 1)
    kept = [("numbuilds", limit if limit != BUILDS else None)]
    href = urls.slave(slave.name)
    line = lines_of(master, [slave])[0]
    return SlaveView(
        title=slave.name,
        events=urls.with_query("/events", [("slave", slave.name)]) if before is None else "",
        line=line,
        details=details_of(slave),
        at_it=_at_it(master, slave),
        builds=tuple(found[:limit]),
        waiting=tuple(queue.first_of(master.store, line.builders, SHOWN_WAITING)),
        actions=tuple(actions.about(master.store, f"slave {slave.name}")),
        older=urls.with_query(href, [*kept, ("before", found[limit - 1].build.id)]) if len(found) > limit else "",
        newest=urls.with_query(href, kept) if before is not None else "",
    )


def lines_of(master: Master, shown: list[Slave]) -> list[SlaveLine]:
    running: dict[str | None, list[pages.RunningBuild]] = {}
    for build in pages.running(master.store):
        running.setdefault(build.slave, []).append(build)
    paused = pauses.all_of(master.store, pauses.Kind.SLAVE)
    left = commands.left_on(master.store)
    of_slave: dict[str, list[str]] = {}
    for builder in master.config.builders:
        for name in builder.slavenames:
            of_slave.setdefault(name, []).append(builder.name)
    return [
        SlaveLine(
            slave=slave,
            href=urls.slave(slave.name),
            builders=tuple(of_slave.get(slave.name, ())),
            running=tuple(running.get(slave.name, ())),
            pause=paused.get(slave.name),
            away=master.away.get(slave.name) if slave.name in running and slave.connected_at is None else None,
            left=left.get(slave.id, 0),
        )
        for slave in shown
    ]


def _at_it(master: Master, slave: Slave) -> tuple[AtIt, ...]:
    found = commands.at_slaves(master.store, [slave.id], SHOWN_COMMANDS)
    return tuple(
        AtIt(
            each,
            urls.build(each.builder, each.number),
            urls.step(each.builder, each.number, each.step),
            command_line(each.args["command"]) if "command" in each.args else each.name,
        )
        for each in found
        if each.left_at is not None or slave.connected_at is None
    )


def details_of(slave: Slave) -> tuple[tuple[str, str], ...]:
    """What the slave told of itself, as text. Its version has a line already; its environment may hold secrets."""
    told = [
        (str(name), ", ".join(f"{n} {v}" for n, v in value.items()) if isinstance(value, dict) else str(value))
        for name, value in slave.details.items()
        if name not in ("environ", "resumable", "access_uri", "version") and value not in (None, "", {}, [])
    ]
    return tuple((name, text[:2000]) for name, text in told[:SHOWN_DETAILS])


ROUTES = (
    Page("/buildslaves", "buildslaves.html", all_slaves),
    Page("/buildslaves/{slave}", "buildslave.html", slave_page),
)
