"""Every SQL statement about source stamps and patches: what exactly is to be built."""

from __future__ import annotations

from collections.abc import Sequence

from buildbot.model import BuildID, BuildsetID, ChangeID, Patch, PatchID, SourceStamp, SourceStampID
from buildbot.store.store import Queries, Store

COLUMNS = "s.id, s.codebase, s.repository, s.project, s.branch, s.revision, s.patch_id, s.created_at"


def add(
    store: Store,
    *,
    codebase: str = "",
    repository: str = "",
    project: str = "",
    branch: str | None = None,
    revision: str | None = None,
    patch_id: PatchID | None = None,
    changes: Sequence[ChangeID] = (),
    now: float,
) -> SourceStampID:
    id = store.insert(
        "INSERT INTO source_stamps (codebase, repository, project, branch, revision, patch_id, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        codebase,
        repository,
        project,
        branch,
        revision,
        patch_id,
        now,
    )
    if changes:
        store.execute_many(
            "INSERT INTO source_stamp_changes (source_stamp_id, change_id) VALUES (?, ?)",
            [(id, change) for change in changes],
        )
    return SourceStampID(id)


def add_patch(
    store: Store, body: bytes, level: int = 1, subdir: str = "", author: str = "", comment: str = ""
) -> PatchID:
    return PatchID(
        store.insert(
            "INSERT INTO patches (level, body, subdir, author, comment) VALUES (?, ?, ?, ?, ?)",
            level,
            body,
            subdir,
            author,
            store.hide(comment),
        )
    )


def get(store: Queries, id: SourceStampID) -> SourceStamp | None:
    return store.first(SourceStamp, f"SELECT {COLUMNS} FROM source_stamps AS s WHERE s.id = ?", id)


def patch(store: Queries, id: PatchID) -> Patch | None:
    return store.first(Patch, "SELECT id, level, body, subdir, author, comment FROM patches WHERE id = ?", id)


def of_buildset(store: Queries, id: BuildsetID) -> list[SourceStamp]:
    """One a codebase, in the order in which they were submitted."""
    return store.all(
        SourceStamp,
        f"SELECT {COLUMNS} FROM buildset_source_stamps AS b JOIN source_stamps AS s ON s.id = b.source_stamp_id "
        "WHERE b.buildset_id = ? ORDER BY s.id",
        id,
    )


# of several stamps for one codebase, the one that is built: that with the newest change, or else the newest request's
NEWEST_FIRST = (
    "(SELECT max(change_id) FROM source_stamp_changes WHERE source_stamp_id = bs.source_stamp_id) DESC NULLS LAST, "
    "r.id DESC"
)


def of_build(store: Queries, id: BuildID) -> list[SourceStamp]:
    """What the build checks out, one stamp a codebase: of all that its requests name, the newest."""
    return store.all(
        SourceStamp,
        f"SELECT {COLUMNS} FROM (SELECT bs.source_stamp_id AS id, row_number() OVER ("
        f"PARTITION BY st.codebase ORDER BY {NEWEST_FIRST}) AS place "
        "FROM build_requests_of_builds AS m JOIN build_requests AS r ON r.id = m.request_id "
        "JOIN buildset_source_stamps AS bs ON bs.buildset_id = r.buildset_id "
        "JOIN source_stamps AS st ON st.id = bs.source_stamp_id WHERE m.build_id = ?) AS chosen "
        "JOIN source_stamps AS s ON s.id = chosen.id WHERE chosen.place = 1 ORDER BY s.id",
        id,
    )
