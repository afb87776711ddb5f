"""Every SQL statement about buildsets. A buildset and all its requests are born in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import (
    BuilderID,
    BuildID,
    BuildRequestID,
    Buildset,
    BuildsetID,
    EventID,
    EventKind,
    Property,
    Result,
    SourceStampID,
)
from buildbot.store import events, properties, requests
from buildbot.store.store import Queries, Store

_COLUMNS = (
    "id, external_id, reason, scheduler, submitted_at, complete_at, result, parent_build_id, parent_relationship"
)

_WORST_LAST = (
    Result.SKIPPED,
    Result.SUCCESS,
    Result.WARNINGS,
    Result.FAILURE,
    Result.EXCEPTION,
    Result.RETRY,
    Result.CANCELLED,
)


def _buildset(
    id: int,
    external_id: str | None,
    reason: str,
    scheduler: str | None,
    submitted_at: float,
    complete_at: float | None,
    result: int | None,
    parent_build_id: int | None,
    parent_relationship: str | None,
) -> Buildset:
    return Buildset(
        BuildsetID(id),
        external_id,
        reason,
        scheduler,
        submitted_at,
        complete_at,
        None if result is None else Result(result),
        None if parent_build_id is None else BuildID(parent_build_id),
        parent_relationship,
    )


def submit(
    store: Store,
    *,
    builders: Sequence[BuilderID],
    source_stamps: Sequence[SourceStampID],
    reason: str,
    now: float,
    scheduler: str | None = None,
    given: Sequence[Property] = (),
    external_id: str | None = None,
    priority: int = 0,
    waited_for: bool = False,
    parent_build_id: BuildID | None = None,
    parent_relationship: str | None = None,
) -> tuple[BuildsetID, list[BuildRequestID]]:
    """Store a buildset, its properties and one request a builder. A buildset without builders is complete at once."""
    reason = store.hide(reason)
    id = BuildsetID(
        store.insert(
            "INSERT INTO buildsets (external_id, reason, scheduler, submitted_at, parent_build_id, "
            "parent_relationship) VALUES (?, ?, ?, ?, ?, ?)",
            external_id,
            reason,
            scheduler,
            now,
            parent_build_id,
            parent_relationship,
        )
    )
    store.execute_many(
        "INSERT INTO buildset_source_stamps (buildset_id, source_stamp_id) VALUES (?, ?)",
        [(id, stamp) for stamp in source_stamps],
    )
    properties.put(store, "buildset", id, given)
    asked = [requests.add(store, id, builder, now, priority=priority, waited_for=waited_for) for builder in builders]
    events.add(store, now, EventKind.BUILDSET_SUBMITTED, id, reason=reason, scheduler=scheduler, requests=asked)
    if not asked:
        complete_if_done(store, id, now)
    return id, asked


def get(store: Queries, id: BuildsetID) -> Buildset | None:
    return store.first(_buildset, f"SELECT {_COLUMNS} FROM buildsets WHERE id = ?", id)


def by_external_id(store: Queries, scheduler: str, external_id: str) -> Buildset | None:
    """What this scheduler made of the job of this name."""
    return store.first(
        _buildset,
        f"SELECT {_COLUMNS} FROM buildsets WHERE external_id = ? AND scheduler = ? ORDER BY id LIMIT 1",
        external_id,
        scheduler,
    )


GOOD = (Result.SUCCESS, Result.WARNINGS)
MOST_LOOKED_AT = 1000  # buildsets, for one that ended well


def newest_good(store: Queries, scheduler: str) -> BuildsetID | None:
    """The newest buildset of a scheduler that ended well, among its latest ones."""
    found: int | None = store.value(
        "SELECT id FROM (SELECT id, result FROM buildsets WHERE scheduler = ? ORDER BY id DESC LIMIT ?) "
        "WHERE result IN (?, ?) ORDER BY id DESC LIMIT 1",
        scheduler,
        MOST_LOOKED_AT,
        *GOOD,
    )
    return None if found is None else BuildsetID(found)


class Ended(NamedTuple):
    """A buildset that has become complete."""

    event: EventID  # that tells of it
    buildset: BuildsetID
    result: Result


def ended_since(store: Queries, scheduler: str, after: EventID, limit: int) -> list[Ended]:
    """The buildsets of a scheduler whose end was told after an event, the first that ended first."""
    return store.all(
        lambda event, buildset, result: Ended(EventID(event), BuildsetID(buildset), Result(result)),
        "SELECT e.id, s.id, s.result FROM events AS e JOIN buildsets AS s ON s.id = e.subject_id "
        "WHERE e.kind = ? AND e.id > ? AND s.scheduler = ? AND s.complete_at IS NOT NULL ORDER BY e.id LIMIT ?",
        EventKind.BUILDSET_COMPLETE,
        after,
        scheduler,
        limit,
    )


def count_open(store: Queries, ids: Sequence[BuildsetID]) -> int:
    """How many of these are not complete."""
    sql = "SELECT count(*) FROM json_each(?) AS w JOIN buildsets AS s ON s.id = w.value WHERE s.complete_at IS NULL"
    return int(store.value(sql, json.dumps(ids)))


def results(store: Queries, ids: Sequence[BuildsetID]) -> dict[BuildsetID, Result]:
    """What those of these that are complete came to."""
    return dict(
        store.all(
            lambda id, result: (BuildsetID(id), Result(result)),
            "SELECT s.id, s.result FROM json_each(?) AS w JOIN buildsets AS s ON s.id = w.value "
            "WHERE s.complete_at IS NOT NULL",
            json.dumps(ids),
        )
    )


def complete_if_done(store: Store, id: BuildsetID, now: float) -> bool:
    """Close the buildset when no request of it is open; its result is the worst of theirs."""
    if store.value("SELECT 1 FROM build_requests WHERE buildset_id = ? AND complete_at IS NULL LIMIT 1", id):
        return False
    results = store.column("SELECT DISTINCT result FROM build_requests WHERE buildset_id = ?", id)
    worst = max((Result(r) for r in results), key=_WORST_LAST.index, default=Result.SUCCESS)
    changed = store.execute(
        "UPDATE buildsets SET complete_at = ?, result = ? WHERE id = ? AND complete_at IS NULL", now, worst, id
    )
    if changed:
        events.add(store, now, EventKind.BUILDSET_COMPLETE, id, result=worst)
    return bool(changed)


def cancel_request(store: Store, id: BuildRequestID, now: float, who: str, why: str) -> bool:
    """Cancel a request that no build has claimed, and complete its buildset when it was the last open one.

    False when it is too late.
    """
    if not requests.cancel(store, id, now, who, why):
        return False
    request = requests.get(store, id)
    assert request is not None
    complete_if_done(store, request.buildset_id, now)
    return True


def cancel_children(store: Store, parent: BuildID, now: float, who: str, why: str) -> list[BuildRequestID]:
    """Cancel what a build waits for. Returns the requests for which it is too late: builds work on them."""
    waited_for = requests.waited_for_by(store, parent)
    return [request.id for request in waited_for if not cancel_request(store, request.id, now, who, why)]
