"""Builders at a glance, as several pages show them: last result, what runs, how many wait, the slaves' state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from buildbot.model import Build, Builder, BuilderID, Slave
from buildbot.process.estimates import ends_at
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import Master
from buildbot.store import pages, slaves
from buildbot.store.pauses import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One build that runs."""

    number: int
    href: str
    started_at: float
    slave: str | None
    text: str  # the step it is at
    ends_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One builder. `state` is a CSS class and a word: building, paused, waiting, idle or offline."""

    builder: Builder
    href: str
    last: Build | None
    last_href: str
    finished: tuple[Build, ...]  # the last few, newest first
    running: tuple[Activity, ...]
    waiting: int  # counted up to MOST_COUNTED
    state: str
    slaves: tuple[Slave, ...]
    connected: int
    pause: Pause | None

    @property
    def queue(self) -> str:
        """How many wait, "" for none."""
        return count_text(self.waiting)


def glances(master: Master, wanted: Sequence[Builder]) -> list[Glance]:
    """Four statements, however many builders."""
    store = master.store
    ids = [builder.id for builder in wanted]
    finished = pages.latest_finished(store, ids)
    running: dict[BuilderID, list[pages.RunningBuild]] = {}
    for now_running in pages.running(store):
        running.setdefault(now_running.build.builder_id, []).append(now_running)
    queues = pages.queues(store, ids)
    present = {slave.name: slave for slave in slaves.present(store)}
    names = {builder.name: builder.slavenames for builder in master.config.builders}
    return [
        _glance(
            builder,
            finished.get(builder.id, []),
            running.get(builder.id, []),
            *queues.get(builder.id, (0, None)),
            [present[name] for name in names.get(builder.name, ()) if name in present],
        )
        for builder in wanted
    ]


def _glance(
    builder: Builder,
    finished: list[Build],
    running: list[pages.RunningBuild],
    waiting: int,
    pause: Pause | None,
    its_slaves: list[Slave],
) -> Glance:
    last = finished[0] if finished else None
    connected = sum(slave.connected_at is not None for slave in its_slaves)
    return Glance(
        builder=builder,
        href=urls.builder(builder.name),
        last=last,
        last_href=urls.build(builder.name, last.number) if last is not None else "",
        finished=tuple(finished),
        running=tuple(activity(each, finished) for each in running),
        waiting=waiting,
        state="paused" if pause is not None and not running else _state(bool(running), waiting, connected),
        slaves=tuple(its_slaves),
        connected=connected,
        pause=pause,
    )


def activity(now_running: pages.RunningBuild, finished: Sequence[Build]) -> Activity:
    build = now_running.build
    return Activity(
        number=build.number,
        href=urls.build(now_running.builder, build.number),
        started_at=build.started_at,
        slave=now_running.slave,
        text=now_running.step_text or build.state_text,
        ends_at=ends_at(build, finished),
    )


def _state(building: bool, waiting: int, connected: int) -> str:
    if building:
        return "building"
    if not connected:
        return "offline"
    return "waiting" if waiting else "idle"


def count_text(count: int) -> str:
    if count >= pages.MOST_COUNTED:
        return f"{pages.MOST_COUNTED}+"
    return str(count) if count else ""


def choose(known: Iterable[Builder], asked: Asked) -> list[Builder]:
    """The builders that the query's `builder`, `show`, `tag` and `category` name; names may be patterns."""
    names, tags = asked.every("builder", "show"), asked.every("tag", "category")
    chosen = list(known)
    if names:
        chosen = [b for b in chosen if any(b.name == name or fnmatchcase(b.name, name) for name in names)]
    if tags:
        chosen = [b for b in chosen if any(tag in tags for tag in b.tags)]
    return chosen


def all_tags(known: Iterable[Builder]) -> list[str]:
    return sorted({tag for builder in known for tag in builder.tags})
