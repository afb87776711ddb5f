"""Steps for particular tools. Where Debian has no such tool, a program of its name says what it would say."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate, Property
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.process.testresults import as_it_was
from buildbot.steps import vstudio
from buildbot.steps.cmake import CMake
from buildbot.steps.cppcheck import Cppcheck
from buildbot.steps.maxq import MaxQ
from buildbot.steps.mswin import Robocopy
from buildbot.steps.mtrlogobserver import MTR
from buildbot.steps.subunit import SubunitShellCommand
from buildbot.store import testresults
from tests.dialects.catalogue.case import Here, case
from tests.steps.test_mtr import OUTPUT
from tests.tools import require_tool


@case(CMake)
async def a_project_of_cmake(here: Here) -> None:
    require_tool("cmake", "cmake")
    text = 'cmake_minimum_required(VERSION 3.10)\nproject(p NONE)\nmessage(STATUS "A is ${A} and ${B}")\n'
    here.put({"src/CMakeLists.txt": text})
    step = CMake(
        path="../src",
        generator="Unix Makefiles",
        definitions={"A": Property("buildername"), "B": "x y"},
        options=["-Wno-dev"],
        workdir="build/out",
    )
    built = await here.run_steps(step, CMake(path="nowhere"))
    assert built.results == {"cmake": SUCCESS, "cmake_1": FAILURE}, built.everything("cmake")
    assert "-- A is b and x y" in built.text("cmake")
    assert (here.work / "out" / "Makefile").is_file()
    assert built.step("cmake").state_text == "cmake"


@case(Cppcheck)
async def what_cppcheck_finds(here: Here) -> None:
    require_tool("cppcheck", "cppcheck")
    here.put({"a.c": "int main(void){int a[2]; a[3]=1; int b=0; b=2; return a[0];}\n", "b.c": "int f(void);\n"})
    built = await here.run_steps(
        Cppcheck(source=["a.c"], enable=["style"], extra_args=["--inline-suppr"]), Cppcheck(source=["b.c"])
    )
    assert built.results == {"cppcheck": FAILURE, "cppcheck_1": SUCCESS}
    assert "arrayIndexOutOfBounds" in built.text("cppcheck", "error")
    assert built.step("cppcheck").state_text.startswith("cppcheck (failure): 1 error, ")
    assert built.properties["cppcheck-total"] == 0


@case(MaxQ)
async def tests_of_maxq(here: Here) -> None:
    here.program("run_maxq.py", "TEST FAILURE: a\nfine\nTEST FAILURE: b\n")
    built = await here.run_steps(MaxQ(testdir=Interpolate("t-%(prop:buildername)s"), env=here.path))
    assert built.results == {"maxq": FAILURE}
    assert built.step("maxq").state_text == "maxq tests (failure): 2 failures"
    assert here.argv("run_maxq.py") == ["t-b"]
    with here.assertRaises(ConfigErrors):
        MaxQ()


@case(MTR)
async def tests_of_mysql(here: Here) -> None:
    log = "mysql-test/var/2/log"
    command = f"mkdir -p {log}; echo a server says > {log}/mysqld.1.err; {here.program('mtr', OUTPUT, 1)}"
    built = await here.run_steps(MTR(command=command, test_type="nightly", name="mtr", testNameLimit=12))
    assert built.results == {"mtr": FAILURE}
    text = "test (failure): 6 tests 4 passed 2 failed nightly: rpl.rpl_sp group_by_..."
    assert built.step("mtr").state_text == text
    assert "query 'SELECT 1' failed" in built.text("mtr", "failure 1: rpl.rpl_sp")
    assert "Using MTR" not in built.text("mtr", "failure 1: rpl.rpl_sp")
    assert built.text("mtr", "mysqld.1.err.2") == "a server says\n"
    assert "mysqld.1.err.1" not in built.logs("mtr")
    assert built.properties["warnings-count"] == 1


SUBUNIT = "import unittest\n\n\nclass T(unittest.TestCase):\n"
SUBUNIT += "    def test_a(self):\n        pass\n\n    def test_b(self):\n        self.fail('it is \u00f3 bad')\n"


@case(SubunitShellCommand)
async def tests_that_speak_subunit(here: Here) -> None:
    here.put({"t_mine.py": SUBUNIT})
    require_tool("subunit-filter", "subunit")
    python = "/usr/bin/python3"
    one = f"{python} -m subunit.run t_mine | {python} /usr/bin/subunit-2to1"
    built = await here.run_steps(
        SubunitShellCommand(command=[python, "-m", "subunit.run", "t_mine"]),
        SubunitShellCommand(command=one),
        SubunitShellCommand(command="true"),
        SubunitShellCommand(command="true", failureOnNoTests=True),
    )
    assert list(built.results.values()) == [FAILURE, FAILURE, SUCCESS, FAILURE]
    readable = ["shell_1", "shell"]
    if here.makes_text:
        text = "the slave has made text of subunit's packets: pipe them through subunit-2to1 (failure)"
        assert built.step(readable.pop()).state_text == text
    for name in readable:
        assert built.step(name).state_text == "2 tests 1 passed 1 failed (failure)"
        assert "t_mine.T.test_b: failure\n" in built.text(name, "problems")
        assert "it is \u00f3 bad" in built.text(name, "problems")
        (tests,) = [row for row in testresults.sets_of(built.rig.store, built.row.id, 9) if row.step == name]
        kept = testresults.page(built.rig.store, tests.id, 0, 9, failed=False)
        good, bad = sorted(kept, key=lambda each: each.name or "")
        assert (good.name, good.passed, good.details) == ("t_mine.T.test_a", 1, None)
        assert (bad.name, bad.passed) == ("t_mine.T.test_b", 0)
        assert "it is \u00f3 bad" in as_it_was(bad).getLogs()["output"]
    assert built.step("shell_2").state_text == "no tests run"


DEVENV = """------ Rebuild All started: Project: one, Configuration: Release Win32 ------
Compiling...
a.cpp
b.c
.\\a.cpp(12) : warning C4244: 'return' : conversion from 'double' to 'int'
.\\b.c(3) : error C2065: 'x' : undeclared identifier
2>------ Build started: Project: two, Configuration: Release Win32 ------
2>c.cxx
2>c.obj : error LNK2019: unresolved external symbol
2>LINK : fatal error LNK1120: 1 unresolved externals
========== Rebuild All: 0 succeeded, 2 failed, 0 skipped ==========
"""

MSBUILD = """Build started 1/1/2020.
     1>Project "C:\\p.sln" on node 1 (Rebuild target(s)).
     1>Project "C:\\p.sln" (1) is building "C:\\q.vcxproj" (2) on node 1 (default targets).
         a.cpp
     2>a.cpp(5): warning C4996: 'strcpy': This function may be unsafe. [C:\\q.vcxproj]
"""


@case(Robocopy)
async def exit_codes_of_robocopy(here: Here) -> None:
    for code, result in ((0, SUCCESS), (1, SUCCESS), (2, WARNINGS), (5, WARNINGS), (9, FAILURE), (16, FAILURE)):
        here.program("robocopy", code=code)
        built = await here.run_steps(Robocopy("S", "D", recursive=True, env=here.path))
        assert built.results == {"robocopy": result}, code
    assert here.argv("robocopy")[-5:] == ["S", "D", "/E", "/TEE", "/NP"]


DEVENVS = (
    vstudio.VC7, vstudio.VC8, vstudio.VC9, vstudio.VC10, vstudio.VC11, vstudio.VC12, vstudio.VC14, vstudio.VC141,
    vstudio.VS2019, vstudio.VS2022,
)  # fmt: skip
MSBUILDS = (
    vstudio.MsBuild4, vstudio.MsBuild12, vstudio.MsBuild14, vstudio.MsBuild141, vstudio.MsBuild16, vstudio.MsBuild17
)  # fmt: skip


@case(vstudio.VisualStudio, vstudio.VC6, vstudio.VCExpress9, *DEVENVS)
async def compilers_of_microsoft(here: Here) -> None:
    for name in ("msdev", "devenv.com", "vcexpress", "other"):
        here.program(name, DEVENV)
    # what comes before the first ":" of Windows' directories is found on the slaves of this test
    env = {"PATH": f"{here.path['PATH']}:".replace("${PATH}", "/usr/bin:/bin")}
    steps: list[Any] = [kind(name=kind.__name__, projectfile="p.sln", env=env) for kind in DEVENVS]
    steps += [
        vstudio.VC6(name="VC6", projectfile="p.dsw", project="q", env=env),
        vstudio.VCExpress9(name="VCExpress9", projectfile="p.sln", mode="build", env=env),
        vstudio.VisualStudio(name="VisualStudio", projectfile="p", command=["other", "p"], env=env),
    ]
    built = await here.run_steps(*steps)
    for step in steps:
        name = step.name
        assert built.results[name] == FAILURE, built.everything(name)
        assert built.step(name).state_text == "compile 2 projects 3 files 3 errors 1 warning (failure)"
        assert built.text(name, "warnings").startswith(".\\a.cpp(12) : warning C4244")
        assert built.text(name, "errors").count("\n") == 3
    assert here.argv("msdev") == ["p.dsw", "/MAKE", "q - release", "/REBUILD"]
    assert here.argv("devenv.com") == ["p.sln", "/Rebuild", "release"] * len(DEVENVS)
    assert here.argv("vcexpress") == ["p.sln", "/Build", "release"]


@case(*MSBUILDS)
async def builds_of_microsoft(here: Here) -> None:
    here.program("msbuild", MSBUILD)
    here.program("%VCENV_BAT%")  # so the shell of these slaves reads the name of the batch file
    # the newer ones look for it by FOR, in directories that have ":" in their names: only the shell of Windows can
    plain = {"preparing": vstudio.MsBuild4.preparing, "environment": vstudio.MsBuild4.environment}
    old, new = MSBUILDS[:3], [type(kind.__name__, (kind,), plain) for kind in MSBUILDS[3:]]
    env = {"PATH": here.path["PATH"]}
    given: dict[str, Any] = {"platform": "Win32", "projectfile": "p.sln", "project": "q", "properties": {"x": "y"}}
    steps = [kind(name=kind.__name__, env=env, **given) for kind in (*old, *new)]
    built = await here.run_steps(*steps)
    for step in steps:
        assert built.results[step.name] == WARNINGS, built.everything(step.name)
        assert built.step(step.name).state_text == "compile 2 projects 1 file 1 warning (warnings)"
    told = ["p.sln", "/p:Configuration=release", "/p:Platform=Win32", "/maxcpucount", "/t:q:Rebuild", "/p:x=y"]
    assert here.argv("msbuild") == told * len(MSBUILDS)
    assert here.argv("%VCENV_BAT%") == ["x86"] * len(MSBUILDS)
