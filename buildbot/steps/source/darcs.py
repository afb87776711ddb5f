"""The Darcs step: makes the working directory hold the very patches that a repository has, or had.

A darcs repository is a set of patches. Those that the other side lacks are taken away and those that are missing here
are pulled, which also follows rewritten history. A revision is a context, the text that names a set of patches: it is
cloned beside the working copy, and stands for the other side.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.steps.source.workingcopy import OUTPUT_LIMIT, Damaged, WorkingCopy

LONGEST_CONTEXT = 64 * 1024  # as a property; a longer one is told by its newest patch
CONTEXT = ".darcs-context"
_HASH = re.compile(r"[0-9a-f]{40}")
_NEWEST = re.compile(r"^patch ([0-9a-f]{40})$", re.MULTILINE)


class Darcs(WorkingCopy):
    """Check out source with Darcs.

    repourl: where from; a string, a renderable, a dict or function of the source stamp's repository, or a string with
    `%s` for it. baseURL, defaultBranch: instead of it, a URL to which the source stamp's branch is appended, and the
    branch when there is none. mode `incremental` (default) keeps every file that is not of the repository; `full` does
    not, by its method: `copy` (default) updates `source` and copies it, `clobber` removes everything first. A revision
    is a context, as `darcs log --context` prints it, or the hash of a patch. The other arguments are those of `Source`.
    """

    name = "darcs"
    program = "darcs"
    marker = "_darcs"
    methods: ClassVar[tuple[str, ...]] = ("copy", "clobber")

    def __init__(self, repourl: Any = None, mode: Any = "incremental", method: Any = None, **kwargs: Any) -> None:
        super().__init__(repourl=repourl, mode=mode, method=method, **kwargs)
        self.check_addresses()

    # -- Source

    def is_revision(self, revision: str) -> bool:
        context = "Context:" in revision and "\0" not in revision and len(revision) <= OUTPUT_LIMIT
        return context or _HASH.fullmatch(revision) is not None

    async def got_revision(self) -> str | None:
        asked = await self.drive("log", "--context", collect=True)
        if asked.rc != 0 or "Context:" not in asked.stdout:
            self.fail("darcs does not tell which patches it has")
        if len(asked.stdout) <= LONGEST_CONTEXT:
            return asked.stdout
        newest = await self.drive("log", "--max-count=1", collect=True)
        found = _NEWEST.search(newest.stdout[:OUTPUT_LIMIT])
        if found is None:
            self.fail("darcs does not tell which patch is the newest")
        assert found is not None
        return found[1]

    # -- WorkingCopy

    async def update(self, branch: str | None, revision: str | None) -> None:
        self._url = self.address_of(branch)
        if await self.is_there():
            await self.remove(f"{self._directory}/{self.marker}/lock")  # of a darcs that was killed: nobody works here
            counted = await self.drive("log", "--count", collect=True)
            if counted.stdout.strip() == "0":  # so darcs reads an inventory that is garbage, and then pulls nothing
                raise Damaged("it has no patches")
            await self._revert()
        else:
            await self.must("initialize", "--quiet", complaint="darcs cannot make a repository")
        if revision is None:
            await self._become(self.word(self._url))
            return
        side = f"{self._directory}.wanted"
        await self._clone(revision, side)
        await self._become(f"../{side.rpartition('/')[2]}")
        await self.remove(side)

    async def remake(self, branch: str | None, revision: str | None) -> None:
        await self.remove(f"{self._directory}/{self.marker}")
        await self.update(branch, revision)

    # -- darcs

    async def _become(self, other: Any) -> None:
        """Have the patches of the other repository, and no others."""
        gone = await self.drive("obliterate", "--all", "--quiet", *_joined("--not-in-remote=", other))
        if gone.rc == 0:
            words = ("pull", "--all", "--quiet", "--no-set-default", "--allow-unrelated-repos", "--", other)
            gone = await self.drive(*words)
        if gone.rc != 0:
            await self._ask_server()
            raise Damaged("darcs pull failed, although the server answers")
        await self._revert()  # what is left of files that were in the way

    async def _clone(self, revision: str, side: str) -> None:
        await self.remove(side)
        if _HASH.fullmatch(revision):
            which = f"--to-hash={revision}"
        else:
            await self.write(".", CONTEXT, revision.encode())
            which = f"--context={CONTEXT}"
        words = ("clone", "--lazy", "--quiet", "--no-set-default", which, "--", self.word(self._url), side)
        if (await self.drive(*words, workdir=".")).rc != 0:
            await self._ask_server()
            self.fail(f"{self.shown_url} does not have all patches of this revision")

    async def _ask_server(self) -> None:
        """That the server answers. Raises BuildStepFailed."""
        words = ("log", "--max-count=1", *_joined("--repo=", self.word(self._url)))
        if (await self.drive(*words, workdir=".")).rc != 0:
            self.fail(f"there is no repository at {self.shown_url}, or its server cannot be reached")

    async def _revert(self) -> None:
        if (await self.drive("revert", "--all", "--quiet")).rc != 0:
            raise Damaged("darcs revert failed")


def _joined(option: str, word: Any) -> tuple[Any, ...]:
    """An option with its value as one word, also when that is not to be shown."""
    if isinstance(word, tuple):
        return (("obfuscated", option + word[1], option + word[2]),)
    return (option + word,)
