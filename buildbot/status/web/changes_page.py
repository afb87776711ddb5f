"""Changes, and what became of each: every scheduler's verdict in words, and the builds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from buildbot.model import Change, ChangeID, OperatorAction, Property, Verdict
from buildbot.status.web import urls
from buildbot.status.web.asked import Asked, whole
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.store import actions, changes, pages, properties, schedulers, sources

PAGE = 50
MOST_FILES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A poller that cannot poll: nothing would arrive, and nothing on the pages would say why."""

    source: str
    failures: int
    error: str
    succeeded_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesView(View):
    changes: tuple[Change, ...]
    older: str
    newest: str
    sources: tuple[str, ...]
    troubles: tuple[Trouble, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One scheduler's verdict, as a sentence, and what came of it."""

    scheduler: str
    css: str
    verdict: str
    reason: str
    builds: tuple[pages.BuildOfChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView(View):
    change: Change
    files: tuple[str, ...]
    files_left_out: int
    properties: tuple[Property, ...]
    judgements: tuple[Judgement, ...]
    other_builds: tuple[pages.BuildOfChange, ...]  # forced ones, rebuilds
    actions: tuple[OperatorAction, ...]
    newer: str
    older: str


def newest_changes(asked: Asked, master: Master) -> View:
    limit = asked.number("num", PAGE, 1, 200)
    before = asked.maybe_number("before")
    found = changes.newest(master.store, limit + 1, None if before is None else ChangeID(before))
    kept = [("num", limit if limit != PAGE else None)]
    older = [*kept, ("before", found[limit - 1].id if len(found) > limit else None)]
    return ChangesView(
        title="Changes",
        events="/events" if before is None else "",
        changes=tuple(found[:limit]),
        older=urls.with_query("/changes", older) if len(found) > limit else "",
        newest=urls.with_query("/changes", kept) if before is not None else "",
        sources=tuple(_describe(source) for source in master.config.change_sources),
        troubles=tuple(_troubles(master)),
    )


def _troubles(master: Master) -> Iterator[Trouble]:
    for source in master.config.change_sources:
        name = str(getattr(source, "name", ""))
        state = sources.state(master.store, name, sources.POLL_STATE, {})
        if state.get("error"):
            yield Trouble(
                source=name,
                failures=state.get("failures", 1),
                error=state["error"],
                succeeded_at=state.get("succeeded_at"),
            )


def _describe(source: object) -> str:
    """What a change source says of itself to people."""
    describe = getattr(source, "describe", None)
    return str(describe()) if callable(describe) else str(getattr(source, "name", "") or type(source).__name__)


def change_page(asked: Asked, master: Master) -> View:
    id = ChangeID(whole(asked.place["change"], "the change's number"))
    change = changes.get(master.store, id)
    if change is None:
        raise NotFound(f"There is no change {id}.")
    files = changes.files(master.store, id)
    built = pages.builds_of_change(master.store, id)
    judged = schedulers.verdicts(master.store, id)
    names = {verdict.scheduler for verdict in judged}
    return ChangeView(
        title=f"Change {id}",
        events="/events",
        change=change,
        files=tuple(files[:MOST_FILES]),
        files_left_out=max(len(files) - MOST_FILES, 0),
        properties=tuple(properties.shown(master.store, "change", id)),
        judgements=tuple(
            Judgement(
                scheduler=each.scheduler,
                css=VERDICT_CLASS[each.verdict],
                verdict=verdict_text(each.verdict, each.buildset_id is not None),
                reason=each.reason,
                builds=tuple(build for build in built if build.scheduler == each.scheduler),
            )
            for each in judged
        ),
        other_builds=tuple(build for build in built if build.scheduler not in names),
        actions=tuple(actions.about(master.store, f"change {id}")),
        newer=urls.change(id + 1) if id < changes.last_id(master.store) else "",
        older=urls.change(id - 1) if id > 1 else "",
    )


VERDICT_CLASS = {
    Verdict.IMPORTANT: "success",
    Verdict.UNIMPORTANT: "skipped",
    Verdict.NOT_MINE: "skipped",
    Verdict.FAILED: "exception",
}


def verdict_text(verdict: Verdict, decided: bool) -> str:
    """A verdict for people."""
    match verdict:
        case Verdict.IMPORTANT:
            return "important: built" if decided else "important: a build will follow"
        case Verdict.UNIMPORTANT:
            return "unimportant: built with others" if decided else "unimportant: waits for an important change"
        case Verdict.NOT_MINE:
            return "not for this scheduler"
        case Verdict.FAILED:
            return "the scheduler's own filter failed"


ROUTES = (Page("/changes", "changes.html", newest_changes), Page("/changes/{change}", "change.html", change_page))
