"""RPM packages: rpmbuild, rpmlint, and what a spec file says."""

from __future__ import annotations

import re
import shlex
from typing import Any, ClassVar

from buildbot.config.errors import error, without_effect
from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.rendering import needs_rendering
from buildbot.steps.examining import LineWatcher
from buildbot.steps.fetching import fetch
from buildbot.steps.findings import Findings, FindingStep
from buildbot.steps.madecommand import MadeCommand, needed
from buildbot.steps.shell import ShellCommand

_PWD = "`pwd`"
_DIRECTORIES = ("topdir", "builddir", "rpmdir", "sourcedir", "specdir", "srcrpmdir")
_TELLING = ("Provides(", "Requires(", "Checking for unpackaged", "Wrote:", "Executing(%", "+ ", "Processing files:")
_ERRORS = ("   ", "RPM build errors:", "error: ")
_OF_WARNINGS = {
    *("warningPattern", "warningExtractor", "maxWarnCount", "directoryEnterPattern", "directoryLeavePattern"),
    *("suppressionFile", "suppressionList"),
}


class RpmBuild(MadeCommand, ShellCommand):
    """Build packages from a spec file, `rpmbuild -ba`.

    specfile: needed. topdir, builddir, rpmdir, sourcedir, specdir, srcrpmdir: rpmbuild's directories (default: where
    the step runs). dist: the tag of the distribution (default ".el6"). define: dict of more macros. autoRelease: the
    release is the number of the build. vcsRevision: the macro `_revision` is what was checked out (the property
    `got_revision`). All may be renderable; the other arguments are those of ShellCommand.
    """

    name = "rpmbuilder"
    haltOnFailure = True
    flunkOnFailure = True
    description = ["RPMBUILD"]
    descriptionDone = ["RPMBUILD"]
    renderables: ClassVar[Any] = (*_DIRECTORIES, "specfile", "dist", "define", "autoRelease", "vcsRevision")

    def __init__(
        self,
        specfile: Any = None,
        topdir: Any = _PWD,
        builddir: Any = _PWD,
        rpmdir: Any = _PWD,
        sourcedir: Any = _PWD,
        specdir: Any = _PWD,
        srcrpmdir: Any = _PWD,
        dist: Any = ".el6",
        define: Any = None,
        autoRelease: Any = False,
        vcsRevision: Any = False,
        **kwargs: Any,
    ) -> None:
        self.specfile = specfile
        self.topdir = topdir
        self.builddir = builddir
        self.rpmdir = rpmdir
        self.sourcedir = sourcedir
        self.specdir = specdir
        self.srcrpmdir = srcrpmdir
        self.dist = dist
        self.define = define
        self.autoRelease = autoRelease
        self.vcsRevision = vcsRevision
        needed(self, "specfile")
        if define is not None and not isinstance(define, dict) and not needs_rendering(define):
            error(f"RpmBuild: define is a dict, not {define!r}")
        super().__init__(**kwargs)
        self._said = Findings(("RPM Command Log", "RPM Errors"))
        self.addLogObserver("stdio", LineWatcher(self._see))

    def argv(self) -> str:
        macros = list((self.define or {}).items())
        if self.autoRelease:
            macros.append(("_release", self.build.number))
        revision = self.getProperty("got_revision") if self.vcsRevision else None
        if revision:
            if not re.fullmatch(r"[\w.+:~^-]+", str(revision)):  # spec files put it into scripts
                raise ValueError(f"the revision {revision!r} cannot be a macro of rpmbuild")
            macros.append(("_revision", revision))
        if self.dist:
            macros.append(("dist", self.dist))
        # a shell expands what is in the directories, such as `pwd`, and nothing else
        said = [f'"_{name} {getattr(self, name)}"' for name in _DIRECTORIES]
        said += [shlex.quote(f"{name} {value}") for name, value in macros]
        return " ".join(["rpmbuild", *(f"--define {each}" for each in said), "-ba", shlex.quote(str(self.specfile))])

    def _see(self, line: str) -> None:
        if line.startswith(_TELLING):
            self._said.add("RPM Command Log", line)
        elif line.startswith(_ERRORS):
            self._said.add("RPM Errors", line)

    def createSummary(self, stdio: Any = None) -> Any:
        for kind, count in self._said.counts.items():
            if count:
                self.note_text(kind, self._said.text(kind))


class RpmLint(MadeCommand, FindingStep):
    """Look at packages and spec files with rpmlint. Errors and warnings are counted; warnings are WARNINGS, and what
    its exit code says of errors counts.

    fileloc: file or directory (default "."). config: a file of rpmlint's settings, `--file`. Both may be renderable;
    the other arguments are those of ShellCommand.
    """

    name = "rpmlint"
    description = ["Checking for RPM/SPEC issues"]
    descriptionDone = ["Finished checking RPM/SPEC issues"]
    kinds = ("errors", "warnings")
    renderables: ClassVar[Any] = ("fileloc", "config")
    _message = re.compile(r"[^\s:][^:]*:(?:\d+:)? ([EW]): ")

    def __init__(self, fileloc: Any = ".", config: Any = None, **kwargs: Any) -> None:
        for name in _OF_WARNINGS & kwargs.keys():
            del kwargs[name]
            without_effect(f"{name} of RpmLint, which counts what rpmlint itself calls a warning or error,")
        self.fileloc = "." if fileloc is None else fileloc
        self.config = config
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        return ["rpmlint", "--info", *(["--file", self.config] if self.config else []), self.fileloc]

    def see(self, line: str) -> None:
        if match := self._message.match(line):
            self.findings.add("errors" if match[1] == "E" else "warnings", line)


class RpmSpec(ShellCommand):
    """Read a spec file of the slave's, and set the properties `rpm-name`, `rpm-version` and `rpm-release` to what it
    says there, unless a macro is in it.

    specfile: its path, relative to workdir; needed, renderable. It may have 1 MiB.
    """

    name = "rpmspec"
    description = ["reading spec file"]
    descriptionDone = ["spec file"]
    command: Any = []
    renderables: ClassVar[Any] = ("specfile",)

    def __init__(self, specfile: Any = None, **kwargs: Any) -> None:
        self.specfile = specfile
        needed(self, "specfile")
        super().__init__(**kwargs)

    async def run(self) -> int:
        command, content = await fetch(self, str(self.specfile))
        for name in ("name", "version", "release"):
            found = re.search(rf"(?im)^{name}:[ \t]*(\S{{1,200}})", content)
            if found and "%" not in found[1].replace("%{?dist}", ""):
                value = found[1].replace("%{?dist}", "")
                setattr(self, f"pkg_{name}", value)
                self.build.setProperty(f"rpm-{name}", value, "RpmSpec", runtime=True)
        return command.results()


class Mock(MadeCommand, ShellCommand):
    """Run mock, which builds packages in a root of its own.

    root: the name of its configuration, `--root`; needed. resultdir: where packages and logs go, relative to
    workdir. Both may be renderable; the other arguments are those of ShellCommand. Its logs `build.log`, `root.log` and
    `state.log` are logs of the step.
    """

    name = "mock"
    haltOnFailure = True
    flunkOnFailure = True
    renderables: ClassVar[Any] = ("root", "resultdir")
    mock_logfiles = ("build.log", "root.log", "state.log")

    def __init__(self, root: Any = None, resultdir: Any = None, **kwargs: Any) -> None:
        self.root = root
        self.resultdir = resultdir
        needed(self, "root")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        return ["mock", "--root", self.root, *(["--resultdir", self.resultdir] if self.resultdir else [])]

    async def run(self) -> int:
        where = f"{self.resultdir}/" if self.resultdir else ""
        paths = {name: where + name for name in self.mock_logfiles}
        self.logfiles = {**paths, **(self.logfiles or {})}
        old = [f"{self.workdir}/{path}" for path in paths.values()]
        command = RemoteCommand("rmdir", {"dir": old, "logEnviron": self.logEnviron})  # those of an earlier build
        await self.runCommand(command)
        if command.didFail():
            raise BuildStepFailed("the logs of an earlier mock cannot be removed")
        return await super().run()


class MockBuildSRPM(Mock):
    """Build a source package with mock.

    spec: the spec file. sources: the directory of the sources (default "."). Both may be renderable; the other
    arguments are those of Mock.
    """

    name = "mockbuildsrpm"
    description = ["mock buildsrpm"]
    descriptionDone = ["mock buildsrpm"]
    renderables: ClassVar[Any] = ("spec", "sources")

    def __init__(self, spec: Any = None, sources: Any = ".", **kwargs: Any) -> None:
        self.spec = spec
        self.sources = "." if sources is None else sources
        needed(self, "spec")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        return [*super().argv(), "--buildsrpm", "--spec", self.spec, "--sources", self.sources]


class MockRebuild(Mock):
    """Build packages from a source package with mock.

    srpm: the source package; needed, renderable. The other arguments are those of Mock.
    """

    name = "mock"
    description = ["mock rebuilding srpm"]
    descriptionDone = ["mock rebuild srpm"]
    renderables: ClassVar[Any] = ("srpm",)

    def __init__(self, srpm: Any = None, **kwargs: Any) -> None:
        self.srpm = srpm
        needed(self, "srpm")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        return [*super().argv(), "--rebuild", self.srpm]
