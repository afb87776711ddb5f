"""The SVN step: brings a revision of a Subversion repository into the working directory.

Nothing is decided by the wording of svn's messages: of what a directory is a working copy is read from
`svn info --xml`, and when an update fails, asking the server for the same URL tells which side is to blame.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.steps.source.base import OLD_MODES
from buildbot.steps.source.svnxml import Info, Unreadable, read_info, read_status
from buildbot.steps.source.workingcopy import Damaged, TooMuch, WorkingCopy, greatest_revision

DEPTHS = ("empty", "files", "immediates", "infinity")
_REVISION = re.compile(r"HEAD|r?\d{1,18}|\{[\w :.+-]{1,64}\}", re.ASCII)
# options that every use of svn takes; the others of extra_args are for checkout, update, switch and export
_FOR_ALL = ("--config-", "--trust-server-cert", "--username", "--password", "--no-auth-cache", "--force-interactive")
_WITH_VALUE = ("--config-dir", "--config-option", "--username", "--password", "--trust-server-cert-failures")


class SVN(WorkingCopy):
    """Check out source with Subversion.

    repourl (or svnurl): where from; a string, a renderable, a dict or function of the source stamp's repository, or a
    string with `%s` for it. baseURL, defaultBranch: instead of it, a URL to which the source stamp's branch is
    appended, or which has `%%BRANCH%%` for it, and the branch when there is none. mode `incremental` (default) keeps
    every file that is not of the repository; `full` does not, by its method: `fresh` (default) removes untracked and
    ignored files, `clean` leaves the ignored ones, `clobber` removes everything first, `copy` updates `source` and
    copies it, `export` exports it. username, password. depth: `empty`, `files`, `immediates` or `infinity`. extra_args:
    list of options. keep_on_purge: list of paths that `fresh` and `clean` leave. preferLastChangedRev: got_revision is
    that of the last change of the directory. always_purge, ignore_ignores: old words for `fresh` and `clean`. The
    other arguments are those of `Source`.
    """

    name = "svn"
    program = "svn"
    marker = ".svn"
    methods: ClassVar[tuple[str, ...]] = ("fresh", "clean", "clobber", "copy", "export")
    own_env: ClassVar[dict[str, str]] = {"LC_CTYPE": "C.UTF-8"}  # or it refuses names that are not ASCII
    renderables: ClassVar[Any] = ("username", "password", "extra_args", "depth", "keep_on_purge")

    def __init__(
        self,
        repourl: Any = None,
        mode: Any = "incremental",
        method: Any = None,
        username: Any = None,
        password: Any = None,
        extra_args: Any = None,
        keep_on_purge: Any = None,
        depth: Any = None,
        preferLastChangedRev: bool = False,
        svnurl: Any = None,
        always_purge: bool = False,
        ignore_ignores: bool = False,
        **kwargs: Any,
    ) -> None:
        if always_purge and method is None and mode in ("incremental", "update"):
            mode, method = "full", "fresh" if ignore_ignores else "clean"
        elif mode in OLD_MODES and method is None:
            mode, method = OLD_MODES[mode]
        self.username = username
        self.password = password
        self.extra_args = extra_args
        self.keep_on_purge = keep_on_purge
        self.depth = depth
        self.preferLastChangedRev = preferLastChangedRev
        if repourl and svnurl:
            error("SVN: svnurl is the old name of repourl; give one of them")
        super().__init__(repourl=repourl or svnurl, mode=mode, method=method, **kwargs)
        self.check_addresses()
        if isinstance(depth, str) and depth not in DEPTHS:
            error(f"SVN: depth is one of {', '.join(DEPTHS)}, not {depth!r}")
        for name in ("extra_args", "keep_on_purge"):
            if isinstance(getattr(self, name), str):
                error(f"SVN: {name} is a list of strings, not {getattr(self, name)!r}")

    # -- Source

    def computeSourceRevision(self, changes: Any) -> str | None:
        return greatest_revision(changes)

    def is_revision(self, revision: str) -> bool:
        return _REVISION.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        info = await self._info()
        if info is None:
            self.fail("svn does not tell which revision it has checked out")
        assert info is not None
        return info.changed if self.preferLastChangedRev and info.changed else info.revision

    # -- WorkingCopy

    async def update(self, branch: str | None, revision: str | None) -> None:
        self._url = self.address_of(branch)
        revision = (revision or "HEAD").removeprefix("r")
        if not await self.is_there():
            await self._check_out_new(revision)
            return
        here = await self._info()
        if here is None and (await self.drive("upgrade")).rc == 0:  # it was made by an older svn
            here = await self._info()
        if here is None or not await self._revert():
            raise Damaged("svn cannot use it")
        if here.url != self._url.rstrip("/"):
            here = await self._move(here, revision)
            if here is None:
                return
        await self._bring(here, revision)

    async def remake(self, branch: str | None, revision: str | None) -> None:
        await self.remove(f"{self._directory}/{self.marker}")
        await self._check_out_new((revision or "HEAD").removeprefix("r"))

    async def purge(self, ignore_ignores: bool) -> None:
        told = await self.drive("status", "--xml", *(["--no-ignore"] if ignore_ignores else []), collect=True)
        if told.rc != 0:
            raise TooMuch("svn cannot list the files that are here")
        try:
            found = list(read_status(self.output_of(told)))
        except Unreadable as wrong:
            raise TooMuch(f"what svn says of the files cannot be read ({wrong})") from wrong
        externals = [name for name, item in found if item == "external"]
        if externals and {item for _, item in found} - {"external", "unversioned", "ignored", "normal"}:
            await self.drive("revert", "-R", "--", *[f"{name}@" for name in self.checked_names(externals)])
        kept = [posixpath.normpath(str(name)) for name in self.keep_on_purge or ()]
        untracked = [name for name, item in found if item in ("unversioned", "ignored") and not _holds(name, kept)]
        await self.remove_all(self.checked_names(untracked))

    async def export(self) -> None:
        source = posixpath.relpath(self._directory, str(self.workdir))
        words = ("export", "--force", *self._extra(own=True), f"{source}@", ".")
        await self.must(*words, complaint="svn export failed", workdir=str(self.workdir))

    # -- svn

    async def _check_out_new(self, revision: str) -> None:
        """Check out, over the files that may be there: they get the content that they should have."""
        words = ("checkout", "--force", *self._depth("--depth"), *self._extra(own=True), self._at(revision), ".")
        if (await self.drive(*words)).rc != 0:
            await self._blame(words, revision)
            raise Damaged("svn checkout failed, although the server answers")
        if not await self._revert():
            raise Damaged("svn revert failed")

    async def _bring(self, here: Info, revision: str) -> None:
        options = (*self._depth("--set-depth"), *self._extra(own=True))
        words: tuple[Any, ...] = ("update", "--force", *options, "-r", revision, ".")
        if here.url != self._url.rstrip("/"):
            words = ("switch", "--force", "--ignore-ancestry", *options, self._at(revision), ".")
        if (await self.drive(*words)).rc != 0:
            await self.drive("cleanup")
            if (await self.drive(*words)).rc != 0:
                await self._blame(words, revision)
                raise Damaged("svn update failed, although the server answers")
        if not await self._revert():  # of files that were in the way
            raise Damaged("svn revert failed")

    async def _blame(self, words: tuple[Any, ...], revision: str) -> None:
        """This failed. Raises BuildStepFailed if the server, or that of an external, is to blame."""
        await self._ask_server(revision)
        if (await self.drive(words[0], "--ignore-externals", *words[1:])).rc == 0:
            self.fail("an external cannot be brought here")

    async def _move(self, here: Info, revision: str) -> Info | None:
        """The working copy is of another URL: have it ready for a switch; None when it was begun anew."""
        wanted = await self._ask_server(revision)
        if wanted.uuid != here.uuid:
            self.say(f"{self._directory} is of another repository, {here.root}; removing it\n")
            await self.remove(self._directory)
            await self._check_out_new(revision)
            return None
        if wanted.root != here.root:
            await self.drive("relocate", here.root, wanted.root, ".")
        return await self._info() or here

    async def _ask_server(self, revision: str) -> Info:
        """What the server has at the URL and revision. Raises BuildStepFailed."""
        wanted = await self._info(self._at(revision))
        if wanted is None:
            where = "" if revision == "HEAD" else f" at revision {revision}"
            self.fail(f"there is no {self.shown_url}{where}, or its server cannot be reached")
        assert wanted is not None
        return wanted

    async def _revert(self) -> bool:
        words = ("revert", "-R", ".")
        if (await self.drive(*words)).rc == 0:
            return True
        await self.drive("cleanup")  # a lock was left behind
        return (await self.drive(*words)).rc == 0

    async def _info(self, *what: Any) -> Info | None:
        asked = await self.drive("info", "--xml", *what, collect=True)
        try:
            return read_info(self.output_of(asked)) if asked.rc == 0 else None
        except (Unreadable, TooMuch) as wrong:
            self.say(f"what svn says cannot be read: {wrong}\n")
            return None

    def _at(self, revision: str) -> Any:
        """The URL as it was in that revision: a branch that was removed since, or made anew, is found."""
        return self.word(f"{self._url.rstrip('/')}@{revision}")

    def _depth(self, option: str) -> tuple[Any, ...]:
        return (option, self.depth) if self.depth else ()

    def command_line(self) -> list[Any]:
        words: list[Any] = ["svn", "--non-interactive", "--no-auth-cache"]
        if self.username is not None:
            words += ["--username", self.username]
        if self.password is not None:
            words += ["--password", ("obfuscated", self.password, "XXXXXX")]
        return words + self._extra(own=False)

    def _extra(self, own: bool) -> list[Any]:
        """The options of extra_args: those of some uses of svn, or those of all."""
        chosen: list[Any] = []
        takes = own
        value_follows = False
        for word in self.extra_args or ():
            if not value_follows and str(word).startswith("-"):
                takes = str(word).startswith(_FOR_ALL) != own
                value_follows = word in _WITH_VALUE
            else:
                value_follows = False
            if takes:
                chosen.append(word)
        return chosen


def _holds(name: str, kept: Sequence[str]) -> bool:
    """Whether a path is to be kept, or holds what is to be kept."""
    name = posixpath.normpath(name)
    return any(each == name or each.startswith(f"{name}/") or name.startswith(f"{each}/") for each in kept)
