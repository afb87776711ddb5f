"""Steps for Python projects, with the programs that they are for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.process.properties import Interpolate
from buildbot.process.results import FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.steps.python import BuildEPYDoc, PyFlakes, PyLint, Sphinx
from buildbot.steps.python_twisted import BuildDebs, HLint, ProcessDocs, RemovePYCs, Trial
from buildbot.steps.trialcounts import countFailedTests
from tests.rig import Source
from tests.steps.case import StepsCase
from tests.tools import require_tool

BIN = Path(sys.executable).parent


class TestPyFlakes(StepsCase):
    async def test_pyflakes_is_counted_by_kinds(self) -> None:
        pyflakes = require_tool("pyflakes3", "pyflakes3")
        self.put(
            {
                "a.py": "import os\nfrom sys import *\n\n\ndef f():\n    return nothing\n\n\ndef f():\n    pass\n",
                "b.py": "print('%s' % (1, 2))\n",
                "c.py": "import os\n",
                "d.py": "def broken(:\n",
                "good.py": "print(1)\n",
            }
        )
        built = await self.run_steps(
            PyFlakes(command=[pyflakes, "a.py", "b.py"]),
            PyFlakes(command=[pyflakes, "c.py"]),
            PyFlakes(command=[pyflakes, "d.py"]),
            PyFlakes(command=[pyflakes, "good.py"]),
            PyFlakes(command="exit 2"),
        )
        assert list(built.results.values()) == [WARNINGS, WARNINGS, FAILURE, SUCCESS, FAILURE]
        text = built.steps[0].state_text
        assert text == "pyflakes (warnings): 1 unused, 1 redef, 1 import*, 2 misc"
        assert built.text("pyflakes", "redefs") == "a.py:9:1: redefinition of unused 'f' from line 5\n"
        assert built.text("pyflakes_1", "unused").startswith("c.py:1:1")
        assert built.properties["pyflakes-total"] == 0  # of the last step
        assert built.row.result == SUCCESS  # flunkOnFailure is False

    async def test_an_undefined_name_is_a_failure(self) -> None:
        pyflakes = require_tool("pyflakes3", "pyflakes3")
        self.put({"a.py": "print(nothing)\n"})
        built = await self.run_steps(PyFlakes(command=[pyflakes, "a.py"], flunkOnFailure=True))
        assert (built.results, built.row.result) == ({"pyflakes": FAILURE}, FAILURE)
        names = ("unused", "undefined", "redefs", "import*", "misc", "total")
        assert [built.properties[f"pyflakes-{name}"] for name in names] == [0, 1, 0, 0, 0, 1]


class TestPyLint(StepsCase):
    async def test_pylint_is_counted_and_its_exit_code_read(self) -> None:
        pylint = require_tool("pylint", "pylint")
        self.put({"a.py": '"""Doc."""\nimport os\n\n\ndef fun():\n    return undefined_name\n'})
        # one process: it takes a second to start
        built = await self.run_steps(PyLint(command=[pylint, "--disable=R", "--persistent=n", "a.py"]))
        assert built.results == {"pylint": FAILURE}
        assert built.step("pylint").state_text == "pylint (failure): 1 convention, 1 warning, 1 error"
        assert [built.properties[f"pylint-{kind}"] for kind in ("convention", "error", "total")] == [1, 1, 3]
        assert "E0602" in built.text("pylint", "error")

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

    def test_store_results_is_a_bool(self) -> None:
        PyLint(command="pylint", store_results=False)
        with self.assertRaises(ConfigErrors):
            PyLint(command="pylint", store_results="no")


class TestSphinx(StepsCase):
    async def test_documents_are_built_and_warnings_counted(self) -> None:
        self.put({"docs/conf.py": "", "docs/index.rst": "A long title\n====\n\n.. nothing:: here\n"})
        sphinx = str(BIN / "sphinx-build")
        kwargs: dict[str, Any] = {"sphinx_sourcedir": "docs", "sphinx": sphinx, "sphinx_builder": "dummy"}
        built = await self.run_steps(
            Sphinx(sphinx_builddir=Interpolate("%(kw:where)s", where="out"), mode="full", **kwargs)
        )
        assert built.results == {"sphinx": WARNINGS}
        assert built.step("sphinx").state_text == "sphinx (warnings): 2 warnings"
        assert "index.rst:2: WARNING: Title underline too short." in built.text("sphinx", "warnings")
        assert (self.work / "out").is_dir()

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


TESTS = """
import warnings
from twisted.trial.unittest import TestCase

class T(TestCase):
    def test_good(self):
        print("said in a process of its own")
        warnings.warn_explicit("old", UserWarning, "t.py", 3)

    def test_bad(self):
        self.fail("it is bad")

    def test_error(self):
        1 / 0

    def test_later(self):
        pass
    test_later.skip = "later"
"""


class TestTrial(StepsCase):
    async def test_tests_are_run_and_counted(self) -> None:
        self.put({"lib/t_all.py": TESTS, "lib/t_good.py": TESTS.split("    def test_bad")[0]})
        trial = str(BIN / "trial")
        built = await self.run_steps(
            Trial(tests="t_all", testpath="lib", trial=trial, env={"PYTHONPATH": ["more"]}),
            Trial(tests=["t_good"], testpath="lib", python=[sys.executable, "-W", "default"], trial=trial, jobs=2),
            Trial(tests="t_none", testpath="lib", trial=trial),
        )
        assert list(built.results.values()) == [FAILURE, SUCCESS, FAILURE]
        assert built.step("trial").state_text == "4 tests 1 failure 1 error 1 skip (failure)"
        assert "it is bad" in built.text("trial", "problems")
        assert "ZeroDivisionError" in built.text("trial", "problems")
        assert "Ran 4 tests" not in built.text("trial", "problems")
        assert built.text("trial", "warnings").endswith("t.py:3: UserWarning: old\n")
        assert "test_bad" in built.text("trial", "test.log")
        assert built.step("trial_1").state_text == "1 test passed"
        assert set(built.logs("trial_1")) > {"stdio", "test.log"}
        of_processes = [name for name in built.logs("trial_1") if name.startswith("out.")]
        assert "in a process of its own" in "".join(built.text("trial_1", name) for name in of_processes)

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


class TestOfTwisted(StepsCase):
    async def test_lore_documents_that_changed_are_looked_at(self) -> None:
        self.program("lore", "doc/a.xhtml:3:1: no such tag\n")
        source = Source(changes=[NewChange(author="me", comments="c", files=["doc/a.xhtml", "b.py"])])
        lint = HLint(command=["lore", "-p", "--output", "lint"], env=self.path)
        built = await self.run_steps(lint, sources=[source])
        assert (built.results, built.row.result) == ({"hlint": WARNINGS}, WARNINGS)
        assert built.text("hlint", "files") == "doc/a.xhtml\n"
        assert self.argv("lore") == ["-p", "--output", "lint", "doc/a.xhtml"]
        built = await self.run_steps(HLint(python="python2"))
        assert built.results == {"hlint": SKIPPED}
        assert built.step("hlint").state_text == "no .xhtml files changed (skipped)"

    async def test_the_others_count_what_is_said(self) -> None:
        lintian = "W: it: no-manual\nE: it: bad-licence\nN: 1\n"
        self.put({"a.pyc": "", "deep/b.pyc": "", "c.py": ""})
        built = await self.run_steps(
            RemovePYCs(),
            ProcessDocs(command=[self.program("process-docs", "doc/a.html:1: hm\nfine\n")]),
            BuildDebs(command=[self.program("debuild", lintian)]),
            BuildEPYDoc(command=[self.program("epydoc", "Warning: a\nWarning: b\nError importing x\n")]),
            BuildEPYDoc(command=[self.program("epydoc2", "Warning: a\n")]),
        )
        assert list(built.results.values()) == [SUCCESS, WARNINGS, WARNINGS, FAILURE, WARNINGS]
        texts = [step.state_text for step in built.steps]
        assert texts == [
            "remove .pycs",
            "docs (warnings): 1 warning",
            "debs (warnings): 1 error, 1 warning",
            "epydoc (failure): 1 import error, 2 warnings",
            "epydoc (warnings): 1 warning",
        ]
        assert not list(self.work.rglob("*.pyc"))
