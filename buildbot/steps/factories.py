"""Ready-made factories: the steps of a project that is built as most of its kind are.

Each takes `source`, the step that checks the project out (or an older form of one: a class, or `s(Class, ...)`), and
may be given more steps with `addStep`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from buildbot.config.errors import error
from buildbot.process.factory import BuildFactory
from buildbot.steps.madecommand import words
from buildbot.steps.python_twisted import BuildDebs, HLint, ProcessDocs, RemovePYCs
from buildbot.steps.python_twisted import Trial as TrialStep
from buildbot.steps.shell import Configure, ShellCommand
from buildbot.steps.source.cvs import CVS
from buildbot.steps.source.svn import SVN
from buildbot.steps.warnings import Compile, PerlModuleTest, Test


def _with_flags(command: Any, flags: Sequence[Any]) -> Any:
    if not flags:
        return command
    if isinstance(command, str) and " " in command:  # for a shell
        return " ".join([command, *(shlex.quote(str(flag)) for flag in flags)])
    return [*words(command), *flags]


class GNUAutoconf(BuildFactory):
    """`configure`, `make all`, `make check`, `make distcheck`.

    source: see above. configure: the command, as a string or list (default "./configure"; None: none). configureEnv:
    environment of all the steps. configureFlags: list of more words for it. reconf: a command that makes `configure`,
    or True for `autoreconf -si` (default None: none). compile, test, distcheck: commands; None leaves the step out.
    """

    def __init__(
        self,
        source: Any,
        configure: Any = "./configure",
        configureEnv: dict[str, Any] | None = None,
        configureFlags: Sequence[Any] | None = None,
        reconf: Any = None,
        compile: Any = ("make", "all"),
        test: Any = ("make", "check"),
        distcheck: Any = ("make", "distcheck"),
    ) -> None:
        super().__init__([source])
        env = dict(configureEnv or {})
        if isinstance(configureFlags, str):
            error(f"GNUAutoconf: configureFlags is a list, not {configureFlags!r}")
            configureFlags = []
        if reconf is True:
            reconf = ("autoreconf", "-si")
        if reconf:
            self.addStep(ShellCommand(name="autoreconf", command=reconf, env=env))
        if configure is not None:
            self.addStep(Configure(command=_with_flags(configure, configureFlags or ()), env=env))
        if compile is not None:
            self.addStep(Compile(command=compile, env=env))
        if test is not None:
            self.addStep(Test(command=test, env=env))
        if distcheck is not None:
            self.addStep(Test(name="distcheck", command=distcheck, env=env))


class BasicBuildFactory(GNUAutoconf):
    """GNUAutoconf of a project in CVS.

    cvsroot, cvsmodule: as the step CVS has them. cvsCopy: keep a checkout and build in a copy of it, instead of
    checking everything out anew (default False). configure (default None: none), configureEnv, compile (default "make
    all"), test (default "make check"): as in GNUAutoconf.
    """

    modes = ("clobber", "copy")  # without and with cvsCopy

    def __init__(
        self,
        cvsroot: Any,
        cvsmodule: Any,
        configure: Any = None,
        configureEnv: dict[str, Any] | None = None,
        compile: Any = "make all",
        test: Any = "make check",
        cvsCopy: bool = False,
    ) -> None:
        source = CVS(cvsroot=cvsroot, cvsmodule=cvsmodule, mode=self.modes[bool(cvsCopy)])
        super().__init__(source, configure, configureEnv, compile=compile, test=test)


class QuickBuildFactory(BasicBuildFactory):
    """As BasicBuildFactory, with a checkout that is updated: quick, and not clean."""

    useProgress = False
    modes = ("update", "update")


class BasicSVN(GNUAutoconf):
    """GNUAutoconf of a project in Subversion.

    svnurl: where it is. configure (default None: none), configureEnv, compile (default "make all"), test (default "make
    check"): as in GNUAutoconf.
    """

    def __init__(
        self,
        svnurl: Any,
        configure: Any = None,
        configureEnv: dict[str, Any] | None = None,
        compile: Any = "make all",
        test: Any = "make check",
    ) -> None:
        super().__init__(SVN(svnurl=svnurl, mode="update"), configure, configureEnv, compile=compile, test=test)


class CPAN(BuildFactory):
    """A Perl module: `perl Makefile.PL`, `make`, `make test`, with its tests counted.

    source: see above. perl: the interpreter (default "perl").
    """

    def __init__(self, source: Any, perl: Any = "perl") -> None:
        super().__init__([source])
        self.addStep(Configure(command=[perl, "Makefile.PL"]))
        self.addStep(Compile(command=["make"]))
        self.addStep(PerlModuleTest(command=["make", "test"]))


class Distutils(BuildFactory):
    """A Python package: `python ./setup.py build`, and its tests.

    source: see above. python: the interpreter (default "python"). test: the command of the tests (default: none).
    """

    def __init__(self, source: Any, python: Any = "python", test: Any = None) -> None:
        super().__init__([source])
        self.addStep(Compile(command=[python, "./setup.py", "build"]))
        if test is not None:
            self.addStep(Test(command=test))


class Trial(BuildFactory):
    """A Python package that is tested with trial.

    source: see above. buildpython: the words that run `./setup.py build` (default ["python"]). trialpython: those that
    run trial (default: none). trial, testpath (default "."), randomly, recurse, tests, env: as in the step Trial.
    useTestCaseNames: test what belongs to the changed files, instead of tests.
    """

    def __init__(
        self,
        source: Any,
        buildpython: Any = None,
        trialpython: Any = None,
        trial: Any = None,
        testpath: Any = ".",
        randomly: Any = None,
        recurse: Any = None,
        tests: Any = None,
        useTestCaseNames: bool = False,
        env: dict[str, Any] | None = None,
    ) -> None:
        super().__init__([source])
        self.addStep(Compile(command=[*(words(buildpython) or ["python"]), "./setup.py", "build"], env=env))
        self.addStep(
            TrialStep(
                python=words(trialpython) or None,
                trial=trial,
                testpath=testpath,
                tests=tests,
                testChanges=useTestCaseNames,
                randomly=randomly,
                recurse=recurse,
                env=env,
            )
        )


class TwistedTrial(TrialStep):
    """Trial as Twisted's own source has it."""

    tests: Any = "twisted"
    trial = "./bin/trial"
    testpath = None


class TwistedBaseFactory(BuildFactory):
    """Of Twisted: its source, and no more. source: see above."""

    workdir: Any = "Twisted"

    def __init__(self, source: Any) -> None:
        super().__init__([source])

    def _compile(self, python: Any, before: Any, after: Any, **flags: Any) -> None:
        command = [*words(python), *words(before), "setup.py", "build_ext", *words(after), "-i"]
        self.addStep(Compile(command=command, **flags))


class QuickTwistedBuildFactory(TwistedBaseFactory):
    """Of Twisted, a quick look: what the changed files concern. python: an interpreter, or a list of several."""

    useProgress = False

    def __init__(self, source: Any, python: Any = "python") -> None:
        super().__init__(source)
        interpreters = words(python)
        self.addStep(HLint(python=interpreters[0]))
        self.addStep(RemovePYCs())
        for each in interpreters:
            self._compile(each, None, None, flunkOnFailure=True)
            self.addStep(_TrialOfChanges(python=each))


class _TrialOfChanges(TwistedTrial):
    tests = None
    testChanges = True


class FullTwistedBuildFactory(TwistedBaseFactory):
    """Of Twisted, all tests.

    python: the words that run it (default "python"). processDocs: build the documents, too. runTestsRandomly: in
    another order each time. compileOpts, compileOpts2: lists of words before and after `setup.py build_ext`.
    """

    def __init__(
        self,
        source: Any,
        python: Any = "python",
        processDocs: bool = False,
        runTestsRandomly: bool = False,
        compileOpts: Sequence[Any] = (),
        compileOpts2: Sequence[Any] = (),
    ) -> None:
        super().__init__(source)
        if processDocs:
            self.addStep(ProcessDocs())
        self._compile(python, compileOpts, compileOpts2, flunkOnFailure=True)
        self.addStep(RemovePYCs())
        self.addStep(TwistedTrial(python=words(python), randomly=runTestsRandomly))


class TwistedDebsBuildFactory(TwistedBaseFactory):
    """Of Twisted, its documents and Debian packages. python: for those that gave one; nothing is run with it."""

    def __init__(self, source: Any, python: Any = "python") -> None:
        super().__init__(source)
        self.addStep(ProcessDocs(haltOnFailure=True))
        self.addStep(BuildDebs(warnOnWarnings=True))


class TwistedReactorsBuildFactory(TwistedBaseFactory):
    """Of Twisted, all tests with each of several reactors.

    python, compileOpts, compileOpts2: as FullTwistedBuildFactory. reactors: list of their names (default
    ["gtk2", "gtk", "poll"]).
    """

    def __init__(
        self,
        source: Any,
        python: Any = "python",
        compileOpts: Sequence[Any] = (),
        compileOpts2: Sequence[Any] = (),
        reactors: Sequence[str] | None = None,
    ) -> None:
        super().__init__(source)
        self._compile(python, compileOpts, compileOpts2, warnOnFailure=True)
        for reactor in ("gtk2", "gtk", "poll") if reactors is None else reactors:
            self.addStep(RemovePYCs())
            step = TwistedTrial(
                name=reactor, python=words(python), reactor=reactor, flunkOnFailure=False, warnOnFailure=True
            )
            self.addStep(step)
