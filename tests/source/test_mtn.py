"""The Monotone step with a stand-in for the program `mtn`, on a real slave."""

from __future__ import annotations

import shutil

from buildbot.config.errors import ConfigErrors
from buildbot.steps.source.mtn import Monotone
from tests.rig import Source
from tests.source.stubs import MonotoneProgram
from tests.source.vcs_servers import SourceCase

PATCH = b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"
FIRST, SECOND = "1" * 40, "2" * 40


class TestMonotone(SourceCase):
    step = Monotone

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.mtn = MonotoneProgram(self.rig.base / "mtn program")
        self.mtn.put(f"revisions/{FIRST}", a="one\n", gone="soon\n")
        self.mtn.put(f"revisions/{SECOND}", a="two\n")
        self.mtn.head("org.x", SECOND)
        self.mtn.head("org.y", FIRST)
        self.usual |= {"repourl": "mtn://h/x", "branch": "org.x", "env": self.mtn.env}

    async def test_what_mtn_is_given(self) -> None:
        built = await self.good(Source(codebase="c"), codebase="c", progress=True)
        assert built.properties["got_revision"] == {"c": SECOND}
        assert self.mtn.calls() == [
            ["db", "init", "--db=db.mtn"],
            ["pull", "--db=db.mtn", "--ticker=dot", "--", "mtn://h/x?org.x"],
            ["checkout", "--db=db.mtn", "--revision=h:org.x", "--branch=org.x", "build"],
            ["automate", "select", "w:"],
        ]
        built = await self.good(Source("org.y", FIRST))
        assert built.properties["got_revision"] == FIRST
        assert self.mtn.calls() == [
            ["db", "migrate", "--db=db.mtn"],
            ["pull", "--db=db.mtn", "--ticker=none", "--", "mtn://h/x?org.y"],
            ["revert", "."],
            ["update", f"--revision={FIRST}", "--branch=org.y"],
            ["automate", "select", "w:"],
        ]
        for branch in ("--db=/tmp/x", "a;b", "a?b"):
            assert "is not a branch's name" in await self.bad(Source(branch))
        for revision in ("--confdir=x", "a b"):
            assert "is not a revision" in await self.bad(Source(None, revision))
        assert self.mtn.calls() == []

    async def test_modes_and_trouble(self) -> None:
        await self.good(Source(None, FIRST, patch=(0, PATCH, ".")))
        for name in ("own", "made.o"):
            (self.work / name).write_text("mine")
        await self.good(Source(None, FIRST))
        assert self.names() == {"_MTN", "a", "gone", "own", "made.o"}
        assert (self.work / "a").read_text() == "one\n"
        await self.good(mode="full", method="clean")
        assert self.names() == {"_MTN", "a", "made.o"}
        (self.work / "own").write_text("mine")
        await self.good(mode="full", method="fresh")
        assert self.names() == {"_MTN", "a"}
        await self.good(mode="full")
        (self.work / "own").write_text("mine")
        await self.good(mode="full", method="clobber")
        assert self.names() == {"_MTN", "a"}
        # a broken working copy, and a broken database
        (self.work / "_MTN" / "revision").unlink()
        await self.good()
        (self.rig.slave_dir() / "db.mtn").write_text("nonsense")
        shutil.rmtree(self.work / "_MTN")
        await self.good()
        (self.work / "own").write_text("mine")
        assert f"there is no {'3' * 40} in" in await self.bad(Source(None, "3" * 40))
        self.mtn.put(".", down="")
        assert "mtn cannot pull from mtn://h/x" in await self.bad()
        assert "own" in self.names()


class TestArguments(SourceCase):
    with_slave = False

    def test_those_of_every_era(self) -> None:
        old = Monotone(server_addr="h:4691", branch="org.x", db_path="monotone.db", monotone="/opt/mtn", mode="copy")
        assert (old.repourl, old.method, old.command_line()) == ("mtn://h:4691", "copy", ["/opt/mtn"])

    def test_wrong_ones_are_told(self) -> None:
        for options, complaint in (
            ({"branch": "b"}, "needs a repourl"),
            ({"repourl": "r"}, "needs a branch"),
            ({"repourl": "r", "branch": "b", "db_path": "-x"}, "db_path is the name of a file"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Monotone(**options)  # type: ignore[arg-type]
            assert complaint in str(caught.exception), caught.exception
