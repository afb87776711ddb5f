"""Steps for Python projects, with the programs that they are for."""

from __future__ import annotations

import sys
from pathlib import Path

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.python import PyFlakes, PyLint, Sphinx
from buildbot.steps.python_twisted import Trial
from buildbot.steps.trialcounts import countFailedTests
from buildbot.store import testresults
from tests.rig import Source
from tests.steps.case import StepsCase
from tests.tools import require_tool

BIN = Path(sys.executable).parent


class TestPyFlakes(StepsCase):
    async def test_an_undefined_name_is_a_failure(self) -> None:
        pyflakes = require_tool("pyflakes3", "pyflakes3")
        self.put({"a.py": "print(nothing)\n"})
        built = await self.run_steps(PyFlakes(command=[pyflakes, "a.py"], flunkOnFailure=True))
        assert (built.results, built.row.result) == ({"pyflakes": FAILURE}, FAILURE)
        names = ("unused", "undefined", "redefs", "import*", "misc", "total")
        assert [built.properties[f"pyflakes-{name}"] for name in names] == [0, 1, 0, 0, 0, 1]


class TestPyLint(StepsCase):
    async def test_each_of_its_formats_is_understood(self) -> None:
        old = "************* Module a\nC:  1, 0: Missing docstring (missing-docstring)\nW:  2: Unused import os\n"
        parseable = "a.py:1: [C0111(missing-docstring), f] Missing\na.py:2: [W0611, ] Unused\na.py:3: [R] Few\n"
        newest = "a.py:1:0: C0114: Missing (missing-module-docstring)\na.py:9:4: I0011: Locally (locally-disabled)\n"
        steps = [
            PyLint(name=f"s{code}", command=[self.program(f"pylint{code}", text, code), "a.py"], logEnviron=False)
            for text, code in ((old, 20), (parseable, 28), (newest, 16), ("", 0), ("usage: pylint\n", 32), ("", 1))
        ]
        built = await self.run_steps(*steps)
        assert list(built.results.values()) == [WARNINGS, WARNINGS, WARNINGS, SUCCESS, FAILURE, FAILURE]
        assert built.step("s20").state_text == "pylint (warnings): 1 convention, 1 warning"
        assert built.step("s28").state_text == "pylint (warnings): 1 convention, 1 refactor, 1 warning"
        assert built.step("s16").state_text == "pylint (warnings): 1 convention, 1 info"
        store = built.rig.store
        kept = [
            [(each.path, each.line, each.value[:6]) for each in testresults.page(store, row.id, 0, 9, failed=False)]
            for row in testresults.sets_of(store, built.row.id, 10)
        ]
        assert kept[0] == []  # it does not say which file
        assert kept[1] == [("a.py", 1, "[C0111"), ("a.py", 2, "[W0611"), ("a.py", 3, "[R] Fe")]
        assert kept[2] == [("a.py", 1, "C0114:"), ("a.py", 9, "I0011:")]

    def test_store_results_is_a_bool(self) -> None:
        PyLint(command="pylint", store_results=False)
        with self.assertRaises(ConfigErrors):
            PyLint(command="pylint", store_results="no")


class TestSphinx(StepsCase):
    def test_its_command(self) -> None:
        made = Sphinx(
            sphinx_builddir="_build",
            sphinx_sourcedir="docs",
            sphinx_builder="html",
            tags=["a", "b"],
            defines={"k": "v", "e": None, "n": 5, "t": True, "f": False},
            strict_warnings=True,
            mode="full",
        )
        told = "sphinx-build -b html -t a -t b -D e -D f=0 -D k=v -D n=5 -D t=1 -E -W docs _build"
        assert made.argv() == told.split()
        assert Sphinx(sphinx_builddir="_b").argv() == ["sphinx-build", ".", "_b"]

    def test_mistakes_are_said(self) -> None:
        for options, sentence in (
            ({}, "sphinx_builddir"),
            ({"sphinx_builddir": "b", "mode": "fast"}, "not 'fast'"),
            ({"sphinx_builddir": "b", "tags": "a"}, "tags is a list"),
            ({"sphinx_builddir": "b", "defines": ["a"]}, "defines is a dict"),
            ({"sphinx_builddir": "b", "sphinx_builer": "html"}, "sphinx_builder"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Sphinx(**options)  # type: ignore[arg-type]
            assert sentence in str(caught.exception)


class TestTrial(StepsCase):
    def test_its_command(self) -> None:
        made = Trial(
            tests=["a", "b"],
            python=["python", "-W"],
            reactor="epoll",
            randomly=True,
            recurse=True,
            jobs=4,
            trialMode=["--rep=x"],
            trialArgs=["--foo"],
            trial="/x/trial",
            testpath="lib",
        )
        told = "python -W /x/trial --rep=x --recurse --reactor=epoll --random=0 --foo --jobs=4 a b"
        assert made.argv() == told.split()

    async def test_what_belongs_to_the_changed_files_is_tested(self) -> None:
        files = ["a/test_x.py", "b.xhtml", "twisted/test/test_y.py"]
        self.program("trial", "-" * 79 + "\n\nPASSED\n")

        class Mine(Trial):
            testpath = None
            testChanges = True

        source = Source(changes=[NewChange(author="me", comments="c", files=files)])
        built = await self.run_steps(Mine(env=self.path), sources=[source])
        assert built.step("trial").state_text == "no tests run"
        told = ["--reporter=bwverbose", "--testmodule=a/test_x.py", "--testmodule=twisted/test/test_y.py"]
        assert self.argv("trial") == told

    def test_mistakes_are_said(self) -> None:
        for options, sentence in (
            ({"tests": "a"}, "needs testpath"),
            ({"testpath": None}, "needs tests"),
            ({"testpath": None, "tests": "a", "testChanges": True}, "not both"),
            ({"testpath": None, "tests": "a", "trialMode": "x"}, "trialMode is a list"),
            ({"testpath": None, "tests": "a", "jobs": 0}, "jobs is a number"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Trial(**options)  # type: ignore[arg-type]
            assert sentence in str(caught.exception)

    def test_counts_of_older_versions(self) -> None:
        old = "Ran 30 tests in 1.2s\n\nFAILED (skips=2, failures=1, errors=3, expectedFailures=4, successes=19)\n"
        assert countFailedTests(old) == {
            "total": 30,
            "failures": 1,
            "errors": 3,
            "skips": 2,
            "expectedFailures": 4,
            "unexpectedSuccesses": 0,
        }
        assert countFailedTests("nothing")["total"] is None
