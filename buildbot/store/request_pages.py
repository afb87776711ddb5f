"""Every SQL statement that only the page of a build request asks."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import (
    Build,
    Builder,
    BuildRequest,
    BuildRequestID,
    BuildsetID,
    Change,
    Result,
)
from buildbot.store import builders, builds, changes, requests
from buildbot.store.store import Queries

MOST = 100


class AboutRequest(NamedTuple):
    """A request, its builder, and the buildset that it is part of."""

    request: BuildRequest
    builder: Builder
    reason: str
    scheduler: str | None
    external_id: str | None
    parent_builder: str | None  # of the build that triggered it
    parent_number: int | None


def about(store: Queries, id: BuildRequestID) -> AboutRequest | None:
    found = requests.get(store, id)
    builder = None if found is None else builders.get(store, found.builder_id)
    if found is None or builder is None:
        return None

    def make(
        reason: str, scheduler: str | None, external_id: str | None, parent: str | None, number: int | None
    ) -> AboutRequest:
        return AboutRequest(found, builder, reason, scheduler, external_id, parent, number)

    return store.first(
        make,
        "SELECT s.reason, s.scheduler, s.external_id, br.name, p.number FROM buildsets AS s "
        "LEFT JOIN builds AS p ON p.id = s.parent_build_id LEFT JOIN builders AS br ON br.id = p.builder_id "
        "WHERE s.id = ?",
        found.buildset_id,
    )


class BuildOfRequest(NamedTuple):
    """A build that worked on a request. because: why it was merged into a build that was made for another one."""

    build: Build
    slave: str | None
    because: str | None
    made_for: BuildRequestID | None
    requests: int


def builds_of(store: Queries, id: BuildRequestID) -> list[BuildOfRequest]:
    """The newest first: several after RETRY."""

    def make(
        slave: str | None, because: str | None, made_for: BuildRequestID | None, count: int, *row: object
    ) -> BuildOfRequest:
        return BuildOfRequest(builds.row(*row), slave, because, made_for, count)  # type: ignore[arg-type]

    return store.all(
        make,
        "SELECT sl.name, m.merged_because, (SELECT request_id FROM build_requests_of_builds WHERE build_id = b.id "
        "AND merged_because IS NULL LIMIT 1), (SELECT count(*) FROM build_requests_of_builds WHERE build_id = b.id), "
        f"{builds.COLUMNS} FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
        "LEFT JOIN slaves AS sl ON sl.id = b.slave_id WHERE m.request_id = ? ORDER BY b.id DESC LIMIT ?",
        id,
        MOST,
    )


class Sibling(NamedTuple):
    """Another request of the same buildset."""

    id: BuildRequestID
    builder: str
    result: Result | None
    claimed: bool


def siblings(store: Queries, buildset: BuildsetID, id: BuildRequestID) -> list[Sibling]:
    return store.all(
        lambda id, builder, result, claimed: Sibling(
            id, builder, None if result is None else Result(result), bool(claimed)
        ),
        "SELECT r.id, br.name, r.result, r.claimed_at IS NOT NULL FROM build_requests AS r "
        "JOIN builders AS br ON br.id = r.builder_id WHERE r.buildset_id = ? AND r.id != ? ORDER BY r.id LIMIT ?",
        buildset,
        id,
        MOST,
    )


def changes_of(store: Queries, buildset: BuildsetID) -> list[Change]:
    """The newest of its changes, newest first: one more than `MOST` at most."""
    return store.all(
        Change,
        f"SELECT DISTINCT {changes.COLUMNS} FROM buildset_source_stamps AS b "
        "JOIN source_stamp_changes AS s ON s.source_stamp_id = b.source_stamp_id "
        "JOIN changes ON changes.id = s.change_id WHERE b.buildset_id = ? ORDER BY changes.id DESC LIMIT ?",
        buildset,
        MOST + 1,
    )
