"""Every SQL statement about builds: one row from start to finish, and the ways to find it again."""

from __future__ import annotations

from collections.abc import Sequence

from buildbot.model import (
    Build,
    BuilderID,
    BuildID,
    BuildRequestID,
    EventKind,
    Result,
    SlaveID,
)
from buildbot.store import builders, buildsets, events, requests
from buildbot.store.store import Queries, Store

COLUMNS = (
    "b.id, b.builder_id, b.number, b.slave_id, b.started_at, b.complete_at, b.result, b.state_text, b.reason, "
    "b.attempt, b.stop_reason, b.stop_result"
)


def row(
    id: int,
    builder_id: int,
    number: int,
    slave_id: int | None,
    started_at: float,
    complete_at: float | None,
    result: int | None,
    state_text: str,
    reason: str,
    attempt: int,
    stop_reason: str | None,
    stop_result: int | None,
) -> Build:
    return Build(
        BuildID(id),
        BuilderID(builder_id),
        number,
        None if slave_id is None else SlaveID(slave_id),
        started_at,
        complete_at,
        None if result is None else Result(result),
        state_text,
        reason,
        attempt,
        stop_reason,
        None if stop_result is None else Result(stop_result),
    )


def start(
    store: Store, *, builder: BuilderID, slave: SlaveID, claimed: Sequence[BuildRequestID], reason: str, now: float
) -> Build:
    """Claim the requests and make the build, in one transaction. Raises requests.AlreadyClaimed."""
    attempt = 1
    for request in claimed:
        requests.claim(store, request, now)
        earlier = store.value("SELECT count(*) FROM build_requests_of_builds WHERE request_id = ?", request)
        attempt = max(attempt, 1 + int(earlier))
    number = builders.take_number(store, builder)
    text = "building"
    id = store.insert(
        "INSERT INTO builds (builder_id, number, slave_id, started_at, state_text, reason, attempt) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        builder,
        number,
        slave,
        now,
        text,
        reason,
        attempt,
    )
    store.execute_many(
        "INSERT INTO build_requests_of_builds (build_id, request_id) VALUES (?, ?)",
        [(id, request) for request in claimed],
    )
    events.add(store, now, EventKind.BUILD_STARTED, id, builder_id=builder, number=number, slave_id=slave)
    return Build(BuildID(id), builder, number, slave, now, None, None, text, reason, attempt)


def finish(store: Store, id: BuildID, result: Result, text: str, now: float, *, counts: bool = True) -> bool:
    """End a running build and settle its requests: complete, or back in the queue when it ended as RETRY.

    counts: whether a RETRY is one of the few that a request has; see `requests.put_back`.
    """
    changed = store.execute(
        "UPDATE builds SET complete_at = ?, result = ?, state_text = ? WHERE id = ? AND complete_at IS NULL",
        now,
        result,
        text,
        id,
    )
    if not changed:
        return False
    for request in requests.of_build(store, id):
        if result is Result.RETRY:
            requests.put_back(store, request.id, now, text, counts=counts)
        elif requests.complete(store, request.id, result, now):
            buildsets.complete_if_done(store, request.buildset_id, now)
    build = get(store, id)
    assert build is not None
    events.add(
        store,
        now,
        EventKind.BUILD_FINISHED,
        id,
        builder_id=build.builder_id,
        number=build.number,
        result=result,
        text=text,
    )
    return True


def set_text(store: Store, id: BuildID, text: str) -> None:
    store.execute("UPDATE builds SET state_text = ? WHERE id = ? AND complete_at IS NULL", text, id)


def get(store: Queries, id: BuildID) -> Build | None:
    return store.first(row, f"SELECT {COLUMNS} FROM builds AS b WHERE b.id = ?", id)


def by_number(store: Queries, builder: BuilderID, number: int) -> Build | None:
    """A build by its number; negative numbers count from the newest (-1)."""
    if number < 0:
        return store.first(
            row,
            f"SELECT {COLUMNS} FROM builds AS b WHERE b.builder_id = ? ORDER BY b.number DESC LIMIT 1 OFFSET ?",
            builder,
            -number - 1,
        )
    return store.first(
        row, f"SELECT {COLUMNS} FROM builds AS b WHERE b.builder_id = ? AND b.number = ?", builder, number
    )


def newest(store: Queries, builder: BuilderID, limit: int = 20, before: int | None = None) -> list[Build]:
    """The newest builds of a builder, newest first; with `before`, those with a smaller number."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM builds AS b WHERE b.builder_id = ? AND b.number < ? ORDER BY b.number DESC LIMIT ?",
        builder,
        (1 << 62) if before is None else before,
        limit,
    )


def running(store: Queries) -> list[Build]:
    """All builds that are not finished, oldest first."""
    return store.all(row, f"SELECT {COLUMNS} FROM builds AS b WHERE b.complete_at IS NULL ORDER BY b.id")


def before(store: Queries, build: Build) -> Build | None:
    """The finished build of the same builder that came before this one."""
    return store.first(
        row,
        f"SELECT {COLUMNS} FROM builds AS b WHERE b.builder_id = ? AND b.number < ? AND b.complete_at IS NOT NULL "
        "ORDER BY b.number DESC LIMIT 1",
        build.builder_id,
        build.number,
    )


def of_request(store: Queries, request: BuildRequestID) -> list[Build]:
    """The builds that worked on a request: several after RETRY."""
    return store.all(
        row,
        f"SELECT {COLUMNS} FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
        "WHERE m.request_id = ? ORDER BY b.id",
        request,
    )


def runs_on(store: Queries, slave: SlaveID) -> bool:
    """Whether a build that is not finished was given to this slave."""
    return bool(store.value("SELECT 1 FROM builds WHERE complete_at IS NULL AND slave_id = ? LIMIT 1", slave))
