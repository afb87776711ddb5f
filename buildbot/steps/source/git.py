"""The Git step: brings a commit of a repository into the working directory, whatever state that is in.

The working copy is made by `git init` and `git fetch`, never by `git clone`, so that one way serves a new directory, a
damaged `.git` and a changed URL, and no file that is not git's is touched unless the mode says so. What scripts find in
a clone they find here: the server's branches as `origin/*`, the tags of what was fetched, a branch with an upstream.
None of it is needed to check out: a fetch that cannot note it is made without it. Nothing is decided by the wording of
git's messages: when a fetch fails, `git ls-remote` tells whether the server or our copy is to blame.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.credentials import with_password_masked
from buildbot.steps.source.base import Source, copied_from
from buildbot.steps.source.commands import url_word
from buildbot.steps.source.gitprogram import LogsIn

_FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")  # perhaps of a tag
_REVISION = re.compile(r"[A-Za-z0-9_][\w./+~^@{}#=,-]{0,254}")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^/|/$|\.$|^$|^\.|^@$")
_DESCRIBE = {"tags", "all", "always", "contains", "debug", "long", "exact-match", "first-parent", "dirty"}
_DESCRIBE_VALUES = {"match", "exclude", "abbrev", "candidates", "dirty"}
# what a checkout runs besides git: hooks, and the filter of git-lfs
_WITHOUT_OTHERS = tuple(
    word
    for setting in (
        "core.hooksPath=/dev/null",
        "filter.lfs.process=",
        "filter.lfs.smudge=",
        "filter.lfs.required=false",
    )
    for word in ("-c", setting)
)


class Damaged(Exception):
    """The working copy's own repository does not work."""


class Git(LogsIn, Source):
    """Check out source with Git.

    repourl: where from; a string, a renderable, a dict or function of the source stamp's repository, or a string with
    `%s` for it. branch: built when the source stamp names none (default `HEAD`: the server's own choice). mode
    `incremental` (default) keeps every file that is not git's; `full` does not, by its method: `fresh` (default)
    removes untracked and ignored files, `clean` leaves the ignored ones, `clobber` removes everything first, `copy`
    updates `source` and copies it. submodules, remoteSubmodules (their newest commits), tags: fetch them too. shallow:
    True or a number of commits. filters: of a partial clone, such as ["blob:none"]. reference: a repository on the
    slave to borrow objects from. progress (default True): have git tell of it. retryFetch: try a failed fetch once
    more. clobberOnFailure: begin anew when nothing else helps. getDescription: True or options of `git describe`; sets
    the property `commit-description`. config: dict for `git -c`. origin: the remote's name. port, sshPrivateKey,
    sshHostKey, sshKnownHosts, auth_credentials, git_credentials: see `LogsIn`. The other arguments are those of
    `Source`. ignore_ignores, of 0.8, has no effect.
    """

    name = "git"
    methods: ClassVar[tuple[str, ...]] = ("fresh", "clean", "clobber", "copy")
    renderables: ClassVar[Any] = ("repourl", "branch", "reference", "origin", "shallow", "filters")

    def __init__(
        self,
        repourl: Any = None,
        branch: Any = "HEAD",
        mode: Any = "incremental",
        method: Any = None,
        reference: Any = None,
        submodules: bool = False,
        remoteSubmodules: bool = False,
        tags: bool = False,
        shallow: Any = False,
        filters: Any = None,
        progress: bool = True,
        retryFetch: bool = False,
        clobberOnFailure: bool = False,
        getDescription: Any = False,
        origin: Any = None,
        ignore_ignores: Any = None,
        **kwargs: Any,
    ) -> None:
        self.repourl = repourl
        self.branch = branch
        self.reference = reference
        self.submodules = submodules
        self.remoteSubmodules = remoteSubmodules
        self.tags = tags
        self.shallow = shallow
        self.filters = filters
        self.show_progress = progress
        self.retryFetch = retryFetch
        self.clobberOnFailure = clobberOnFailure
        self.getDescription = getDescription
        self.origin = origin
        super().__init__(mode=mode, method=method, **kwargs)
        self._url = ""
        self._is_new = False  # our repository is
        self._tracked: set[str] = set()  # branches of which it was noted what they are at the server
        self._check_own_arguments()

    def _check_own_arguments(self) -> None:
        if not self.repourl:
            error(f"{type(self).__name__} needs a repourl")
        if isinstance(self.branch, int):
            error(f"Git: branch is a name, not {self.branch!r}", f"write port={self.branch!r}")
        shallow, described = self.shallow, self.getDescription
        if isinstance(shallow, int) and not isinstance(shallow, bool) and shallow < 1:
            error(f"Git: shallow is True or a number of commits, not {shallow!r}")
        if isinstance(shallow, str):
            error(f"Git: shallow is True or a number of commits, not {shallow!r}")
        if isinstance(self.filters, str):
            error(f"Git: filters is a list of strings, not {self.filters!r}", f"write filters=[{self.filters!r}]")
        if not isinstance(described, (bool, dict)):
            error(f"Git: getDescription is True, False or a dictionary, not {described!r}")
        for option in list(described) if isinstance(described, dict) else []:
            if option not in _DESCRIBE | _DESCRIBE_VALUES:
                error(f"Git: getDescription has no option {option!r}", ", ".join(sorted(_DESCRIBE | _DESCRIBE_VALUES)))

    # -- Source

    async def run(self) -> int:
        stamp = self.build.getSourceStamp(self.codebase)
        if stamp is None:
            return await super().run()  # which tells it
        self._url = self.address(self.url_of(stamp.repository))
        return await self.logged_in(self._url, super().run)

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        branch = branch or self.branch or "HEAD"
        if _BAD_REF.search(branch):
            self.fail(f"{branch!r} is not a branch's name")
        if revision == "HEAD":
            revision = None
        if revision is not None and not _REVISION.fullmatch(revision):
            self.fail(f"{revision!r} is not a revision")
        method = None if self.mode == "incremental" else self.method or self.methods[0]
        workdir = str(self.workdir)
        self.git_directory = copied_from(workdir) if method == "copy" else workdir
        if method in ("clobber", "copy"):
            await self.remove(workdir)
        try:
            await self._update(branch, revision, method)
        except BuildStepFailed:
            if not self.clobberOnFailure or self.stopped or method == "clobber":
                raise
            self.say("that failed; removing everything and beginning anew\n")
            await self.remove(self.git_directory)
            await self._update(branch, revision, method)
        if method == "copy":
            await self.copy_directory(self.git_directory, workdir)

    async def clobber(self) -> None:
        await self.remove(str(self.workdir))
        await self.remove(self.git_directory)

    async def got_revision(self) -> str | None:
        answer = await self.git("rev-parse", "HEAD", collect=True)
        revision = answer.stdout.strip()
        if answer.rc != 0 or not _FULL_ID.fullmatch(revision):
            self.fail("git does not tell which revision it has checked out")
        if self.getDescription:
            await self._describe(revision)
        return revision

    async def note_patched(self, paths: list[str]) -> None:
        """New files go into the index: the next checkout then removes them, and nothing else that is untracked."""
        names = b"\0".join(path.encode("utf-8", "surrogateescape") for path in paths)
        await self.git("update-index", "--add", "--remove", "-z", "--stdin", stdin=names, workdir=str(self.workdir))

    # -- updating

    async def _update(self, branch: str, revision: str | None, method: str | None) -> None:
        shallow = await self._open()
        try:
            await self._fetch_and_check_out(branch, revision, shallow)
        except Damaged as damage:
            self.say(f"the repository in {self.git_directory} is damaged ({damage}); making it anew\n")
            await self.remove(f"{self.git_directory}/.git")
            await self._init()
            try:
                await self._fetch_and_check_out(branch, revision, shallow=False)
            except Damaged as again:
                self.fail(str(again))
        await self._update_submodules()
        if method in ("fresh", "clean"):
            await self._clean(("-x",) if method == "fresh" else ())

    async def _open(self) -> bool:
        """See to it that there is a repository of our own, with the right URL. Whether it is a shallow one."""
        asked = await self.git("rev-parse", "--git-dir", "--is-shallow-repository", collect=True)
        lines = asked.stdout.split()
        if asked.rc != 0 or lines[:1] != [".git"]:  # none, a broken one, or one that a directory above is in
            await self.remove(f"{self.git_directory}/.git")
            await self._init()
            return False
        await self._set_url()
        self._is_new = False
        return lines[1:] == ["true"]

    async def _init(self) -> None:
        await self.must("init", "--quiet", complaint="git cannot make a repository")
        if self.reference:
            await self._borrow(str(self.reference))
        await self._set_url()
        await self.git("config", "--replace-all", f"remote.{self._origin}.fetch", self._all_heads)
        self._is_new = True

    async def _set_url(self) -> None:
        words = ("config", "--replace-all", f"remote.{self._origin}.url", url_word(self._url))
        done = await self.git(*words)
        if done.rc != 0:  # a lock that was left behind, or a broken file
            await self._remove_leftovers()
            await self.must(*words, complaint="git cannot note the repository's URL")

    async def _borrow(self, reference: str) -> None:
        found = await self.git("rev-parse", "--git-common-dir", collect=True, workdir=reference)
        directory = found.stdout.rstrip("\n")
        if found.rc != 0 or not directory:
            self.say(f"there is no repository in {reference} to borrow from\n")
            return
        path = f"{reference}/{directory}" if not directory.startswith("/") else directory
        await self.write(f"{self.git_directory}/.git/objects/info", "alternates", f"{path}/objects\n".encode())

    async def _fetch_and_check_out(self, branch: str, revision: str | None, shallow: bool) -> None:
        if revision is None:
            await self._fetch_branch(branch, shallow)
            commit = "FETCH_HEAD"
        else:
            await self._obtain(branch, revision, shallow)
            commit = f"{revision}^{{commit}}"
        await self._reset(branch, commit)
        if self._is_new and not self.shallow:
            await self.git("remote", "set-head", self._origin, "--auto")  # as a clone does

    async def _reset(self, branch: str, commit: str) -> None:
        name = branch.removeprefix("refs/heads/")
        words = ["checkout", "--force", "--detach", commit, "--"]
        done = await self.git(*words)
        if done.rc != 0 and await self._remove_leftovers():
            done = await self.git(*words)
        if done.rc != 0:
            if (await self.git(*_WITHOUT_OTHERS, *words)).rc == 0:
                self.fail("git checkout fails in a hook or in git-lfs")
            raise Damaged("git checkout failed")
        if name != "HEAD" and not name.startswith(("refs/", "-")):
            await self.git("checkout", "--quiet", "-B", name, "HEAD", "--")  # only for those who look at its name
            if name in self._tracked:
                await self.git("branch", "--quiet", f"--set-upstream-to={self._origin}/{name}", name)

    async def _obtain(self, branch: str, revision: str, shallow: bool) -> None:
        """Have the commit here: from before, from the branch, by its own name, or from any branch."""
        named = _NAME.fullmatch(revision) is not None and _HEX.fullmatch(revision) is None
        if not (self._fetches_tags or named) and await self._has(revision):
            return
        by_itself = _FULL_ID.fullmatch(revision) is not None
        if by_itself and self.shallow and await self._fetch_noting(revision, branch) and await self._has(revision):
            return
        refs = await self._fetch_branch(branch, shallow, must=False)
        if not named and await self._has(revision):
            return
        if by_itself and await self._fetch(revision) and await self._has(revision):
            return
        if named and await self._fetch(f"refs/tags/{revision}:refs/tags/{revision}") and await self._has(revision):
            return
        await self._fetch(self._all_heads, "--prune", *self._deepening(refs is not None), deep=True)
        if not await self._has(revision):
            self.fail(f"there is no revision {revision} in {self._shown_url}")

    async def _fetch_branch(self, branch: str, shallow: bool, must: bool = True) -> str | None:
        """Fetch the newest commit of a branch (or tag) into FETCH_HEAD; the ref that was found."""
        refs = [branch] if branch == "HEAD" or branch.startswith("refs/") else [f"refs/heads/{branch}"]
        unshallow = ("--unshallow",) if shallow and not self.shallow else ()
        for _ in range(2 if self.retryFetch else 1):
            if await self._fetch_noting(refs[0], branch, *unshallow):
                return refs[0]
        if await self._remove_leftovers() and await self._fetch_noting(refs[0], branch, *unshallow):
            return refs[0]
        if refs[0] == f"refs/heads/{branch}":
            refs.append(f"refs/tags/{branch}")
        there = await self._refs_at_server(refs)
        if refs[0] in there:
            if await self._fetch(refs[0], *unshallow):
                return refs[0]
            raise Damaged("git fetch failed, although the server answers")
        if refs[-1] in there and await self._fetch_noting(refs[-1], branch, *unshallow):
            return refs[-1]
        if must:
            self.fail(f"there is no branch {branch} in {self._shown_url}")
        return None

    async def _refs_at_server(self, refs: list[str]) -> set[str]:
        asked = await self.git("ls-remote", "--", url_word(self._url), *refs, collect=True)
        if asked.rc != 0:
            self.fail(f"{self._shown_url} cannot be reached")
        return {line.partition("\t")[2] for line in asked.stdout.splitlines()}

    async def _fetch_noting(self, ref: str, branch: str, *options: str) -> bool:
        """Fetch a ref into FETCH_HEAD, and note what the server's branches are; in a shallow copy, what this one is."""
        name = branch.removeprefix("refs/heads/")
        if self.shallow and (name == "HEAD" or name.startswith("refs/")):
            return await self._fetch(ref, *options)
        done = await self._fetch(ref, "--prune", *options, also=(self._noted(name if self.shallow else "*"),))
        if done and (self.shallow or ref == f"refs/heads/{name}"):
            self._tracked.add(name)
        return done

    async def _fetch(self, ref: str, *options: str, deep: bool = False, also: tuple[str, ...] = ()) -> bool:
        words = ["fetch", "--force", "--refmap="]
        if self._fetches_tags:
            words.append("--tags")
        elif not also:
            words.append("--no-tags")
        if self.submodules:
            words.append("--no-recurse-submodules")
        if self.show_progress:
            words.append("--progress")
        if self.shallow and not deep:
            words.append(f"--depth={1 if self.shallow is True else int(self.shallow)}")
        words += [f"--filter={each}" for each in self.filters or ()]
        return (await self.git(*words, *options, "--", self._origin, ref, *also)).rc == 0

    def _deepening(self, possible: bool) -> tuple[str, ...]:
        return ("--unshallow",) if self.shallow and possible else ()

    async def _has(self, revision: str) -> bool:
        return (await self.git("cat-file", "-e", f"{revision}^{{commit}}")).rc == 0

    async def _remove_leftovers(self) -> bool:
        """Remove locks of a git that was killed; nobody else works here. Whether there were any."""
        locks = await self.find(f"{self.git_directory}/.git/**/*.lock")
        for lock in locks:
            await self.remove(lock)
        index = f"{self.git_directory}/.git/index"
        if await self.exists(index) and (await self.git("ls-files", "--error-unmatch", "--", ".git")).rc == 128:
            await self.remove(index)
            return True
        return bool(locks)

    async def _update_submodules(self) -> None:
        if not self.submodules:
            return
        words = ["submodule", "update", "--init", "--recursive", "--force"]
        if self.remoteSubmodules:
            words.append("--remote")
        if self.reference:
            words.append(f"--reference={self.reference}")
        if await self._update_them(words):
            return
        if await self._update_them(words):  # what is in submodules has its new URL only when they are new
            return
        sound = await self.git("submodule", "foreach", "--quiet", "--recursive", "git cat-file -e HEAD^{tree}")
        if sound.rc != 0:
            self.say("the repository of a submodule is damaged; making them anew\n")
            await self.git("submodule", "deinit", "--all", "--force")
            await self.remove(f"{self.git_directory}/.git/modules")
            if await self._update_them(words):
                return
        self.fail("git submodule update failed")

    async def _update_them(self, words: Sequence[str]) -> bool:
        await self.git("submodule", "sync", "--recursive")
        return (await self.git(*words)).rc == 0

    async def _clean(self, options: tuple[str, ...]) -> None:
        words = ("clean", "-d", "--force", "--force", *options)
        await self.must(*words, complaint="git clean failed")
        if self.submodules:
            command = " ".join(("git", *words))
            await self.must("submodule", "foreach", "--recursive", command, complaint="git clean failed")

    async def _describe(self, revision: str) -> None:
        options = self.getDescription if isinstance(self.getDescription, dict) else {}
        words = ["describe"]
        for option, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            for each in values:
                if each is True:
                    words.append(f"--{option}")
                elif each is not None and each is not False:
                    words.append(f"--{option}={each}")
        if "dirty" not in options:
            words.append("HEAD")
        described = await self.git(*words, collect=True)
        if described.rc == 0:
            self.set_source_property("commit-description", described.stdout.strip())

    @property
    def _origin(self) -> str:
        return str(self.origin or "origin")

    def _noted(self, heads: str) -> str:
        """Where it is noted what these branches are at the server."""
        return f"+refs/heads/{heads}:refs/remotes/{self._origin}/{heads}"

    @property
    def _all_heads(self) -> str:
        return self._noted("*")

    @property
    def _fetches_tags(self) -> bool:
        return bool(self.tags or self.getDescription)

    @property
    def _shown_url(self) -> str:
        return with_password_masked(self._url)
