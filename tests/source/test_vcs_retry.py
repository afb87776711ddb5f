"""`retry` of every version control system: a server that is away at the first try and there at the second."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.protocols.portforward import ProxyFactory

from buildbot.model import Result
from buildbot.steps.source.bzr import Bzr
from buildbot.steps.source.cvs import CVS
from buildbot.steps.source.darcs import Darcs
from buildbot.steps.source.mercurial import Mercurial
from buildbot.steps.source.mtn import Monotone
from buildbot.steps.source.p4 import P4
from buildbot.steps.source.repo import Repo
from buildbot.steps.source.svn import SVN
from tests.processes import free_port
from tests.source.repositories import Repository
from tests.source.servers import serve_git
from tests.source.stubs import MonotoneProgram, Perforce
from tests.source.vcs_servers import (
    BazaarBranch,
    CVSRepository,
    DarcsRepository,
    MercurialRepository,
    SourceCase,
    Subversion,
)

STUB = Path(__file__).with_name("repo_stub.py")
_reactor: Any = reactor


class TestRetry(SourceCase):
    tools = (("svn", "subversion"), ("hg", "mercurial"), ("cvs", "cvs"), ("bzr", "brz"), ("darcs", "darcs"))

    def door(self, url: str) -> tuple[str, Callable[[], None]]:
        """The URL by another port, where nobody listens until the function is called."""
        port = int(url.partition("127.0.0.1:")[2].partition("/")[0])
        door = free_port()

        def open_it() -> None:
            listening = _reactor.listenTCP(door, ProxyFactory("127.0.0.1", port), interface="127.0.0.1")
            self.addCleanup(listening.stopListening)

        return url.replace(f":{port}/", f":{door}/"), open_it

    async def tries(self, step: Any, come: Callable[[], None]) -> None:
        """Build; the server comes before the second of two tries."""
        self.rig.build_clock = Clock()
        building = self.run_steps_later(step)
        await self.rig.until_step_runs(step.name, "trying again in 60 s, 0 more after that")
        come()
        self.rig.build_clock.advance(60)
        built = await building
        assert built.result is Result.SUCCESS, self.told(built)
        assert self.told(built).count("trying again") == 1

    async def test_those_behind_servers(self) -> None:
        where = self.rig.base
        svn = Subversion(self.processes, where / "svn")
        hg = MercurialRepository(self.processes, where / "hg")
        bzr = BazaarBranch(self.processes, where / "bzr")
        darcs = DarcsRepository(self.processes, where / "darcs")
        kinds = [(SVN, svn), (Mercurial, hg), (Bzr, bzr), (Darcs, darcs)]
        for kind, repository in kinds:
            repository.commit(a="one\n")
            url, come = self.door(repository.url)
            step: Any = kind(url, retry=(60, 1), workdir=kind.name, env={"BRZ_LOG": "/dev/null"}, logEnviron=False)
            await self.tries(step, come)
            assert (self.rig.slave_dir() / kind.name / "a").read_text() == "one\n", kind
        cvs = CVSRepository(self.processes, where / "cvs")
        cvs.commit(a="one\n")
        for login in ("wonder-land", None):
            root, come = self.door(cvs.root)
            env = {"CVS_PASSFILE": str(where / "passfile")}
            if login is None:
                root = root.replace("anna@", "anna:wonder-land@")
            await self.tries(
                CVS(root, "module", login=login, mode="full", method="clobber", retry=(60, 1), env=env), come
            )
            assert (self.work / "a").read_text() == "one\n"

    async def test_those_that_are_stand_ins(self) -> None:
        p4 = Perforce(self.rig.base / "p4")
        p4.put("depot/1", a="one\n")
        mtn = MonotoneProgram(self.rig.base / "mtn")
        mtn.put(f"revisions/{'1' * 40}", a="one\n")
        mtn.head("main", "1" * 40)
        steps: list[tuple[Any, Any]] = [
            (p4, P4(p4base="//depot/x", retry=(60, 1), env=p4.env, workdir="p4")),
            (mtn, Monotone("mtn://h/x", "main", retry=(60, 1), env=mtn.env, workdir="monotone")),
        ]
        for stub, step in steps:
            down = stub.directory / "down"
            down.touch()
            await self.tries(step, down.unlink)
            assert (self.rig.slave_dir() / step.name / "a").read_text() == "one\n"

    async def test_repo(self) -> None:
        where = self.rig.base
        Repository(where / "app").commit("a", a="one\n")
        manifest = '<manifest><default revision="main"/><project name="app"/></manifest>\n'
        Repository(where / "manifests").commit("m", **{"default.xml": manifest})
        url, come = self.door(f"{serve_git(self.processes, where)}/manifests")
        (where / "bin").mkdir()
        (where / "bin" / "repo").write_text(f'#!/bin/sh\nexec {sys.executable} -I {STUB} "$@"\n')
        (where / "bin" / "repo").chmod(0o755)
        env = {"PATH": f"{where / 'bin'}:{os.environ['PATH']}", "REPO_SAID": str(where / "said")}
        await self.tries(Repo(manifestURL=url, manifestBranch="main", env=env, retry=(60, 1)), come)
        assert (self.work / "app" / "a").read_text() == "one\n"
