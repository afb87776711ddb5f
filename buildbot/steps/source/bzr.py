"""The Bzr step: brings a revision of a Bazaar (or Breezy) branch into the working directory.

The working copy is a branch of its own that is overwritten by `bzr pull`, so that one way serves a new directory,
another branch and rewritten history.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.steps.source.workingcopy import Damaged, WorkingCopy, greatest_revision

_REVISION = re.compile(r"(?:revno|revid|tag|date):[\w.+@,:/-]{1,254}|\w[\w.+@-]{0,254}")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18}){0,8}|\?", re.ASCII)


class Bzr(WorkingCopy):
    """Check out source with Bazaar.

    repourl: the branch; a string, a renderable, a dict or function of the source stamp's repository, or a string with
    `%s` for it. baseURL, defaultBranch: instead of it, a URL to which the source stamp's branch is appended, and the
    branch when there is none. mode `incremental` (default) keeps every file that is not of the branch; `full` does not,
    by its method: `fresh` (default) removes unknown and ignored files, `clean` leaves the ignored ones, `clobber`
    removes everything first, `copy` updates `source` and copies it, `export` exports it. forceSharedRepo: of older
    versions; it changes nothing. The other arguments are those of `Source`.
    """

    name = "bzr"
    program = "bzr"
    marker = ".bzr"
    methods: ClassVar[tuple[str, ...]] = ("fresh", "clean", "clobber", "copy", "export")
    own_env: ClassVar[dict[str, str]] = {"LC_CTYPE": "C.UTF-8"}  # or it cannot write names that are not ASCII

    def __init__(
        self,
        repourl: Any = None,
        baseURL: Any = None,
        mode: Any = "incremental",
        method: Any = None,
        defaultBranch: Any = None,
        forceSharedRepo: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            repourl=repourl, baseURL=baseURL, mode=mode, method=method, defaultBranch=defaultBranch, **kwargs
        )
        self.check_addresses()
        if forceSharedRepo not in (None, True, False):
            error(f"Bzr: forceSharedRepo is True or False, not {forceSharedRepo!r}")

    # -- Source

    def computeSourceRevision(self, changes: Any) -> str | None:
        return greatest_revision(changes)

    def is_revision(self, revision: str) -> bool:
        return _REVISION.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        asked = await self.drive("version-info", "--custom", "--template={revno}\n", collect=True)
        revision = asked.stdout.strip()
        if asked.rc != 0 or not _NUMBER.fullmatch(revision):
            self.fail("bzr does not tell which revision it has checked out")
        return revision

    # -- WorkingCopy

    async def update(self, branch: str | None, revision: str | None) -> None:
        self._url = self.address_of(branch)
        if not await self.is_there():
            await self.must("init", "--quiet", complaint="bzr cannot make a branch")
        else:
            if await self.find(f"{self._directory}/{self.marker}/*/lock/held"):  # nobody else works here
                await self.drive("break-lock", "--force", ".")
            await self._revert()
        wanted = [f"--revision={revision}"] if revision else []
        if (await self.drive("pull", "--overwrite", *wanted, "--", self.word(self._url))).rc != 0:
            await self._ask_server(revision)
            raise Damaged("bzr pull failed, although the server answers")
        await self._revert()  # what is left of files that were in the way

    async def remake(self, branch: str | None, revision: str | None) -> None:
        await self.remove(f"{self._directory}/{self.marker}")
        await self.update(branch, revision)

    async def purge(self, ignore_ignores: bool) -> None:
        what = ("--unknown", "--ignored", "--detritus") if ignore_ignores else ("--unknown",)
        await self.must("clean-tree", "--force", *what, complaint="bzr clean-tree failed")

    async def export(self) -> None:
        workdir = str(self.workdir)
        above, name = posixpath.split(posixpath.normpath(workdir))
        source = posixpath.relpath(self._directory, above or ".")
        words = ("export", "--format=dir", "--", name, source)
        await self.must(*words, complaint="bzr export failed", workdir=above or ".")

    # -- bzr

    async def _revert(self) -> None:
        if (await self.drive("revert", "--no-backup", "--quiet")).rc != 0:
            raise Damaged("bzr revert failed")

    async def _ask_server(self, revision: str | None) -> None:
        """That the server answers and has the branch and revision. Raises BuildStepFailed."""
        if (await self.drive("revno", "--", self.word(self._url), workdir=".")).rc != 0:
            self.fail(f"there is no branch at {self.shown_url}, or its server cannot be reached")
        words = ("log", "--short", "--limit=1", f"--revision={revision}", "--", self.word(self._url))
        if revision and (await self.drive(*words, workdir=".")).rc != 0:
            self.fail(f"there is no revision {revision} in {self.shown_url}")
