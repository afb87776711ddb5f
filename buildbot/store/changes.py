"""Every SQL statement about changes: storing one exactly once, and finding them again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildbot.model import BuildID, BuildsetID, Change, ChangeID, EventKind, NewChange, Property
from buildbot.store import events, properties
from buildbot.store.store import Queries, Store

COLUMNS = (
    "changes.id, changes.arrived_at, changes.committed_at, changes.author, changes.committer, changes.comments, "
    "changes.repository, changes.project, changes.codebase, changes.branch, changes.revision, changes.category, "
    "changes.revlink, changes.source"
)


def add(store: Store, change: NewChange, now: float) -> tuple[ChangeID, bool]:
    """Store a change. Returns its id, and False when it was known already.

    The same (repository, branch, revision) from two sources is one change, unless both name a project and the
    projects differ. A change without a revision is always new. Run it with `transact_durable`: whoever sent it
    will not send it again.
    """
    known = same_as(store, change)
    if known is not None:
        return known, False
    id = ChangeID(
        store.insert(
            "INSERT INTO changes (arrived_at, committed_at, author, committer, comments, repository, project, "
            "codebase, branch, revision, category, revlink, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            now,
            change.committed_at,
            change.author,
            change.committer,
            store.hide(change.comments),
            change.repository,
            change.project,
            change.codebase,
            change.branch,
            change.revision,
            change.category,
            change.revlink,
            change.source,
        )
    )
    store.execute_many(
        "INSERT INTO change_files (change_id, position, path) VALUES (?, ?, ?)",
        [(id, position, path) for position, path in enumerate(change.files)],
    )
    properties.put(store, "change", id, [Property(name, value, "Change") for name, value in change.properties])
    events.add(
        store, now, EventKind.CHANGE_ADDED, id, author=change.author, branch=change.branch, revision=change.revision
    )
    return id, True


def same_as(store: Queries, change: NewChange) -> ChangeID | None:
    """The stored change that this one is, if any."""
    if not change.revision:
        return None
    found: int | None = store.value(
        "SELECT id FROM changes WHERE revision = ? AND branch IS ? AND repository = ? "
        "AND (project = ? OR project = '' OR ? = '') ORDER BY id LIMIT 1",
        change.revision,
        change.branch,
        change.repository,
        change.project,
        change.project,
    )
    return None if found is None else ChangeID(found)


def get(store: Queries, id: ChangeID) -> Change | None:
    return store.first(Change, f"SELECT {COLUMNS} FROM changes WHERE id = ?", id)


def known(store: Queries, ids: Sequence[ChangeID]) -> list[ChangeID]:
    """Those of these changes that are still in the store, oldest first."""
    sql = "SELECT id FROM changes WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
    return store.column(sql, json.dumps(ids))


def newest(store: Queries, limit: int = 50, before: ChangeID | None = None) -> list[Change]:
    """The newest changes, newest first; with `before`, those older than it."""
    top = (1 << 62) if before is None else before
    return store.all(Change, f"SELECT {COLUMNS} FROM changes WHERE id < ? ORDER BY id DESC LIMIT ?", top, limit)


def after(store: Queries, id: ChangeID, limit: int = 100) -> list[Change]:
    """The next changes after this one, oldest first."""
    return store.all(Change, f"SELECT {COLUMNS} FROM changes WHERE id > ? ORDER BY id LIMIT ?", id, limit)


def last_id(store: Queries) -> ChangeID:
    """The newest change's id, 0 when there is none."""
    return ChangeID(store.value("SELECT coalesce(max(id), 0) FROM changes"))


def files(store: Queries, id: ChangeID) -> list[str]:
    return store.column("SELECT path FROM change_files WHERE change_id = ? ORDER BY position", id)


def of_buildset(store: Queries, id: BuildsetID) -> list[Change]:
    """The changes that led to a buildset, oldest first."""
    return store.all(
        Change,
        f"SELECT DISTINCT {COLUMNS} FROM buildset_source_stamps AS b "
        "JOIN source_stamp_changes AS s ON s.source_stamp_id = b.source_stamp_id "
        "JOIN changes ON changes.id = s.change_id WHERE b.buildset_id = ? ORDER BY changes.id",
        id,
    )


def of_build(store: Queries, id: BuildID) -> list[Change]:
    """The blame list of a build: the changes of all the requests that it serves, oldest first."""
    return store.all(
        Change,
        f"SELECT DISTINCT {COLUMNS} FROM build_requests_of_builds AS m "
        "JOIN build_requests AS r ON r.id = m.request_id "
        "JOIN buildset_source_stamps AS b ON b.buildset_id = r.buildset_id "
        "JOIN source_stamp_changes AS s ON s.source_stamp_id = b.source_stamp_id "
        "JOIN changes ON changes.id = s.change_id WHERE m.build_id = ? ORDER BY changes.id",
        id,
    )
