"""Every SQL statement about builds: one row from start to finish, and the ways to find it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count

from buildbot.model import (
    Build,
    Builder,
    BuilderID,
    BuildID,
    BuildRequestID,
    BuildsetID,
    EventKind,
    Result,
    SlaveID,
)
from buildbot.store import builders, buildsets, events, requests
from buildbot.store.store import Queries, Store

COLUMNS = (
    "b.id, b.builder_id, b.number, b.slave_id, b.started_at, b.complete_at, b.result, b.state_text, b.reason, "
    "b.attempt, b.stop_reason, b.stop_result, b.stop_step, b.slot"
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
    stop_step: int | None,
    slot: int,
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
        stop_step,
        slot,
    )


def start(
    store: Store,
    *,
    builder: BuilderID,
    slave: SlaveID,
    claimed: Sequence[BuildRequestID],
    reason: str,
    now: float,
    because: Mapping[BuildRequestID, str] | None = None,
    recipe: Sequence[str] = (),
) -> Build:
    """Claim the requests and make the build, in one transaction. Raises requests.AlreadyClaimed.

    claimed: the request that it is made for, then those that are merged into it. because: why each of those is.
    recipe: the digests of what it will run, for a master that goes on with it after a restart.
    """
    first, *others = claimed
    merged = {request: (because or {}).get(request, "") for request in others}
    earlier = store.value(
        "SELECT coalesce(max((SELECT count(*) FROM build_requests_of_builds WHERE request_id = value)), 0) "
        "FROM json_each(?)",
        json.dumps(list(claimed)),
    )
    number = builders.take_number(store, builder)
    slot = _free_slot(store, builder, slave)
    text, attempt = "building", 1 + int(earlier)
    id = store.insert(
        "INSERT INTO builds (builder_id, number, slave_id, started_at, state_text, reason, attempt, slot, recipe) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        builder,
        number,
        slave,
        now,
        text,
        store.hide(reason),
        attempt,
        slot,
        json.dumps(list(recipe)),
    )
    requests.claim(store, first, now, merged, build_id=id)
    store.execute_many(
        "INSERT INTO build_requests_of_builds (build_id, request_id, merged_because) VALUES (?, ?, ?)",
        [(id, request, merged.get(request)) for request in claimed],
    )
    events.add(store, now, EventKind.BUILD_STARTED, id, builder_id=builder, number=number, slave_id=slave)
    return Build(BuildID(id), builder, number, slave, now, None, None, text, reason, attempt, slot=slot)


def _free_slot(store: Queries, builder: BuilderID, slave: SlaveID) -> int:
    """The first of the builder's directories on this slave in which none of its builds runs."""
    taken = store.column(
        "SELECT slot FROM builds WHERE builder_id = ? AND complete_at IS NULL AND slave_id = ?", builder, slave
    )
    return next(slot for slot in count(1) if slot not in taken)


def finish(store: Store, id: BuildID, result: Result, text: str, now: float, *, counts: bool = True) -> bool:
    """End a running build and settle its requests: complete, or back in the queue when it ended as RETRY.

    What it still waits for is cancelled (`running_orphans` are the builds of it that run). A request whose own parent
    build has ended is not put back: nobody waits for it any more.
    counts: whether a RETRY is one of the few that a request has; see `requests.put_back`.
    """
    text = store.hide(text)
    changed = store.execute(
        "UPDATE builds SET complete_at = ?, result = ?, state_text = ?, recipe = NULL "
        "WHERE id = ? AND complete_at IS NULL",
        now,
        result,
        text,
        id,
    )
    if not changed:
        return False
    for request in requests.of_build(store, id):
        orphan = result is Result.RETRY and requests.is_orphan(store, request)
        if result is Result.RETRY and not orphan:
            requests.put_back(store, request.id, now, text, counts=counts)
        elif requests.complete(store, request.id, Result.CANCELLED if orphan else result, now):
            buildsets.complete_if_done(store, request.buildset_id, now)
    buildsets.cancel_children(store, id, now, "its parent build", "that build has ended")
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


def ask_to_stop(store: Store, id: BuildID, reason: str, result: Result, step: int) -> bool:
    """Write down that somebody wants it to end, so that it does even if the master is restarted. The first one wins.

    step: how many of its steps have ended.
    """
    return bool(
        store.execute(
            "UPDATE builds SET stop_reason = ?, stop_result = ?, stop_step = ? "
            "WHERE id = ? AND complete_at IS NULL AND stop_reason IS NULL",
            store.hide(reason),
            result,
            step,
            id,
        )
    )


def recipe(store: Queries, id: BuildID) -> list[str]:
    """The digests of what a running build was started to run."""
    found: list[str] = json.loads(store.value("SELECT recipe FROM builds WHERE id = ?", id) or "[]")
    return found


def set_text(store: Store, id: BuildID, text: str) -> None:
    store.execute("UPDATE builds SET state_text = ? WHERE id = ? AND complete_at IS NULL", store.hide(text), id)


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


def of_named_builder(store: Queries, name: str, number: int) -> tuple[Builder, Build] | None:
    """The builder of this name and its build, in one statement; the number as in `by_number`."""
    wanted = "ORDER BY b.number DESC LIMIT 1 OFFSET ?" if number < 0 else "AND b.number = ?"
    return store.first(
        lambda *both: (builders.builder_of(*both[:7]), row(*both[7:])),
        f"SELECT {builders.COLUMNS}, {COLUMNS} FROM builders AS br JOIN builds AS b ON b.builder_id = br.id "
        f"WHERE br.name = ? {wanted}",
        name,
        -number - 1 if number < 0 else number,
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


def running_orphans(store: Queries) -> list[tuple[BuildID, BuildID]]:
    """The running builds for which a build waited that is over, as (build, parent)."""
    return store.all(
        lambda build, parent: (BuildID(build), BuildID(parent)),
        "SELECT DISTINCT b.id, p.id FROM builds AS b JOIN build_requests_of_builds AS m ON m.build_id = b.id "
        "JOIN build_requests AS r ON r.id = m.request_id AND r.waited_for = 1 "
        "JOIN buildsets AS s ON s.id = r.buildset_id "
        "JOIN builds AS p ON p.id = s.parent_build_id AND p.complete_at IS NOT NULL "
        "WHERE b.complete_at IS NULL ORDER BY b.id",
    )


def before(store: Queries, build: Build) -> Build | None:
    """The finished build of the same builder that came before this one."""
    return store.first(
        row,
        f"SELECT {COLUMNS} FROM builds AS b WHERE b.builder_id = ? AND b.number < ? AND b.complete_at IS NOT NULL "
        "ORDER BY b.number DESC LIMIT 1",
        build.builder_id,
        build.number,
    )


def of_buildsets(store: Queries, ids: Sequence[BuildsetID], limit: int) -> list[tuple[str, int]]:
    """The builds of these buildsets, as (builder, number), the first started first."""
    return store.all(
        lambda builder, number, _: (str(builder), int(number)),
        "SELECT DISTINCT br.name, b.number, b.id FROM json_each(?) AS w "
        "JOIN build_requests AS r ON r.buildset_id = w.value "
        "JOIN build_requests_of_builds AS m ON m.request_id = r.id JOIN builds AS b ON b.id = m.build_id "
        "JOIN builders AS br ON br.id = b.builder_id ORDER BY b.id LIMIT ?",
        json.dumps(ids),
        limit,
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
