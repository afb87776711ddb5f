"""GitDiffInfo: which files and lines a branch changes, told as JSON."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from buildbot.config.errors import error, without_effect
from buildbot.process.observers import MOST_LINE_LENGTH, LogLineObserver
from buildbot.process.rendering import is_renderable
from buildbot.process.results import SUCCESS
from buildbot.steps.source.gitnames import two_names, unquoted
from buildbot.steps.source.gitprogram import LogsIn
from buildbot.store.builddata import TooMuchData

MOST_FILES = 10_000
MOST_HUNKS = 100_000
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_NOTHING = "/dev/null"
_OF_SHELL_STEPS = {
    *("want_stdout", "want_stderr", "usePTY", "logfiles", "lazylogfiles", "maxTime", "max_lines"),
    *("interruptSignal", "sigtermTime", "initialStdin", "decodeRC"),
}


class GitDiffInfo(LogsIn):
    """Tell what the commit that is checked out changes since it left another branch.

    compareToRef: the other branch, as the server has it now; or any other name of a commit that the working directory
    knows (default `master`). dataName: name of the log in which the answer is (default `diffinfo-master`). The other
    arguments are those of `LogsIn`, for a server that must be logged in to.

    The answer is a JSON list, one object a file: `source_file` and `target_file` (`/dev/null` for none), `is_binary`,
    `is_rename`, and `hunks`, each with `ss`, `sl` (first line and number of lines before) and `ts`, `tl` (after). The
    property `diffinfo-merge-base-commit` is the commit where the branches part.
    """

    name = "GitDiffInfo"
    description: Any = "running GitDiffInfo"
    descriptionDone: Any = "GitDiffInfo"
    renderables: ClassVar[Any] = ("compareToRef", "dataName")

    def __init__(self, compareToRef: Any = "master", dataName: Any = "diffinfo-master", **kwargs: Any) -> None:
        for argument in _OF_SHELL_STEPS & kwargs.keys():
            del kwargs[argument]
            without_effect(f"{argument} of GitDiffInfo")
        super().__init__(**kwargs)
        self.compareToRef = compareToRef
        self.dataName = dataName
        for name, value in (("compareToRef", compareToRef), ("dataName", dataName)):
            if not is_renderable(value) and (not isinstance(value, str) or not value):
                error(f"GitDiffInfo: {name} is a string, not {value!r}")

    async def run(self) -> int:
        remote = await self._remote()
        if not remote:
            return await self._tell(remote)
        asked = await self.git("config", f"remote.{remote}.url", collect=True, log="stdio-merge-base")
        return await self.logged_in(asked.stdout.strip(), lambda: self._tell(remote))

    async def _remote(self) -> str:
        asked = await self.git("remote", collect=True, log="stdio-merge-base")
        names = asked.stdout.split()
        return "origin" if "origin" in names or not names else names[0]

    async def _tell(self, remote: str) -> int:
        base = await self._base(remote)
        await self.setProperty("diffinfo-merge-base-commit", base, "GitDiffInfo")
        found = DiffObserver()
        self.addLogObserver("stdio-diff", found)
        words = ["diff", "--no-prefix", "--no-color", "--no-ext-diff", "-U0", base, "HEAD", "--"]
        if (await self.git(*words, log="stdio-diff")).rc != 0:
            self.fail("git diff failed")
        if found.diff.cut:
            self.say(f"that is more than {MOST_FILES} files or {MOST_HUNKS} hunks; what comes after is left out\n")
        data = json.dumps(found.diff.files)
        await self.addCompleteLog(str(self.dataName), data)
        try:
            await self.setBuildData(str(self.dataName), data.encode(), "GitDiffInfo")
        except TooMuchData as refused:
            self.say(f"it is in the log alone: {refused}\n")
        return SUCCESS

    async def _base(self, remote: str) -> str:
        """The commit that both have come from."""
        ref = str(self.compareToRef)
        if ref.startswith("-"):
            self.fail(f"{ref!r} is not the name of a branch")
        branch = ref.removeprefix(f"{remote}/")
        fetched = await self.git("fetch", "--no-tags", "--", remote, branch, log="stdio-merge-base")
        other = "FETCH_HEAD" if fetched.rc == 0 else ref
        asked = await self.git("merge-base", "HEAD", other, collect=True, log="stdio-merge-base")
        if asked.rc != 0:
            self.fail(f"nothing here comes from where {ref} comes from")
        return asked.stdout.split()[0]


class DiffObserver(LogLineObserver):
    """Reads a log as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.diff = Diff()

    def outLineReceived(self, line: str) -> None:
        self.diff.feed(line)


class Diff:
    """What `git diff --no-prefix` says, line by line, in bounded memory. `cut`: there was more than is kept."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self.cut = False
        self._left = 0  # lines of the hunk that are still to come
        self._hunks = 0
        self._goes_on = False  # the line that comes is the rest of the one before

    def feed(self, line: str) -> None:
        goes_on, self._goes_on = self._goes_on, len(line) == MOST_LINE_LENGTH
        if goes_on:
            return
        if self._left and line[:1] in ("+", "-"):
            self._left -= 1
        elif line.startswith("diff --git "):
            self._file(line.removeprefix("diff --git "))
        elif self.files:
            self._of_file(self.files[-1], line)

    def _file(self, names: str) -> None:
        if len(self.files) >= MOST_FILES:
            self.cut = True
            return
        source, target = map(_text, two_names(names.encode("utf-8", "surrogateescape")))
        self.files.append(
            {"source_file": source, "target_file": target, "is_binary": False, "is_rename": False, "hunks": []}
        )

    def _of_file(self, file: dict[str, Any], line: str) -> None:
        hunk = _HUNK.match(line)
        if hunk is not None:
            before, lines_before, after, lines_after = (1 if each is None else int(each) for each in hunk.groups())
            self._left = lines_before + lines_after
            self._hunks += 1
            if self.cut or self._hunks > MOST_HUNKS:
                self.cut = True
            else:
                file["hunks"].append({"ss": before, "sl": lines_before, "ts": after, "tl": lines_after})
        elif self.cut:
            return
        elif line.startswith("--- "):
            file["source_file"] = _name(line[4:])
        elif line.startswith("+++ "):
            file["target_file"] = _name(line[4:])
        elif line.startswith("new file mode"):
            file["source_file"] = _NOTHING
        elif line.startswith("deleted file mode"):
            file["target_file"] = _NOTHING
        elif line.startswith("rename from "):
            file["source_file"], file["is_rename"] = _name(line.removeprefix("rename from ")), True
        elif line.startswith("rename to "):
            file["target_file"] = _name(line.removeprefix("rename to "))
        elif line.startswith(("Binary files ", "GIT binary patch")):
            file["is_binary"] = True


def _name(text: str) -> str:
    return _text(unquoted(text.encode("utf-8", "surrogateescape")))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
