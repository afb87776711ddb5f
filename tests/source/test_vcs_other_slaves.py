"""The source steps of all version control systems but git on slaves of other eras: what they ask of them, they have."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

from buildbot.model import Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.source.bzr import Bzr
from buildbot.steps.source.cvs import CVS
from buildbot.steps.source.darcs import Darcs
from buildbot.steps.source.mercurial import Mercurial
from buildbot.steps.source.mtn import Monotone
from buildbot.steps.source.p4 import P4
from buildbot.steps.source.repo import Repo
from buildbot.steps.source.svn import SVN
from tests.dialects.cases import SLAVE_TAC, PeerCase
from tests.rig import Built, Source
from tests.source.repositories import Repository
from tests.source.stubs import MonotoneProgram, Perforce
from tests.source.vcs_servers import BazaarBranch, CVSRepository, DarcsRepository, MercurialRepository, Subversion
from tests.tools import require_tool

DIFF = b"--- b\n+++ b\n@@ -1 +1 @@\n-b\n+patched\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+of the patch\n"
STUB = Path(__file__).with_name("repo_stub.py")


class Numbered:
    """The changes of a stand-in, which has no directories."""

    def __init__(self, stub: Perforce | MonotoneProgram) -> None:
        self._stub = stub
        self._number = 0
        self._files: dict[str, str] = {}

    def commit(self, **files: str) -> None:
        self._number += 1
        self._files |= files
        if isinstance(self._stub, Perforce):
            self._stub.put(f"depot/{self._number}", **self._files)
        else:
            revision = str(self._number) * 40
            self._stub.put(f"revisions/{revision}", **self._files)
            self._stub.head("main", revision)


class OtherSlave(PeerCase):
    timeout = 180

    async def setUp(self) -> None:
        for tool, package in (("svn", "subversion"), ("hg", "mercurial"), ("cvs", "cvs"), ("bzr", "brz")):
            require_tool(tool, package)
        require_tool("darcs", "darcs")
        await super().setUp()
        await self.connect()

    directory = "build"

    @property
    def work(self) -> Path:
        return self.there / self.directory

    def names(self, own: str) -> set[str]:
        hidden = ".#"  # what cvs saves, and ignores
        return {path.name for path in self.work.iterdir() if not path.name.startswith(hidden)} - {own}

    async def good(self, step: Any, *sources: Source) -> Built:
        self.rig.add_builder("b", BuildFactory([step]))
        built = await self.rig.build("b", *sources)
        if built.result is not Result.SUCCESS:
            name = built.steps[0].name
            raise AssertionError(f"{built.steps[0]}\n{built.everything(name)}\n{self.peer.output()}")
        return built

    async def exercise(self, kind: Any, repository: Any, options: dict[str, Any], below: str = "lib") -> None:
        """below: the directory of the file `b`."""
        self.directory = kind.name
        options = options | {"logEnviron": False, "workdir": kind.name}
        name = "lib__b" if below else "b"
        repository.commit(a="one\n", **{name: "b\n"})
        first = await self.good(kind(**options))
        files = {"a", below or "b"}
        own = kind.marker
        self.assertEqual(self.names(own), files)
        # an update keeps what is there, and a patch comes on top of it
        (self.work / "own").write_text("mine")
        (self.work / "a").write_text("spoiled")
        repository.commit(a="two\n")
        second = await self.good(kind(**options), Source(patch=(0, DIFF, below)))
        self.assertLessEqual({*files, "own"}, self.names(own))
        place = self.work / below
        self.assertEqual([(place / each).read_text() for each in ("b", "new")], ["patched\n", "of the patch\n"])
        self.assertEqual((self.work / "a").read_text(), "two\n")
        revisions = [built.properties["got_revision"] for built in (first, second)]
        self.assertTrue(all(revisions))
        if kind is not CVS:  # whose revision is a time of whole seconds
            self.assertNotEqual(*revisions)
        # full, by each method
        for method in kind.methods:
            (self.work / "own").write_text("mine")
            (self.work / "grün").mkdir()
            (self.work / "grün" / "own").write_text("mine")
            (self.work / "a").write_text("spoiled")
            built = await self.good(kind(**options, mode="full", method=method))
            self.assertEqual(self.names(own), files, method)
            self.assertEqual([(self.work / "a").read_text(), (place / "b").read_text()], ["two\n", "b\n"], method)
            self.assertFalse((place / "new").exists())
            if kind is not CVS:
                self.assertEqual(built.properties["got_revision"], revisions[1])
        await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is still here")

    async def test_real_servers(self) -> None:
        where = self.rig.base
        svn = Subversion(self.processes, where / "svn")
        await self.exercise(SVN, svn, {"repourl": svn.url})
        hg = MercurialRepository(self.processes, where / "hg")
        await self.exercise(Mercurial, hg, {"repourl": hg.url})
        bzr = BazaarBranch(self.processes, where / "bzr")
        await self.exercise(Bzr, bzr, {"repourl": bzr.url, "env": {"BRZ_LOG": "/dev/null"}})
        darcs = DarcsRepository(self.processes, where / "darcs")
        await self.exercise(Darcs, darcs, {"repourl": darcs.url})
        cvs = CVSRepository(self.processes, where / "cvs")
        options = {"cvsroot": cvs.root, "cvsmodule": "module", "login": "wonder-land"}
        options |= {"env": {"CVS_PASSFILE": str(where / "passfile")}}
        await self.exercise(CVS, cvs, options)
        # what is ignored, at every depth
        names = (".cvsignore", "lib/.cvsignore", "lib/deep/.cvsignore")
        cvs.commit(**{name.replace("/", "__"): "*.made\n" for name in names})
        for method in ("clobber", "fresh"):
            await self.good(CVS(**options, workdir=CVS.name, mode="full", method=method))
            made = list(self.work.rglob("*.made"))
            self.assertEqual(made, [], method)
            for name in names:
                (self.work / name).with_name("x.made").write_text("")

    async def test_stand_ins(self) -> None:
        p4 = Perforce(self.rig.base / "p4")
        p4.put(".", password="open-sesame")
        for tickets in (True, False):
            login = {"p4user": "anna", "p4passwd": "open-sesame", "use_tickets": tickets}
            built = await self.good_p4(p4, login)
            self.assertNotIn("open-sesame", built.everything("p4"))
        mtn = MonotoneProgram(self.rig.base / "mtn")
        await self.exercise(
            Monotone, Numbered(mtn), {"repourl": "mtn://h/x", "branch": "main", "env": mtn.env}, below=""
        )

    async def good_p4(self, p4: Perforce, login: dict[str, Any]) -> Built:
        if login["use_tickets"]:
            await self.exercise(P4, Numbered(p4), {"p4base": "//depot/x", "env": p4.env, **login}, below="")
        return await self.good(P4(p4base="//depot/x", env=p4.env, logEnviron=False, workdir="p4", **login))

    async def test_repo(self) -> None:
        where = self.rig.base
        app = Repository(where / "app")
        app.commit("a", a="one\n", lib__b="b\n")
        manifests = Repository(where / "manifests")
        manifests.commit(
            "m", **{"default.xml": '<manifest><default revision="main"/><project name="app"/></manifest>\n'}
        )
        (where / "bin").mkdir()
        program = where / "bin" / "repo"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {STUB} "$@"\n')
        program.chmod(0o755)
        env = {"PATH": f"{where / 'bin'}:{os.environ['PATH']}", "REPO_SAID": str(where / "said")}
        options = {"manifestURL": manifests.url, "manifestBranch": "main", "env": env, "logEnviron": False}
        options["tarball"] = str(where / "cache.tgz")
        await self.good(Repo(**options))
        self.assertEqual((self.work / "app" / "a").read_text(), "one\n")
        (self.work / "own").write_text("mine")
        app.commit("b", a="two\n")
        for directory in (".repo/projects/app.git", ".repo/projects/app.git/refs/heads"):
            (self.work / directory / "index.lock").touch()
        await self.good(Repo(**options), Source(patch=(0, DIFF, "app/lib")))
        self.assertEqual((self.work / "app" / "a").read_text(), "two\n")
        self.assertEqual((self.work / "app" / "lib" / "b").read_text(), "patched\n")
        self.assertTrue((self.work / "own").exists())
        self.assertEqual([path for path in (self.work / ".repo").rglob("*.lock") if path.is_file()], [])
        await self.good(Repo(**options, mode="full"))
        self.assertEqual((self.work / "app" / "lib" / "b").read_text(), "b\n")
        self.assertFalse((self.work / "own").exists())
        self.assertTrue((where / "cache.tgz").exists())


class TestWorker43(OtherSlave):
    """buildbot-worker 4.3."""


class TestSlave08(OtherSlave):
    """buildslave 0.8, on Python 2."""

    peer_name: ClassVar[str] = "slave-0.8.14"
    tac: ClassVar[str] = SLAVE_TAC


class TestSlave07(PeerCase):
    """buildslave 0.7, which lacks what these steps need."""

    peer_name: ClassVar[str] = "slave-0.7.12"
    tac: ClassVar[str] = SLAVE_TAC.replace("buildslave.bot", "buildbot.slave.bot").replace(", maxdelay=1", "")

    async def test_a_step_says_what_the_slave_lacks(self) -> None:
        await self.connect()
        built = await self.run_steps(SVN("file:///nowhere"))
        self.assertIs(built.result, Result.EXCEPTION)
        told = built.text("svn", "err.text")
        self.assertIn("slave bot (buildslave 0.7.12) does not know the command 'stat'; install a newer", told)


del OtherSlave, PeerCase
