"""The SVN step against svnserve, on a real slave."""

from __future__ import annotations

import os
import shutil
import sqlite3

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.steps.source.svn import SVN
from tests.rig import Source
from tests.source.servers import SilentServer
from tests.source.vcs_servers import SourceCase, Subversion, put, run

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class SVNCase(SourceCase):
    step = SVN
    tools = (("svn", "subversion"), ("svnserve", "subversion"))

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = Subversion(self.processes, self.rig.base / "svn")
        self.first = self.repository.commit(trunk__a="one\n", trunk__gone="soon\n", trunk__lib__b="b\n")
        self.usual["repourl"] = f"{self.repository.url}/trunk"

    def dirty(self) -> None:
        put(self.work, own="mine\n", made_o="", lib__other="other\n")
        (self.work / "made.o").write_text("object")
        (self.work / "link").symlink_to("/")
        (self.work / "inner").symlink_to("lib")
        (self.work / "with@sign").write_text("")


class TestSVN(SVNCase):
    async def test_the_modes(self) -> None:
        repository = self.repository
        repository("propset", "-q", "svn:ignore", "*.o", "trunk")
        second = repository.commit(trunk__a="two\n")
        built = await self.good()
        assert built.properties["got_revision"] == second
        assert (self.work / "a").read_text() == "two\n"
        # incremental keeps what is not svn's, and brings back what is
        self.dirty()
        (self.work / "a").write_text("spoiled")
        (self.work / "lib" / "b").unlink()
        (self.work / "coming").write_text("in the way")
        repository.commit(trunk__gone=None, trunk__coming="here\n")
        await self.good()
        assert self.names(".svn") == {"a", "lib", "own", "made_o", "made.o", "link", "inner", "with@sign", "coming"}
        assert (self.work / "a").read_text() == "two\n"
        assert (self.work / "coming").read_text() == "here\n"
        assert (self.work / "lib" / "b").read_text() == "b\n"
        assert (self.work / "lib" / "other").exists()
        # clean leaves what is ignored, and what it is told to
        await self.good(mode="full", method="clean", keep_on_purge=["own", "lib/other"])
        assert self.names(".svn") == {"a", "lib", "own", "made.o", "coming"}
        assert (self.work / "lib" / "other").exists()
        # fresh leaves nothing, and follows no link
        self.dirty()
        await self.good(mode="full", method="fresh")
        assert self.names(".svn") == {"a", "lib", "coming"}
        assert {path.name for path in (self.work / "lib").iterdir()} == {"b"}
        # a name that svn cannot tell
        (self.work / os.fsdecode(b"lat\xe9in")).write_text("")
        await self.good(mode="full")
        assert self.names(".svn") == {"a", "lib", "coming"}
        # copy and export, from the same directory
        await self.good(mode="full", method="copy")
        (self.rig.slave_dir() / "source" / "own").write_text("")
        assert self.names() == {".svn", "a", "lib", "coming"}
        built = await self.good(mode="export")
        assert self.names() == {"a", "lib", "coming"}
        assert built.properties["got_revision"] == "3"
        self.dirty()
        await self.good(mode="full", method="clobber")
        assert self.names(".svn") == {"a", "lib", "coming"}

    async def test_revisions_and_branches(self) -> None:
        repository = self.repository
        second = repository.commit(trunk__a="two\n")
        repository("copy", "-q", "trunk", "branch")
        repository.commit(branch__a="on the branch\n")
        with_branches = {"repourl": None, "baseURL": f"{repository.url}/", "defaultBranch": "trunk"}
        built = await self.good(Source("trunk", self.first, codebase=""), **with_branches)
        assert (built.properties["got_revision"], (self.work / "a").read_text()) == (self.first, "one\n")
        (self.work / "own").write_text("mine")
        changes = [NewChange("me", revision=second), NewChange("me", revision=self.first)]
        built = await self.good(Source(changes=changes), **with_branches)
        assert built.properties["got_revision"] == second
        built = await self.good(Source("trunk", self.first), alwaysUseLatest=True, preferLastChangedRev=True)
        assert built.properties["got_revision"] == second
        # another branch: the working copy is switched, and what is not of the repository stays
        built = await self.good(Source("branch"), **with_branches)
        assert (built.properties["got_revision"], (self.work / "a").read_text()) == ("3", "on the branch\n")
        assert (self.work / "own").exists()
        url = f"{repository.url}/%%BRANCH%%/lib"
        await self.good(Source("branch"), repourl=None, baseURL=url)
        assert self.names(".svn") == {"b", "own"}
        # a branch that was removed is there in the revisions that had it
        repository("rm", "-q", "branch")
        repository.commit()
        assert "there is no svn://" in await self.bad(Source("branch"), **with_branches)
        await self.good(Source("branch", "3"), **with_branches)
        assert (self.work / "a").read_text() == "on the branch\n"
        assert "there is no svn://" in await self.bad(Source("trunk", "99"), **with_branches)
        # nothing from a change becomes an option, or leaves the repository
        for branch in ("--config-option=config:tunnels:x=touch", "-q", "../other", "a\nb"):
            assert "is not a branch's name" in await self.bad(Source(branch), **with_branches)
        for revision in ("--config-option=config:tunnels:x=touch", "-1", "1 --force", "PREV"):
            assert "is not a revision" in await self.bad(Source("trunk", revision), **with_branches)
        # depth
        await self.good(depth="files")
        assert self.names(".svn") == {"a", "gone", "own"}
        await self.good(depth="infinity", mode="full")
        assert self.names(".svn") == {"a", "gone", "lib"}

    async def test_a_dictionary_for_codebases_and_a_patch_that_is_taken_away(self) -> None:
        source = Source(codebase="lib", repository=f"{self.repository.url}/trunk", patch=(0, PATCH, "."))
        built = await self.good(source, codebase="lib", repourl="%s")
        assert built.properties["got_revision"] == {"lib": self.first}
        assert (self.work / "a").read_text() == "patched\n"
        assert (self.work / "new").read_text() == "of the patch\n"
        (self.work / "own").write_text("mine")
        await self.good()
        assert self.names(".svn") == {"a", "gone", "lib", "own"}
        assert (self.work / "a").read_text() == "one\n"
        below = b"--- b\n+++ b\n@@ -1 +1 @@\n-b\n+patched\n"
        await self.good(Source(patch=(0, below, "lib")), mode="full", method="copy")
        assert (self.work / "lib" / "b").read_text() == "patched\n"

    async def test_externals(self) -> None:
        repository = self.repository
        repository.commit(other__e="e\n")
        repository("propset", "-q", "svn:externals", "^/other ext", "trunk")
        repository.commit()
        await self.good()
        put(self.work, ext__e="spoiled", ext__new="new\n")
        await self.good()
        assert (self.work / "ext" / "new").exists()
        await self.good(mode="full")
        assert (self.work / "ext" / "e").read_text() == "e\n"
        assert not (self.work / "ext" / "new").exists()
        await self.good(mode="full", method="clobber", extra_args=["--ignore-externals", "--config-option", "x:y:z=1"])
        assert not (self.work / "ext").exists()
        repository("propset", "-q", "svn:externals", "svn://127.0.0.1:1/nowhere ext", "trunk")
        repository.commit()
        (self.work / "own").write_text("mine")
        assert "external" in await self.bad()
        assert (self.work / "own").exists()

    async def test_trouble_is_mended_and_nothing_is_lost(self) -> None:
        await self.good()
        (self.work / "own").write_text("mine")
        database = self.work / ".svn" / "wc.db"
        # a client that was killed has left its lock
        with sqlite3.connect(database) as wc:
            wc.execute("INSERT INTO wc_lock VALUES (1, '', -1)")
        wc.close()
        self.repository.commit(trunk__a="two\n")
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        # a broken working copy, and one that was hardly begun
        database.write_bytes(b"nonsense" * 100)
        (self.work / "a").write_text("spoiled")
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        shutil.rmtree(self.work / ".svn")
        (self.work / ".svn").mkdir()
        await self.good()
        shutil.rmtree(self.work / ".svn")
        await self.good()
        assert self.names(".svn") == {"a", "gone", "lib", "own"}
        # the repository went back to an older state: rewritten history
        self.repository.commit(trunk__a="three\n")
        await self.good()
        old = self.rig.base / "svn" / "old"
        run(self.rig.base, "svnadmin", "create", old)
        dump = run(self.rig.base, "svnadmin", "dump", "-q", "-r", "0:2", self.repository.path)
        run(self.rig.base, "svnadmin", "load", "-q", "--force-uuid", old, stdin=dump + "\n")
        self.repository.path.rename(self.rig.base / "svn" / "before")
        old.rename(self.repository.path)
        built = await self.good()
        assert (built.properties["got_revision"], (self.work / "a").read_text()) == ("2", "two\n")
        assert (self.work / "own").exists()
        # the same repository at another address
        shutil.copytree(self.repository.path, self.rig.base / "svn" / "moved")
        await self.good(repourl=f"{self.repository.server}/moved/trunk")
        assert run(self.work, "svn", "info", "--show-item", "url") == f"{self.repository.server}/moved/trunk"
        assert (self.work / "own").exists()
        # another repository
        other = Subversion(self.processes, self.rig.base / "other")
        other.commit(file="else\n")
        await self.good(repourl=other.url)
        assert self.names(".svn") == {"file"}
        # no server: the working copy stays as it is
        (self.work / "own").write_text("mine")
        assert "cannot be reached" in await self.bad(repourl="svn://127.0.0.1:1/repo")
        silent = SilentServer()
        self.addCleanup(silent.stop)
        told = await self.bad(repourl=f"svn://127.0.0.1:{silent.port}/repo", timeout=1)
        assert told.startswith("svn: svn timed out")
        assert self.names(".svn") == {"file", "own"}
        await self.good(repourl=other.url)
        assert self.names(".svn") == {"file", "own"}

    async def test_a_password_is_used_and_not_shown(self) -> None:
        self.repository.private()
        assert "cannot be reached" in await self.bad(username="alice", password="wrong-one")
        built = await self.good(username="alice", password="wonder-land")
        assert "wonder-land" not in self.told(built)
        assert not any("wonder-land" in str(row) for row in built.commands("svn"))


class TestArguments(SourceCase):
    with_slave = False

    def wrong(self, **options: object) -> str:
        with self.assertRaises(ConfigErrors) as caught:
            SVN(**options)  # type: ignore[arg-type]
        return str(caught.exception)

    def test_those_of_every_era(self) -> None:
        old = SVN(svnurl="svn://h/x", mode="copy", directory="there")
        assert (old.repourl, old.mode, old.method, old.workdir) == ("svn://h/x", "full", "copy", "there")
        purging = SVN("svn://h/x", always_purge=True)
        assert (purging.mode, purging.method) == ("full", "clean")
        assert SVN("svn://h/x", always_purge=True, ignore_ignores=True, mode="update").method == "fresh"
        assert SVN("svn://h/x", mode="export").method == "export"

    def test_wrong_ones_are_told(self) -> None:
        assert "needs a repourl" in self.wrong()
        assert "not both" in self.wrong(repourl="svn://h/x", baseURL="svn://h/")
        assert "old name" in self.wrong(repourl="svn://h/x", svnurl="svn://h/x")
        assert "depth is one of" in self.wrong(repourl="svn://h/x", depth="deep")
        assert "list of strings" in self.wrong(repourl="svn://h/x", extra_args="--force")
        assert "repourl" in self.wrong(repourll="svn://h/x")
