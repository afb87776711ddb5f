"""The Darcs step against a repository served over HTTP, on a real slave."""

from __future__ import annotations

import os
import shutil

from buildbot.model import NewChange
from buildbot.steps.source.darcs import Darcs
from tests.rig import Source
from tests.source.servers import SilentServer
from tests.source.vcs_servers import DarcsRepository, SourceCase, put, run

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class TestDarcs(SourceCase):
    step = Darcs
    tools = (("darcs", "darcs"),)

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = DarcsRepository(self.processes, self.rig.base / "darcs")
        self.first = self.repository.commit(a="one\n", gone="soon\n")
        self.usual["repourl"] = self.repository.url

    async def test_modes_and_revisions(self) -> None:
        built = await self.good()
        context = built.properties["got_revision"]
        assert context.strip() == self.first
        (self.work / os.fsdecode(b"lat\xe9in")).write_text("")
        put(self.work, a="spoiled", own="mine", coming="in the way")
        self.repository.commit(a="two\n", gone=None, coming="here\n")
        second = (await self.good()).properties["got_revision"]
        assert self.names() == {"_darcs", "a", "own", "coming", "coming.~0~", os.fsdecode(b"lat\xe9in")}
        assert [(self.work / name).read_text() for name in ("a", "coming")] == ["two\n", "here\n"]
        # back to what was built first, and on again
        built = await self.good(Source(None, context))
        assert built.properties["got_revision"] == context
        assert ((self.work / "a").read_text(), {"gone", "own"} <= self.names()) == ("one\n", True)
        assert {path.name for path in self.rig.slave_dir().iterdir()} == {"build", ".darcs-context"}
        await self.good(Source(changes=[NewChange("me", revision=context), NewChange("me", revision=second)]))
        assert (self.work / "a").read_text() == "two\n"
        newest = self.repository("log", "--last=2").split("patch ")[-1][:40]
        await self.good(Source(None, newest))
        assert (self.work / "a").read_text() == "one\n"
        await self.good(mode="copy")
        assert self.names() == {"_darcs", "a", "coming"}
        # another branch, and history that was written anew
        run(self.repository.path.parent, "darcs", "clone", "-q", "trunk", "other")
        self.repository("obliterate", "-q", "-a", "--last=1", beside="other")
        self.repository.commit(beside="other", a="other\n")
        branches = {"repourl": None, "baseURL": f"{self.repository.server}/", "defaultBranch": "trunk"}
        await self.good(Source("other"), **branches)
        assert self.names() == {"_darcs", "a", "gone"}
        assert (self.work / "a").read_text() == "other\n"
        await self.good(mode="full", method="clobber", **branches)
        assert (self.work / "a").read_text() == "two\n"
        assert "there is no repository at" in await self.bad(Source("nowhere"), **branches)
        strange = context.replace("change", "nobody's")
        assert "does not have all patches" in await self.bad(Source(None, strange))
        for branch in ("--repo=/tmp", "../x"):
            assert "is not a branch's name" in await self.bad(Source(branch), **branches)
        for revision in ("--to-hash=x", "1"):
            assert "is not a revision" in await self.bad(Source(None, revision))

    async def test_trouble_is_mended_and_nothing_is_lost(self) -> None:
        await self.good(Source(patch=(0, PATCH, ".")))
        assert ((self.work / "a").read_text(), (self.work / "new").exists()) == ("patched\n", True)
        (self.work / "own").write_text("mine")
        await self.good()
        assert self.names("_darcs") == {"a", "gone", "own"}
        (self.work / "_darcs" / "lock").write_text("")
        self.repository.commit(a="two\n")
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        shutil.rmtree(self.work / "_darcs" / "inventories")
        (self.work / "_darcs" / "hashed_inventory").write_text("nonsense")
        third = self.repository.commit(a="three\n")
        built = await self.good()
        assert ((self.work / "a").read_text(), "own" in self.names()) == ("three\n", True)
        assert built.properties["got_revision"].strip() == third
        assert "cannot be reached" in await self.bad(repourl="http://127.0.0.1:1/x")
        silent = SilentServer()
        self.addCleanup(silent.stop)
        assert "darcs timed out" in await self.bad(repourl=f"http://127.0.0.1:{silent.port}/x", timeout=1)
        await self.good()
        assert "own" in self.names()

    async def test_another_repository_and_a_hook_that_hangs(self) -> None:
        await self.good()
        (self.work / "own").write_text("mine")
        other = DarcsRepository(self.processes, self.rig.base / "other")
        other.commit(file="else\n")
        await self.good(repourl=other.url)
        assert self.names("_darcs") == {"file", "own"}
        settings = self.rig.base / "home" / ".darcs"
        settings.mkdir(parents=True)
        (settings / "defaults").write_text("pull posthook sleep 600\npull run-posthook\n")
        assert "darcs timed out" in await self.bad(env={"HOME": str(settings.parent)}, timeout=1)
        await self.good()
        assert self.names("_darcs") == {"a", "gone", "own"}
