"""The Mercurial step: brings a changeset into the working directory.

The server is asked for the identity of what is to be built, so that nothing that is here from before, such as heads
that were stripped there, can be taken for it; a changeset that is here already needs no server.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.steps.source.workingcopy import Damaged, WorkingCopy

_REVISION = re.compile(r"[\w.][\w.+/ @~^-]{0,254}")
_ID = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{28})?")
_NO_SYMBOL = re.compile(r"""[()"'\\:]""")  # would be an expression that hg computes
_NOTHING = "0" * 12
BRANCH_TYPES = ("dirname", "inrepo")


class Mercurial(WorkingCopy):
    """Check out source with Mercurial.

    repourl: where from; a string, a renderable, a dict or function of the source stamp's repository, or a string with
    `%s` for it. branchType `dirname` (default): each branch is a repository, and its name is appended to repourl;
    `inrepo`: branches are named ones of the one repository. defaultBranch: built when the source stamp names none.
    baseURL: the older spelling of repourl with `dirname`. clobberOnBranchChange (default True): with `inrepo`, remove
    everything when the branch is another than before. mode `incremental` (default) keeps every file that is not hg's;
    `full` does not, by its method: `fresh` (default) removes untracked and ignored files, `clean` leaves the ignored
    ones, `clobber` removes everything first, `copy` updates `source` and copies it. The other arguments are those of
    `Source`.
    """

    name = "hg"
    program = "hg"
    marker = ".hg"
    methods: ClassVar[tuple[str, ...]] = ("fresh", "clean", "clobber", "copy")
    own_env: ClassVar[dict[str, str]] = {"HGPLAIN": "+strictflags"}  # options stand before the command, or are none
    renderables: ClassVar[Any] = ("branchType",)

    def __init__(
        self,
        repourl: Any = None,
        mode: Any = "incremental",
        method: Any = None,
        defaultBranch: Any = None,
        branchType: Any = "dirname",
        clobberOnBranchChange: bool = True,
        **kwargs: Any,
    ) -> None:
        self.branchType = branchType
        self.clobberOnBranchChange = clobberOnBranchChange
        super().__init__(repourl=repourl, mode=mode, method=method, defaultBranch=defaultBranch, **kwargs)
        self.check_addresses()
        if isinstance(branchType, str) and branchType not in BRANCH_TYPES:
            error(f"Mercurial: branchType is one of {', '.join(BRANCH_TYPES)}, not {branchType!r}")

    # -- Source

    def is_revision(self, revision: str) -> bool:
        return _REVISION.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        asked = await self.drive("log", "--rev=.", "--template={node}", collect=True)
        revision = asked.stdout.strip()
        if asked.rc != 0 or not _ID.fullmatch(revision):
            self.fail("hg does not tell which changeset it has checked out")
        return revision

    # -- WorkingCopy

    async def update(self, branch: str | None, revision: str | None) -> None:
        self._url = self._address(branch)
        name = self._name_of(branch)
        wanted = revision or name
        here = bool(revision and _ID.fullmatch(revision)) and await self.is_there() and await self._has(str(revision))
        node = revision if here else None
        if node is None:
            node = await self._at_server(wanted, given=wanted is not None)
        if await self._is_other_branch(name):
            self.say("the branch is another one; removing everything\n")
            await self.remove(self._directory)
        if not await self.is_there():
            await self._init()
        if node != _NOTHING and not here and not await self._has(node):
            await self._pull(node)
        await self._update_to(node)

    async def remake(self, branch: str | None, revision: str | None) -> None:
        await self.drive("update", "--clean", "--rev=null")  # files of an unrelated repository go, if it still works
        await self.remove(f"{self._directory}/{self.marker}")
        await self.update(branch, revision)

    async def purge(self, ignore_ignores: bool) -> None:
        words = ("--config", "extensions.purge=", "purge", *(["--all"] if ignore_ignores else []))
        await self.must(*words, complaint="hg purge failed")

    # -- hg

    def _address(self, branch: str | None) -> str:
        if self.branchType == "inrepo" or self.baseURL:
            return self.address_of(None if self.branchType == "inrepo" else branch)
        branch = branch or self.defaultBranch or ""
        if ".." in branch.split("/"):
            self.fail(f"{branch!r} is not a branch's name")
        return self.address_of(None) + branch

    def _name_of(self, branch: str | None) -> str | None:
        """The named branch that is built; None: the newest changeset of `default`, or of all."""
        name = (branch or self.defaultBranch or "default") if self.branchType == "inrepo" else None
        if name is not None and _NO_SYMBOL.search(name):
            self.fail(f"{name!r} is not a branch's name")
        return name

    async def _at_server(self, wanted: str | None, *, given: bool) -> str:
        """The identity of a branch, tag or changeset at the server. Raises BuildStepFailed."""
        node = await self._identify(wanted or "default")
        if node is None and (wanted is None or wanted == "default"):
            node = await self._identify("tip")
        if node is None and given and await self._identify("tip") is not None:
            self.fail(f"there is no {wanted} in {self.shown_url}")
        if node is None:
            self.fail(f"{self.shown_url} cannot be reached")
        assert node is not None
        return node

    async def _identify(self, revision: str) -> str | None:
        asked = await self.drive("identify", "--id", f"--rev={revision}", "--", self.word(self._url), collect=True)
        node = asked.stdout.strip()
        return node if asked.rc == 0 and _ID.fullmatch(node) else None

    async def _is_other_branch(self, name: str | None) -> bool:
        if name is None or self.mode != "incremental" or not self.clobberOnBranchChange or not await self.is_there():
            return False
        asked = await self.drive("branch", collect=True)
        return asked.rc == 0 and asked.stdout.strip() != name

    async def _init(self) -> None:
        await self.must("init", complaint="hg cannot make a repository")

    async def _has(self, revision: str) -> bool:
        return (await self.drive("log", f"--rev={revision}", "--template=\n")).rc == 0

    async def _pull(self, node: str) -> None:
        words = ("pull", f"--rev={node}", "--", self.word(self._url))
        if (await self.drive(*words)).rc == 0:
            return
        await self._free()
        if (await self.drive(*words)).rc == 0:
            return
        if await self._identify(node) is None:
            self.fail(f"there is no changeset {node} in {self.shown_url}, or it cannot be reached")
        raise Damaged("hg pull failed, although the server answers")

    async def _update_to(self, node: str) -> None:
        words = ("update", "--clean", f"--rev={node}")
        if (await self.drive(*words)).rc != 0:
            await self._free()
            if (await self.drive(*words)).rc != 0:
                raise Damaged("hg update failed")

    async def _free(self) -> None:
        """Take away the locks and the transaction of an hg that was killed; nobody else works here."""
        await self.drive("debuglocks", "--force-free-lock", "--force-free-wlock")
        await self.drive("recover")

    def command_line(self) -> list[Any]:
        return ["hg", "--noninteractive", "--config", "ui.timeout=3"]
