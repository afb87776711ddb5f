"""Every SQL statement about build requests: asked, claimed, put back, cancelled, complete.

Each change of state is one UPDATE that names the state it comes from; the row count says who won.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from buildbot.model import (
    BuilderID,
    BuildID,
    BuildRequest,
    BuildRequestID,
    BuildsetID,
    ChangeID,
    EventKind,
    Result,
)
from buildbot.store import events
from buildbot.store.store import Queries, Store

MOST_RETRIES = 3

CHILD = "waited_for = 1"  # what ends a build cancels these of its requests, so each that is open has a running parent
COLUMNS = (
    "r.id, r.buildset_id, r.builder_id, r.priority, r.submitted_at, r.claimed_at, r.complete_at, r.result, "
    "r.waited_for, r.retries, r.parked_reason, r.cancelled_because"
)


class AlreadyClaimed(Exception):
    """Another build has this request, or it was cancelled or parked meanwhile."""


def row(
    id: int,
    buildset_id: int,
    builder_id: int,
    priority: int,
    submitted_at: float,
    claimed_at: float | None,
    complete_at: float | None,
    result: int | None,
    waited_for: int,
    retries: int,
    parked_reason: str | None,
    cancelled_because: str | None,
) -> BuildRequest:
    return BuildRequest(
        BuildRequestID(id),
        BuildsetID(buildset_id),
        BuilderID(builder_id),
        priority,
        submitted_at,
        claimed_at,
        complete_at,
        None if result is None else Result(result),
        bool(waited_for),
        retries,
        parked_reason,
        cancelled_because,
    )


def add(
    store: Store, buildset: BuildsetID, builder: BuilderID, now: float, *, priority: int = 0, waited_for: bool = False
) -> BuildRequestID:
    return BuildRequestID(
        store.insert(
            "INSERT INTO build_requests (buildset_id, builder_id, priority, submitted_at, waited_for, retries) "
            "VALUES (?, ?, ?, ?, ?, 0)",
            buildset,
            builder,
            priority,
            now,
            int(waited_for),
        )
    )


def get(store: Queries, id: BuildRequestID) -> BuildRequest | None:
    return store.first(row, f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.id = ?", id)


def pending(
    store: Queries, builder: BuilderID, limit: int = 100, *, only_children: bool = False
) -> list[BuildRequest]:
    """The open, unclaimed requests of a builder that are not parked, in the order in which they are to be built.

    only_children: those for which a running build waits.
    """
    children = f"AND {CHILD} " if only_children else ""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.builder_id = ? AND r.claimed_at IS NULL "
        f"AND r.complete_at IS NULL AND r.parked_reason IS NULL {children}"
        "ORDER BY r.priority DESC, r.submitted_at, r.id LIMIT ?",
        builder,
        limit,
    )


def next_pending(store: Queries, builder: BuilderID) -> BuildRequest | None:
    """The request that this builder should build next."""
    return store.first(
        row,
        f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.builder_id = ? AND r.claimed_at IS NULL "
        "AND r.complete_at IS NULL AND r.parked_reason IS NULL "
        "ORDER BY r.priority DESC, r.submitted_at, r.id LIMIT 1",
        builder,
    )


def pending_counts(store: Queries) -> dict[BuilderID, int]:
    """How many requests wait, for each builder that has any."""
    return dict(
        store.all(
            lambda builder, count: (BuilderID(builder), int(count)),
            "SELECT builder_id, count(*) FROM build_requests WHERE claimed_at IS NULL AND complete_at IS NULL "
            "GROUP BY builder_id",
        )
    )


def of_buildset(store: Queries, buildset: BuildsetID) -> list[BuildRequest]:
    return store.all(
        row, f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.buildset_id = ? ORDER BY r.id", buildset
    )


def of_buildsets(store: Queries, ids: Sequence[BuildsetID], limit: int) -> list[tuple[str, BuildRequestID]]:
    """The requests of these buildsets, as (builder, request)."""
    return store.all(
        lambda builder, request: (str(builder), BuildRequestID(request)),
        "SELECT br.name, r.id FROM json_each(?) AS w JOIN build_requests AS r ON r.buildset_id = w.value "
        "JOIN builders AS br ON br.id = r.builder_id ORDER BY r.id LIMIT ?",
        json.dumps(ids),
        limit,
    )


def waited_for_by(store: Queries, parent: BuildID) -> list[BuildRequest]:
    """The open requests that a build waits for: those of the buildsets that its Trigger steps made."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM buildsets AS s JOIN build_requests AS r ON r.buildset_id = s.id "
        "WHERE s.parent_build_id = ? AND s.complete_at IS NULL AND r.waited_for = 1 AND r.complete_at IS NULL "
        "ORDER BY r.id",
        parent,
    )


def is_orphan(store: Queries, request: BuildRequest) -> bool:
    """Whether a build waited for this request and is over."""
    return request.waited_for and bool(
        store.value(
            "SELECT p.complete_at IS NOT NULL FROM buildsets AS s JOIN builds AS p ON p.id = s.parent_build_id "
            "WHERE s.id = ?",
            request.buildset_id,
        )
    )


def of_build(store: Queries, build: BuildID) -> list[BuildRequest]:
    """The requests that a build serves, the oldest first."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
        "WHERE m.build_id = ? ORDER BY r.id",
        build,
    )


def claim(
    store: Store, id: BuildRequestID, now: float, merged: Mapping[BuildRequestID, str] | None = None, **told: int
) -> None:
    """Take the request, and those that are built along with it, for a build that starts in this transaction.

    merged: those others, each with why one build may serve it too. told: what their events say besides. All are taken
    or none. Raises AlreadyClaimed.
    """
    others = merged or {}
    changed = store.execute(
        "UPDATE build_requests SET claimed_at = ? WHERE id IN (SELECT value FROM json_each(?)) "
        "AND claimed_at IS NULL AND complete_at IS NULL AND parked_reason IS NULL",
        now,
        json.dumps([id, *others]),
    )
    if changed != 1 + len(others):
        raise AlreadyClaimed(id, *others)
    events.add(store, now, EventKind.REQUEST_CLAIMED, id)
    for other, why in others.items():
        events.add(store, now, EventKind.REQUEST_MERGED, other, into=id, why=why, **told)


def put_back(store: Store, id: BuildRequestID, now: float, why: str, *, counts: bool = True) -> None:
    """The build ended as RETRY: the request waits again, or is parked after `MOST_RETRIES` times.

    counts: False when the master itself ended the build, which is no sign that the build is what goes wrong.
    """
    why = store.hide(why)
    changed = store.execute(
        "UPDATE build_requests SET claimed_at = NULL, retries = retries + ?, "
        "parked_reason = CASE WHEN retries + ? > ? THEN ? END "
        "WHERE id = ? AND claimed_at IS NOT NULL AND complete_at IS NULL",
        int(counts),
        int(counts),
        MOST_RETRIES,
        f"tried {MOST_RETRIES + 1} times; the last time: {why}",
        id,
    )
    if not changed:
        return
    request = get(store, id)
    parked = request is not None and request.parked_reason is not None
    events.add(store, now, EventKind.REQUEST_PARKED if parked else EventKind.REQUEST_REQUEUED, id, why=why)


def unpark(store: Store, id: BuildRequestID) -> bool:
    """Let a parked request be tried again."""
    return bool(
        store.execute(
            "UPDATE build_requests SET parked_reason = NULL, retries = 0 "
            "WHERE id = ? AND parked_reason IS NOT NULL AND complete_at IS NULL",
            id,
        )
    )


def complete(store: Store, id: BuildRequestID, result: Result, now: float) -> bool:
    """The build that had claimed it is finished."""
    return bool(
        store.execute(
            "UPDATE build_requests SET complete_at = ?, result = ? "
            "WHERE id = ? AND claimed_at IS NOT NULL AND complete_at IS NULL",
            now,
            result,
            id,
        )
    )


def cancel(store: Store, id: BuildRequestID, now: float, who: str, why: str) -> bool:
    """Cancel a request that no build has claimed. False when it is too late.

    The same transaction then calls `buildsets.complete_if_done`: it may have been the last open one.
    """
    why = store.hide(why)
    changed = store.execute(
        "UPDATE build_requests SET complete_at = ?, result = ?, cancelled_because = ? "
        "WHERE id = ? AND claimed_at IS NULL AND complete_at IS NULL",
        now,
        Result.CANCELLED,
        f"cancelled by {who}: {why}" if why else f"cancelled by {who}",
        id,
    )
    if changed:
        events.add(store, now, EventKind.REQUEST_CANCELLED, id, who=who, why=why)
    return bool(changed)


def waiting_ids(store: Queries, builder: BuilderID, up_to: BuildRequestID, limit: int) -> list[BuildRequestID]:
    """Some requests that wait for this builder, parked ones too, that are not newer than `up_to`."""
    return store.column(
        "SELECT id FROM build_requests WHERE builder_id = ? AND claimed_at IS NULL AND complete_at IS NULL "
        "AND id <= ? LIMIT ?",
        builder,
        up_to,
        limit,
    )


def waiting_after(store: Queries, after: BuildRequestID, limit: int) -> list[BuildRequest]:
    """Some requests, the oldest after this one, that wait for any builder, parked ones too."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.complete_at IS NULL AND r.claimed_at IS NULL AND r.id > ? "
        "ORDER BY r.id LIMIT ?",
        after,
        limit,
    )


def last_id(store: Queries) -> BuildRequestID:
    return BuildRequestID(store.value("SELECT coalesce(max(id), 0) FROM build_requests"))


def open_of_change(
    store: Queries, change: ChangeID, builder: BuilderID | None, after: BuildRequestID, limit: int
) -> list[BuildRequest]:
    """The open requests, after this one, to build a change: it is among theirs, or they are for its revision."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM build_requests AS r WHERE r.complete_at IS NULL AND r.id > ?1 "
        "AND (?2 IS NULL OR r.builder_id = ?2) AND r.buildset_id IN (SELECT bs.buildset_id FROM ("
        "SELECT source_stamp_id AS id FROM source_stamp_changes WHERE change_id = ?3 UNION "
        "SELECT st.id FROM changes AS c JOIN source_stamps AS st ON st.revision = c.revision "
        "AND st.repository = c.repository WHERE c.id = ?3 AND st.revision IS NOT NULL"
        ") AS s JOIN buildset_source_stamps AS bs ON bs.source_stamp_id = s.id) ORDER BY r.id LIMIT ?4",
        after,
        builder,
        change,
        limit,
    )


def running_builds(store: Queries, request: BuildRequestID) -> list[BuildID]:
    """The build that works on this request now, if there is one."""
    return store.column(
        "SELECT b.id FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
        "WHERE m.request_id = ? AND b.complete_at IS NULL",
        request,
    )
