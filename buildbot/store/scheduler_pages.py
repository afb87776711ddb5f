"""Every SQL statement that only the pages of schedulers ask. Each is bounded, whatever there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import Change, Result, Verdict
from buildbot.store import changes
from buildbot.store.schedulers import LAST_TIME
from buildbot.store.store import Queries

MOST_COUNTED = 1000  # more waiting changes are shown as "1000+"
MOST_BUILDERS = 50  # of a buildset


class Glance(NamedTuple):
    """What a list says of one scheduler."""

    waiting: int  # important changes that wait, up to MOST_COUNTED
    buildset: int | None  # the newest one
    submitted_at: float | None
    complete: bool
    result: Result | None
    last_time: object  # what one that goes by the clock remembers


def glances(store: Queries, names: Sequence[str]) -> dict[str, Glance]:
    """Of these schedulers."""

    def make(
        name: str, waiting: int, id: int | None, at: float | None, done: float | None, result: int | None, last: str
    ) -> tuple[str, Glance]:
        known = None if result is None else Result(result)
        return name, Glance(waiting, id, at, done is not None, known, json.loads(last) if last else None)

    return dict(
        store.all(
            make,
            "SELECT w.value, (SELECT count(*) FROM (SELECT 1 FROM classifications INDEXED BY classifications_waiting "
            "WHERE scheduler = w.value AND retired = 0 AND verdict = 'important' LIMIT ?)), "
            "s.id, s.submitted_at, s.complete_at, s.result, "
            "(SELECT value FROM scheduler_state WHERE scheduler = w.value AND name = ?) FROM json_each(?) AS w "
            "LEFT JOIN buildsets AS s ON s.id = (SELECT max(id) FROM buildsets WHERE scheduler = w.value)",
            MOST_COUNTED,
            LAST_TIME,
            json.dumps(list(names)),
        )
    )


class Judged(NamedTuple):
    """A change, and what the scheduler thinks of it."""

    change: Change
    verdict: Verdict
    reason: str
    buildset: int | None
    retired: bool


def judged(store: Queries, name: str, limit: int) -> list[Judged]:
    """The changes that a scheduler judged last, the newest first."""
    return store.all(
        lambda verdict, reason, buildset, retired, *row: Judged(
            Change(*row), Verdict(verdict), reason, buildset, bool(retired)
        ),
        f"SELECT c.verdict, c.reason, c.buildset_id, c.retired, {changes.COLUMNS} FROM classifications AS c "
        "JOIN changes ON changes.id = c.change_id WHERE c.scheduler = ? ORDER BY c.change_id DESC LIMIT ?",
        name,
        limit,
    )


class Part(NamedTuple):
    """One builder's part of a buildset. number: of its newest build; None: none has begun."""

    builder: str
    request: int
    number: int | None
    result: Result | None
    complete: bool


class Submitted(NamedTuple):
    """A buildset of a scheduler."""

    id: int
    reason: str
    submitted_at: float
    complete_at: float | None
    result: Result | None
    branch: str | None
    revision: str | None
    parts: tuple[Part, ...]


def submitted(store: Queries, scheduler: str, limit: int) -> list[Submitted]:
    """Its newest buildsets, the newest first."""

    def make(
        id: int,
        reason: str,
        at: float,
        done: float | None,
        result: int | None,
        branch: str | None,
        revision: str | None,
        parts: str,
    ) -> Submitted:
        made = tuple(
            Part(builder, request, number, None if came_to is None else Result(came_to), bool(complete))
            for builder, request, number, came_to, complete in json.loads(parts)
        )
        known = None if result is None else Result(result)
        return Submitted(id, reason, at, done, known, branch, revision, made)

    return store.all(
        make,
        "SELECT s.id, s.reason, s.submitted_at, s.complete_at, s.result, ss.branch, ss.revision, "
        "(SELECT json_group_array(json_array(p.name, p.id, p.number, p.result, p.complete)) FROM ("
        "SELECT br.name AS name, r.id AS id, r.result AS result, r.complete_at IS NOT NULL AS complete, "
        "(SELECT max(b.number) FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
        "WHERE m.request_id = r.id) AS number FROM build_requests AS r JOIN builders AS br ON br.id = r.builder_id "
        "WHERE r.buildset_id = s.id ORDER BY r.id LIMIT ?) AS p) "
        "FROM buildsets AS s LEFT JOIN source_stamps AS ss ON ss.id = (SELECT min(source_stamp_id) "
        "FROM buildset_source_stamps WHERE buildset_id = s.id) WHERE s.scheduler = ? ORDER BY s.id DESC LIMIT ?",
        MOST_BUILDERS,
        scheduler,
        limit,
    )
