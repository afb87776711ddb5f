"""Steps for particular tools, with the tool where there is one."""

from __future__ import annotations

import time

from buildbot.config.errors import ConfigErrors
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS, WARNINGS
from buildbot.steps.cmake import CMake
from buildbot.steps.cppcheck import Cppcheck
from buildbot.steps.dummy import Dummy, FailingDummy, RemoteDummy
from buildbot.steps.shell import ShellCommand
from tests.steps.case import StepsCase


class TestCMake(StepsCase):
    def test_its_command(self) -> None:
        made = CMake(path="src", generator="Ninja", definitions={"A": "1", "B": "2"}, options=["-q"], cmake="/x/cmake")
        assert made.argv() == ["/x/cmake", "-G", "Ninja", "-DA=1", "-DB=2", "-q", "src"]
        assert CMake().argv() == ["cmake"]
        for options in ({"definitions": ["A=1"]}, {"options": "-q"}, {"deffinitions": {}}):
            with self.assertRaises(ConfigErrors):
                CMake(**options)  # type: ignore[arg-type]


class TestCppcheck(StepsCase):
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
