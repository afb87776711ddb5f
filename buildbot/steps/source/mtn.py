"""The Monotone step: pulls a branch into a database beside the working directory, and checks a revision out of it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.steps.source.workingcopy import Damaged, TooMuch, WorkingCopy

_BRANCH = re.compile(r"\w[\w.+@/-]{0,254}")
_SELECTOR = re.compile(r"\w[\w.:+@/-]{0,254}")
_ID = re.compile(r"[0-9a-f]{40}")


class Monotone(WorkingCopy):
    """Check out source with Monotone.

    repourl: the server's database, such as `mtn://host/path`; of old, server_addr: `host` or `host:port`. branch: built
    when the source stamp names none. progress: have `mtn pull` tell of it, so that a long one is not silent. db_path:
    the database that is pulled into, in the builder's directory (`db.mtn`). monotone: the program (`mtn`). mode
    `incremental` (default) keeps every file that is not of the branch; `full` does not, by its method: `copy` (default)
    updates `source` and copies it, `clobber` removes everything first, `fresh` removes unknown and ignored files,
    `clean` leaves the ignored ones. The other arguments are those of `Source`.
    """

    name = "monotone"
    marker = "_MTN"
    methods: ClassVar[tuple[str, ...]] = ("copy", "clobber", "fresh", "clean")
    renderables: ClassVar[Any] = ("branch",)

    def __init__(
        self,
        repourl: Any = None,
        branch: Any = None,
        progress: bool = False,
        mode: Any = "incremental",
        method: Any = None,
        server_addr: Any = None,
        db_path: Any = "db.mtn",
        monotone: Any = "mtn",
        **kwargs: Any,
    ) -> None:
        if server_addr and not repourl:
            repourl = f"mtn://{server_addr}"
        self.branch = branch
        self.show_progress = progress
        self.db_path = db_path
        self.monotone = monotone
        super().__init__(repourl=repourl, mode=mode, method=method, **kwargs)
        self.check_addresses()
        if not branch:
            error("Monotone needs a branch")
        if not isinstance(db_path, str) or not db_path or db_path.startswith("-"):
            error(f"Monotone: db_path is the name of a file, not {db_path!r}")

    # -- Source

    def is_revision(self, revision: str) -> bool:
        return _SELECTOR.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        asked = await self.drive("automate", "select", "w:", collect=True)
        revision = asked.stdout.strip()
        if asked.rc != 0 or not _ID.fullmatch(revision):
            self.fail("mtn does not tell which revision it has checked out")
        return revision

    # -- WorkingCopy

    def check_names(self, branch: str | None, revision: str | None) -> None:
        super().check_names(branch, revision)
        if not _BRANCH.fullmatch(self._built(branch)):
            self.fail(f"{self._built(branch)!r} is not a branch's name")

    async def update(self, branch: str | None, revision: str | None) -> None:
        await self._pull(self._built(branch))
        wanted = revision or f"h:{self._built(branch)}"
        which = (f"--revision={wanted}", f"--branch={self._built(branch)}")
        if not await self.is_there():
            await self.remove(self._directory)  # mtn checks out into a directory that is not there yet
            words = ("checkout", f"--db={self.db_path}", *which, self._directory)
            await self.must(*words, complaint=f"there is no {wanted} in {self.shown_url}", workdir=".")
            return
        if (await self.drive("revert", ".")).rc != 0:
            raise Damaged("mtn revert failed")
        if (await self.drive("update", *which)).rc == 0:
            return
        select = ("automate", "select", f"--db={self.db_path}", wanted)
        found = await self.drive(*select, workdir=".", collect=True)
        if found.rc != 0 or not found.stdout.strip():
            self.fail(f"there is no {wanted} in {self.shown_url}")
        raise Damaged("mtn update failed, although the revision is here")

    async def remake(self, branch: str | None, revision: str | None) -> None:
        await self.remove(self._directory)
        await self.update(branch, revision)

    async def purge(self, ignore_ignores: bool) -> None:
        for what in ("unknown", "ignored") if ignore_ignores else ("unknown",):
            told = await self.drive("ls", what, collect=True)
            if told.rc != 0:
                raise TooMuch("mtn cannot list the files that are here")
            await self.remove_all(self.checked_names(self.output_of(told).splitlines()))

    # -- mtn

    async def _pull(self, branch: str) -> None:
        self._url = self.address_of(None)
        database = f"--db={self.db_path}"
        if await self.exists(self.db_path) and (await self.drive("db", "migrate", database, workdir=".")).rc != 0:
            self.say(f"mtn cannot use the database {self.db_path}; pulling all of it anew\n")
            await self.remove(self.db_path)
        if not await self.exists(self.db_path):
            await self.must("db", "init", database, complaint="mtn cannot make a database", workdir=".")
        ticker = "--ticker=dot" if self.show_progress else "--ticker=none"
        words = ("pull", database, ticker, "--", self.word(f"{self._url}?{branch}"))
        await self.must(*words, complaint=f"mtn cannot pull from {self.shown_url}", workdir=".")

    def _built(self, branch: str | None) -> str:
        return str(branch or self.branch)

    def command_line(self) -> list[Any]:
        return [self.monotone or "mtn"]
