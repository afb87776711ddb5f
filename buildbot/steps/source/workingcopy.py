"""A working copy that a version control program keeps up to date: what the steps of all but git share.

A subclass says how a revision is brought into a directory (`update`), how a broken copy is made again over the files
that are there (`remake`), and how files that are not of the repository are removed (`purge`). All else is here: the
branch and the address, the modes, and that the patch of the last build is taken away.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.credentials import with_password_masked
from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.steps.source.base import PATCHED, Source, copied_from, last_revision
from buildbot.steps.source.commands import url_word

OUTPUT_LIMIT = 16 * 1024 * 1024  # bytes of a program's output that are looked at
PER_REMOVAL = 500  # paths that are removed by one command
_SPOILED = re.compile(r"[\x00-\x1f\x7f\ufffd]")
_BRANCH = re.compile(r"[^\x00-\x20\x7f\-][^\x00-\x1f\x7f]{0,254}")


class Damaged(Exception):
    """The working copy does not work, although the server does."""


class TooMuch(Exception):
    """What is to be removed cannot be told: its names are unreadable, or too many."""


class WorkingCopy(Source):
    """Base of the steps for Subversion, Mercurial, CVS, Bazaar, Darcs, Monotone and Perforce.

    repourl: where from; a string, a renderable, a dict or function of the source stamp's repository, or a string with
    `%s` for it. baseURL, defaultBranch: instead of it, a URL to which the source stamp's branch is appended, or which
    has `%%BRANCH%%` for it, and the branch when there is none. directory: the old name of workdir. The other arguments
    are those of `Source`.
    """

    renderables: ClassVar[Any] = ("repourl", "baseURL", "defaultBranch")
    program = ""  # what it is called in messages
    marker = ""  # the directory that holds what is the program's own

    def __init__(
        self,
        repourl: Any = None,
        baseURL: Any = None,
        defaultBranch: Any = None,
        directory: Any = None,
        **kwargs: Any,
    ) -> None:
        if directory is not None:
            kwargs.setdefault("workdir", directory)
        self.repourl = repourl
        self.baseURL = baseURL
        self.defaultBranch = defaultBranch
        super().__init__(**kwargs)
        self._url = ""
        self._directory = ""  # where the program works: the working directory, or the one that is copied to it

    def check_addresses(self) -> None:
        """That there is exactly one of `repourl` and `baseURL`."""
        if not self.repourl and not self.baseURL:
            error(f"{type(self).__name__} needs a repourl")
        if self.repourl and self.baseURL:
            error(f"{type(self).__name__}: give repourl or baseURL, not both")

    # -- for subclasses

    async def update(self, branch: str | None, revision: str | None) -> None:
        """Bring the revision, or the newest of the branch, into `self._directory`, whose changed files are brought
        back. Raises Damaged, when `remake` may help, and BuildStepFailed."""
        raise NotImplementedError

    async def remake(self, branch: str | None, revision: str | None) -> None:
        """Make the working copy anew, over the files that are there. Raises Damaged."""
        raise NotImplementedError

    async def purge(self, ignore_ignores: bool) -> None:
        """Remove files that are not of the repository. ignore_ignores: also those that it ignores. Raises TooMuch."""
        raise NotImplementedError

    async def export(self) -> None:
        """Write what is in `self._directory` to `workdir`, without what is the program's own."""
        raise NotImplementedError

    # -- Source

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        self.check_names(branch, revision)
        method = None if self.mode == "incremental" else self.method or self.methods[0]
        workdir = str(self.workdir)
        self._directory = copied_from(workdir) if method in ("copy", "export") else workdir
        if method in ("clobber", "copy", "export"):
            await self.remove(workdir)
        else:
            await self.take_patch_away()
        await self._update_or_remake(branch, revision)
        if method in ("fresh", "clean"):
            try:
                await self.purge(ignore_ignores=method == "fresh")
            except TooMuch as problem:
                self.say(f"{problem}; removing everything and beginning anew\n")
                await self.remove(workdir)
                await self._update_new(branch, revision)
        elif method == "copy":
            await self.copy_directory(self._directory, workdir)
        elif method == "export":
            await self.export()

    async def _update_or_remake(self, branch: str | None, revision: str | None) -> None:
        try:
            await self.update(branch, revision)
        except Damaged as damage:
            self.say(f"the working copy in {self._directory} is damaged ({damage}); making it anew\n")
            try:
                await self.remake(branch, revision)
            except Damaged as again:
                self.say(f"that failed ({again}); removing everything and beginning anew\n")
                await self.remove(self._directory)
                await self._update_new(branch, revision)

    async def _update_new(self, branch: str | None, revision: str | None) -> None:
        try:
            await self.update(branch, revision)
        except Damaged as damage:
            self.fail(str(damage))

    async def clobber(self) -> None:
        await self.remove(str(self.workdir))
        await self.remove(self._directory or str(self.workdir))

    async def take_patch_away(self) -> bool:
        """Remove what the patch of the last build has added; what it has changed is brought back by `update`. Whether
        there was one."""
        if not await self.exists(f"{self._directory}/{PATCHED}"):
            return False
        told = await self.shell(["cat", PATCHED], workdir=self._directory, collect=True)
        if told.rc == 0:
            await self.remove_all(told.stdout[:OUTPUT_LIMIT].split("\n"))
        await self.remove(f"{self._directory}/{PATCHED}")
        return True

    # -- names and addresses

    def check_names(self, branch: str | None, revision: str | None) -> None:
        """Raises BuildStepFailed for what cannot be a branch or a revision."""
        if branch and not _BRANCH.fullmatch(branch):
            self.fail(f"{branch!r} is not a branch's name")
        if revision and not self.is_revision(revision):
            self.fail(f"{revision!r} is not a revision")

    def is_revision(self, revision: str) -> bool:
        raise NotImplementedError

    def address_of(self, branch: str | None) -> str:
        """The URL of a branch: `repourl` is one already, `baseURL` becomes one. Raises BuildStepFailed."""
        repository = str(self.build.getSourceStamp(self.codebase).repository)
        if not self.baseURL:
            return self.url_of(repository)
        branch = branch or self.defaultBranch or ""
        if not isinstance(branch, str) or ".." in branch.split("/"):
            self.fail(f"{branch!r} is not a branch's name")
        base = str(self.baseURL)
        url = base.replace("%%BRANCH%%", branch) if "%%BRANCH%%" in base else base + branch
        if url.startswith("-") or re.search(r"[\x00-\x1f]", url):
            self.fail(f"{url!r} is not a URL")
        return url

    @property
    def shown_url(self) -> str:
        return with_password_masked(self._url)

    def word(self, url: str) -> Any:
        """A URL as a word of a command: its password is not shown."""
        return url_word(url)

    # -- working on the slave

    async def drive(self, *words: Any, collect: bool = False, workdir: str | None = None) -> RemoteShellCommand:
        """Run the program; its exit code is for the caller to judge."""
        directory = self._directory if workdir is None else workdir
        return await self.shell([*self.command_line(), *words], workdir=directory, collect=collect)

    def command_line(self) -> list[Any]:
        """The program and its options for every use."""
        return [self.program]

    async def must(self, *words: Any, complaint: str, workdir: str | None = None) -> None:
        """Run the program. Raises BuildStepFailed with the complaint when it fails."""
        if (await self.drive(*words, workdir=workdir)).rc != 0:
            self.fail(complaint)

    async def is_there(self) -> bool:
        return await self.exists(f"{self._directory}/{self.marker}")

    async def remove_all(self, names: Sequence[str]) -> None:
        """Remove these, relative to the directory; what is not in it, or is the program's own, stays."""
        await self.remove_paths([f"{self._directory}/{name}" for name in names if name and self._may_go(name)])

    async def remove_paths(self, paths: Sequence[str]) -> None:
        """Remove these, relative to the builder's directory."""
        for first in range(0, len(paths), PER_REMOVAL):
            await self.remove_each(list(paths[first : first + PER_REMOVAL]))

    def _may_go(self, name: str) -> bool:
        parts = posixpath.normpath(name.replace("\\", "/")).split("/")
        inside = not name.startswith("/") and parts[0] not in ("..", ".", "")
        return inside and self.marker not in parts and not _SPOILED.search(name)

    def checked_names(self, names: Sequence[str]) -> Sequence[str]:
        """The names of files as a program told them. Raises TooMuch when one cannot be told from another."""
        spoiled = next((name for name in names if _SPOILED.search(name)), None)
        if spoiled is not None:
            raise TooMuch(f"there is a file whose name cannot be read ({spoiled[:100]!r})")
        return names

    def output_of(self, done: RemoteShellCommand) -> str:
        """What a program has told. Raises TooMuch."""
        if len(done.stdout) > OUTPUT_LIMIT:
            raise TooMuch(f"{self.program} told more than {OUTPUT_LIMIT} characters")
        return done.stdout


def greatest_revision(changes: Any) -> str | None:
    """The greatest of the changes' revisions where those are numbers; else the last one."""
    revisions = [change.revision for change in changes]
    if revisions and all(isinstance(each, str) and re.fullmatch(r"[0-9]{1,18}", each) for each in revisions):
        return str(max(int(each) for each in revisions))
    return last_revision(changes)
