"""Steps for particular tools, with the tool where there is one."""

from __future__ import annotations

import time

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate, Property
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS, WARNINGS
from buildbot.steps.cmake import CMake
from buildbot.steps.cppcheck import Cppcheck
from buildbot.steps.dummy import Dummy, FailingDummy, RemoteDummy
from buildbot.steps.maxq import MaxQ
from buildbot.steps.shell import ShellCommand
from buildbot.steps.subunit import SubunitShellCommand
from tests.steps.case import StepsCase
from tests.tools import require_tool


class TestCMake(StepsCase):
    async def test_a_project_is_configured(self) -> None:
        require_tool("cmake", "cmake")
        text = 'cmake_minimum_required(VERSION 3.10)\nproject(p NONE)\nmessage(STATUS "A is ${A} and ${B}")\n'
        self.put({"src/CMakeLists.txt": text})
        step = CMake(
            path="../src",
            generator="Unix Makefiles",
            definitions={"A": Property("buildername"), "B": "x y"},
            options=["-Wno-dev"],
            workdir="build/out",
        )
        built = await self.run_steps(step, CMake(path="nowhere"))
        assert built.results == {"cmake": SUCCESS, "cmake_1": FAILURE}
        assert "-- A is b and x y" in built.text("cmake")
        assert (self.work / "out" / "Makefile").is_file()
        assert built.step("cmake").state_text == "cmake"

    def test_its_command(self) -> None:
        made = CMake(path="src", generator="Ninja", definitions={"A": "1", "B": "2"}, options=["-q"], cmake="/x/cmake")
        assert made.argv() == ["/x/cmake", "-G", "Ninja", "-DA=1", "-DB=2", "-q", "src"]
        assert CMake().argv() == ["cmake"]
        for options in ({"definitions": ["A=1"]}, {"options": "-q"}, {"deffinitions": {}}):
            with self.assertRaises(ConfigErrors):
                CMake(**options)  # type: ignore[arg-type]


class TestCppcheck(StepsCase):
    async def test_what_it_finds_is_counted(self) -> None:
        require_tool("cppcheck", "cppcheck")
        self.put({"a.c": "int main(void){int a[2]; a[3]=1; int b=0; b=2; return a[0];}\n", "b.c": "int f(void);\n"})
        built = await self.run_steps(
            Cppcheck(source=["a.c"], enable=["style"], extra_args=["--inline-suppr"]), Cppcheck(source=["b.c"])
        )
        assert built.results == {"cppcheck": FAILURE, "cppcheck_1": SUCCESS}
        assert "arrayIndexOutOfBounds" in built.text("cppcheck", "error")
        assert built.step("cppcheck").state_text.startswith("cppcheck (failure): 1 error, ")
        assert built.properties["cppcheck-total"] == 0

    async def test_its_older_output_is_understood(self) -> None:
        said = "Checking a.c...\n[a.c:1]: (error) Bad\n[a.c:2] -> [a.c:9]: (style) Poor\n(information) all\n"
        built = await self.run_steps(Cppcheck(binary=self.program("old", said), source=["a b.c"], inconclusive=True))
        assert built.step("cppcheck").state_text == "cppcheck (failure): 1 error"
        assert self.argv("old") == ["a b.c", "--inconclusive"]

    def test_its_command(self) -> None:
        made = Cppcheck(binary="c", source=["a", "b"], enable=["all", "style"], inconclusive=True, extra_args=["--xml"])
        assert made.argv() == ["c", "a", "b", "--enable=all,style", "--inconclusive", "--xml"]
        assert Cppcheck().argv() == ["cppcheck", "."]
        with self.assertRaises(ConfigErrors):
            Cppcheck(source="src")


class TestMaxQ(StepsCase):
    async def test_failed_tests_are_counted(self) -> None:
        self.program("run_maxq.py", "TEST FAILURE: a\nfine\nTEST FAILURE: b\n")
        built = await self.run_steps(MaxQ(testdir=Interpolate("t-%(prop:buildername)s"), env=self.path))
        assert built.results == {"maxq": FAILURE}
        assert built.step("maxq").state_text == "maxq tests (failure): 2 failures"
        assert self.argv("run_maxq.py") == ["t-b"]
        with self.assertRaises(ConfigErrors):
            MaxQ()


class TestDummies(StepsCase):
    async def test_they_take_their_time(self) -> None:
        began = time.monotonic()
        built = await self.run_steps(
            Dummy(timeout=0.05), RemoteDummy(timeout=0.05), FailingDummy(timeout=0, haltOnFailure=False)
        )
        assert time.monotonic() - began >= 0.1
        assert list(built.results.values()) == [SUCCESS, SUCCESS, FAILURE]
        texts = [step.state_text for step in built.steps]
        assert texts == ["delay 0.05 s", "remote delay 0.05 s", "delay 0 s"]

    async def test_a_stop_ends_it(self) -> None:
        waiting = self.run_steps_later(Dummy(timeout=1000, name="it"), ShellCommand(command="true"))
        await self.rig.until(lambda: any(build.currentStep for build in self.rig.running.by_id.values()), "a step")
        (build,) = self.rig.running.by_id
        await self.rig.until(lambda: self.rig.running.by_id[build].currentStep._waiting is not None, "it waits")
        self.rig.control.stop_build(build, "tester", "")
        assert (await waiting).results == {"it": CANCELLED}

    def test_a_wrong_time_is_said(self) -> None:
        for kind in (Dummy, FailingDummy, RemoteDummy):
            for timeout in ("5", True, -1):
                with self.assertRaises(ConfigErrors):
                    kind(timeout=timeout)


class TestWarnings(StepsCase):
    async def test_any_of_them_may_be_given_a_command(self) -> None:
        built = await self.run_steps(CMake(command=["echo", "instead"]))
        assert built.text("cmake") == "instead\n"
        assert built.results == {"cmake": SUCCESS}
        assert WARNINGS not in built.results.values()


SUBUNIT = "import unittest\n\n\nclass T(unittest.TestCase):\n"
SUBUNIT += "    def test_a(self):\n        pass\n\n    def test_b(self):\n        self.fail('it is \u00f3 bad')\n"


class TestSubunit(StepsCase):
    async def test_both_versions_are_counted(self) -> None:
        self.put({"t_mine.py": SUBUNIT})
        require_tool("subunit-filter", "subunit")
        python = "/usr/bin/python3"
        one = f"{python} -m subunit.run t_mine | {python} /usr/bin/subunit-2to1"
        built = await self.run_steps(
            SubunitShellCommand(command=[python, "-m", "subunit.run", "t_mine"]),
            SubunitShellCommand(command=one),
            SubunitShellCommand(command="true"),
            SubunitShellCommand(command="true", failureOnNoTests=True),
        )
        assert list(built.results.values()) == [FAILURE, FAILURE, SUCCESS, FAILURE], built.text("shell")
        for name in ("shell", "shell_1"):
            assert built.step(name).state_text == "2 tests 1 passed 1 failed (failure)"
            assert "t_mine.T.test_b: failure\n" in built.text(name, "problems")
            assert "it is \u00f3 bad" in built.text(name, "problems")
        assert built.step("shell_2").state_text == "no tests run"
