"""Every SQL statement that only the web's pages ask. Each is bounded and makes one row of a page of several tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import (
    Build,
    BuilderID,
    BuildID,
    BuildRequestID,
    Change,
    Event,
    EventID,
    EventKind,
    Result,
    SlaveID,
    Step,
)
from buildbot.store import builds, changes, pauses, sourcestamps, steps
from buildbot.store.pauses import Pause
from buildbot.store.store import Queries

MOST_COUNTED = 1000  # longer queues are shown as "1000+"


def problem_text(event: Event) -> str:
    """What a refused configuration's event says was wrong."""
    said = event.detail.get("problems") or event.detail.get("why") or event.detail.get("error") or ""
    return "\n".join(str(line) for line in said) if isinstance(said, list) else str(said) or "the log says why"


def last_config(store: Queries) -> tuple[EventKind, float, str] | None:
    """The newest attempt to load a configuration: its outcome, when, and (refused) why."""

    def make(kind: str, at: float, detail: str) -> tuple[EventKind, float, str]:
        if kind == EventKind.CONFIG_LOADED:
            return EventKind.CONFIG_LOADED, at, ""
        event = Event(EventID(0), at, EventKind.CONFIG_REFUSED, None, json.loads(detail))
        return EventKind.CONFIG_REFUSED, at, problem_text(event)

    return store.first(
        make,
        "SELECT kind, happened_at, detail FROM events WHERE kind IN (?, ?) ORDER BY id DESC LIMIT 1",
        EventKind.CONFIG_LOADED,
        EventKind.CONFIG_REFUSED,
    )


def config_problem(store: Queries) -> str:
    """Why the newest configuration was refused; '' when it is in force."""
    newest = last_config(store)
    return "" if newest is None else newest[2]


def _ids(ids: Sequence[int]) -> str:
    return json.dumps(list(ids))


class BuildFilter(NamedTuple):
    """Which builds a page shows; empty: all."""

    branches: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    committers: tuple[str, ...] = ()  # parts of their names

    def sql(self) -> tuple[str, list[object]]:
        """A condition on the build `b`, and its arguments."""
        where = ""
        args: list[object] = []
        stamps = (
            "FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
            "JOIN buildset_source_stamps AS bs ON bs.buildset_id = r.buildset_id "
        )
        if self.branches or self.projects:
            where += f" AND EXISTS (SELECT 1 {stamps} JOIN source_stamps AS st ON st.id = bs.source_stamp_id "
            where += "WHERE m.build_id = b.id"
            for column, wanted in (("branch", self.branches), ("project", self.projects)):
                if wanted:
                    where += f" AND coalesce(st.{column}, '') IN (SELECT value FROM json_each(?))"
                    args.append(json.dumps(list(wanted)))
            where += ")"
        if self.committers:
            where += (
                f" AND EXISTS (SELECT 1 {stamps} JOIN source_stamp_changes AS sc "
                "ON sc.source_stamp_id = bs.source_stamp_id JOIN changes AS c ON c.id = sc.change_id, "
                "json_each(?) AS w WHERE m.build_id = b.id AND (instr(lower(c.author), w.value) "
                "OR instr(lower(coalesce(c.committer, '')), w.value)))"
            )
            args.append(json.dumps([name.lower() for name in self.committers]))
        return where, args


def builds_before(
    store: Queries,
    builders: Sequence[BuilderID],
    until: float,
    since: float,
    wanted: BuildFilter,
    *,
    looked_at: int,
    limit: int,
) -> list[Build]:
    """The newest builds of these builders that began in a span of time, newest first.

    Of each builder at most `looked_at` builds are looked at, so that a filter that nothing passes ends as well.
    """
    where, args = wanted.sql()
    return store.all(
        builds.row,
        f"SELECT {builds.COLUMNS} FROM json_each(?) AS w JOIN builds AS b ON b.id IN (SELECT id FROM builds "
        "WHERE builder_id = w.value AND started_at <= ? AND started_at >= ? ORDER BY started_at DESC LIMIT ?)"
        f"{' WHERE 1' + where if where else ''} ORDER BY b.started_at DESC, b.id DESC LIMIT ?",
        _ids(builders),
        until,
        since,
        looked_at,
        *args,
        limit,
    )


class StepBox(NamedTuple):
    step: Step
    logs: tuple[tuple[str, str], ...]  # slug, name


def steps_of(store: Queries, wanted: Sequence[BuildID], limit: int) -> list[StepBox]:
    """The steps that are shown of these builds, in the order of the builds, with their logs."""

    def make(logs: str, *row: object) -> StepBox:
        return StepBox(steps.row(*row), tuple((slug, name) for slug, name in json.loads(logs)))  # type: ignore[arg-type]

    return store.all(
        make,
        "SELECT (SELECT json_group_array(json_array(l.slug, l.name)) FROM logs AS l WHERE l.step_id = s.id), "
        f"{steps.COLUMNS} FROM json_each(?) AS w JOIN steps AS s ON s.build_id = w.value "
        "WHERE s.hidden = 0 ORDER BY w.key, s.number LIMIT ?",
        _ids(wanted),
        limit,
    )


def changes_between(store: Queries, since: float, until: float, limit: int) -> list[Change]:
    """The changes that arrived in a span of time, newest first."""
    return store.all(
        Change,
        f"SELECT {changes.COLUMNS} FROM events AS e JOIN changes ON changes.id = e.subject_id "
        "WHERE e.happened_at BETWEEN ? AND ? AND e.kind = ? ORDER BY e.happened_at DESC LIMIT ?",
        since,
        until,
        EventKind.CHANGE_ADDED,
        limit,
    )


def latest_finished(store: Queries, builders: Sequence[BuilderID], count: int = 5) -> dict[BuilderID, list[Build]]:
    """The last few finished builds of each builder, newest first: its state, and how long builds take."""
    found: dict[BuilderID, list[Build]] = {}
    for build in store.all(
        builds.row,
        f"SELECT {builds.COLUMNS} FROM json_each(?) AS w JOIN builds AS b ON b.id IN (SELECT id FROM builds "
        "WHERE builder_id = w.value AND complete_at IS NOT NULL ORDER BY number DESC LIMIT ?) "
        "ORDER BY b.builder_id, b.number DESC",
        _ids(builders),
        count,
    ):
        found.setdefault(build.builder_id, []).append(build)
    return found


class RunningBuild(NamedTuple):
    build: Build
    builder: str
    slave: str | None
    step: str | None  # what it does now
    step_text: str | None


def running(store: Queries, limit: int = 200) -> list[RunningBuild]:
    """Builds that run now, with the step they are at."""

    def make(builder: str, slave: str | None, step: str | None, text: str | None, *row: object) -> RunningBuild:
        return RunningBuild(builds.row(*row), builder, slave, step, text)  # type: ignore[arg-type]

    return store.all(
        make,
        f"SELECT br.name, sl.name, st.name, st.state_text, {builds.COLUMNS} FROM builds AS b "
        "JOIN builders AS br ON br.id = b.builder_id LEFT JOIN slaves AS sl ON sl.id = b.slave_id "
        "LEFT JOIN steps AS st ON st.id = (SELECT id FROM steps WHERE build_id = b.id AND complete_at IS NULL "
        "AND started_at IS NOT NULL ORDER BY number DESC LIMIT 1) WHERE b.complete_at IS NULL ORDER BY b.id LIMIT ?",
        limit,
    )


def queues(store: Queries, builders: Sequence[BuilderID]) -> dict[BuilderID, tuple[int, Pause | None]]:
    """How many requests wait for each of these builders, counted up to MOST_COUNTED; and whether it is paused."""

    def make(builder: int, count: int, kind: str | None, *row: object) -> tuple[BuilderID, tuple[int, Pause | None]]:
        return BuilderID(builder), (count, None if kind is None else pauses.row(kind, *row))  # type: ignore[arg-type]

    return dict(
        store.all(
            make,
            "SELECT w.value, (SELECT count(*) FROM (SELECT 1 FROM build_requests WHERE builder_id = w.value "
            f"AND claimed_at IS NULL AND complete_at IS NULL LIMIT ?)), {pauses.COLUMNS} FROM json_each(?) AS w "
            "JOIN builders AS br ON br.id = w.value LEFT JOIN pauses AS p ON p.kind = 'builder' AND p.name = br.name",
            MOST_COUNTED,
            _ids(builders),
        )
    )


class RecentBuild(NamedTuple):
    """A line of a table of builds."""

    build: Build
    builder: str
    slave: str | None
    branch: str | None
    revision: str | None


_RECENT = (
    "SELECT br.name, sl.name, ss.branch, coalesce((SELECT value ->> '$' FROM build_properties WHERE build_id = b.id "
    f"AND name = 'got_revision'), ss.revision), {builds.COLUMNS} FROM builds AS b "
    "JOIN builders AS br ON br.id = b.builder_id LEFT JOIN slaves AS sl ON sl.id = b.slave_id "
    "LEFT JOIN source_stamps AS ss ON ss.id = (SELECT bs.source_stamp_id FROM build_requests_of_builds AS m "
    "JOIN build_requests AS r ON r.id = m.request_id JOIN buildset_source_stamps AS bs "
    "ON bs.buildset_id = r.buildset_id WHERE m.build_id = b.id "
    f"ORDER BY {sourcestamps.NEWEST_FIRST}, bs.source_stamp_id LIMIT 1) "
)


def _recent(builder: str, slave: str | None, branch: str | None, revision: object, *row: object) -> RecentBuild:
    build = builds.row(*row)  # type: ignore[arg-type]
    return RecentBuild(build, builder, slave, branch, None if revision is None else str(revision))


def builds_of_builder(store: Queries, builder: BuilderID, before: int | None, limit: int) -> list[RecentBuild]:
    """Newest first; with `before`, those with a smaller number."""
    top = (1 << 62) if before is None else before
    sql = f"{_RECENT} WHERE b.builder_id = ? AND b.number < ? ORDER BY b.number DESC LIMIT ?"
    return store.all(_recent, sql, builder, top, limit)


def builds_of_slave(store: Queries, slave: SlaveID, before: int | None, limit: int) -> list[RecentBuild]:
    top = (1 << 62) if before is None else before
    sql = f"{_RECENT} WHERE b.slave_id = ? AND b.id < ? ORDER BY b.id DESC LIMIT ?"
    return store.all(_recent, sql, slave, top, limit)


def newest_builds(store: Queries, limit: int) -> list[RecentBuild]:
    return store.all(_recent, f"{_RECENT} ORDER BY b.id DESC LIMIT ?", limit)


class WaitingRequest(NamedTuple):
    """A request in the queue, with what a person asks about it."""

    id: BuildRequestID
    submitted_at: float
    priority: int
    retries: int
    parked_reason: str | None
    reason: str
    branch: str | None
    revision: str | None
    waited_for: int  # 1: a running build waits for it


def waiting(store: Queries, builder: BuilderID, limit: int = 50) -> list[WaitingRequest]:
    """The head of a builder's queue, in the order in which it is built."""
    return store.all(
        WaitingRequest,
        "SELECT r.id, r.submitted_at, r.priority, r.retries, r.parked_reason, s.reason, ss.branch, ss.revision, "
        "r.waited_for "
        "FROM build_requests AS r JOIN buildsets AS s ON s.id = r.buildset_id "
        "LEFT JOIN source_stamps AS ss ON ss.id = (SELECT min(source_stamp_id) FROM buildset_source_stamps "
        "WHERE buildset_id = s.id) WHERE r.builder_id = ? AND r.claimed_at IS NULL AND r.complete_at IS NULL "
        "ORDER BY r.priority DESC, r.submitted_at, r.id LIMIT ?",
        builder,
        limit,
    )


def all_waiting(store: Queries, after: int, limit: int) -> list[tuple[str, WaitingRequest]]:
    """Requests that wait for any builder, each with the builder's name, the oldest first; those after an id."""
    return store.all(
        lambda builder, *row: (builder, WaitingRequest(*row)),
        "SELECT br.name, r.id, r.submitted_at, r.priority, r.retries, r.parked_reason, s.reason, ss.branch, "
        "ss.revision, r.waited_for FROM build_requests AS r INDEXED BY build_requests_waiting "
        "JOIN builders AS br ON br.id = r.builder_id JOIN buildsets AS s ON s.id = r.buildset_id "
        "LEFT JOIN source_stamps AS ss ON ss.id = (SELECT min(source_stamp_id) FROM buildset_source_stamps "
        "WHERE buildset_id = s.id) WHERE r.claimed_at IS NULL AND r.complete_at IS NULL AND r.id > ? "
        "ORDER BY r.id LIMIT ?",
        after,
        limit,
    )


class BuildOfChange(NamedTuple):
    """What became of a change in one builder: a build, or a request that waits for one or was cancelled."""

    scheduler: str | None
    builder: str
    number: int | None
    result: Result | None
    started_at: float | None
    request_result: Result | None
    submitted_at: float


def builds_of_change(store: Queries, change: int, limit: int = 200) -> list[BuildOfChange]:
    """What every builder that was asked did with a change."""

    def make(
        scheduler: str | None,
        builder: str,
        number: int | None,
        result: int | None,
        started_at: float | None,
        request_result: int | None,
        submitted_at: float,
    ) -> BuildOfChange:
        results = [None if code is None else Result(code) for code in (result, request_result)]
        return BuildOfChange(scheduler, builder, number, results[0], started_at, results[1], submitted_at)

    return store.all(
        make,
        "SELECT s.scheduler, br.name, b.number, b.result, b.started_at, r.result, r.submitted_at "
        "FROM source_stamp_changes AS sc JOIN buildset_source_stamps AS bs ON bs.source_stamp_id = sc.source_stamp_id "
        "JOIN buildsets AS s ON s.id = bs.buildset_id JOIN build_requests AS r ON r.buildset_id = s.id "
        "JOIN builders AS br ON br.id = r.builder_id LEFT JOIN build_requests_of_builds AS m ON m.request_id = r.id "
        "LEFT JOIN builds AS b ON b.id = m.build_id WHERE sc.change_id = ? ORDER BY r.id, b.id LIMIT ?",
        change,
        limit,
    )


class Size(NamedTuple):
    bytes: int
    newest_change: int
    newest_build: int
    newest_event: int


def size(store: Queries) -> Size:
    """How much the store holds; ids tell how much there ever was."""
    return store.one(
        Size,
        "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size), "
        "(SELECT coalesce(max(id), 0) FROM changes), (SELECT coalesce(max(id), 0) FROM builds), "
        "(SELECT coalesce(max(id), 0) FROM events)",
    )


def told_between(
    store: Queries, kinds: Sequence[EventKind], since: float, until: float, limit: int
) -> list[tuple[Event, str | None]]:
    """Events of these kinds, newest first, with the name of the slave that each is about."""

    def make(
        slave: str | None, id: int, at: float, kind: str, subject: int | None, detail: str
    ) -> tuple[Event, str | None]:
        return Event(EventID(id), at, EventKind(kind), subject, json.loads(detail)), slave

    return store.all(
        make,
        "SELECT CASE WHEN e.kind IN (?, ?) THEN (SELECT name FROM slaves WHERE id = e.subject_id) END, "
        "e.id, e.happened_at, e.kind, e.subject_id, e.detail FROM events AS e "
        "WHERE e.happened_at BETWEEN ? AND ? AND e.kind IN (SELECT value FROM json_each(?)) "
        "ORDER BY e.happened_at DESC LIMIT ?",
        EventKind.SLAVE_CONNECTED,
        EventKind.SLAVE_LOST,
        since,
        until,
        json.dumps([str(kind) for kind in kinds]),
        limit,
    )
