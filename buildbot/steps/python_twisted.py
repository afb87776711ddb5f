"""Steps for projects that are tested with Twisted's trial, and for Twisted itself."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import FAILURE, SKIPPED, Results, worst_status
from buildbot.process.testresults import TestResult
from buildbot.steps.findings import FindingStep
from buildbot.steps.madecommand import MadeCommand, check_words, words
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trialcounts import TrialTestCaseCounter, WrongTest

UNSPECIFIED = object()  # since None is a value


class HLint(FindingStep):
    """Look at the lore documents (`.xhtml`) that the build's changes touch; SKIPPED when there are none.

    python: the interpreter for `bin/lore` (default: none, it is run by itself). The other arguments are those of
    ShellCommand.
    """

    name = "hlint"
    description = "running hlint"
    descriptionDone = "hlint"
    warnOnWarnings = True
    warnOnFailure = True
    command: Any = ["bin/lore", "-p", "--output", "lint"]
    kinds = ("warnings",)

    def __init__(self, python: Any = None, **kwargs: Any) -> None:
        self.python = python
        super().__init__(**kwargs)

    async def run(self) -> int:
        documents = [name for name in self.build.allFiles() if name.endswith(".xhtml")]
        if not documents:
            self.descriptionDone = "no .xhtml files changed"
            return SKIPPED
        self.note_text("files", "".join(f"{name}\n" for name in documents))
        self.command = [*words(self.python), *words(self.command), *documents]
        return await super().run()

    def see(self, line: str) -> None:
        if ":" in line:
            self.findings.add("warnings", line)


class Trial(MadeCommand, ShellCommand):
    """Run tests with Twisted's trial, and count them.

    testpath: is put before PYTHONPATH, such as "." or None for nothing; needed. tests: the name of a module or
    package, or a list of them. testChanges: test what belongs to the files that changed (`--testmodule`), instead of
    tests. python: a program or list of words that runs trial (default: none, it is run by itself). trial: the program
    (default "trial"). reactor, randomly, recurse: `--reporter`'s companions `--reactor=`, `--random=0`, `--recurse`.
    jobs: number of processes, `--jobs=`. trialMode: words before all others (default `--reporter=bwverbose`).
    trialArgs: more words. The other arguments are those of ShellCommand. All may be renderable.

    Each test that went wrong is kept as a test result, with what trial says of it; at most 2000.

    A subclass may set any of them as attributes of its class.
    """

    name = "trial"
    description = "testing"
    descriptionDone = "tests"
    flunkOnFailure = True
    logfiles = {"test.log": "_trial_temp/test.log"}
    python: Any = None
    trial: Any = "trial"
    trialMode: Any = ["--reporter=bwverbose"]
    trialArgs: Any = []
    testpath: Any = UNSPECIFIED
    testChanges: Any = False
    recurse: Any = False
    reactor: Any = None
    randomly: Any = False
    tests: Any = None
    jobs: Any = None
    renderables: ClassVar[Any] = (
        "python",
        "trial",
        "trialMode",
        "trialArgs",
        "testpath",
        "testChanges",
        "recurse",
        "reactor",
        "randomly",
        "tests",
        "jobs",
    )

    def __init__(
        self,
        reactor: Any = UNSPECIFIED,
        python: Any = None,
        trial: Any = None,
        testpath: Any = UNSPECIFIED,
        tests: Any = None,
        testChanges: Any = None,
        recurse: Any = None,
        randomly: Any = None,
        trialMode: Any = None,
        trialArgs: Any = None,
        jobs: Any = None,
        **kwargs: Any,
    ) -> None:
        given = {
            "python": python,
            "trial": trial,
            "tests": tests,
            "testChanges": testChanges,
            "recurse": recurse,
            "randomly": randomly,
            "trialMode": trialMode,
            "trialArgs": trialArgs,
            "jobs": jobs,
        }
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        if testpath is not UNSPECIFIED:
            self.testpath = testpath
        if reactor is not UNSPECIFIED:
            self.reactor = reactor
        self.output = TrialTestCaseCounter()
        super().__init__(**kwargs)
        self._check()
        self.addLogObserver("stdio", self.output)

    def _check(self) -> None:
        name = type(self).__name__
        if self.testpath is UNSPECIFIED:
            error(f"{name} needs testpath", 'such as testpath=".", or testpath=None to leave PYTHONPATH as it is')
        if self.tests is not None and self.testChanges is True:
            error(f"{name} takes tests or testChanges, not both")
        if self.tests is None and self.testChanges is False:
            error(f"{name} needs tests", 'the names of modules or packages, such as tests="project.test"')
        check_words(self, "trialMode", "trialArgs")
        if self.jobs is not None and not needs_rendering(self.jobs) and not _is_positive(self.jobs):
            error(f"{name}: jobs is a number of processes, not {self.jobs!r}")

    def argv(self) -> list[Any]:
        command = [*words(self.python), self.trial, *self.trialMode]
        if self.recurse:
            command.append("--recurse")
        if self.reactor:
            command.append(f"--reactor={self.reactor}")
        if self.randomly:
            command.append("--random=0")
        command += self.trialArgs
        if self.jobs:
            command.append(f"--jobs={self.jobs}")
        if self.testChanges:
            return [*command, *(f"--testmodule={name}" for name in self.build.allFiles() if name.endswith(".py"))]
        return [*command, *words(self.tests)]

    async def run(self) -> int:
        if self.testpath is not None:
            env = dict(self.env or {})
            env["PYTHONPATH"] = [self.testpath, *words(env.get("PYTHONPATH"))]
            self.env = env
        if self.jobs and self.logfiles == type(self).logfiles:
            self.logfiles = self.logfiles | {
                f"{kind}.{number}.log": f"_trial_temp/{number}/{kind}.log"
                for number in range(self.jobs)
                for kind in ("test", "err", "out")
            }
            self.lazylogfiles = True  # trial begins only as many as there are tests for
        return await super().run()

    def createSummary(self, stdio: Any = None) -> Any:
        for test in self.output.wrong:
            self._tell(test)
        for name, text in (("problems", self.output.problems()), ("warnings", self.output.warnings())):
            if text:
                self.note_text(name, text)
        counts = self.output.counts
        if counts is not None:
            self.setStatistic("tests-total", counts.total)
            self.setStatistic("tests-failed", counts.failed)
            self.setStatistic("tests-passed", max(0, counts.total - counts.failed - counts.skips - counts.todos))

    def _tell(self, test: WrongTest) -> None:
        """Its name begins with the reactor's, when that is given, so that runs with several are told apart."""
        name = ((str(self.reactor),) if self.reactor else ()) + tuple(test.name.split("."))
        status = self.build.build_status
        status.addTestResult(TestResult(name, FAILURE, [test.how], {"log": test.text} if test.text else {}))

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        failed = self.output.counts is not None and self.output.counts.failed
        return worst_status(result, FAILURE) if failed else result

    def getResultSummary(self) -> dict[str, str]:
        counts = self.output.counts
        if counts is None:
            return super().getResultSummary()
        text = self._with_suffix(counts.words())
        if self.results not in (0, None):
            text += f" ({Results[self.results]})"
        return {"step": text}


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class RemovePYCs(ShellCommand):
    """Remove every `.pyc` file, so that none is left of a module that is gone. Arguments: those of ShellCommand."""

    name = "remove_pyc"
    command = ["find", ".", "-name", "*.pyc", "-exec", "rm", "{}", ";"]
    description = "removing .pyc files"
    descriptionDone = "remove .pycs"


class ProcessDocs(FindingStep):
    """Build Twisted's documents, `admin/process-docs`; its warnings are counted. Arguments: those of ShellCommand."""

    name = "process-docs"
    command = ["admin/process-docs"]
    description = "processing docs"
    descriptionDone = "docs"
    warnOnWarnings = True
    kinds = ("warnings",)
    _message = re.compile(r"(?i)\b(?:warning|error): |^\S[^:]*:\d+:")

    def see(self, line: str) -> None:
        if self._message.search(line):
            self.findings.add("warnings", line)


class BuildDebs(FindingStep):
    """Build Debian packages, `debuild -uc -us`; what lintian says of them is counted.

    Arguments: those of ShellCommand.
    """

    name = "debuild"
    command = ["debuild", "-uc", "-us"]
    description = "building debs"
    descriptionDone = "debs"
    flunkOnFailure = True
    kinds = ("errors", "warnings")

    def see(self, line: str) -> None:
        if line.startswith(("E: ", "W: ")):
            self.findings.add("errors" if line[0] == "E" else "warnings", line)
