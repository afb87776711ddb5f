"""Packages of distributions: with rpm, rpmlint and lintian themselves; mock and pbuilder are stood in for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.debs import DebCowbuilder, DebLintian, DebPbuilder, UbuCowbuilder, UbuPbuilder
from buildbot.steps.rpms import Mock, MockBuildSRPM, MockRebuild, RpmBuild, RpmLint, RpmSpec
from buildbot.steps.shell import SetPropertyFromCommand, ShellCommand
from tests.dialects.catalogue.case import Here, case
from tests.steps.test_packages import SPEC
from tests.tools import require_tool


@case(RpmBuild, RpmLint, RpmSpec)
async def packages_of_rpm_are_built_and_checked(here: Here) -> None:
    require_tool("rpmbuild", "rpm")
    require_tool("rpmlint", "rpmlint")
    here.put({"tiny.spec": SPEC})
    built = await here.run_steps(
        SetPropertyFromCommand(command="echo r1.5", property="got_revision"),
        RpmBuild(specfile="tiny.spec", dist=".x1", autoRelease=True, vcsRevision=True, define={"extra": "1"}),
        RpmLint(fileloc="tiny.spec", flunkOnFailure=False),
        RpmSpec(specfile="tiny.spec"),
    )
    assert built.results["rpmbuilder"] == SUCCESS, built.everything("rpmbuilder")
    release = f"{built.row.number}.x1"
    assert (here.work / f"tiny-1.2-{release}.src.rpm").is_file()
    assert (here.work / "noarch" / f"tiny-1.2-{release}.noarch.rpm").is_file()
    assert "Wrote: " in built.text("rpmbuilder", "RPM Command Log")
    assert "define '_revision r1.5'" in built.everything("rpmbuilder")
    assert built.results["rpmlint"] in (WARNINGS, FAILURE)
    assert "W: no-%build-section" in built.text("rpmlint", "warnings")
    assert (built.properties["rpm-name"], built.properties["rpm-version"]) == ("tiny", "1.2")
    assert "rpm-release" not in built.properties


@case(Mock, MockBuildSRPM, MockRebuild)
async def logs_of_mock_are_logs_of_the_step_and_old_ones_are_not(here: Here) -> None:
    here.put({"out/build.log": "of an earlier build\n", "out/root.log": "too\n"})
    mock = Path(here.program("mock"))
    mock.write_text(mock.read_text().replace("exit 0", "mkdir -p out; echo built > out/build.log; exit 0"))
    built = await here.run_steps(
        MockBuildSRPM(root="epel-9", resultdir="out", spec="a.spec", env=here.path),
        MockRebuild(root="epel-9", srpm="a.src.rpm", env=here.path),
        Mock(root="epel-9", command=["mock", "--clean"], name="clean", env=here.path),
    )
    assert built.results == {"mockbuildsrpm": SUCCESS, "mock": SUCCESS, "clean": SUCCESS}
    assert built.text("mockbuildsrpm", "build.log") == "built\n"
    assert built.text("mockbuildsrpm", "root.log") == ""
    told = "--root epel-9 --resultdir out --buildsrpm --spec a.spec --sources . --root epel-9 --rebuild a.src.rpm"
    assert here.argv("mock") == [*told.split(), "--clean"]


@case(DebLintian)
async def lintian_says_what_it_thinks_of_a_package(here: Here) -> None:
    require_tool("lintian", "lintian")
    require_tool("dpkg-deb", "dpkg")
    control = "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: x\n"
    here.put({"tiny/DEBIAN/control": control})
    built = await here.run_steps(
        ShellCommand(name="deb", command=["dpkg-deb", "--root-owner-group", "-b", "tiny", "tiny.deb"]),
        DebLintian(fileloc="tiny.deb", suppressTags=["no-copyright-file"]),
    )
    assert (built.results["lintian"], built.row.result) == (FAILURE, WARNINGS)
    assert "E: tiny: " in built.text("lintian", "errors")
    assert "no-copyright-file" not in built.text("lintian", "errors")
    assert built.step("lintian").state_text.startswith("Lintian (failure): ")


def pbuilder(here: Here, kind: Any, **options: Any) -> Any:
    """The step, with a program in place of pbuilder and sudo."""
    stands_in = type(kind.__name__, (kind,), {"pbuilder": here.program(kind.name)})
    return stands_in(basetgz=str(here.work / "base"), env=here.path, **options)


@case(DebPbuilder, UbuPbuilder)
async def the_clean_system_is_made_once_and_updated_when_it_is_old(here: Here) -> None:
    here.program("sudo")
    here.program("pdebuild", "lintian: W: hm\n")
    step = pbuilder(here, DebPbuilder, distribution="sid", architecture="i386", keyring="k", components="main c")
    built = await here.run_steps(step)
    assert built.results == {"pbuilder": WARNINGS}
    program, base = str(here.work.parent / "bin" / "pbuilder"), str(here.work / "base")
    created = [program, "--create", "--basetgz", base, "--distribution", "sid", "--mirror", DebPbuilder.mirror]
    created += ["--architecture", "i386", "--debootstrapopts", "--keyring=k", "--components", "main c"]
    assert here.argv("sudo") == created
    told = ["--buildresult", ".", "--pbuilder", program, "--architecture", "i386", "--", "--buildresult", "."]
    assert here.argv("pdebuild") == [*told, "--basetgz", base]

    here.put({"base": ""})
    await here.run_steps(step)
    assert here.argv("sudo") == created
    os.utime(here.work / "base", (1, 1))
    await here.run_steps(pbuilder(here, UbuPbuilder, distribution="noble"))
    assert here.argv("sudo") == [*created, program, "--update", "--basetgz", base]


@case(DebCowbuilder, UbuCowbuilder)
async def a_clean_system_that_is_a_directory(here: Here) -> None:
    here.program("sudo")
    here.program("pdebuild")
    here.put({"base": ""})
    built = await here.run_steps(pbuilder(here, DebCowbuilder))
    assert built.results == {"cowbuilder": FAILURE}
    assert "remove it" in built.text("cowbuilder", "err.text")
    (here.work / "base").unlink()
    (here.work / "base").mkdir()
    built = await here.run_steps(
        pbuilder(here, DebCowbuilder), pbuilder(here, UbuCowbuilder, distribution="noble", name="of ubuntu")
    )
    assert built.results == {"cowbuilder": SUCCESS, "of ubuntu": SUCCESS}, built.everything("cowbuilder")
    assert here.argv("pdebuild").count("--basepath") == 2
