"""One build: what came of it, of what, why, where, how long; its steps with their logs; and what may be done to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from buildbot.model import Build, Builder, Change, Log, Property, Result, SourceStamp, Step, StepURL
from buildbot.process.estimates import usual_of
from buildbot.process.reattach import Away
from buildbot.status.web import events_page, formats, log_lines, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.log_page import removal
from buildbot.status.web.pages import Master, Page, View
from buildbot.status.web.places import find_build
from buildbot.status.web.tests_page import Tests, tests_of
from buildbot.store import log_pages, properties, sourcestamps
from buildbot.store.log_pages import Around, RequestOfBuild
from buildbot.store.logfiles import LogFiles

PATH = "/builders/{builder}/builds/{number}"
MOST_TAILS = 3  # failed steps whose last lines are shown
TAIL_LINES = 25
TAIL_BYTES = 4 * 1024
LONGEST_VALUE = 1000
_BAD = (Result.FAILURE, Result.EXCEPTION)


class LogLink(NamedTuple):
    name: str
    path: str
    size: int | None
    growing: bool
    removed: str


class Tail(NamedTuple):
    """The last lines of the log in which a step failed."""

    log: LogLink
    lines: list[Markup]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    step: Step
    path: str
    seconds: float | None
    logs: list[LogLink]
    urls: list[StepURL]
    tail: Tail | None


class Stamp(NamedTuple):
    stamp: SourceStamp
    got_revision: str | None


class Value(NamedTuple):
    name: str
    text: str
    source: str
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildView(View):
    builder: Builder
    build: Build
    path: str
    now: float
    around: Around
    steps: list[StepRow]
    hidden_steps: int
    show_hidden: bool
    stamps: list[Stamp]
    changes: list[Change]
    more_changes: bool
    blame: list[str]
    requests: list[RequestOfBuild]
    locks: list[str]  # that it holds, or one of its steps
    properties: list[Value]
    seconds: float
    away: Away | None  # it waits for its slave
    usual_seconds: float | None  # how long its builder's builds take
    tests: Tests

    @property
    def running(self) -> bool:
        return self.build.complete_at is None

    @property
    def left_seconds(self) -> float | None:
        """How long it may still run; negative: it runs longer than the last ones."""
        return None if self.usual_seconds is None or not self.running else self.usual_seconds - self.seconds


async def view(asked: Asked, master: Master) -> View:
    store = master.store
    builder, build = find_build(store, asked)
    around = log_pages.around(store, build)
    values = properties.shown(store, "build", build.id)
    changes = log_pages.changes_of_build(store, build.id)
    tests = await tests_of(store, build.id) if around.has_tests else Tests([], False)
    show_hidden = asked.flag("hidden")
    all_steps = log_pages.steps_of_build(store, build.id)
    shown = [step for step in all_steps if show_hidden or not step.hidden or step.complete_at is None]
    return BuildView(
        title=f"{formats.result_text(build.result)}: {builder.name} #{build.number}",
        events=events_page.address(builder.name, build.number, around.last_event_id),
        builder=builder,
        build=build,
        path=urls.build(builder.name, build.number),
        now=asked.now,
        around=around,
        steps=_step_rows(master, builder, build, shown, asked.now),
        hidden_steps=sum(step.hidden and step.complete_at is not None for step in all_steps),
        show_hidden=show_hidden,
        stamps=_stamps(sourcestamps.of_build(store, build.id), values),
        changes=changes[: log_pages.MOST_CHANGES],
        more_changes=len(changes) > log_pages.MOST_CHANGES,
        blame=sorted({change.author for change in changes}, key=str.lower),
        requests=log_pages.requests_of_build(store, build.id),
        locks=[str(key) for claim in master.locks.claims_of(build.id) if claim.held for key in claim.wants],
        properties=[_value(each) for each in values],
        seconds=(build.complete_at or asked.now) - build.started_at,
        away=master.away.get(around.slave or "") if build.complete_at is None else None,
        usual_seconds=usual_of(around.earlier),
        tests=tests,
    )


def _step_rows(master: Master, builder: Builder, build: Build, steps: Sequence[Step], now: float) -> list[StepRow]:
    """Three statements, however many steps there are."""
    logs = log_pages.logs_of_build(master.store, build.id)
    links = log_pages.urls_of_build(master.store, build.id)
    rows, tails = [], 0
    for step in steps:
        own = [log for log in logs if log.step_id == step.id]
        log_links = [log_link(master.log_files, builder, build, step, log) for log in own]
        tail = None
        if step.result in _BAD and tails < MOST_TAILS:
            tail = _tail(master.log_files, own, log_links)
            tails += tail is not None
        rows.append(
            StepRow(
                step=step,
                path=urls.step(builder.name, build.number, step.name),
                seconds=step_seconds(step, now),
                logs=log_links,
                urls=[link for link in links if link.step_id == step.id],
                tail=tail,
            )
        )
    return rows


def step_seconds(step: Step, now: float) -> float | None:
    return None if step.started_at is None else (step.complete_at or now) - step.started_at


def log_link(log_files: LogFiles, builder: Builder, build: Build, step: Step, log: Log) -> LogLink:
    size = log.size
    if size is None and log.removed_at is None:
        try:
            size = (log_files.root / log.path).stat().st_size
        except OSError:
            size = None
    path = urls.log(builder.name, build.number, step.name, log.slug)
    if log.kind == "html" and log.finished_at is not None:
        path += "/html"
    return LogLink(log.name, path, size, log.finished_at is None and log.removed_at is None, removal(log))


def _tail(log_files: LogFiles, logs: Sequence[Log], links: Sequence[LogLink]) -> Tail | None:
    """From the log that tells what went wrong: an error's own if there is one, else the step's output."""
    wanted = sorted(
        (log.kind == "html", not log.name.startswith("err"), at)
        for at, log in enumerate(logs)
        if log.removed_at is None and log.size != 0
    )
    for is_html, _, at in wanted:
        if is_html:
            break
        try:
            with log_files.read(logs[at].path) as reader:
                lines = log_lines.plain_lines(reader, TAIL_LINES, TAIL_BYTES)
        except OSError:
            continue
        if lines:
            return Tail(links[at], lines)
    return None


def _stamps(stamps: Sequence[SourceStamp], values: Sequence[Property]) -> list[Stamp]:
    """With what the build really got: `got_revision`, one for all or one a codebase."""
    got = next((each.value for each in values if each.name == "got_revision"), None)
    found = []
    for stamp in stamps:
        revision = got.get(stamp.codebase) if isinstance(got, dict) else got
        found.append(Stamp(stamp, None if revision is None else str(revision)))
    return found


def _value(each: Property) -> Value:
    text = each.value if isinstance(each.value, str) else json.dumps(each.value, ensure_ascii=False, indent=1)
    return Value(each.name, text[:LONGEST_VALUE], each.source, len(text) > LONGEST_VALUE)


ROUTES = (Page(PATH, "build.html", view),)
