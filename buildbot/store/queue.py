"""Every SQL statement about the queue as assigning sees it: what comes next, and what each request asks for.

Every one of them is bounded by the number of builders asked about or by a limit, whatever the length of the queue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildbot.model import BuilderID, BuildRequest, BuildRequestID, PatchID, Result
from buildbot.store import pauses, requests
from buildbot.store.pauses import Pause
from buildbot.store.store import Queries

_OPEN = "claimed_at IS NULL AND complete_at IS NULL AND parked_reason IS NULL"


def heads(
    store: Queries, builders: Sequence[BuilderID], *, only_children: bool = False
) -> dict[BuilderID, BuildRequest]:
    """The request that each of these builders builds next; builders for which none waits are left out.

    only_children: of those for which a running build waits.
    """
    wanted = f"{_OPEN} AND {requests.CHILD}" if only_children else _OPEN
    found = store.all(
        requests.row,
        f"SELECT {requests.COLUMNS} FROM json_each(?) AS w JOIN build_requests AS r ON r.id = ("
        f"SELECT id FROM build_requests WHERE builder_id = w.value AND {wanted} "
        "ORDER BY priority DESC, submitted_at, id LIMIT 1)",
        json.dumps(list(builders)),
    )
    return {request.builder_id: request for request in found}


class First(NamedTuple):
    """The next request of a builder."""

    builder: str
    id: BuildRequestID
    priority: int
    submitted_at: float


def first_of(store: Queries, builders: Sequence[str], limit: int) -> list[First]:
    """The next requests of builders that are named, one of each; the highest priority first, then the oldest."""
    return store.all(
        First,
        "SELECT br.name, r.id, r.priority, r.submitted_at FROM json_each(?) AS w "
        "JOIN builders AS br ON br.name = w.value JOIN build_requests AS r ON r.id = ("
        f"SELECT id FROM build_requests WHERE builder_id = br.id AND {_OPEN} "
        "ORDER BY priority DESC, submitted_at, id LIMIT 1) ORDER BY r.priority DESC, r.submitted_at, r.id LIMIT ?",
        json.dumps(list(builders)),
        limit,
    )


class AskedSource(NamedTuple):
    """The source that a request names for one codebase. changed: 1 when it was made of changes."""

    codebase: str
    repository: str
    project: str
    branch: str | None
    revision: str | None
    patch_id: PatchID | None
    changed: int


class Asked(NamedTuple):
    """What a request asks for, as far as it matters for whether one build may serve two. `properties` is JSON."""

    request: BuildRequest
    reason: str
    properties: str
    sources: tuple[AskedSource, ...]


def _asked(reason: str, properties: str, sources: str, *request: object) -> Asked:
    stamps = [AskedSource(*stamp) for stamp in json.loads(sources)]
    return Asked(requests.row(*request), reason, properties, tuple(sorted(stamps, key=lambda s: s.codebase)))  # type: ignore[arg-type]


_ASKED = (
    "SELECT s.reason, (SELECT json_group_object(name, json(value)) FROM buildset_properties "
    "WHERE buildset_id = r.buildset_id), (SELECT json_group_array(json_array(st.codebase, st.repository, st.project, "
    "st.branch, st.revision, st.patch_id, EXISTS (SELECT 1 FROM source_stamp_changes WHERE source_stamp_id = st.id))) "
    "FROM buildset_source_stamps AS bs JOIN source_stamps AS st ON st.id = bs.source_stamp_id "
    f"WHERE bs.buildset_id = r.buildset_id), {requests.COLUMNS} "
    "FROM build_requests AS r JOIN buildsets AS s ON s.id = r.buildset_id "
)


def asked(store: Queries, id: BuildRequestID) -> Asked | None:
    """What this request asks for."""
    return store.first(_asked, f"{_ASKED} WHERE r.id = ?", id)


def asked_of_builder(store: Queries, builder: BuilderID, limit: int) -> list[Asked]:
    """What the next requests of a builder ask for, in the order in which they are to be built."""
    return store.all(
        _asked,
        f"{_ASKED} WHERE r.builder_id = ? AND r.claimed_at IS NULL AND r.complete_at IS NULL "
        "AND r.parked_reason IS NULL ORDER BY r.priority DESC, r.submitted_at, r.id LIMIT ?",
        builder,
        limit,
    )


class Running(NamedTuple):
    """A build that runs, and (seconds, result) of its builder's last ones."""

    builder: str
    number: int
    slave: str | None
    started_at: float
    earlier: tuple[tuple[float, Result], ...]


class SlaveNow(NamedTuple):
    """Whether a slave is here, and who has paused it."""

    connected_at: float | None
    lost_at: float | None
    pause: Pause | None


class Line(NamedTuple):
    """What one builder's requests have in common: who paused it, (seconds, result) of its last builds, and the first
    of those that wait in the order in which they are built: (request, priority)."""

    pause: Pause | None
    earlier: tuple[tuple[float, Result], ...]
    first: tuple[tuple[BuildRequestID, int], ...]


class Situation(NamedTuple):
    """All that decides on when the next builds of some builders begin. heads: the next requests of the rivals that
    nobody has paused, by name."""

    running: tuple[Running, ...]
    slaves: dict[str, SlaveNow]
    heads: tuple[tuple[str, BuildRequestID, int, float], ...]  # builder, request, priority, submitted_at
    lines: dict[str, Line]


_EARLIER = (
    "(SELECT json_group_array(json_array(complete_at - started_at, result)) FROM builds WHERE id IN ("
    "SELECT id FROM builds WHERE builder_id = {} AND complete_at IS NOT NULL ORDER BY number DESC LIMIT 5))"
)
_PAUSE = "iif(p.kind IS NULL, NULL, json_array(p.kind, p.name, p.graceful, p.paused_at, p.who, p.why))"


def situation(
    store: Queries,
    builders: Sequence[str],
    slaves: Sequence[str],
    rivals: Sequence[str],
    *,
    limit: int = 1000,
    line: int = 1000,
) -> Situation:
    """What the requests of these builders wait for: their slaves and what runs on them, and who else wants them.

    One statement; at most `limit` running builds and rivals are looked at, and `line` requests of each builder.
    """
    return store.one(
        _situation,
        "SELECT (SELECT json_group_array(json_array(br.name, b.number, sl.name, b.started_at, json("
        + _EARLIER.format("b.builder_id")
        + "))) FROM (SELECT b.builder_id, b.number, b.slave_id, b.started_at FROM builds AS b "
        "JOIN builders AS r ON r.id = b.builder_id LEFT JOIN slaves AS s ON s.id = b.slave_id "
        "WHERE b.complete_at IS NULL AND (r.name IN (SELECT value FROM json_each(?1)) "
        "OR s.name IN (SELECT value FROM json_each(?2))) ORDER BY b.id LIMIT ?4) AS b "
        "JOIN builders AS br ON br.id = b.builder_id LEFT JOIN slaves AS sl ON sl.id = b.slave_id), "
        f"(SELECT json_group_array(json_array(sl.name, sl.connected_at, sl.lost_at, {_PAUSE})) FROM json_each(?2) AS w "
        "JOIN slaves AS sl ON sl.name = w.value LEFT JOIN pauses AS p ON p.kind = 'slave' AND p.name = sl.name), "
        "(SELECT json_group_array(json_array(br.name, r.id, r.priority, r.submitted_at)) "
        "FROM (SELECT value FROM json_each(?3) LIMIT ?4) AS w JOIN builders AS br ON br.name = w.value "
        "JOIN build_requests AS r ON r.id = (SELECT id FROM build_requests WHERE builder_id = br.id "
        f"AND {_OPEN} ORDER BY priority DESC, submitted_at, id LIMIT 1) "
        "WHERE NOT EXISTS (SELECT 1 FROM pauses WHERE kind = 'builder' AND name = br.name)), "
        f"(SELECT json_group_array(json_array(br.name, {_PAUSE}, json({_EARLIER.format('br.id')}), "
        "(SELECT json_group_array(json_array(id, priority)) FROM (SELECT id, priority FROM build_requests "
        f"WHERE builder_id = br.id AND {_OPEN} ORDER BY priority DESC, submitted_at, id LIMIT ?5)))) "
        "FROM json_each(?1) AS w JOIN builders AS br ON br.name = w.value "
        "LEFT JOIN pauses AS p ON p.kind = 'builder' AND p.name = br.name)",
        json.dumps(list(builders)),
        json.dumps(list(slaves)),
        json.dumps(list(rivals)),
        limit,
        line,
    )


def _situation(running: str, slaves: str, heads: str, lines: str) -> Situation:
    return Situation(
        tuple(Running(name, number, on, at, _ended(ended)) for name, number, on, at, ended in json.loads(running)),
        {name: SlaveNow(here, lost, _pause(why)) for name, here, lost, why in json.loads(slaves)},
        tuple((builder, BuildRequestID(id), priority, at) for builder, id, priority, at in json.loads(heads)),
        {
            name: Line(_pause(pause), _ended(earlier), tuple((BuildRequestID(id), priority) for id, priority in first))
            for name, pause, earlier, first in json.loads(lines)
        },
    )


def _ended(pairs: list[list[Any]]) -> tuple[tuple[float, Result], ...]:
    return tuple((seconds, Result(result)) for seconds, result in pairs)


def _pause(given: Any) -> Pause | None:
    if given is None:
        return None
    return pauses.row(*(json.loads(given) if isinstance(given, str) else given))
