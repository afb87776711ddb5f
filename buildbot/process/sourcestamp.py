"""What is built, as steps, renderables and users' functions see it: source stamps and changes as plain objects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildbot import model


class ChangeView:
    """A stored change under the names that users' functions know: `who`, `files`, `comments`, `when` ..."""

    def __init__(
        self, change: model.Change, files: Sequence[str], properties: Sequence[model.Property] = ()
    ) -> None:
        self.number = self.changeid = int(change.id)
        self.who = self.author = change.author
        self.committer = change.committer
        self.files = list(files)
        self.comments = change.comments
        self.revision = change.revision
        self.branch = change.branch
        self.category = change.category
        self.revlink = change.revlink
        self.repository = change.repository
        self.project = change.project
        self.codebase = change.codebase
        self.when = change.committed_at if change.committed_at is not None else change.arrived_at
        self.arrived_at = change.arrived_at
        self.links: list[str] = []
        self.isdir = 0
        self.properties = {p.name: p.value for p in properties}

    def getShortAuthor(self) -> str:
        """The author's name without the address."""
        return self.who.split("<")[0].strip() or self.who

    def getTime(self) -> str:
        return time.strftime("%a %d %b %Y %H:%M:%S", time.localtime(self.when))

    def getTimes(self) -> tuple[float, None]:
        return (self.when, None)

    def getText(self) -> list[str]:
        return [self.getShortAuthor()]

    def getFileContents(self) -> str:
        return "\n".join(self.files)

    def asText(self) -> str:
        """The whole change as a few lines of text."""
        lines = [f"Files:    {' '.join(self.files)}"] if self.files else []
        for label, value in (
            ("Repository", self.repository),
            ("Project", self.project),
            ("Branch", self.branch),
            ("Revision", self.revision),
        ):
            if value:
                lines.append(f"{label + ':':<10}{value}")
        return "\n".join([f"By:       {self.who}", f"At:       {self.getTime()}", *lines, "Comments:", self.comments])

    def asDict(self) -> dict[str, Any]:
        names = "number who files comments revision branch category revlink repository project codebase when properties"
        return {name: getattr(self, name) for name in names.split()}


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
        self, stamp: model.SourceStamp, changes: Sequence[ChangeView], patch: model.Patch | None = None
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
