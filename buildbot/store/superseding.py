"""Every SQL statement about requests that others make needless: newer ones of the same branch, failed siblings."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import BuilderID, BuildRequestID, BuildsetID, SourceStampID
from buildbot.store.store import Queries


class OpenStamp(NamedTuple):
    """One source stamp of an open request; a request with several codebases has several."""

    request: BuildRequestID
    buildset: BuildsetID
    stamp: SourceStampID
    codebase: str
    repository: str
    project: str
    branch: str | None
    revision: str | None
    newest_change: int | None  # of the changes that led to it; None: it was not made by a change


_STAMPS = (
    "SELECT r.id, r.buildset_id, s.id, s.codebase, s.repository, s.project, s.branch, s.revision, "
    "(SELECT max(change_id) FROM source_stamp_changes WHERE source_stamp_id = s.id) FROM build_requests AS r "
    "JOIN buildset_source_stamps AS bs ON bs.buildset_id = r.buildset_id JOIN source_stamps AS s "
    "ON s.id = bs.source_stamp_id "
)


def stamps_of_buildset(store: Queries, buildset: BuildsetID) -> list[tuple[BuilderID, OpenStamp]]:
    """The stamps of each open request of a buildset, with the request's builder."""
    return store.all(
        lambda builder, *row: (BuilderID(builder), OpenStamp(*row)),
        _STAMPS.replace("SELECT ", "SELECT r.builder_id, ", 1)
        + "WHERE r.buildset_id = ? AND r.complete_at IS NULL ORDER BY r.id, s.id",
        buildset,
    )


def older_open(
    store: Queries, builder: BuilderID, before: BuildRequestID, after: BuildRequestID, limit: int
) -> list[BuildRequestID]:
    """Some open requests of a builder, waiting or running, with ids between these two."""
    return store.column(
        "SELECT id FROM (SELECT id FROM build_requests INDEXED BY build_requests_pending WHERE builder_id = ?1 "
        "AND claimed_at IS NULL AND complete_at IS NULL UNION SELECT m.request_id FROM builds AS b "
        "JOIN build_requests_of_builds AS m ON m.build_id = b.id WHERE b.builder_id = ?1 AND b.complete_at IS NULL) "
        "WHERE id < ?2 AND id > ?3 ORDER BY id LIMIT ?4",
        builder,
        before,
        after,
        limit,
    )


def stamps_of_request(store: Queries, request: BuildRequestID) -> list[OpenStamp]:
    """The stamps of a request, one a codebase."""
    return store.all(OpenStamp, f"{_STAMPS} WHERE r.id = ? ORDER BY s.id", request)


def open_siblings(
    store: Queries, buildset: BuildsetID, after: BuildRequestID, limit: int
) -> list[tuple[BuildRequestID, str]]:
    """The open requests of a buildset after this one, each with the name of its builder."""
    return store.all(
        lambda id, name: (BuildRequestID(id), name),
        "SELECT r.id, b.name FROM build_requests AS r JOIN builders AS b ON b.id = r.builder_id "
        "WHERE r.buildset_id = ? AND r.complete_at IS NULL AND r.id > ? ORDER BY r.id LIMIT ?",
        buildset,
        after,
        limit,
    )
