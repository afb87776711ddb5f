"""What a scheduler is told to build, before it is in the store: a stamp for each codebase, with defaults filled in."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildbot.model import JSON, ChangeID, PatchID, SourceStampID
from buildbot.store import Store, changes, sourcestamps
from buildbot.store.store import Queries


class NewPatch(NamedTuple):
    """A patch that is not in the store yet."""

    body: bytes
    level: int = 1
    subdir: str = ""
    author: str = ""
    comment: str = ""


class Stamp(NamedTuple):
    """What to build of one codebase. A field that is None was not said, unless the stamp is `whole`."""

    codebase: str = ""
    repository: str | None = None
    project: str | None = None
    branch: str | None = None
    revision: str | None = None
    patch: PatchID | NewPatch | None = None
    changes: tuple[ChangeID, ...] = ()
    whole: bool = False  # nothing of it is left to the scheduler's defaults


def with_defaults(codebases: Mapping[str, Mapping[str, Any]], given: Sequence[Stamp]) -> list[Stamp]:
    """One stamp for each codebase of a scheduler, and for each other one that is given.

    The unnamed codebase, which a scheduler has that names none, is left out when others are given.
    """
    told = {stamp.codebase: stamp for stamp in given}
    wanted = dict.fromkeys([*codebases, *told])
    if told and "" not in told and not codebases.get(""):
        wanted.pop("", None)
    return [_filled(told.get(codebase, Stamp(codebase)), codebases.get(codebase, {})) for codebase in wanted]


def _filled(stamp: Stamp, defaults: Mapping[str, Any]) -> Stamp:
    if stamp.whole:
        return stamp
    return stamp._replace(**{name: value for name, value in defaults.items() if getattr(stamp, name) is None})


def add(store: Store, stamp: Stamp, now: float) -> SourceStampID:
    """Store it. A patch that is new is stored as well."""
    patch = sourcestamps.add_patch(store, *stamp.patch) if isinstance(stamp.patch, NewPatch) else stamp.patch
    return sourcestamps.add(
        store,
        codebase=stamp.codebase,
        repository=stamp.repository or "",
        project=stamp.project or "",
        branch=stamp.branch,
        revision=stamp.revision,
        patch_id=patch,
        changes=changes.known(store, stamp.changes),
        now=now,
    )


def of_buildset(store: Queries, buildset: Any) -> list[SourceStampID]:
    return [stamp.id for stamp in sourcestamps.of_buildset(store, buildset)]


# -- as plain data, for what a scheduler must remember


def as_data(store: Queries, stamp: Stamp) -> JSON:
    """The stamp with its whole patch, so that nothing but this is needed to build it later."""
    told = stamp._asdict()
    patch = stamp.patch
    if isinstance(patch, int):
        found = sourcestamps.patch(store, patch)
        patch = None if found is None else NewPatch(found.body, found.level, found.subdir, found.author, found.comment)
    told["patch"] = None if patch is None else [base64.b64encode(patch.body).decode(), *patch[1:]]
    return told


def from_data(data: Any) -> Stamp:
    patch = data["patch"]
    if patch is not None:
        patch = NewPatch(base64.b64decode(patch[0]), *patch[1:])
    return Stamp(**{**data, "patch": patch, "changes": tuple(data["changes"])})
