"""The questions that the build, step and log pages and the live streams ask beyond those of the nouns. All bounded."""

from __future__ import annotations

import json
from typing import NamedTuple

from buildbot.model import (
    Build,
    BuildID,
    BuildRequestID,
    BuildsetID,
    Change,
    EventID,
    Log,
    OperatorAction,
    RemoteCommandRow,
    Result,
    Step,
    StepID,
    StepURL,
)
from buildbot.store import absences, changes, commands, logs, steps
from buildbot.store.absences import Absence
from buildbot.store.store import Queries

MOST_CHANGES = 50
MOST_STEPS = 500
MOST_COMMANDS = 100
MOST_REQUESTS = 50
MOST_LOGS = 1000
MOST_URLS = 1000


class Around(NamedTuple):
    """What surrounds a build."""

    slave: str | None
    previous: int | None
    next: int | None
    last_event_id: EventID
    earlier: list[tuple[float, Result]]  # (seconds, result) of the last finished ones before it
    actions: list[OperatorAction]  # what people did to it, the newest first
    absences: list[Absence]  # the first of the times in which it went on without its master or its slave
    has_tests: bool  # there are sets of results of tests


class RequestOfBuild(NamedTuple):
    id: BuildRequestID
    buildset_id: BuildsetID
    submitted_at: float
    claimed_at: float | None
    priority: int
    reason: str
    scheduler: str | None
    parent_builder: str | None  # of the build that triggered it
    parent_number: int | None
    merged_because: str | None  # why it was merged into the build; None: the build was made for it


def _around(
    slave: str | None,
    previous: int | None,
    next: int | None,
    last_event_id: EventID,
    earlier: str,
    acted: str,
    away: str,
    has_tests: int,
) -> Around:
    ended = [(float(seconds), Result(result)) for seconds, result in json.loads(earlier)]
    acts = [OperatorAction(*row) for row in json.loads(acted)]
    absent = [Absence(*each) for each in json.loads(away)]
    return Around(slave, previous, next, last_event_id, ended, acts, absent, bool(has_tests))


def around(store: Queries, build: Build) -> Around:
    """One statement, whatever the builder's history is."""
    return store.one(
        _around,
        "SELECT (SELECT name FROM slaves WHERE id = ?), "
        "(SELECT max(number) FROM builds WHERE builder_id = ? AND number < ?), "
        "(SELECT min(number) FROM builds WHERE builder_id = ? AND number > ?), "
        "(SELECT coalesce(max(id), 0) FROM events), "
        "(SELECT json_group_array(json_array(seconds, result)) FROM "
        " (SELECT complete_at - started_at AS seconds, result FROM builds "
        "  WHERE builder_id = ? AND number < ? AND complete_at IS NOT NULL ORDER BY number DESC LIMIT 5)), "
        "(SELECT json_group_array(json_array(id, acted_at, who, what, subject, why)) FROM (SELECT a.* "
        " FROM builders AS br JOIN operator_actions AS a ON a.subject = 'build ' || br.name || '/' || ? "
        " WHERE br.id = ? ORDER BY a.id DESC LIMIT 10)), "
        f"(SELECT json_group_array(json_array(id, slave_id, began_at, ended_at, why)) FROM ({absences.DURING})), "
        "EXISTS (SELECT 1 FROM test_result_sets WHERE build_id = ?)",
        build.slave_id,
        build.builder_id,
        build.number,
        build.builder_id,
        build.number,
        build.builder_id,
        build.number,
        build.number,
        build.builder_id,
        *absences.span(build.slave_id, build.started_at, build.complete_at),
        build.id,
    )


def requests_of_build(store: Queries, build: BuildID) -> list[RequestOfBuild]:
    """The requests that a build serves, with why they were made. The oldest of them first."""
    return store.all(
        RequestOfBuild,
        "SELECT r.id, r.buildset_id, r.submitted_at, r.claimed_at, r.priority, s.reason, s.scheduler, "
        "pb.name, p.number, m.merged_because "
        "FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
        "JOIN buildsets AS s ON s.id = r.buildset_id "
        "LEFT JOIN builds AS p ON p.id = s.parent_build_id LEFT JOIN builders AS pb ON pb.id = p.builder_id "
        "WHERE m.build_id = ? ORDER BY r.id LIMIT ?",
        build,
        MOST_REQUESTS,
    )


def changes_of_build(store: Queries, build: BuildID) -> list[Change]:
    """The newest changes that the build is the first to hold, newest first: one more than `MOST_CHANGES` at most."""
    return store.all(
        Change,
        f"SELECT DISTINCT {changes.COLUMNS} FROM build_requests_of_builds AS m "
        "JOIN build_requests AS r ON r.id = m.request_id "
        "JOIN buildset_source_stamps AS b ON b.buildset_id = r.buildset_id "
        "JOIN source_stamp_changes AS s ON s.source_stamp_id = b.source_stamp_id "
        "JOIN changes ON changes.id = s.change_id WHERE m.build_id = ? ORDER BY changes.id DESC LIMIT ?",
        build,
        MOST_CHANGES + 1,
    )


def steps_of_build(store: Queries, build: BuildID) -> list[Step]:
    return store.all(
        steps.row,
        f"SELECT {steps.COLUMNS} FROM steps AS s WHERE s.build_id = ? ORDER BY s.number LIMIT ?",
        build,
        MOST_STEPS,
    )


def logs_of_build(store: Queries, build: BuildID) -> list[Log]:
    return store.all(
        Log,
        f"SELECT {logs.COLUMNS} FROM steps AS s JOIN logs AS l ON l.step_id = s.id WHERE s.build_id = ? "
        "ORDER BY s.number, l.id LIMIT ?",
        build,
        MOST_LOGS,
    )


def urls_of_build(store: Queries, build: BuildID) -> list[StepURL]:
    return store.all(
        StepURL,
        "SELECT u.step_id, u.name, u.url FROM steps AS s JOIN step_urls AS u ON u.step_id = s.id "
        "WHERE s.build_id = ? ORDER BY s.number, u.name LIMIT ?",
        build,
        MOST_URLS,
    )


def urls_of_step(store: Queries, step: StepID) -> list[StepURL]:
    return store.all(
        StepURL, "SELECT step_id, name, url FROM step_urls WHERE step_id = ? ORDER BY name LIMIT ?", step, MOST_URLS
    )


def commands_of_step(store: Queries, step: StepID) -> list[RemoteCommandRow]:
    """The first entries of the step's journal; one more than `MOST_COMMANDS` if there are."""
    return store.all(
        commands.row,
        f"SELECT {commands.COLUMNS} FROM commands WHERE step_id = ? ORDER BY ordinal LIMIT ?",
        step,
        MOST_COMMANDS + 1,
    )


def step_by_number(store: Queries, build: BuildID, number: int) -> Step | None:
    return store.first(
        steps.row, f"SELECT {steps.COLUMNS} FROM steps AS s WHERE s.build_id = ? AND s.number = ?", build, number
    )


# -- names of what events are about


def name_of_build(store: Queries, build: BuildID) -> tuple[str, int] | None:
    return store.first(
        lambda name, number: (str(name), int(number)),
        "SELECT w.name, b.number FROM builds AS b JOIN builders AS w ON w.id = b.builder_id WHERE b.id = ?",
        build,
    )


def name_of_builder(store: Queries, builder: int) -> str | None:
    name: str | None = store.value("SELECT name FROM builders WHERE id = ?", builder)
    return name


def builder_of_request(store: Queries, request: int) -> int | None:
    builder: int | None = store.value("SELECT builder_id FROM build_requests WHERE id = ?", request)
    return builder


def log_by_name(store: Queries, step: StepID, name: str) -> Log | None:
    """A log by what stands in its address: its slug, or its name as the step gave it."""
    return store.first(
        Log,
        f"SELECT {logs.COLUMNS} FROM logs AS l WHERE l.step_id = ? AND (l.slug = ? OR l.name = ?) "
        "ORDER BY l.slug = ? DESC LIMIT 1",
        step,
        name,
        name,
        name,
    )
