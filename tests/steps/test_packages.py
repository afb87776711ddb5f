"""Packages of distributions: with rpm, rpmlint and lintian themselves; mock and pbuilder are stood in for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate
from buildbot.process.results import EXCEPTION, FAILURE, SUCCESS, WARNINGS
from buildbot.steps.debs import DebCowbuilder, DebLintian, DebPbuilder, UbuCowbuilder, UbuPbuilder
from buildbot.steps.rpms import MockBuildSRPM, MockRebuild, RpmBuild, RpmLint, RpmSpec
from buildbot.steps.shell import SetPropertyFromCommand, ShellCommand
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
    async def test_packages_are_built_and_checked(self) -> None:
        require_tool("rpmbuild", "rpm")
        require_tool("rpmlint", "rpmlint")
        self.put({"tiny.spec": SPEC})
        built = await self.run_steps(
            SetPropertyFromCommand(command="echo r1.5", property="got_revision"),
            RpmBuild(specfile="tiny.spec", dist=".x1", autoRelease=True, vcsRevision=True, define={"extra": "1"}),
            RpmLint(fileloc="tiny.spec", flunkOnFailure=False),
            RpmSpec(specfile="tiny.spec"),
        )
        assert built.results["rpmbuilder"] == SUCCESS, built.everything("rpmbuilder")
        assert (self.work / "tiny-1.2-1.x1.src.rpm").is_file()
        assert (self.work / "noarch" / "tiny-1.2-1.x1.noarch.rpm").is_file()
        assert "Wrote: " in built.text("rpmbuilder", "RPM Command Log")
        assert "define '_revision r1.5'" in built.everything("rpmbuilder")
        assert built.results["rpmlint"] in (WARNINGS, FAILURE)
        assert "W: no-%build-section" in built.text("rpmlint", "warnings")
        assert (built.properties["rpm-name"], built.properties["rpm-version"]) == ("tiny", "1.2")
        assert "rpm-release" not in built.properties

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
    async def test_its_logs_are_logs_of_the_step_and_old_ones_are_not(self) -> None:
        self.put({"out/build.log": "of an earlier build\n", "out/root.log": "too\n"})
        mock = Path(self.program("mock"))
        with mock.open("a") as script:
            script.write("")
        text = mock.read_text().replace("exit 0", "mkdir -p out; echo built > out/build.log; exit 0")
        mock.write_text(text)
        built = await self.run_steps(
            MockBuildSRPM(root="epel-9", resultdir="out", spec="a.spec", env=self.path),
            MockRebuild(root="epel-9", srpm="a.src.rpm", env=self.path),
        )
        assert built.results == {"mockbuildsrpm": SUCCESS, "mock": SUCCESS}
        assert built.text("mockbuildsrpm", "build.log") == "built\n"
        assert built.text("mockbuildsrpm", "root.log") == ""
        told = "--root epel-9 --resultdir out --buildsrpm --spec a.spec --sources . --root epel-9 --rebuild a.src.rpm"
        assert self.argv("mock") == told.split()

    def test_what_is_needed(self) -> None:
        for make in (
            lambda: MockBuildSRPM(root="r"),
            lambda: MockRebuild(root="r"),
            lambda: MockRebuild(srpm="s"),
        ):
            with self.assertRaises(ConfigErrors):
                make()


class TestDebian(StepsCase):
    async def test_lintian_says_what_it_thinks_of_a_package(self) -> None:
        require_tool("lintian", "lintian")
        require_tool("dpkg-deb", "dpkg")
        control = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: x\n"
        self.put({"tiny/DEBIAN/control": control})
        built = await self.run_steps(
            ShellCommand(name="deb", command=["dpkg-deb", "--root-owner-group", "-b", "tiny", "tiny.deb"]),
            DebLintian(fileloc="tiny.deb", suppressTags=["no-copyright-file"]),
        )
        assert (built.results["lintian"], built.row.result) == (FAILURE, WARNINGS)
        assert "E: tiny: " in built.text("lintian", "errors")
        assert "no-copyright-file" not in built.text("lintian", "errors")
        assert built.step("lintian").state_text.startswith("Lintian (failure): ")

    def pbuilder(self, kind: Any, **options: Any) -> Any:
        """The step, with a program in place of pbuilder and sudo."""

        class Here(kind):  # type: ignore[misc]
            pbuilder = self.program(kind.name)

        return Here(basetgz=str(self.work / "base"), env=self.path, **options)

    async def test_the_clean_system_is_made_once_and_updated_when_it_is_old(self) -> None:
        self.program("sudo")
        self.program("pdebuild", "lintian: W: hm\n")
        step = self.pbuilder(DebPbuilder, distribution="sid", architecture="i386", keyring="k", components="main c")
        built = await self.run_steps(step)
        assert built.results == {"pbuilder": WARNINGS}
        program, base = str(self.work.parent / "bin" / "pbuilder"), str(self.work / "base")
        created = [program, "--create", "--basetgz", base, "--distribution", "sid", "--mirror", DebPbuilder.mirror]
        created += ["--architecture", "i386", "--debootstrapopts", "--keyring=k", "--components", "main c"]
        assert self.argv("sudo") == created
        told = ["--buildresult", ".", "--pbuilder", program, "--architecture", "i386", "--", "--buildresult", "."]
        assert self.argv("pdebuild") == [*told, "--basetgz", base]

        self.put({"base": ""})
        await self.run_steps(step)
        assert self.argv("sudo") == created
        os.utime(self.work / "base", (1, 1))
        await self.run_steps(step)
        assert self.argv("sudo") == [*created, program, "--update", "--basetgz", base]

    async def test_a_system_of_the_wrong_kind_is_no_system(self) -> None:
        self.put({"base": ""})
        built = await self.run_steps(self.pbuilder(DebCowbuilder))
        assert built.results == {"cowbuilder": FAILURE}
        assert "remove it" in built.text("cowbuilder", "err.text")

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
