"""The Bzr step against `brz serve`, on a real slave."""

from __future__ import annotations

import os
import shutil

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.steps.source.bzr import Bzr
from tests.rig import Source
from tests.source.servers import SilentServer
from tests.source.vcs_servers import BazaarBranch, SourceCase, put, run

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"


class BzrCase(SourceCase):
    step = Bzr
    tools = (("bzr", "brz"), ("brz", "brz"))

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.repository = BazaarBranch(self.processes, self.rig.base / "bzr")
        self.first = self.repository.commit(a="one\n", gone="soon\n", **{".bzrignore": "*.o\n"})
        self.usual["repourl"] = self.repository.url
        self.usual["env"] = {"BRZ_LOG": "/dev/null"}


class TestBzr(BzrCase):
    async def test_the_modes(self) -> None:
        built = await self.good()
        assert built.properties["got_revision"] == "1"
        (self.work / os.fsdecode(b"lat\xe9in")).write_text("")
        (self.work / "made.o").write_text("object")
        put(self.work, a="spoiled", own="mine", coming="in the way")
        self.repository.commit(a="two\n", gone=None, coming="here\n")
        built = await self.good()
        assert built.properties["got_revision"] == "2"
        files = {".bzr", ".bzrignore", "a", "coming"}
        assert self.names() == {*files, "own", "made.o", os.fsdecode(b"lat\xe9in"), "coming.moved"}
        assert [(self.work / name).read_text() for name in ("a", "coming")] == ["two\n", "here\n"]
        await self.good(mode="full", method="clean")
        assert self.names() == {*files, "made.o"}
        (self.work / "own").write_text("mine")
        await self.good(mode="full")
        assert self.names() == files
        await self.good(mode="copy")
        (self.work / "own").write_text("mine")
        await self.good(mode="copy")
        assert self.names() == files
        await self.good(mode="export")
        assert self.names() == {"a", "coming"}
        await self.good(mode="clobber")
        assert self.names() == files

    async def test_revisions_and_branches(self) -> None:
        repository = self.repository
        second = repository.commit(a="two\n")
        built = await self.good(Source(None, self.first))
        assert ((self.work / "a").read_text(), built.properties["got_revision"]) == ("one\n", "1")
        built = await self.good(Source(changes=[NewChange("me", revision=second), NewChange("me", revision="1")]))
        assert built.properties["got_revision"] == second
        revid = repository("version-info", "--custom", "--template={revision_id}", "-r", "1")
        built = await self.good(Source(None, f"revid:{revid}"))
        assert built.properties["got_revision"] == "1"
        run(repository.directory, "brz", "branch", "-q", "-r", "1", "trunk", "other")
        put(repository.directory / "other", a="other\n")
        run(repository.directory / "other", "brz", "commit", "-q", "-m", "other")
        (self.work / "own").write_text("mine")
        branches = {"repourl": None, "baseURL": f"{repository.server}/", "defaultBranch": "trunk"}
        await self.good(**branches)
        assert (self.work / "a").read_text() == "two\n"
        await self.good(Source("other"), **branches)
        assert ((self.work / "a").read_text(), "own" in self.names()) == ("other\n", True)
        assert "there is no branch at bzr" in await self.bad(Source("nowhere"), **branches)
        assert "there is no revision 99" in await self.bad(Source("trunk", "99"), **branches)
        for branch in ("--directory=/tmp", "../trunk"):
            assert "is not a branch's name" in await self.bad(Source(branch), **branches)
        for revision in ("--remember", "-1", "branch:/tmp"):
            assert "is not a revision" in await self.bad(Source(None, revision))

    async def test_a_name_that_is_not_ascii_on_a_slave_without_a_locale(self) -> None:
        (self.repository.path / "caf\u00e9").write_text("one\n")
        self.repository.commit(café="two\n")
        env = dict.fromkeys(("LANG", "LC_ALL")) | self.usual.get("env", {})
        await self.good(env=env)
        assert (self.work / "caf\u00e9").read_text() == "two\n"

    async def test_trouble_is_mended_and_nothing_is_lost(self) -> None:
        built = await self.good(Source(codebase="c", patch=(0, PATCH, ".")), codebase="c")
        assert built.properties["got_revision"] == {"c": "1"}
        assert ((self.work / "a").read_text(), (self.work / "new").exists()) == ("patched\n", True)
        (self.work / "own").write_text("mine")
        await self.good()
        assert self.names(".bzr") == {".bzrignore", "a", "gone", "own"}
        assert (self.work / "a").read_text() == "one\n"
        # a lock of a process that is not ours
        held = self.work / ".bzr" / "branch" / "lock" / "held"
        held.mkdir(parents=True)
        (held / "info").write_text("hostname: elsewhere\npid: 1\nnonce: x\nstart_time: 1\nuser: me\n")
        self.repository.commit(a="two\n")
        await self.good()
        assert (self.work / "a").read_text() == "two\n"
        # broken working copies
        shutil.rmtree(self.work / ".bzr" / "repository")
        await self.good()
        (self.work / ".bzr" / "checkout" / "dirstate").write_bytes(b"nonsense")
        await self.good()
        assert ((self.work / "a").read_text(), "own" in self.names()) == ("two\n", True)
        # rewritten history
        self.repository("uncommit", "--force", "-q")
        self.repository("revert", "-q", "--no-backup")
        self.repository.commit(a="other two\n")
        await self.good()
        assert (self.work / "a").read_text() == "other two\n"
        # no server, and one that says nothing
        assert "cannot be reached" in await self.bad(repourl="bzr://127.0.0.1:1/trunk")
        silent = SilentServer()
        self.addCleanup(silent.stop)
        assert "bzr timed out" in await self.bad(repourl=f"bzr://127.0.0.1:{silent.port}/trunk", timeout=2)
        assert "own" in self.names()
        await self.good()
        assert "own" in self.names()


class TestArguments(SourceCase):
    with_slave = False

    def test_wrong_ones_are_told(self) -> None:
        assert Bzr(baseURL="bzr://h/", defaultBranch="x", forceSharedRepo=True, mode="export").method == "export"
        for options, complaint in (
            ({}, "needs a repourl"),
            ({"repourl": "x", "baseURL": "x"}, "not both"),
            ({"repourl": "x", "forceSharedRepo": "yes"}, "forceSharedRepo is True or False"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Bzr(**options)
            assert complaint in str(caught.exception), caught.exception
