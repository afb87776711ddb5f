"""Packages of distributions: with rpm, rpmlint and lintian themselves; mock and pbuilder are stood in for."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate
from buildbot.process.results import EXCEPTION, FAILURE, SUCCESS
from buildbot.steps.debs import DebLintian, DebPbuilder, UbuCowbuilder, UbuPbuilder
from buildbot.steps.rpms import MockBuildSRPM, MockRebuild, RpmBuild, RpmLint, RpmSpec
from buildbot.steps.shell import SetPropertyFromCommand
from tests.steps.case import StepsCase
from tests.tools import require_tool

SPEC = """Name: tiny
Version: 1.2
Release: %{?_release}%{!?_release:7}%{?dist}
Summary: Something small
License: GPL
BuildArch: noarch

%description
It is small.

%install
mkdir -p %{buildroot}/usr/share
echo %{?_revision} > %{buildroot}/usr/share/tiny

%files
/usr/share/tiny
"""


class TestRpm(StepsCase):
    async def test_what_goes_wrong_has_a_log(self) -> None:
        require_tool("rpmbuild", "rpm")
        self.put({"bad.spec": SPEC.replace("License: GPL\n", "")})
        built = await self.run_steps(RpmBuild(specfile="bad.spec"))
        assert built.results == {"rpmbuilder": FAILURE}
        assert "License field must be present" in built.text("rpmbuilder", "RPM Errors")
        assert (await self.run_steps(RpmSpec(specfile="none.spec"))).results == {"rpmspec": FAILURE}

    async def test_what_a_property_says_is_not_for_a_shell(self) -> None:
        require_tool("rpmbuild", "rpm")
        self.put({"tiny.spec": SPEC})
        built = await self.run_steps(
            SetPropertyFromCommand(command="""echo '$(touch ran1)'""", property="got_revision"),
            RpmBuild(
                specfile="tiny.spec",
                define={"mine": Interpolate('"; touch ran2; "%(prop:got_revision)s`touch ran3`')},
            ),
            RpmBuild(specfile="tiny.spec", vcsRevision=True),
        )
        assert built.results["rpmbuilder"] == SUCCESS, built.everything("rpmbuilder")
        assert built.results["rpmbuilder_1"] == EXCEPTION
        assert not list(self.work.glob("ran*"))
        assert len(self.flushLoggedErrors(ValueError)) == 1

    def test_its_command(self) -> None:
        pwd = " ".join(f'--define "_{name} `pwd`"' for name in ("builddir", "rpmdir", "sourcedir", "specdir"))
        made = RpmBuild(specfile="a.spec", dist=".fc", define={"x": "1"}, topdir="/t")
        last = "--define \"_srcrpmdir `pwd`\" --define 'x 1' --define 'dist .fc' -ba a.spec"
        assert made.argv() == f'rpmbuild --define "_topdir /t" {pwd} {last}'
        assert RpmLint().argv() == ["rpmlint", "--info", "."]
        assert RpmLint(fileloc="x.rpm", config="c").argv() == ["rpmlint", "--info", "--file", "c", "x.rpm"]
        for make in (RpmBuild, RpmSpec, lambda: RpmBuild(specfile="a", define=["x"])):
            with self.assertRaises(ConfigErrors):
                make()


class TestMock(StepsCase):
    def test_what_is_needed(self) -> None:
        for make in (
            lambda: MockBuildSRPM(root="r"),
            lambda: MockRebuild(root="r"),
            lambda: MockRebuild(srpm="s"),
        ):
            with self.assertRaises(ConfigErrors):
                make()


class TestDebian(StepsCase):
    def pbuilder(self, kind: Any, **options: Any) -> Any:
        """The step, with a program in place of pbuilder and sudo."""

        class Here(kind):  # type: ignore[misc]
            pbuilder = self.program(kind.name)

        return Here(basetgz=str(self.work / "base"), env=self.path, **options)

    async def test_one_that_cannot_be_made_ends_the_step(self) -> None:
        self.program("sudo", code=1)
        built = await self.run_steps(self.pbuilder(DebPbuilder))
        assert built.results == {"pbuilder": FAILURE}
        assert "could not be made" in built.text("pbuilder", "err.text")

    def test_where_the_system_is_and_what_is_needed(self) -> None:
        assert DebPbuilder().base == "/var/cache/pbuilder/stable-local-buildbot.tgz"
        assert DebPbuilder(architecture="i386").base == "/var/cache/pbuilder/stable-i386-local-buildbot.tgz"
        assert UbuCowbuilder(distribution="noble").base == "/var/cache/pbuilder/noble-local-buildbot.cow/"
        assert "main universe" in UbuPbuilder(distribution="noble").creating()
        extra = DebPbuilder(extrapackages=["a", "b"], othermirror="deb http://x y main")
        assert extra.argv()[-2:] == ["--extrapackages", "a b"]
        assert extra.creating()[-4:] == ["--othermirror", "deb http://x y main", "--extrapackages", "a b"]
        assert DebLintian(fileloc="x", suppressTags=["a", "b"]).argv() == (
            ["lintian", "-v", "x", "--suppress-tags", "a", "--suppress-tags", "b"]
        )
        for make in (UbuPbuilder, UbuCowbuilder, DebLintian, lambda: DebPbuilder(extrapackages="a")):
            with self.assertRaises(ConfigErrors):
                make()
