"""Every SQL statement about what is old enough to go, and its going.

Finding is done by questions to a read-only connection, a window of ids at a time, so that none of them takes long
however much there is. Removing is done by lists of ids in short transactions, and each of its statements says again
what must hold, because time has passed since the question. Nothing goes that something which stays refers to.

Never old: what runs or is open, what a parent build waits for, the newest build of each builder, a change that some
scheduler has yet to decide upon or that a build, request or source stamp still holds, and what happened after the first
event that a living receiver has not been told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import BuilderID, BuildID, ChangeID, EventID, EventKind, LogID
from buildbot.store import schedulers
from buildbot.store.store import Queries, Store

WINDOW = 2000  # ids that one question looks at
FOUND_AT_ONCE = 200
_EVER = 1e18


class Age(NamedTuple):
    """What is beyond it is old: not among the newest `newest` (None: no matter), and over before `before`."""

    newest: int | None
    before: float | None

    @property
    def until(self) -> float:
        return _EVER if self.before is None else self.before


class Told(NamedTuple):
    """How far all who live by events have come: the last event, and the time of the one after it."""

    event_id: EventID
    until: float


class OldLog(NamedTuple):
    id: LogID
    path: str


class Window(NamedTuple):
    """What one question found, and where the next one begins (None: it was the last)."""

    found: list[int]
    after: int | None


def told(store: Queries, receivers: Sequence[str]) -> Told:
    """Of these receivers, and of the schedulers that wait for the end of buildsets. Without any, all is told."""
    least = store.value(
        "SELECT min(event_id) FROM (SELECT event_id FROM cursors WHERE receiver IN (SELECT value FROM json_each(?)) "
        "UNION ALL SELECT CAST(t.value AS INTEGER) FROM scheduler_state AS t JOIN schedulers AS s "
        "ON s.name = t.scheduler AND s.removed_at IS NULL WHERE t.name = ?)",
        json.dumps(list(receivers)),
        schedulers.SEEN_EVENT,
    )
    if least is None:
        return Told(EventID(1 << 62), _EVER)
    following = store.value(
        "SELECT min(happened_at) FROM (SELECT happened_at FROM events WHERE id > ? ORDER BY id LIMIT 1000)", least
    )
    return Told(EventID(least), _EVER if following is None else following)


def _window(found: list[int], after: int, last: int) -> Window:
    """`found` came from the ids after `after`; there are ids up to `last`."""
    if len(found) == FOUND_AT_ONCE:
        return Window(found, found[-1])
    return Window(found, after + WINDOW if after + WINDOW < last else None)


# -- builds: looked at by number, builder by builder

_NOT_NEEDED = (
    "NOT EXISTS (SELECT 1 FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
    "WHERE m.build_id = b.id AND r.complete_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM buildsets AS c WHERE c.parent_build_id = b.id AND c.complete_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
    "JOIN buildsets AS s ON s.id = r.buildset_id JOIN builds AS p ON p.id = s.parent_build_id "
    "WHERE m.build_id = b.id AND p.complete_at IS NULL)"
)


def last_old_number(store: Queries, builder: BuilderID, newest: int) -> int:
    """The number of the builder's newest build that is not among its newest `newest`; 0: there is none."""
    number: int | None = store.value(
        "SELECT number FROM builds WHERE builder_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?", builder, newest
    )
    return number or 0


def old_builds(store: Queries, builder: BuilderID, age: Age, told: Told, after: int) -> Window:
    """Numbers of builds that may go, oldest first."""
    last = last_old_number(store, builder, max(age.newest or 0, 1))
    found = store.column(
        "SELECT b.number FROM builds AS b WHERE b.builder_id = ? AND b.number > ? AND b.number <= ? "
        f"AND b.complete_at < ? AND b.complete_at < ? AND {_NOT_NEEDED} ORDER BY b.number LIMIT ?",
        builder,
        after,
        min(last, after + WINDOW),
        age.until,
        told.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last)


_WITH = {
    "steps": "steps AS s WHERE s.build_id = b.id",
    "logs": "steps AS s JOIN logs AS l ON l.step_id = s.id AND l.removed_at IS NULL WHERE s.build_id = b.id",
    "data": "build_data AS d WHERE d.build_id = b.id",
}


def builds_with_old(store: Queries, what: str, builder: BuilderID, age: Age, told: Told, after: int) -> Window:
    """Numbers of builds that are too old to keep their steps, logs or data (`what`) and still have some."""
    last = last_old_number(store, builder, age.newest or 0)
    found = store.column(
        "SELECT b.number FROM builds AS b WHERE b.builder_id = ? AND b.number > ? AND b.number <= ? "
        f"AND b.complete_at < ? AND b.complete_at < ? AND {_NOT_NEEDED} AND EXISTS (SELECT 1 FROM {_WITH[what]}) "
        "ORDER BY b.number LIMIT ?",
        builder,
        after,
        min(last, after + WINDOW),
        age.until,
        told.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last)


def logs_of(store: Queries, builder: BuilderID, number: int) -> list[OldLog]:
    """Those of a finished build whose rows are there; some of them may be marked as removed already."""
    return store.all(
        lambda id, path: OldLog(LogID(id), path),
        "SELECT l.id, l.path FROM builds AS b JOIN steps AS s ON s.build_id = b.id JOIN logs AS l ON l.step_id = s.id "
        "WHERE b.builder_id = ? AND b.number = ? AND b.complete_at IS NOT NULL",
        builder,
        number,
    )


def mark_logs(store: Store, ids: Sequence[LogID], rule: str, now: float) -> int:
    """Say that these logs are removed, and by which rule. Their files are removed after the commit."""
    return store.execute(
        "UPDATE logs SET removed_at = ?, removed_by = ? WHERE id IN (SELECT value FROM json_each(?)) "
        "AND removed_at IS NULL AND EXISTS (SELECT 1 FROM steps AS s JOIN builds AS b ON b.id = s.build_id "
        "WHERE s.id = step_id AND b.complete_at IS NOT NULL)",
        now,
        rule,
        json.dumps(list(ids)),
    )


def logs_removed_since(store: Queries, since: float, after: LogID, limit: int) -> list[OldLog]:
    """Logs whose files may still be there, because the process ended between the mark and the removal."""
    return store.all(
        lambda id, path: OldLog(LogID(id), path),
        "SELECT id, path FROM logs WHERE removed_at >= ? AND id > ? ORDER BY id LIMIT ?",
        since,
        after,
        limit,
    )


_OF_STEPS = (
    "DELETE FROM test_results WHERE (set_id, ordinal) IN (SELECT r.set_id, r.ordinal FROM test_result_sets AS s "
    "JOIN test_results AS r ON r.set_id = s.id WHERE s.build_id = ? LIMIT ?)",
    "DELETE FROM test_result_sets WHERE id IN (SELECT id FROM test_result_sets WHERE build_id = ? LIMIT ?)",
    "DELETE FROM logs WHERE id IN (SELECT l.id FROM steps AS s JOIN logs AS l ON l.step_id = s.id "
    "WHERE s.build_id = ? AND l.removed_at IS NOT NULL LIMIT ?)",
    "DELETE FROM step_urls WHERE step_id IN (SELECT s.id FROM steps AS s JOIN step_urls AS u ON u.step_id = s.id "
    "WHERE s.build_id = ? LIMIT ?)",
    "DELETE FROM commands WHERE id IN (SELECT c.id FROM steps AS s JOIN commands AS c ON c.step_id = s.id "
    "WHERE s.build_id = ? LIMIT ?)",
    "DELETE FROM steps WHERE id IN (SELECT id FROM steps WHERE build_id = ? LIMIT ?)",
)


def delete_steps(store: Store, build: BuildID, most: int) -> int:
    """Delete rows of the steps of a finished build, at most about so many; how many. 0: no step is left.

    Its logs must be marked as removed, and their files be gone.
    """
    if not store.value("SELECT complete_at IS NOT NULL FROM builds WHERE id = ?", build):
        return 0
    if store.value(
        "SELECT 1 FROM steps AS s JOIN logs AS l ON l.step_id = s.id WHERE s.build_id = ? AND l.removed_at IS NULL",
        build,
    ):
        raise ValueError(f"build {build} still has logs")
    for sql in _OF_STEPS:
        deleted = store.execute(sql, build, most)
        if deleted:
            return deleted
    return 0


def delete_build(store: Store, build: BuildID, told: Told, *, with_requests: bool) -> int:
    """Delete a finished build that has no steps left, and (or not) the requests that only it has served.

    How many buildsets went with it; -1: the build is needed after all.
    """
    asked = store.column(
        "SELECT DISTINCT r.buildset_id FROM build_requests_of_builds AS m "
        "JOIN build_requests AS r ON r.id = m.request_id WHERE m.build_id = ?",
        build,
    )
    deleted = store.execute(
        f"DELETE FROM builds AS b WHERE b.id = ? AND b.complete_at IS NOT NULL AND {_NOT_NEEDED} "
        "AND b.number < (SELECT max(n.number) FROM builds AS n WHERE n.builder_id = b.builder_id) "
        "AND NOT EXISTS (SELECT 1 FROM steps AS s WHERE s.build_id = b.id)",
        build,
    )
    if not deleted:
        return -1
    return delete_buildsets(store, asked, told) if with_requests else 0


def build_id(store: Queries, builder: BuilderID, number: int) -> BuildID | None:
    found: int | None = store.value("SELECT id FROM builds WHERE builder_id = ? AND number = ?", builder, number)
    return None if found is None else BuildID(found)


# -- requests, and the buildsets and source stamps that go with the last of them

_BUILDSET_IS_OVER = (
    "s.complete_at < ? AND NOT EXISTS (SELECT 1 FROM builds AS p WHERE p.id = s.parent_build_id "
    "AND p.complete_at IS NULL)"
)


def old_requests(store: Queries, builder: BuilderID, age: Age, told: Told, after: int) -> Window:
    """Requests of a builder that are complete and that no build serves (any more)."""
    last = store.value(
        "SELECT id FROM build_requests WHERE builder_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?", builder, age.newest or 0
    )
    found = store.column(
        "SELECT r.id FROM build_requests AS r JOIN buildsets AS s ON s.id = r.buildset_id WHERE r.builder_id = ? "
        f"AND r.id > ? AND r.id <= ? AND r.complete_at < ? AND {_BUILDSET_IS_OVER} "
        "AND NOT EXISTS (SELECT 1 FROM build_requests_of_builds AS m WHERE m.request_id = r.id) "
        "ORDER BY r.id LIMIT ?",
        builder,
        after,
        min(last or 0, after + WINDOW),
        age.until,
        told.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last or 0)


def old_buildsets(store: Queries, age: Age, told: Told, after: int) -> Window:
    """Buildsets without any request (left)."""
    last = store.value("SELECT id FROM buildsets ORDER BY id DESC LIMIT 1 OFFSET ?", age.newest or 0)
    found = store.column(
        f"SELECT s.id FROM buildsets AS s WHERE s.id > ? AND s.id <= ? AND s.complete_at < ? AND {_BUILDSET_IS_OVER} "
        "AND NOT EXISTS (SELECT 1 FROM build_requests AS r WHERE r.buildset_id = s.id) ORDER BY s.id LIMIT ?",
        after,
        min(last or 0, after + WINDOW),
        age.until,
        told.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last or 0)


def delete_requests(store: Store, ids: Sequence[int], told: Told) -> int:
    """Delete complete requests that no build serves, and the buildsets of which they were the last. How many."""
    marks = json.dumps(list(ids))
    buildsets = store.column(
        "SELECT DISTINCT buildset_id FROM build_requests WHERE id IN (SELECT value FROM json_each(?))", marks
    )
    deleted = store.execute(
        "DELETE FROM build_requests AS r WHERE r.id IN (SELECT value FROM json_each(?)) AND r.complete_at IS NOT NULL "
        f"AND EXISTS (SELECT 1 FROM buildsets AS s WHERE s.id = r.buildset_id AND {_BUILDSET_IS_OVER}) "
        "AND NOT EXISTS (SELECT 1 FROM build_requests_of_builds AS m WHERE m.request_id = r.id)",
        marks,
        told.until,
    )
    empty = store.column(
        "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM build_requests WHERE buildset_id = value)",
        json.dumps(buildsets),
    )
    delete_buildsets(store, empty, told)
    return deleted


def delete_buildsets(store: Store, ids: Sequence[int], told: Told) -> int:
    """Delete complete buildsets no request of which has a build, with their requests and source stamps. How many."""
    marks = json.dumps(list(ids))
    stamps = store.column(
        "SELECT DISTINCT source_stamp_id FROM buildset_source_stamps "
        "WHERE buildset_id IN (SELECT value FROM json_each(?))",
        marks,
    )
    deleted = store.execute(
        f"DELETE FROM buildsets AS s WHERE s.id IN (SELECT value FROM json_each(?)) AND {_BUILDSET_IS_OVER} "
        "AND NOT EXISTS (SELECT 1 FROM build_requests AS r JOIN build_requests_of_builds AS m ON m.request_id = r.id "
        "WHERE r.buildset_id = s.id)",
        marks,
        told.until,
    )
    if deleted and stamps:
        _delete_stamps(store, json.dumps(stamps))
    return deleted


def _delete_stamps(store: Store, marks: str) -> None:
    """Of these source stamps those that no buildset has, and the patches that only they had."""
    patches = store.column(
        "SELECT DISTINCT patch_id FROM source_stamps WHERE id IN (SELECT value FROM json_each(?)) "
        "AND patch_id IS NOT NULL",
        marks,
    )
    store.execute(
        "DELETE FROM source_stamps AS s WHERE s.id IN (SELECT value FROM json_each(?)) "
        "AND NOT EXISTS (SELECT 1 FROM buildset_source_stamps AS b WHERE b.source_stamp_id = s.id)",
        marks,
    )
    if patches:
        store.execute(
            "DELETE FROM patches AS p WHERE p.id IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM source_stamps AS s WHERE s.patch_id = p.id)",
            json.dumps(patches),
        )


# -- changes and events

_CHANGE_IS_FREE = (
    "c.id <= (SELECT coalesce(min(classified_change_id), c.id) FROM schedulers WHERE removed_at IS NULL) "
    "AND NOT EXISTS (SELECT 1 FROM classifications AS k WHERE k.change_id = c.id AND k.retired = 0) "
    "AND NOT EXISTS (SELECT 1 FROM source_stamp_changes AS x WHERE x.change_id = c.id)"
)


def old_changes(store: Queries, age: Age, told: Told, after: int) -> Window:
    last = store.value("SELECT id FROM changes ORDER BY id DESC LIMIT 1 OFFSET ?", max(age.newest or 0, 1))
    found = store.column(
        f"SELECT c.id FROM changes AS c WHERE c.id > ? AND c.id <= ? AND c.arrived_at < ? AND c.arrived_at < ? "
        f"AND {_CHANGE_IS_FREE} ORDER BY c.id LIMIT ?",
        after,
        min(last or 0, after + WINDOW),
        age.until,
        told.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last or 0)


def delete_changes(store: Store, ids: Sequence[ChangeID]) -> int:
    return store.execute(
        f"DELETE FROM changes AS c WHERE c.id IN (SELECT value FROM json_each(?)) AND {_CHANGE_IS_FREE}",
        json.dumps(list(ids)),
    )


def old_events(store: Queries, age: Age, told: Told, after: int) -> Window:
    """All but the last event about the configuration, which says whether it is in force."""
    last = store.value("SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?", age.newest or 0)
    last = min(last or 0, told.event_id)
    found = store.column(
        "SELECT e.id FROM events AS e WHERE e.id > ? AND e.id <= ? AND e.happened_at < ? "
        "AND e.id <> (SELECT coalesce(max(id), 0) FROM events WHERE kind = ?) "
        "AND e.id <> (SELECT coalesce(max(id), 0) FROM events WHERE kind = ?) "
        "ORDER BY e.id LIMIT ?",
        after,
        min(last, after + WINDOW),
        age.until,
        EventKind.CONFIG_LOADED,
        EventKind.CONFIG_REFUSED,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last)


def delete_events(store: Store, ids: Sequence[EventID], told: Told) -> int:
    marks = json.dumps(list(ids))
    return store.execute(
        "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?)) AND id <= ?", marks, told.event_id
    )


# -- what is written down beside the events, and kept as they are


class Records(NamedTuple):
    """A table, when a row of it happened, and what else must hold of one (`t`) that may go."""

    name: str  # for people
    table: str
    time: str
    free: str


RECORDS = (
    Records("operators' actions", "operator_actions", "acted_at", "1"),
    Records(
        "lives of the master",
        "master_runs",
        "coalesce(stopped_at, started_at)",
        "t.id < (SELECT max(id) FROM master_runs)",
    ),
    Records(
        "absences",
        "absences",
        "ended_at",
        "t.ended_at < (SELECT coalesce(min(started_at), 1e18) FROM builds WHERE complete_at IS NULL)",
    ),
)


def old_records(store: Queries, records: Records, age: Age, after: int) -> Window:
    last = store.value(f"SELECT id FROM {records.table} ORDER BY id DESC LIMIT 1 OFFSET ?", age.newest or 0) or 0
    found = store.column(
        f"SELECT t.id FROM {records.table} AS t WHERE t.id > ? AND t.id <= ? AND {records.time} < ? AND {records.free} "
        "ORDER BY t.id LIMIT ?",
        after,
        min(last, after + WINDOW),
        age.until,
        FOUND_AT_ONCE,
    )
    return _window(found, after, last)


def delete_records(store: Store, ids: Sequence[int], records: Records) -> int:
    return store.execute(
        f"DELETE FROM {records.table} AS t WHERE t.id IN (SELECT value FROM json_each(?)) AND {records.free}",
        json.dumps(list(ids)),
    )


# -- the file


def free_pages(store: Queries) -> int:
    return int(store.value("PRAGMA freelist_count"))


def give_back(store: Store, pages: int) -> int:
    """Shorten the file by at most so many of its free pages; how many are left."""
    store.all(lambda *row: None, f"PRAGMA incremental_vacuum({int(pages)})")  # each page is a row to be fetched
    return free_pages(store)
