"""What is built, as steps, renderables and users' functions see it: source stamps as plain objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from buildbot import model
from buildbot.process.userchange import UserChange


class PatchView(NamedTuple):
    """A patch as (level, body, subdir), with who sent it."""

    level: int
    body: bytes
    subdir: str
    author: str
    comment: str


class SourceStamp:
    """What to build of one codebase: for Trigger(sourceStamps=[...]), or to compare with.

    branch, revision, repository, project, codebase: strings; what is not given is as the triggered scheduler's
    `codebases` say. patch: (level, body) or (level, body, subdir). patch_info: (author, comment). changes: a list;
    they count for `canBeMergedWith` alone.
    """

    def __init__(
        self,
        branch: str | None = None,
        revision: str | None = None,
        patch: Sequence[Any] | None = None,
        changes: Sequence[Any] | None = None,
        *,
        patch_info: tuple[str, str] | None = None,
        project: str = "",
        repository: str = "",
        codebase: str = "",
    ) -> None:
        self.ssid: int | None = None
        self.codebase = codebase
        self.repository = repository
        self.project = project
        self.branch = branch
        self.revision = None if revision is None else str(revision)
        self.changes: list[Any] = list(changes or ())
        self.patch: PatchView | None = None
        if patch is not None:
            level, body, *subdir = patch
            data = body if isinstance(body, bytes) else str(body).encode()
            self.patch = PatchView(int(level), data, subdir[0] if subdir else "", *(patch_info or ("", "")))

    @property
    def patch_info(self) -> tuple[str, str] | None:
        return None if self.patch is None else (self.patch.author, self.patch.comment)

    def canBeMergedWith(self, other: SourceStamp) -> bool:
        """Whether one build may serve both: the same codebase, repository, project and branch, no patch, and either
        both were made of changes or they name the same revision."""
        names = ("codebase", "repository", "project", "branch")
        if self.patch or other.patch or any(getattr(self, name) != getattr(other, name) for name in names):
            return False
        return bool(self.changes and other.changes) or self.revision == other.revision

    def asDict(self) -> dict[str, Any]:
        names = "ssid codebase repository project branch revision changes patch"
        return {name: getattr(self, name) for name in names.split()}


class SourceStampView(SourceStamp):
    """One codebase of a build: where its source is, and which revision."""

    def __init__(
        self, stamp: model.SourceStamp, changes: Sequence[UserChange], patch: model.Patch | None = None
    ) -> None:
        super().__init__(
            stamp.branch,
            stamp.revision,
            None if patch is None else (patch.level, patch.body, patch.subdir),
            changes,
            patch_info=None if patch is None else (patch.author, patch.comment),
            project=stamp.project,
            repository=stamp.repository,
            codebase=stamp.codebase,
        )
        self.ssid = int(stamp.id)
