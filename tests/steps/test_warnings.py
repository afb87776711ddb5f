"""Counting warnings and tests in the output of a real slave, whatever the patterns and the output are."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from buildbot.process.loggingstep import regex_log_evaluator
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.examining import MOST_GIVEN_UP
from buildbot.steps.shell import ShellCommand, TreeSize
from buildbot.steps.warnings import Compile, PerlModuleTest, WarningCountingShellCommand, parse_suppressions
from tests.steps.case import StepsCase


class LongestTurn:
    """How long the reactor did not get its turn."""

    def __init__(self, clock: Any) -> None:
        self._clock, self._last, self.seconds = clock, time.thread_time(), 0.0
        self._next = clock.callLater(0, self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.seconds, self._last = max(self.seconds, now - self._last), now
        self._next = self._clock.callLater(0, self._turn)

    def stop(self) -> float:
        self._next.cancel()
        return self.seconds


class TestHostileOutput(StepsCase):
    async def test_a_catastrophic_pattern_costs_some_lines_and_stalls_nothing(self) -> None:
        bad = "a" * 50 + "b\\n"
        step = WarningCountingShellCommand(
            name="it",
            command=["python3", "-c", f"print(('x' * 70 + '\\n{bad}') * 20 + 'aaaa')"],
            warningPattern=r"(a+)+$",
        )
        turn = LongestTurn(self.rig.build_clock)
        built = await self.run_steps(step)
        longest = turn.stop()
        assert built.results == {"it": WARNINGS}
        assert built.properties["warnings-count"] == 1
        text = "aaaa\n(20 lines were not examined: the patterns of this step take too long with them)\n"
        assert built.text("it", "warnings (1)") == text
        assert longest < 0.2  # a line, what may be left of a turn, and what else the reactor does in one

    async def test_when_there_are_too_many_such_lines_the_rest_is_not_looked_at(self) -> None:
        command = ["python3", "-c", "print(('a' * 50 + 'b\\n') * 5000 + 'aaaa')"]
        began = time.thread_time()
        built = await self.run_steps(WarningCountingShellCommand(name="it", command=command, warningPattern=r"(a+)+$"))
        assert time.thread_time() - began < 0.05 * MOST_GIVEN_UP + 2
        assert "(5001 lines were not examined" in built.text("it", "warnings (0)")
        assert built.results == {"it": WARNINGS}

    async def test_a_pattern_of_the_source_is_bounded_too(self) -> None:
        self.put({"quiet": "x : (a+)+$\n"})
        command = ["printf", "%s", "warning: " + "a" * 50 + "b\n"]
        built = await self.run_steps(WarningCountingShellCommand(name="it", command=command, suppressionFile="quiet"))
        assert "1 lines were not examined" in built.text("it", "warnings (0)")
        self.put({"quiet": "x : (\n"})
        built = await self.run_steps(WarningCountingShellCommand(name="it", command=command, suppressionFile="quiet"))
        assert "is wrong: missing )" in built.text("it", "err.text")
        assert len(self.flushLoggedErrors(ValueError)) == 1

    async def test_so_are_those_that_judge_a_command(self) -> None:
        judge = partial(regex_log_evaluator, regexes=[("fine", SUCCESS), (r"(a+)+$", FAILURE)])
        command = ["python3", "-c", "print(('a' * 50 + 'b\\n') * 1000)"]
        began = time.thread_time()
        built = await self.run_steps(ShellCommand(name="it", command=command, log_eval_func=judge))
        assert time.thread_time() - began < 2
        assert built.results == {"it": WARNINGS}
        built = await self.run_steps(ShellCommand(name="it", command="echo fine; echo aaa", log_eval_func=judge))
        assert built.results == {"it": FAILURE}

    async def test_an_extractor_that_raises_is_an_exception(self) -> None:
        built = await self.run_steps(
            WarningCountingShellCommand(
                name="it",
                command="echo warning: a",
                warningExtractor=lambda step, line, match: {}[1],
                suppressionList=[(None, "b", None, None)],
            )
        )
        assert "KeyError" in built.text("it", "err.text")
        assert len(self.flushLoggedErrors(KeyError)) == 1

    def test_a_suppression_file_is_read_in_one_go(self) -> None:
        assert parse_suppressions("# no\n\n a.c : b: c : 3 - 5\na.c:b:7\na.c : b : c\n") == [
            ("a.c", "b: c", 3, 5),
            ("a.c", "b", 7, 7),
            ("a.c", "b : c", None, None),
        ]
        hostile = ":".join([" " * 1000] * 1000) + "x : y"
        began = time.process_time()
        with self.assertRaises(ValueError):
            parse_suppressions(hostile)
        with self.assertRaises(ValueError):
            parse_suppressions("a:b\n" * 10_001)
        assert time.process_time() - began < 1


class TestCompilers(StepsCase):
    async def test_subclasses_add_to_the_lists_of_their_base(self) -> None:
        class Mine(Compile):
            command = [*Compile.command, "install"]
            description = Compile.description + ["mine"]  # noqa: RUF005  # as people write it

            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.command = self.command + ["more"]  # noqa: RUF005

        self.put({"Makefile": "all install more:\n\t@echo $@\n"})
        built = await self.run_steps(Mine())
        assert built.text("compile") == "all\ninstall\nmore\n"
        assert Compile.command == ["make", "all"]

class TestPerl(StepsCase):
    async def test_so_is_the_older_harness(self) -> None:
        text = (
            "t/a....ok\nt/b....FAILED test 2\n"
            "Failed 1/2 test scripts, 50.00% okay. 1/14 subtests failed, 92.86% okay.\n"
        )
        built = await self.run_steps(PerlModuleTest(command=["printf", "%s", text]))
        assert built.results == {"test": FAILURE}
        assert built.step("test").state_text == "test (failure): 14 tests 13 passed 1 failed"


class TestTreeSize(StepsCase):
    async def test_the_size_of_the_tree_is_a_property(self) -> None:
        self.put({"big": "x" * 100_000})
        built = await self.run_steps(TreeSize())
        size = built.properties["tree-size-KiB"]
        assert 90 < size < 200
        assert built.step("treesize").state_text == f"treesize {size} KiB"
        built = await self.run_steps(TreeSize(command="echo nothing"))
        assert built.results == {"treesize": WARNINGS}
        assert built.step("treesize").state_text == "treesize unknown"
