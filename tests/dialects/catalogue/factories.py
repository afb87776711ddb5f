"""The ready-made factories build small projects of their kinds."""

from __future__ import annotations

import sys
from pathlib import Path

from buildbot.process.factory import s
from buildbot.process.results import SUCCESS
from buildbot.steps.factories import CPAN, Distutils, GNUAutoconf, Trial
from buildbot.steps.python_twisted import Trial as TrialStep
from buildbot.steps.shell import Configure, ShellCommand
from buildbot.steps.warnings import Compile, PerlModuleTest, Test
from tests.dialects.catalogue.case import Here, case
from tests.tools import require_tool

SOURCE = s(ShellCommand, name="source", command="true")


@case(Configure, Compile, Test)
async def a_project_of_autoconf(here: Here) -> None:
    require_tool("make", "make")
    rules = "".join(f"{target}:\n\t@echo {target} $(FLAVOUR)\n" for target in ("all", "check", "distcheck"))
    here.put({"configure": "#!/bin/sh\necho configured $FLAVOUR $1\n", "Makefile": rules})
    (here.work / "configure").chmod(0o755)
    factory = GNUAutoconf(SOURCE, configureEnv={"FLAVOUR": "sweet"}, configureFlags=["--a b"], reconf="true")
    factory.addStep(ShellCommand, name="more", command="true")
    built = await here.build(factory)
    assert list(built.results.items()) == [
        (name, SUCCESS) for name in ("source", "autoreconf", "configure", "compile", "test", "distcheck", "more")
    ]
    assert built.text("configure") == "configured sweet --a b\n"
    assert built.text("distcheck") == "distcheck sweet\n"


@case(PerlModuleTest)
async def a_perl_module(here: Here) -> None:
    require_tool("perl", "perl")
    here.put(
        {
            "Makefile.PL": "use ExtUtils::MakeMaker;\nWriteMakefile(NAME => 'Mine', VERSION => 1);\n",
            "lib/Mine.pm": "package Mine;\n1;\n",
            "t/a.t": 'use Mine; print "1..2\\nok 1\\nok 2\\n";',
        }
    )
    built = await here.build(CPAN(SOURCE))
    assert set(built.results.values()) == {SUCCESS}, built.text("configure")
    assert built.step("test").state_text == "test: 2 tests 2 passed"


@case(TrialStep)
async def python_packages(here: Here) -> None:
    here.put(
        {
            "setup.py": "import sys; print(sys.argv)\n",
            "t_mine.py": "from unittest import TestCase\nclass T(TestCase):\n def test_it(self): pass\n",
        }
    )
    built = await here.build(Distutils(SOURCE, python=sys.executable, test="echo tested"))
    assert built.text("compile") == "['./setup.py', 'build']\n"
    assert built.text("test") == "tested\n"
    trial = str(Path(sys.executable).parent / "trial")
    factory = Trial(
        SOURCE, buildpython=[sys.executable, "-B"], trialpython=[sys.executable], trial=trial, tests="t_mine"
    )
    built = await here.build(factory)
    assert built.results == {"source": SUCCESS, "compile": SUCCESS, "trial": SUCCESS}
    assert built.step("trial").state_text == "1 test passed"
