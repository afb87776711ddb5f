"""Which requests one build may serve together, so that none of them is built for nothing.

A build that starts takes along what is compatible with the request that it is made for. At most `MOST_COMPARED` of the
requests that wait for its builder are looked at (a function of the user's: `MOST_ASKED`), in the order of the queue,
and at most `MOST_MERGED` are taken, so a start costs the same however many wait; the rest goes into the next build.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import Parameter, signature
from typing import Any

from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildRequestID
from buildbot.store.queue import Asked, AskedSource

MOST_COMPARED = 500
MOST_ASKED = 100
MOST_MERGED = 200

Judge = Callable[[Asked], Awaitable[str | None]]  # why another request is built along; None: it is not


def why_compatible(one: Asked, other: Asked) -> str | None:
    """In words why one build may serve both requests; None when it may not.

    They must be given the same properties, and for each codebase the same repository, project and branch, and either
    both were made of changes (the newest is built, and everybody's changes are in it) or they name the same revision.
    What has a patch, and what a running build waits for, is built by itself.
    """
    if one.request.waited_for or other.request.waited_for or one.properties != other.properties:
        return None
    pairs = list(zip(one.sources, other.sources, strict=False))
    if len(one.sources) != len(other.sources) or not all(_fit(mine, yours) for mine, yours in pairs):
        return None
    if any(mine.revision != yours.revision for mine, yours in pairs):
        return "both were made of changes on the same branch; the newest is built"
    return "both ask for the same source"


def _fit(mine: AskedSource, yours: AskedSource) -> bool:
    if mine[:4] != yours[:4] or mine.patch_id is not None or yours.patch_id is not None:
        return False
    return bool(mine.changed and yours.changed) or mine.revision == yours.revision


def same_patches(one: Asked, other: Asked) -> bool:
    """Whether both bring the same patches: a build can apply but one a codebase, whatever a user's function says."""
    return _patches(one) == _patches(other)


def _patches(asked: Asked) -> dict[str, int]:
    return {source.codebase: source.patch_id for source in asked.sources if source.patch_id is not None}


def rule_for(builder: BuilderConfig, everywhere: Any) -> tuple[Any, str]:
    """What the configuration says of merging for this builder, and where it says so. everywhere: its other keys."""
    for where, option in (
        (f"builder {builder.name}", builder.mergeRequests),
        (f"builder {builder.name}", builder.collapseRequests),
        ("master.cfg", everywhere.get("mergeRequests")),
        ("master.cfg", everywhere.get("collapseRequests")),
    ):
        if option is not None:
            return option, where
    return True, "the default"


def takes_the_master(function: Callable[..., Any]) -> bool:
    """Whether it is called as (master, builder, one, other), as collapseRequests is, and not (builder, one, other)."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return len([p for p in needed if p.default is Parameter.empty]) > 3


async def merged_with(
    chosen: Asked, others: list[Asked], judge: Judge
) -> dict[BuildRequestID, tuple[str, Asked]]:
    """Those of the others that are built along with the chosen one, each with why."""
    found: dict[BuildRequestID, tuple[str, Asked]] = {}
    for other in others:
        if len(found) == MOST_MERGED:
            break
        if other.request.id != chosen.request.id and same_patches(chosen, other):
            why = await judge(other)
            if why is not None:
                found[other.request.id] = (why, other)
    return found


def reason_of(asked: list[Asked]) -> str:
    """The reason of a build: those of its buildsets, each once."""
    reasons = list(dict.fromkeys(each.reason for each in asked))
    return "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")
