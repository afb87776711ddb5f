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


class SourceStampView:
    """One codebase of a build: where its source is, and which revision."""

    def __init__(
        self, stamp: model.SourceStamp, changes: Sequence[UserChange], patch: model.Patch | None = None
    ) -> None:
        self.ssid = int(stamp.id)
        self.codebase = stamp.codebase
        self.repository = stamp.repository
        self.project = stamp.project
        self.branch = stamp.branch
        self.revision = stamp.revision
        self.changes = list(changes)
        self.patch: PatchView | None = None
        if patch is not None:
            self.patch = PatchView(patch.level, patch.body, patch.subdir, patch.author, patch.comment)

    @property
    def patch_info(self) -> tuple[str, str] | None:
        return None if self.patch is None else (self.patch.author, self.patch.comment)

    def asDict(self) -> dict[str, Any]:
        names = "ssid codebase repository project branch revision changes patch"
        return {name: getattr(self, name) for name in names.split()}
