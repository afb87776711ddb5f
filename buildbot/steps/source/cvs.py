"""The CVS step: brings a module as it was at a time into the working directory."""

from __future__ import annotations

import posixpath
import re
import time
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.steps.source.workingcopy import OUTPUT_LIMIT, Damaged, TooMuch, WorkingCopy

ROUNDS = 4  # of removing what is in the way
_DATE = re.compile(r"[A-Za-z0-9][\w:+., /-]{0,63}", re.ASCII)
_TAG = re.compile(r"[A-Za-z][\w-]{0,254}", re.ASCII)
_PASSWORD = re.compile(r"^(:[^:/]+:[^:@/]*):([^/]*)@")
# of a root: the user, the password and the usual port do not tell one repository from another
_BESIDES = re.compile(r"(?<=:)[^:@/]*(?::[^/]*)?@")


class CVS(WorkingCopy):
    """Check out source with CVS.

    cvsroot: where from. cvsmodule: what. branch: built when the source stamp names none. A revision is a time; without
    one, it is half way between the last change and the request of the build, so that all files of a commit are in it;
    checkoutDelay: or so many seconds after the last change. login: a password for `cvs login`; an empty one will do.
    mode `incremental` (default) keeps every file that is not of the repository; `full` does not, by its method: `fresh`
    (default) removes untracked and ignored files, `clean` leaves the ignored ones, `clobber` removes everything first,
    `copy` updates `source` and copies it, `export` exports. global_options: list of options before the subcommand.
    extra_options: list of options for checkout, update and export; checkout_options, export_options: for these alone.
    The other arguments are those of `Source`.
    """

    name = "cvs"
    program = "cvs"
    marker = "CVS"
    methods: ClassVar[tuple[str, ...]] = ("fresh", "clean", "clobber", "copy", "export")
    renderables: ClassVar[Any] = (
        *("cvsroot", "cvsmodule", "branch", "login", "global_options", "extra_options"),
        *("checkout_options", "export_options"),
    )

    def __init__(
        self,
        cvsroot: Any = None,
        cvsmodule: Any = "",
        mode: Any = "incremental",
        method: Any = None,
        branch: Any = None,
        global_options: Any = None,
        extra_options: Any = None,
        login: Any = None,
        checkoutDelay: Any = None,
        checkout_options: Any = None,
        export_options: Any = None,
        **kwargs: Any,
    ) -> None:
        self.cvsroot = cvsroot
        self.cvsmodule = cvsmodule
        self.branch = branch
        self.global_options = global_options
        self.extra_options = extra_options
        self.login = login
        self.checkoutDelay = checkoutDelay
        self.checkout_options = checkout_options
        self.export_options = export_options
        super().__init__(mode=mode, method=method, **kwargs)
        self._built_at = ""
        for name in ("cvsroot", "cvsmodule"):
            if not getattr(self, name):
                error(f"CVS needs a {name}")
        if self.repourl or self.baseURL:
            error("CVS has no repourl and no baseURL", "write cvsroot and cvsmodule")
        for name in ("global_options", "extra_options", "checkout_options", "export_options"):
            if isinstance(getattr(self, name), str):
                error(f"CVS: {name} is a list of strings, not {getattr(self, name)!r}")
        if checkoutDelay is not None and not isinstance(checkoutDelay, (int, float)):
            error(f"CVS: checkoutDelay is a number of seconds, not {checkoutDelay!r}")

    # -- Source

    def computeSourceRevision(self, changes: Any) -> str | None:
        if not changes:
            return None
        last = max(float(change.when) for change in changes)
        if self.checkoutDelay is not None:
            return written(last + self.checkoutDelay)
        asked = max((float(request.submittedAt) for request in self.build.requests), default=last)
        return written((last + max(asked, last)) / 2)

    def is_revision(self, revision: str) -> bool:
        return _DATE.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        return self._built_at

    # -- WorkingCopy

    def check_names(self, branch: str | None, revision: str | None) -> None:
        super().check_names(branch, revision)
        if not _TAG.fullmatch(branch or self.branch or "HEAD"):
            self.fail(f"{branch or self.branch!r} is not a branch's name")
        self._url = str(self.cvsroot)

    async def check_out(self, branch: str | None, revision: str | None) -> None:
        self._built_at = revision or str(self.remember("time", lambda _: written(self.build.now())))
        self._url = str(self.cvsroot)
        if self.login is not None:
            await self._log_in(str(self.login))
        await super().check_out(branch, revision)

    async def update(self, branch: str | None, revision: str | None) -> None:
        if await self.is_there() and await self._is_other_module():
            self.say("it is of another module or repository; removing everything\n")
            await self.remove(self._directory)
        if not await self.is_there():
            await self._check_out_new(branch, revision)
            return
        if not await self._is_whole():
            raise Damaged("a directory lacks what cvs needs to know it")
        sticky = self._which(branch, revision) or ["-A"]
        words = ["update", "-d", "-P", "-C", *sticky, *(self.extra_options or ())]
        if not await self._bring(words, self._directory, ""):
            await self._ask_server(branch)
            raise Damaged("cvs update failed, although the server answers")

    async def remake(self, branch: str | None, revision: str | None) -> None:
        try:
            await self.remove_paths(await self._find("-name", self.marker))
        except TooMuch as problem:
            raise Damaged(str(problem)) from problem
        await self._check_out_new(branch, revision)

    async def purge(self, ignore_ignores: bool) -> None:
        hidden: list[str] = []  # what they name would not be told, nor are links
        if ignore_ignores:
            hidden = await self._find("-name", ".cvsignore", "-o", "-type", "l")
            await self.remove_paths(hidden)
        told = await self.drive("-n", "update", "-d", "-P", *(["-I", "!"] if ignore_ignores else []), collect=True)
        lines = self.output_of(told).splitlines()
        if hidden:
            await self.must("update", *self._for_all(), complaint="cvs update failed", workdir=self._directory)
        if told.rc not in (0, 1):
            raise TooMuch("cvs cannot list the files that are here")
        await self.remove_all(self.checked_names([line[2:] for line in lines if line.startswith("? ")]))

    async def export(self) -> None:
        """Nothing: `_check_out_new` has exported."""

    # -- cvs

    async def _update_or_remake(self, branch: str | None, revision: str | None) -> None:
        if self.mode == "full" and self.method == "export":
            self._directory = str(self.workdir)
            words = ["export", *(self.export_options or ()), *(self._which(branch, revision) or ["-r", "HEAD"])]
            await self._bring_module(words, branch)
        else:
            await super()._update_or_remake(branch, revision)

    async def _check_out_new(self, branch: str | None, revision: str | None) -> None:
        words = ["checkout", "-P", *(self.checkout_options or ()), *self._which(branch, revision)]
        await self._bring_module(words, branch)

    async def _bring_module(self, words: list[Any], branch: str | None) -> None:
        """Check out or export into the directory, from that above it: cvs cannot do so in the directory itself."""
        above, name = posixpath.split(posixpath.normpath(self._directory))
        words = [*words, *(self.extra_options or ()), "-d", name, self.cvsmodule]
        if not await self._bring(words, above or ".", f"{name}/"):
            await self._ask_server(branch)
            raise Damaged("cvs checkout failed, although the server answers")

    async def _bring(self, words: list[Any], workdir: str, before: str) -> bool:
        """Update or check out; files that are in the way are removed. before: what stands before their names."""
        for _ in range(ROUNDS):
            done = await self.drive(*words, workdir=workdir, collect=True)
            if done.rc == 0:
                return True
            lines = done.stdout[:OUTPUT_LIMIT].splitlines()
            prefix = f"C {before}"
            in_the_way = [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
            if not in_the_way:
                return False
            await self.remove_all(in_the_way)
        return False

    async def _find(self, *what: str) -> list[str]:
        """All such paths in the directory, and none that is behind a link. Raises TooMuch."""
        told = await self.shell(["find", ".", *what], workdir=self._directory, collect=True)
        if told.rc != 0:
            raise TooMuch("find cannot list the files that are here")
        found = self.checked_names(self.output_of(told).splitlines())
        return [posixpath.normpath(posixpath.join(self._directory, path)) for path in found]

    async def _ask_server(self, branch: str | None) -> None:
        """That the server answers and has the module and branch. Raises BuildStepFailed."""
        tag = branch or self.branch or "HEAD"
        words = ("rdiff", "-s", "-l", "-r", tag, "-r", tag, self.cvsmodule)
        if (await self.drive(*words, workdir=".")).rc == 0:
            return
        if (await self.drive("checkout", "-c", workdir=".")).rc == 0:
            self.fail(f"there is no {self.cvsmodule} with a branch or tag {tag} in {self.shown_url}")
        self.fail(f"{self.shown_url} cannot be reached")

    async def _is_other_module(self) -> bool:
        told = await self.shell(["cat", "CVS/Root", "CVS/Repository"], workdir=self._directory, collect=True)
        lines = told.stdout.split("\n")
        if told.rc != 0 or len(lines) < 2:
            return False  # damaged, and the update will tell
        path = _bare(self._url).rpartition(":")[2]
        module = lines[1].removeprefix(path[path.find("/") :]).strip("/")
        return _bare(lines[0]) != _bare(self._url) or module != str(self.cvsmodule).strip("/")

    async def _is_whole(self) -> bool:
        """Whether cvs knows each directory: it leaves one out that it does not, and calls that a success."""
        needed = ("Entries", "Repository")
        words = [word for name in needed for word in ("-o", "-path", f"*/{self.marker}/{name}")]
        try:
            found = set(await self._find("-path", f"*/{self.marker}", *words))
        except TooMuch:  # nobody knows
            return True
        own = [path for path in found if posixpath.basename(path) == self.marker]
        return found.issuperset(f"{path}/{name}" for path in own for name in needed)

    async def _log_in(self, password: str) -> None:
        self.build.secrets.note("login", password)
        done = await self.shell([*self.command_line(), "login"], workdir=".", stdin=f"{password}\n".encode())
        if done.rc != 0:
            self.fail(f"cvs cannot log in to {self.shown_url}")

    def _which(self, branch: str | None, revision: str | None) -> list[Any]:
        tag = branch or self.branch
        words = ["-r", tag] if tag and tag != "HEAD" else []
        return [*words, "-D", revision] if revision else words

    def _for_all(self) -> tuple[Any, ...]:
        return ("-d", "-P", "-C", *(self.extra_options or ()))

    @property
    def shown_url(self) -> str:
        return _PASSWORD.sub(r"\1:XXXX@", self._url)

    def command_line(self) -> list[Any]:
        shown = self.shown_url
        root = self._url if shown == self._url else ("obfuscated", self._url, shown)
        return ["cvs", "-q", "-z3", *(self.global_options or ()), "-d", root]


def written(when: float) -> str:
    """A time as cvs reads it."""
    return time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(when))


def _bare(root: str) -> str:
    """A root without what does not tell one repository from another."""
    return _BESIDES.sub("", root.strip(), count=1).replace(":2401/", ":/").rstrip("/")
