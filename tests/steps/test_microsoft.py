"""Microsoft's compilers and robocopy: command lines, environments, and how their output is read."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.errors import ConfigErrors
from buildbot.steps import vstudio
from buildbot.steps.mswin import Robocopy
from buildbot.steps.vstudio import VC6, VC7, VC8, MsBuild4, MsBuild12, MsBuild17, MsBuild141, VCExpress9

OLD = "C:\\Program Files\\Microsoft Visual Studio"


class TestCommands(SynchronousTestCase):
    def test_visual_c_6(self) -> None:
        assert VC6(projectfile="p.dsw").argv() == ["msdev", "p.dsw", "/MAKE", "ALL - release", "/REBUILD"]
        made = VC6(projectfile="p.dsw", config="debug", project="q", mode="build", useenv=True)
        assert made.argv() == ["msdev", "p.dsw", "/MAKE", "q - debug", "/BUILD", "/USEENV"]
        assert VC6(projectfile="p", mode="clean").argv()[-1] == "/CLEAN"
        assert VC6(projectfile="p").environment() == {
            "PATH": f"{OLD}\\Common\\msdev98\\BIN;{OLD}\\VC98\\BIN;{OLD}\\Common\\TOOLS\\WINNT;{OLD}\\Common\\TOOLS;",
            "INCLUDE": f"{OLD}\\VC98\\INCLUDE;{OLD}\\VC98\\ATL\\INCLUDE;{OLD}\\VC98\\MFC\\INCLUDE;",
            "LIB": f"{OLD}\\VC98\\LIB;{OLD}\\VC98\\MFC\\LIB;",
        }

    def test_devenv(self) -> None:
        assert VC7(projectfile="p.sln").argv() == ["devenv.com", "p.sln", "/Rebuild", "release"]
        made = VC7(projectfile="p.sln", config="debug", project="q", mode="clean", PATH=["P"], LIB="L", installdir="I")
        assert made.argv() == ["devenv.com", "p.sln", "/Clean", "debug", "/UseEnv", "/Project", "q"]
        assert made.environment()["PATH"].startswith("P;I\\Common7\\IDE;I\\VC7\\BIN;")
        assert made.environment()["LIB"].startswith("L;I\\VC7\\LIB;")
        assert VCExpress9(projectfile="p.sln", mode="build").argv() == ["vcexpress", "p.sln", "/Build", "release"]

    def test_64_bits_and_the_environment_that_is_there(self) -> None:
        wide = VC8(projectfile="p", arch="x64", installdir="I", env={"PATH": "mine", "X": "1"}).environment()
        assert wide["PATH"].startswith("mine;I\\Common7\\IDE;I\\VC\\BIN\\x86_amd64;I\\VC\\BIN;")
        assert wide["PATH"].endswith("I\\VC\\VCPackages;${PATH};")
        assert wide["LIB"].startswith("I\\VC\\LIB\\amd64;")
        narrow = VC8(projectfile="p", installdir="I").environment()
        assert "amd64" not in repr(narrow)

    def test_each_version_knows_where_it_is(self) -> None:
        for name, place in (
            ("VC9", f"{OLD} 9.0"),
            ("VC10", f"{OLD} 10.0"),
            ("VC11", f"{OLD} 11.0"),
            ("VC12", f"{OLD} 12.0"),
            ("VC14", "C:\\Program Files (x86)\\Microsoft Visual Studio 14.0"),
            ("VC141", "C:\\Program Files (x86)\\Microsoft Visual Studio\\2017\\Community"),
            ("VS2019", "C:\\Program Files (x86)\\Microsoft Visual Studio\\2019\\Community"),
            ("VS2022", "C:\\Program Files\\Microsoft Visual Studio\\2022\\Community"),
        ):
            made = getattr(vstudio, name)(projectfile="p")
            assert made.environment()["PATH"].startswith(f"{place}\\Common7\\IDE;"), name

    def test_msbuild(self) -> None:
        begin = 'msbuild "p.sln" /p:Configuration="c" /p:Platform="Win32" /maxcpucount'
        given: dict[str, Any] = {"platform": "Win32", "projectfile": "p.sln", "config": "c"}
        for options, end in (
            ({}, "/t:Rebuild"),
            ({"mode": "build"}, "/t:Build"),
            ({"mode": "clean", "project": "q"}, '/t:"q:Clean"'),
            ({"defines": ["A=1", "B"]}, '/t:Rebuild /p:DefineConstants="A=1;B"'),
            ({"properties": {"x": "y", "z": "1 2"}}, '/t:Rebuild /p:x="y" /p:z="1 2"'),
        ):
            assert MsBuild4(**given, **options).argv() == f'"%VCENV_BAT%" x86 && {begin} {end}'  # type: ignore[dict-item]
        assert MsBuild12(**given).environment() == {"VCENV_BAT": "${VS120COMNTOOLS}..\\..\\VC\\vcvarsall.bat"}
        assert MsBuild17(**given).argv() == (
            'FOR /F "tokens=*" %%I in (\'vswhere.exe -version "[17.0,18.0)" -products * -property '
            f'installationPath\')  do "%%I\\%VCENV_BAT%" x86 && {begin} /t:Rebuild'
        )
        assert MsBuild141(**given).environment()["PATH"].endswith("Microsoft Visual Studio\\Installer\\;${PATH};")

    def test_robocopy(self) -> None:
        assert Robocopy("S", "D").argv() == ["robocopy", "S", "D", "/TEE", "/NP"]
        made = Robocopy(
            "S",
            "D",
            files=["a", "b"],
            recursive=True,
            exclude=["x"],
            exclude_dirs=["d"],
            custom_opts=["/R:1"],
            verbose=True,
        )
        assert " ".join(made.argv()) == "robocopy S D a b /E /XF x /XD d /V /TS /FP /R:1 /TEE /NP"
        assert Robocopy("S", "D", mirror=True, exclude_files="y").argv()[3:] == ["/MIR", "/XF", "y", "/TEE", "/NP"]
        assert Robocopy("S", "D", move=True).argv()[3] == "/MOVE"

    def test_mistakes_are_said(self) -> None:
        for make, sentence in (
            (lambda: VC7(), "needs projectfile"),
            (lambda: VC7(projectfile="p", mode="compile"), "not 'compile'"),
            (lambda: VC7(projectfile="p", config=None), "needs config"),
            (lambda: VC8(projectfile="p", arch="arm"), "not 'arm'"),
            (lambda: MsBuild4(projectfile="p"), "needs platform"),
            (lambda: MsBuild4(projectfile="p", platform="x64", properties=["x"]), "properties is a dict"),
            (lambda: Robocopy("S", "D", custom_opts="/R:1"), "custom_opts is a list"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                make()  # type: ignore[no-untyped-call]
            assert sentence in str(caught.exception)
