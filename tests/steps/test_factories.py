"""The ready-made factories build small projects of their kinds."""

from __future__ import annotations

import subprocess
from typing import Any

from buildbot.config import names
from buildbot.config.errors import ConfigErrors
from buildbot.process.factory import BuildFactory, s
from buildbot.process.results import SUCCESS
from buildbot.steps.factories import (
    BasicBuildFactory,
    BasicSVN,
    FullTwistedBuildFactory,
    GNUAutoconf,
    QuickBuildFactory,
    QuickTwistedBuildFactory,
    TwistedDebsBuildFactory,
    TwistedReactorsBuildFactory,
)
from buildbot.steps.shell import ShellCommand
from tests.rig import Built
from tests.steps.case import StepsCase
from tests.tools import require_tool

SOURCE = s(ShellCommand, name="source", command="true")


def told(factory: BuildFactory) -> list[tuple[str, Any]]:
    """The name and the command of each step after the source."""
    return [(step.name, step.command) for step in factory.new_steps()[1:]]


class TestFactories(StepsCase):
    async def build(self, factory: BuildFactory) -> Built:
        self.rig.add_builder("b", factory)
        return await self.rig.build("b")

    def test_what_autoconf_may_leave_out(self) -> None:
        factory = GNUAutoconf(SOURCE, reconf=True, configure="CC=gcc ./configure", configureFlags=["-x y"], test=None)
        assert told(factory) == [
            ("autoreconf", ("autoreconf", "-si")),
            ("configure", "CC=gcc ./configure '-x y'"),
            ("compile", ("make", "all")),
            ("distcheck", ("make", "distcheck")),
        ]
        assert told(GNUAutoconf(SOURCE, configure=None, compile=None, test=None, distcheck=None)) == []
        assert told(GNUAutoconf(SOURCE, ["sh", "configure"], {}, ["-x"]))[0][1] == ["sh", "configure", "-x"]
        with self.assertRaises(ConfigErrors):
            GNUAutoconf(SOURCE, configureFlags="--x")

    async def test_projects_in_cvs_and_subversion(self) -> None:
        for tool, package in (("cvs", "cvs"), ("svn", "subversion"), ("make", "make")):
            require_tool(tool, package)
        start = self.rig.base / "project"
        start.mkdir()
        (start / "Makefile").write_text("all check distcheck:\n\t@echo $@\n")
        cvs, svn = self.rig.base / "cvsroot", self.rig.base / "svn"
        for command in (
            ["cvs", "-d", str(cvs), "init"],
            ["cvs", "-d", str(cvs), "import", "-m", "it", "project", "me", "start"],
            ["svnadmin", "create", str(svn)],
            ["svn", "import", "-q", "-m", "it", ".", f"{svn.as_uri()}/trunk"],
        ):
            subprocess.run(command, cwd=start, check=True, capture_output=True)
        factory: BuildFactory = BasicBuildFactory(str(cvs), "project")
        built = await self.build(factory)
        assert set(built.results.values()) == {SUCCESS}, built.everything("cvs")
        assert list(built.results) == ["cvs", "compile", "test", "distcheck"]
        built = await self.build(BasicSVN(f"{svn.as_uri()}/trunk", configure="echo configured"))
        assert set(built.results.values()) == {SUCCESS}, built.everything("svn")
        assert list(built.results) == ["svn", "configure", "compile", "test", "distcheck"]
        modes = [made.new_steps()[0] for made in (factory, BasicBuildFactory("r", "m", cvsCopy=True))]
        modes.append(QuickBuildFactory("r", "m").new_steps()[0])
        assert [(step.mode, step.method) for step in modes] == [
            ("full", "clobber"),
            ("full", "copy"),
            ("incremental", None),
        ]

    def test_those_for_twisted(self) -> None:
        quick = QuickTwistedBuildFactory(SOURCE, python=["python2", "python3"])
        assert [step.name for step in quick.new_steps()] == [
            "source",
            "hlint",
            "remove_pyc",
            "compile",
            "trial",
            "compile",
            "trial",
        ]
        full = FullTwistedBuildFactory(SOURCE, processDocs=True, runTestsRandomly=True, compileOpts2=["-x"])
        docs, build, _, trial = full.new_steps()[1:]
        assert docs.name == "process-docs"
        assert build.command == ["python", "setup.py", "build_ext", "-x", "-i"]
        assert trial.argv() == ["python", "./bin/trial", "--reporter=bwverbose", "--random=0", "twisted"]
        reactors = TwistedReactorsBuildFactory(SOURCE, reactors=["poll", "epoll"]).new_steps()
        assert [step.name for step in reactors[2:]] == ["remove_pyc", "poll", "remove_pyc", "epoll"]
        assert "--reactor=epoll" in reactors[-1].argv()
        assert [step.name for step in TwistedDebsBuildFactory(SOURCE).new_steps()[1:]] == ["process-docs", "debuild"]

    def test_they_are_where_older_configurations_look_for_them(self) -> None:
        names.install()
        given: dict[str, Any] = {}
        exec("from buildbot.process.factory import GNUAutoconf, Trial\nfrom buildbot.plugins import util", given)
        assert given["GNUAutoconf"] is given["util"].GNUAutoconf is GNUAutoconf
