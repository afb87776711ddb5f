"""The waterfall: what happened in every builder, newest at the top. The grid itself is made by `waterfall_layout`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from buildbot.model import Build, Builder, BuilderID, Change, Event, EventKind, Result
from buildbot.status.web import formats, glance, urls
from buildbot.status.web.asked import Asked, BadRequest
from buildbot.status.web.pages import Master, Page, View
from buildbot.status.web.waterfall_layout import Box, Grid, lay_out
from buildbot.store import builders, pages
from buildbot.store.pages import BuildFilter, StepBox

MOST_COLUMNS = 40
NUM_EVENTS = 200
NUM_EVENTS_MAX = 2000
LEAST_RELOAD_SECONDS = 15
LOOKED_AT_WITH_FILTER = 500  # of each builder, and 5000 of all
LONGEST_TEXT = 90
CHANGES_BEFORE_SECONDS = 600.0  # a build's changes arrived somewhat before it
_GOOD = (Result.SUCCESS, Result.WARNINGS, Result.SKIPPED)
_EVENT_KINDS = (
    EventKind.SLAVE_CONNECTED,
    EventKind.SLAVE_LOST,
    EventKind.MASTER_STARTED,
    EventKind.MASTER_STOPPED,
    EventKind.CONFIG_LOADED,
    EventKind.CONFIG_REFUSED,
    EventKind.PAUSED,
    EventKind.UNPAUSED,
)


class Shown(NamedTuple):
    """What stands in one box."""

    css: str
    text: str
    href: str = ""
    links: tuple[tuple[str, str], ...] = ()  # text, address
    hint: str = ""


class TimeLabel(NamedTuple):
    rows: int
    at: int
    date: str  # shown where a new day begins
    text: str


class GridCell(NamedTuple):
    rows: int
    shown: Shown | None


class GridRow(NamedTuple):
    time: TimeLabel | None
    cells: tuple[GridCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallView(View):
    columns: tuple[tuple[glance.Glance, int], ...]  # with the number of lanes
    change_lanes: int
    event_lanes: int  # 0: events are not shown
    rows: tuple[GridRow, ...]
    older: str
    newest: str
    more_columns: str  # link to the builders that did not fit
    left_out: int
    help: str
    filters: tuple[str, ...]  # in words
    boxes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpView(View):
    builders: tuple[str, ...]
    tags: tuple[str, ...]
    asked: Asked


class Window(NamedTuple):
    """Which part of time is looked at."""

    since: float
    until: float
    open_end: bool  # up to now
    boxes: int


def window_of(asked: Asked, most: int = NUM_EVENTS_MAX, usual: int = NUM_EVENTS) -> Window:
    last, first, show = (asked.maybe_number(name) for name in ("last_time", "first_time", "show_time"))
    until = asked.now if last is None else float(last)
    since = 0.0 if first is None else float(first)
    if show is not None:
        since = max(since, until - show)
    if since > until:
        raise BadRequest("first_time is later than last_time")
    return Window(since, until, last is None, asked.number("num_events", usual, 1, max(most, 1)))


def waterfall(asked: Asked, master: Master) -> View:
    options = master.config.www.options if master.config.www is not None else {}
    window = window_of(asked, options.get("num_events_max") or NUM_EVENTS_MAX, options.get("num_events") or NUM_EVENTS)
    known = builders.present(master.store)
    chosen, offset, beyond = _columns(asked, master, known)
    wanted = BuildFilter(asked.every("branch"), asked.every("project"), asked.every("committer"))
    shown, complete = _builds(master, chosen, window, wanted)
    since = max(window.since, min((build.started_at for build, _ in shown), default=window.since))
    told = _told(asked, master, since, window)
    led_to_it = window.since if complete else max(since - CHANGES_BEFORE_SECONDS, window.since)
    arrived = pages.changes_between(master.store, led_to_it, window.until, window.boxes)
    arrived = [change for change in arrived if passes(change, wanted)]
    columns = [[_change_box(change) for change in reversed(arrived)]]
    if told is not None:
        columns.append([_event_box(event, slave) for event, slave in told])
    columns += _builder_boxes(chosen, shown)
    grid = lay_out(columns, window.until)
    kept = _query(asked, "last_time", "columns_from")
    return WaterfallView(
        title="Waterfall",
        events="/events" if window.open_end else "",
        reload_seconds=asked.number("reload", 0, LEAST_RELOAD_SECONDS, 86400) or None,
        columns=tuple(zip(glance.glances(master, chosen), grid.lanes[len(grid.lanes) - len(chosen) :], strict=True)),
        change_lanes=grid.lanes[0],
        event_lanes=grid.lanes[1] if told is not None else 0,
        rows=_rows(grid),
        older="" if complete else urls.with_query("/waterfall", [*kept, ("last_time", int(since) - 1)]),
        newest="" if window.open_end else urls.with_query("/waterfall", kept),
        more_columns=urls.with_query(
            "/waterfall", [*_query(asked, "columns_from"), ("columns_from", offset + MOST_COLUMNS)]
        ),
        left_out=beyond,
        help=urls.with_query("/waterfall/help", _query(asked)),
        filters=_in_words(asked),
        boxes=sum(len(column) for column in columns),
    )


def _query(asked: Asked, *without: str) -> list[tuple[str, object]]:
    return [(name, value) for name, values in asked.query.items() if name not in without for value in values]


def _columns(asked: Asked, master: Master, known: Sequence[Builder]) -> tuple[list[Builder], int, int]:
    """The builders that get a column, from which on, and how many are left out after them."""
    chosen = glance.choose(known, asked)
    if asked.flag("failures_only"):
        last = pages.latest_finished(master.store, [builder.id for builder in chosen], 1)
        chosen = [b for b in chosen if b.id in last and last[b.id][0].result not in _GOOD]
    offset = asked.number("columns_from", 0, 0, max(len(chosen) - 1, 0))
    return chosen[offset : offset + MOST_COLUMNS], offset, max(len(chosen) - offset - MOST_COLUMNS, 0)


def _builds(
    master: Master, chosen: Sequence[Builder], window: Window, wanted: BuildFilter
) -> tuple[list[tuple[Build, list[StepBox]]], bool]:
    """As many of the newest builds, with their steps, as give the wanted number of boxes; and whether that is all."""
    limit = window.boxes // 2 + 1
    found = pages.builds_before(
        master.store,
        [builder.id for builder in chosen],
        window.until,
        window.since,
        wanted,
        looked_at=limit if wanted == BuildFilter() else min(LOOKED_AT_WITH_FILTER, 5000 // max(len(chosen), 1)),
        limit=limit,
    )
    steps = pages.steps_of(master.store, [build.id for build in found], window.boxes)
    of_build: dict[int, list[StepBox]] = {}
    for box in steps:
        of_build.setdefault(box.step.build_id, []).append(box)
    if len(steps) == window.boxes and len(of_build) > 1:
        cut = steps[-1].step.build_id  # not all of its steps may be there
        found = found[: next(number for number, build in enumerate(found) if build.id == cut)]
        limit = 0
    shown: list[tuple[Build, list[StepBox]]] = []
    boxes = 0
    for build in found:
        its = of_build.get(build.id, [])
        boxes += 1 + len(its)
        if shown and boxes > window.boxes:
            return shown, False
        shown.append((build, its))
    return shown, len(found) < limit


def _told(asked: Asked, master: Master, since: float, window: Window) -> list[tuple[Event, str | None]] | None:
    """Events of the master and its slaves, oldest first; None when they are not asked for."""
    if not asked.flag("show_events"):
        return None
    return pages.told_between(master.store, _EVENT_KINDS, since, window.until, min(window.boxes, 100))[::-1]


def passes(change: Change, wanted: BuildFilter) -> bool:
    """Whether a change belongs on a page with this filter."""
    people = f"{change.author} {change.committer or ''}".lower()
    return (
        (not wanted.branches or (change.branch or "") in wanted.branches)
        and (not wanted.projects or change.project in wanted.projects)
        and (not wanted.committers or any(name.lower() in people for name in wanted.committers))
    )


def _builder_boxes(chosen: Sequence[Builder], shown: Sequence[tuple[Build, list[StepBox]]]) -> list[list[Box[Shown]]]:
    names = {builder.id: builder.name for builder in chosen}
    boxes: dict[BuilderID, list[Box[Shown]]] = {builder.id: [] for builder in chosen}
    for build, steps in reversed(shown):
        boxes[build.builder_id] += _build_boxes(names[build.builder_id], build, steps)
    return list(boxes.values())


def _build_boxes(name: str, build: Build, steps: Sequence[StepBox]) -> list[Box[Shown]]:
    """The build's own box is where it began, its steps grow above it."""
    first = steps[0].step.started_at if steps else None
    href = urls.build(name, build.number)
    text = f"Build {build.number}"
    state = "" if build.result is None or build.result is Result.SUCCESS else f": {_cut(build.state_text)}"
    ends = build.started_at + 1 if first is not None else build.complete_at
    css = formats.result_class(build.result)
    boxes = [Box(build.started_at, ends, Shown(f"{css} build", text + state, href, (), _cut(build.reason)), build.id)]
    for step, logs in steps:
        if step.started_at is None:
            continue
        to_step = urls.step(name, build.number, step.name)
        links = tuple((log_name, f"{to_step}/logs/{urls.segment(slug)}") for slug, log_name in logs)
        words = _cut(step.state_text or step.name)
        if step.result not in (None, Result.SUCCESS) and step.name not in words:
            words = f"{step.name}: {words}"
        shown = Shown(formats.result_class(step.result), words, to_step, links)
        boxes.append(Box(step.started_at, step.complete_at, shown, build.id))
    return boxes


def _cut(text: str) -> str:
    return formats.first_line(text, LONGEST_TEXT)


def _change_box(change: Change) -> Box[Shown]:
    hint = formats.first_line(change.comments, LONGEST_TEXT)
    shown = Shown("change", _cut(formats.person(change.author)), urls.change(change.id), (), hint)
    return Box(change.arrived_at, change.arrived_at + 1, shown)


PAUSE_WORDS = {EventKind.PAUSED: "pause", EventKind.UNPAUSED: "unpause"}


def _event_box(event: Event, slave: str | None) -> Box[Shown]:
    href = "" if slave is None else urls.slave(slave)
    who = event.detail.get("who")
    match event.kind:
        case EventKind.SLAVE_CONNECTED:
            text = f"connect {slave}"
        case EventKind.SLAVE_LOST:
            text = f"disconnect {slave}"
        case EventKind.PAUSED | EventKind.UNPAUSED:
            name = str(event.detail.get("name"))
            is_slave = event.detail.get("thing") == "slave"
            text = f"{'retire' if event.detail.get('graceful') else PAUSE_WORDS[event.kind]} {name} by {who}"
            href = urls.slave(name) if is_slave else urls.builder(name)
        case EventKind.CONFIG_LOADED:
            text = "config updated"
        case _:
            text = str(event.kind)
    why = str(event.detail.get("why") or "")
    return Box(event.happened_at, event.happened_at + 1, Shown("event", text, href, (), _cut(why)))


def _rows(grid: Grid[Shown]) -> tuple[GridRow, ...]:
    labels = _labels([row.at for row in grid.rows])
    return tuple(
        GridRow(label, tuple(GridCell(cell.rows, cell.what) for _, cell in row.cells))
        for label, row in zip(labels, grid.rows, strict=True)
    )


def _labels(times: Sequence[int]) -> list[TimeLabel | None]:
    """One label for all the rows of a minute, at the first of them."""
    labels: list[TimeLabel | None] = []
    last_date = ""
    for minute, rows in groupby(times, lambda at: at // 60):
        moment = formats.local(minute * 60)
        date = f"{moment:%a %d %b}"
        count = len(list(rows))
        labels.append(TimeLabel(count, minute * 60, date if date != last_date else "", f"{moment:%H:%M}"))
        labels += [None] * (count - 1)
        last_date = date
    return labels


def _in_words(asked: Asked) -> tuple[str, ...]:
    names = (
        "builder",
        "show",
        "tag",
        "category",
        "branch",
        "project",
        "committer",
        "first_time",
        "last_time",
        "show_time",
    )
    words = [f"{name}: {value}" for name in names for value in asked.query.get(name, ()) if value]
    if asked.flag("failures_only"):
        words.append("failing builders only")
    return tuple(words)


def waterfall_help(asked: Asked, master: Master) -> View:
    known = builders.present(master.store)
    return HelpView(
        title="Filter the waterfall",
        builders=tuple(builder.name for builder in known[:500]),
        tags=tuple(glance.all_tags(known)[:200]),
        asked=asked,
    )


ROUTES = (
    Page("/waterfall", "waterfall.html", waterfall),
    Page("/waterfall/help", "waterfall_help.html", waterfall_help),
)
