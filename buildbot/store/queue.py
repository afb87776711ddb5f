"""Every SQL statement about the queue as assigning sees it: what comes next, and what each request asks for.

Every one of them is bounded by the number of builders asked about or by a limit, whatever the length of the queue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from buildbot.model import BuilderID, BuildRequest, BuildRequestID, PatchID
from buildbot.store import requests
from buildbot.store.store import Queries

_OPEN = "claimed_at IS NULL AND complete_at IS NULL AND parked_reason IS NULL"


def heads(store: Queries, builders: Sequence[BuilderID]) -> dict[BuilderID, BuildRequest]:
    """The request that each of these builders builds next; builders for which none waits are left out."""
    found = store.all(
        requests.row,
        f"SELECT {requests.COLUMNS} FROM json_each(?) AS w JOIN build_requests AS r ON r.id = ("
        f"SELECT id FROM build_requests WHERE builder_id = w.value AND {_OPEN} "
        "ORDER BY priority DESC, submitted_at, id LIMIT 1)",
        json.dumps(list(builders)),
    )
    return {request.builder_id: request for request in found}


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
