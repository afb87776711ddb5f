"""A change as the callables of a master.cfg know it: with the attribute names of every era of Buildbot."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable
from typing import Any

from buildbot.model import Change, Property
from buildbot.process.properties import Properties

_NAMES = ("number", "who", "comments", "files", "branch", "revision", "repository", "project", "codebase")
_DICT_NAMES = (*_NAMES, "category", "revlink", "when")


class UserChange:
    """What fileIsImportant, change filters and their kind are given. Its items (`change["branch"]`) are its attributes.

    number, changeid: our id. who, author, committer, comments, branch, revision, repository, project, codebase,
    category, revlink: as the source said. files: paths. when: the commit's date, or else the arrival (epoch seconds).
    properties: a Properties object.
    """

    isdir = 0
    links: list[str] = []

    def __init__(self, change: Change, files: Iterable[str] = (), properties: Iterable[Property] = ()) -> None:
        self.number = self.changeid = int(change.id)
        self.who = self.author = change.author
        self.committer = change.committer
        self.comments = change.comments
        self.files = list(files)
        self.branch = change.branch
        self.revision = change.revision
        self.repository = change.repository
        self.project = change.project
        self.codebase = change.codebase
        self.category = change.category
        self.revlink = change.revlink
        self.source = change.source
        self.when = change.arrived_at if change.committed_at is None else change.committed_at
        self.properties = Properties.fromDict({p.name: (p.value, p.source) for p in properties})

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def getShortAuthor(self) -> str:
        """The author without the address."""
        return self.author.partition("<")[0].strip() or self.author

    def getTime(self) -> str:
        """The date for people, in the master's own time zone."""
        return time.strftime("%a %d %b %Y %H:%M:%S", time.localtime(self.when))

    def getTimes(self) -> tuple[float, None]:
        return self.when, None

    def getFileContents(self) -> str:
        """The paths, one a line."""
        return "".join(f"{path}\n" for path in self.files)

    def getText(self) -> list[str]:
        return [html.escape(self.author)]

    def asText(self) -> str:
        """All of it as plain text."""
        head = [("At", self.getTime()), ("Changed by", self.author)]
        head += [
            (label, str(value))
            for label, value in (
                ("Repository", self.repository),
                ("Project", self.project),
                ("Branch", self.branch),
                ("Revision", self.revision),
            )
            if value
        ]
        lines = [f"{label}: {value}\n" for label, value in head]
        return "".join([*lines, f"Files:\n{self.getFileContents()}Comments:\n{self.comments}\n"])

    def asHTML(self) -> str:
        return f"<pre>{html.escape(self.asText())}</pre>"

    def asDict(self) -> dict[str, Any]:
        return {**{name: self[name] for name in _DICT_NAMES}, "properties": self.properties.asList()}
