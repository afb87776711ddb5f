"""The schedulers: what each waits for, when it fires next, what it thought of the latest changes, what it had built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from buildbot import model
from buildbot.config.checks import builder_names_of
from buildbot.model import OperatorAction
from buildbot.schedulers.runnow import CannotRun, RunsNow, run_now
from buildbot.status.web import auth, urls
from buildbot.status.web.actions import pausing, why
from buildbot.status.web.asked import Asked, BadRequest, User
from buildbot.status.web.changes_page import VERDICT_CLASS, verdict_text
from buildbot.status.web.formats import duration_text
from buildbot.status.web.pages import Action, Master, NotFound, Page, Redirect, Seen, View
from buildbot.store import actions, pauses, scheduler_pages
from buildbot.store.pauses import Kind, Pause
from buildbot.store.scheduler_pages import Glance, Judged, Submitted

PAGE = 100
VERDICTS = 25
BUILDSETS = 25
TIMES = 5
MOST_TREES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerLine:
    """What is said of a scheduler in a list and on its page. next_at: when it fires; None: when something happens."""

    name: str
    href: str
    kind: str
    builders: tuple[str, ...]
    some_builders: bool  # which ones depends on each build
    glance: Glance
    next_at: float | None
    pause: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulersView(View):
    lines: tuple[SchedulerLine, ...]
    count: int
    next: str
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A tree whose changes wait for their timer. branch "": all branches share it."""

    branch: str
    due_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    judged: Judged
    css: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerView(View):
    line: SchedulerLine
    about: str
    times: tuple[float, ...]
    waiting: tuple[Waiting, ...]
    listens: bool
    verdicts: tuple[Verdict, ...]
    buildsets: tuple[Submitted, ...]
    actions: tuple[OperatorAction, ...]
    can_run: bool
    may_run: bool
    forced_by_form: bool


def all_schedulers(asked: Asked, master: Master) -> View:
    known = master.config.schedulers
    offset = asked.number("from", 0, 0, max(len(known) - 1, 0))
    more = offset + PAGE < len(known)
    return SchedulersView(
        title="Schedulers",
        events="/events",
        lines=tuple(_lines(master, known[offset : offset + PAGE], asked.now)),
        count=len(known),
        next=urls.with_query(urls.schedulers(), [("from", offset + PAGE)]) if more else "",
        first=urls.schedulers() if offset else "",
    )


def scheduler_page(asked: Asked, master: Master) -> View:
    scheduler = find(asked, master)
    (line,) = _lines(master, [scheduler], asked.now)
    times = () if line.pause else scheduler.times(line.glance.last_time, asked.now, TIMES)
    trees: Any = getattr(scheduler, "next_builds", lambda store, now: [])(master.store, asked.now)
    return SchedulerView(
        title=scheduler.name,
        events="/events",
        line=line,
        about=_about(scheduler),
        times=tuple(times),
        waiting=tuple(
            Waiting(branch="" if tree is None else tree.branch or "the trunk", due_at=due)
            for tree, due in trees[:MOST_TREES]
        ),
        listens=scheduler.listens,
        verdicts=tuple(
            Verdict(
                judged=each,
                css=VERDICT_CLASS[each.verdict],
                text=_text(each),
            )
            for each in scheduler_pages.judged(master.store, scheduler.name, VERDICTS)
        ),
        buildsets=tuple(scheduler_pages.submitted(master.store, scheduler.name, BUILDSETS)),
        actions=tuple(actions.about(master.store, f"scheduler {scheduler.name}")),
        can_run=isinstance(scheduler, RunsNow),
        may_run=auth.might(master.config.www, asked.user, auth.RUN_SCHEDULER, scheduler.name)
        and all(auth.might(master.config.www, asked.user, auth.FORCE, name) for name in line.builders),
        forced_by_form=hasattr(scheduler, "describe_fields"),
    )


def _text(each: Judged) -> str:
    if each.retired and each.buildset is None and each.verdict in (model.Verdict.IMPORTANT, model.Verdict.UNIMPORTANT):
        return f"{each.verdict}: not built"
    return verdict_text(each.verdict, each.buildset is not None)


def find(asked: Asked, master: Master) -> Any:
    """The scheduler of the address."""
    name = asked.place["scheduler"]
    for scheduler in master.config.schedulers:
        if scheduler.name == name:
            return scheduler
    raise NotFound(f"There is no scheduler called {name!r}.")


def _lines(master: Master, shown: Any, now: float) -> list[SchedulerLine]:
    """Two statements, however many schedulers there are."""
    glances = scheduler_pages.glances(master.store, [scheduler.name for scheduler in shown])
    paused = pauses.all_of(master.store, Kind.SCHEDULER)
    lines = []
    for scheduler in shown:
        glance, pause = glances[scheduler.name], paused.get(scheduler.name)
        times = [] if pause else scheduler.times(glance.last_time, now, 1)
        lines.append(
            SchedulerLine(
                name=scheduler.name,
                href=urls.scheduler(scheduler.name),
                kind=type(scheduler).__name__,
                builders=tuple(builder_names_of(scheduler)),
                some_builders=not isinstance(scheduler.builderNames, (list, tuple)),
                glance=glance,
                next_at=times[0] if times else None,
                pause=pause,
            )
        )
    return lines


def _about(scheduler: Any) -> str:
    """What starts it, in words."""
    if hasattr(scheduler, "periodicBuildTimer"):
        return f"builds every {duration_text(scheduler.periodicBuildTimer)}"
    if hasattr(scheduler, "cron"):
        return f"builds at the times {scheduler.cron}"
    if hasattr(scheduler, "upstream_name"):
        return f"builds what scheduler {scheduler.upstream_name} has built well"
    if hasattr(scheduler, "trigger"):
        return "builds when a Trigger step says so"
    if hasattr(scheduler, "treeStableTimer"):
        timer = scheduler.treeStableTimer
        return f"builds changes after {duration_text(timer)} of quiet" if timer else "builds each change at once"
    return "builds what people ask for"


# -- what people do


async def run(asked: Asked, master: Master, user: User) -> Seen:
    """Build now what it waits for, or else the newest source."""
    scheduler = find(asked, master)
    if pauses.get(master.store, Kind.SCHEDULER, scheduler.name) is not None:
        raise BadRequest(f"{scheduler.name} is paused: let it go on first.")

    def may(builder: str) -> Any:
        return auth.may(master.config.www, user, auth.FORCE, builder)

    try:
        await run_now(master.store, scheduler, user.name, why(asked), asked.now, may)
    except CannotRun as problem:
        raise BadRequest(f"{scheduler.name} built nothing: {problem}.") from None
    return Redirect(urls.scheduler(scheduler.name), f"{scheduler.name} was run.")


pause, unpause = pausing(Kind.SCHEDULER, find, urls.scheduler)

ROUTES = (
    Page("/schedulers", "schedulers.html", all_schedulers),
    Page("/schedulers/{scheduler}", "scheduler.html", scheduler_page),
    Action("/schedulers/{scheduler}/run", auth.RUN_SCHEDULER, run),
    Action("/schedulers/{scheduler}/pause", auth.PAUSE_SCHEDULER, pause),
    Action("/schedulers/{scheduler}/unpause", auth.PAUSE_SCHEDULER, unpause),
)
