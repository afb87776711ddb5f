"""Steps for Python projects, with the programs that they are for; lore, epydoc and debuild are stood in for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from buildbot.model import NewChange
from buildbot.process.properties import Interpolate
from buildbot.process.results import FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.process.testresults import as_it_was
from buildbot.steps.python import BuildEPYDoc, PyFlakes, PyLint, Sphinx
from buildbot.steps.python_twisted import BuildDebs, HLint, ProcessDocs, RemovePYCs, Trial
from buildbot.store import testresults
from tests.dialects.catalogue.case import Here, case
from tests.rig import Source
from tests.tools import require_tool

BIN = Path(sys.executable).parent


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


@case(PyFlakes)
async def pyflakes_is_counted_by_kinds(here: Here) -> None:
    pyflakes = require_tool("pyflakes3", "pyflakes3")
    here.put(
        {
            "a.py": "import os\nfrom sys import *\n\n\ndef f():\n    return nothing\n\n\ndef f():\n    pass\n",
            "b.py": "print('%s' % (1, 2))\n",
            "c.py": "import os\n",
            "d.py": "def broken(:\n",
            "good.py": "print(1)\n",
        }
    )
    built = await here.run_steps(
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


@case(PyLint)
async def pylint_is_counted_and_its_exit_code_read(here: Here) -> None:
    pylint = require_tool("pylint", "pylint")
    here.put({"a.py": '"""Doc."""\nimport os\n\n\ndef fun():\n    return undefined_name\n'})
    # one process: it takes a second to start
    built = await here.run_steps(PyLint(command=[pylint, "--disable=R", "--persistent=n", "a.py"]))
    assert built.results == {"pylint": FAILURE}
    assert built.step("pylint").state_text == "pylint (failure): 1 convention, 1 warning, 1 error"
    assert [built.properties[f"pylint-{kind}"] for kind in ("convention", "error", "total")] == [1, 1, 3]
    assert "E0602" in built.text("pylint", "error")
    (tests,) = testresults.sets_of(built.rig.store, built.row.id, 10)
    assert (tests.description, tests.category, tests.counts) == ("Pylint warnings", "code_issue", (3, 0, 3))
    kept = testresults.page(built.rig.store, tests.id, 0, 10, failed=True)
    (one,) = [each for each in kept if "E0602" in each.value]
    assert (one.path, one.line, one.name) == ("a.py", 6, None)


@case(Sphinx)
async def documents_are_built_and_warnings_counted(here: Here) -> None:
    here.put({"docs/conf.py": "", "docs/index.rst": "A long title\n====\n\n.. nothing:: here\n"})
    kwargs: dict[str, Any] = {
        "sphinx_sourcedir": "docs",
        "sphinx": str(BIN / "sphinx-build"),
        "sphinx_builder": "dummy",
    }
    built = await here.run_steps(
        Sphinx(sphinx_builddir=Interpolate("%(kw:where)s", where="out"), mode="full", **kwargs)
    )
    assert built.results == {"sphinx": WARNINGS}
    assert built.step("sphinx").state_text == "sphinx (warnings): 2 warnings"
    assert "index.rst:2: WARNING: Title underline too short." in built.text("sphinx", "warnings")
    assert (here.work / "out").is_dir()


@case(Trial)
async def tests_of_trial_are_run_and_counted(here: Here) -> None:
    here.put({"lib/t_all.py": TESTS, "lib/t_good.py": TESTS.split("    def test_bad")[0]})
    trial = str(BIN / "trial")
    built = await here.run_steps(
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
    told = testresults.of_unit(built.rig.store, built.row.id, "result", 10)
    assert [each.name for each in told if each.passed == 0] == ["t_all.T.test_bad", "t_all.T.test_error", "t_none"]
    assert "it is bad" in as_it_was(told[0]).getLogs()["log"]
    assert as_it_was(told[1]).getText() == ["error"]
    assert built.step("trial_1").state_text == "1 test passed"
    assert set(built.logs("trial_1")) > {"stdio", "test.log"}
    of_processes = [name for name in built.logs("trial_1") if name.startswith("out.")]
    assert "in a process of its own" in "".join(built.text("trial_1", name) for name in of_processes)


@case(HLint)
async def lore_documents_that_changed_are_looked_at(here: Here) -> None:
    here.program("lore", "doc/a.xhtml:3:1: no such tag\n")
    source = Source(changes=[NewChange(author="me", comments="c", files=["doc/a.xhtml", "b.py"])])
    lint = HLint(command=["lore", "-p", "--output", "lint"], env=here.path)
    built = await here.run_steps(lint, sources=[source])
    assert (built.results, built.row.result) == ({"hlint": WARNINGS}, WARNINGS)
    assert built.text("hlint", "files") == "doc/a.xhtml\n"
    assert here.argv("lore") == ["-p", "--output", "lint", "doc/a.xhtml"]
    built = await here.run_steps(HLint(python="python2"))
    assert built.results == {"hlint": SKIPPED}
    assert built.step("hlint").state_text == "no .xhtml files changed (skipped)"


@case(BuildDebs, BuildEPYDoc, ProcessDocs, RemovePYCs)
async def what_is_said_is_counted(here: Here) -> None:
    here.put({"a.pyc": "", "deep/b.pyc": "", "c.py": ""})
    built = await here.run_steps(
        RemovePYCs(),
        ProcessDocs(command=[here.program("process-docs", "doc/a.html:1: hm\nfine\n")]),
        BuildDebs(command=[here.program("debuild", "W: it: no-manual\nE: it: bad-licence\nN: 1\n")]),
        BuildEPYDoc(command=[here.program("epydoc", "Warning: a\nWarning: b\nError importing x\n")]),
        BuildEPYDoc(command=[here.program("epydoc2", "Warning: a\n")]),
    )
    assert list(built.results.values()) == [SUCCESS, WARNINGS, WARNINGS, FAILURE, WARNINGS]
    assert [step.state_text for step in built.steps] == [
        "remove .pycs",
        "docs (warnings): 1 warning",
        "debs (warnings): 1 error, 1 warning",
        "epydoc (failure): 1 import error, 2 warnings",
        "epydoc (warnings): 1 warning",
    ]
    assert not list(here.work.rglob("*.pyc"))
