"""The Mercurial step against `hg serve`, on a real slave."""

from __future__ import annotations

import os
import shutil
import subprocess

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.steps.source.mercurial import Mercurial
from tests.rig import Source
from tests.source.servers import SilentServer
from tests.source.vcs_servers import MercurialRepository, SourceCase, put, run

PATCH = (
    b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+n\n"
)


class MercurialCase(SourceCase):
    step = Mercurial
    tools = (("hg", "mercurial"),)

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = MercurialRepository(self.processes, self.rig.base / "hg")
        self.first = self.repository.commit(a="one\n", gone="soon\n", **{".hgignore": "syntax: glob\n*.o\n"})
        self.usual["repourl"] = self.repository.url


class TestMercurial(MercurialCase):
    async def test_the_modes(self) -> None:
        second = self.repository.commit(a="two\n")
        built = await self.good()
        assert built.properties["got_revision"] == second
        (self.work / os.fsdecode(b"lat\xe9in")).write_text("")
        (self.work / "made.o").write_text("object")
        put(self.work, a="spoiled", own="mine", coming="in the way")
        self.repository.commit(gone=None, coming="here\n")
        await self.good()
        latin = os.fsdecode(b"lat\xe9in")
        files = {".hg", ".hgignore", "a", "coming"}
        assert self.names() == {*files, "own", "made.o", latin}
        assert (self.work / "a").read_text() == "two\n"
        assert (self.work / "coming").read_text() == "here\n"
        await self.good(mode="full", method="clean")
        assert self.names() == {*files, "made.o"}
        (self.work / "own").write_text("mine")
        await self.good(mode="full")
        assert self.names() == files
        await self.good(mode="copy")
        (self.work / "own").write_text("mine")
        await self.good(mode="copy")
        assert self.names() == files
        assert (self.rig.slave_dir() / "source" / ".hg").exists()
        (self.work / "own").write_text("mine")
        await self.good(mode="full", method="clobber")
        assert self.names() == files

    async def test_revisions_and_branches(self) -> None:
        repository = self.repository
        second = repository.commit(a="two\n")
        built = await self.good(Source(None, self.first))
        assert (built.properties["got_revision"], (self.work / "a").read_text()) == (self.first, "one\n")
        changes = [NewChange("me", revision=self.first), NewChange("me", revision=second[:12])]
        built = await self.good(Source(changes=changes))
        assert built.properties["got_revision"] == second
        # what is here needs no server
        await self.good(Source(None, self.first), repourl="http://127.0.0.1:1/")
        # a number is the server's
        built = await self.good(Source(None, "1"))
        assert built.properties["got_revision"] == second
        built = await self.good(Source(None, self.first), alwaysUseLatest=True)
        assert built.properties["got_revision"] == second
        # named branches
        repository("branch", "-q", "stable branch")
        stable = repository.commit(a="stable\n")
        repository("update", "-q", "default")
        (self.work / "own").write_text("mine")
        inrepo = {"branchType": "inrepo"}
        built = await self.good(Source("default"), **inrepo)
        assert built.properties["got_revision"] == second
        built = await self.good(Source("stable branch"), clobberOnBranchChange=False, **inrepo)
        assert (built.properties["got_revision"], "own" in self.names()) == (stable, True)
        built = await self.good(Source(None), defaultBranch="default", **inrepo)
        assert (built.properties["got_revision"], "own" in self.names()) == (second, False)
        (self.work / "own").write_text("mine")
        assert "there is no nowhere in http" in await self.bad(Source("nowhere"), **inrepo)
        assert "there is no 1234567890ab" in await self.bad(Source(None, "1234567890ab"), **inrepo)
        assert "own" in self.names()
        # branches that are repositories of their own
        run(repository.directory, "hg", "clone", "-q", repository.path, "other")
        put(repository.directory / "other", a="other\n")
        run(repository.directory / "other", "hg", "commit", "-q", "-u", "me", "-m", "other")
        dirname = {"repourl": f"{repository.server}/", "defaultBranch": "main"}
        await self.good(Source("other"), **dirname)
        assert ((self.work / "a").read_text(), "own" in self.names()) == ("other\n", True)
        await self.good(Source(None), repourl=None, baseURL=f"{repository.server}/", defaultBranch="main")
        assert (self.work / "a").read_text() == "two\n"
        # nothing from a change becomes an option, or an expression
        hook = f"--config=hooks.pre-update=touch {self.rig.base}/pwned"
        for branch in (hook, "-q", "../main"):
            assert "is not a branch's name" in await self.bad(Source(branch), **dirname)
        for revision in (hook, "-1", "branch(default)", "a\nb"):
            assert "is not a revision" in await self.bad(Source(None, revision))
        assert "is not a branch's name" in await self.bad(Source("file('x')"), **inrepo)
        await self.bad(Source("--config"), **inrepo)
        assert not (self.rig.base / "pwned").exists()

    async def test_a_patch_is_taken_away(self) -> None:
        built = await self.good(Source(codebase="c", patch=(1, PATCH, ".")), codebase="c")
        assert built.properties["got_revision"] == {"c": self.first}
        assert ((self.work / "a").read_text(), (self.work / "new").read_text()) == ("patched\n", "n\n")
        (self.work / "own").write_text("mine")
        await self.good()
        assert self.names(".hg") == {".hgignore", "a", "gone", "own"}
        assert (self.work / "a").read_text() == "one\n"

    async def test_trouble_is_mended_and_nothing_is_lost(self) -> None:
        await self.good()
        (self.work / "own").write_text("mine")
        # locks of a process that lives but is not ours
        process = subprocess.Popen(["sleep", "100"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        space = os.stat("/proc/self/ns/pid").st_ino
        for lock in ("wlock", "store/lock"):
            path = self.work / ".hg" / lock
            path.symlink_to(f"{os.uname().nodename}/{space:x}:{process.pid}")
        self.repository.commit(a="two\n")
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        # a broken repository
        (self.work / ".hg" / "store" / "00changelog.i").write_bytes(b"nonsense" * 40)
        self.repository.commit(a="three\n")
        await self.good()
        assert (self.work / "a").read_text() == "three\n"
        shutil.rmtree(self.work / ".hg")
        (self.work / "a").write_text("spoiled")
        await self.good()
        assert (self.work / "a").read_text() == "three\n"
        # rewritten history
        self.repository("--config", "extensions.strip=", "strip", "-q", "--no-backup", "tip")
        newest = self.repository.commit(a="other three\n")
        built = await self.good()
        assert (built.properties["got_revision"], (self.work / "a").read_text()) == (newest, "other three\n")
        assert "own" in self.names()
        # another repository
        other = MercurialRepository(self.processes, self.rig.base / "other")
        other.commit(file="else\n")
        await self.good(repourl=other.url)
        assert self.names(".hg") == {"file", "own"}
        # hooks that hang, of an update and in the middle of a pull
        hooks = self.rig.base / "hooks"
        for hook in ("update", "pretxnchangegroup"):
            hooks.write_text(f"[hooks]\n{hook} = sleep 600\n")
            newest = other.commit(file=hook)
            told = await self.bad(repourl=other.url, env={"HGRCPATH": str(hooks)}, timeout=1)
            assert "hg timed out" in told
            built = await self.good(repourl=other.url)
            assert (built.properties["got_revision"], (self.work / "file").read_text()) == (newest, hook)
        # no server, and one that says nothing
        assert "cannot be reached" in await self.bad(repourl="http://127.0.0.1:1/repo")
        silent = SilentServer()
        self.addCleanup(silent.stop)
        assert "hg timed out" in await self.bad(repourl=f"http://127.0.0.1:{silent.port}/repo", timeout=1)
        assert self.names(".hg") == {"file", "own"}
        await self.good(repourl=other.url)


class TestArguments(SourceCase):
    with_slave = False

    def test_wrong_ones_are_told(self) -> None:
        for options, complaint in (
            ({}, "needs a repourl"),
            ({"repourl": "x", "branchType": "indir"}, "branchType is one of dirname, inrepo"),
            ({"repourl": "x", "mode": "full", "method": "export"}, "method is one of"),
            ({"repourl": "x", "branchtype": "inrepo"}, "did you mean"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Mercurial(**options)  # type: ignore[arg-type]
            assert complaint in str(caught.exception), caught.exception
