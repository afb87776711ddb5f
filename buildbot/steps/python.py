"""Steps for Python projects: what looks at their code, and what builds their documents."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.rendering import needs_rendering
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS, worst_status
from buildbot.steps.findings import FindingStep
from buildbot.steps.madecommand import MadeCommand, check_words, needed


class BuildEPYDoc(FindingStep):
    """Build documents with epydoc, `make epydocs`. Warnings and errors that it prints are counted.

    Arguments: those of ShellCommand.
    """

    name = "epydoc"
    command = ["make", "epydocs"]
    description = "building epydocs"
    descriptionDone = "epydoc"
    kinds = ("import errors", "errors", "warnings")
    flunking = ("import errors", "errors")

    def see(self, line: str) -> None:
        if line.startswith("Error importing "):
            self.findings.add("import errors", line)
        elif "Warning: " in line:
            self.findings.add("warnings", line)
        elif "Error: " in line:
            self.findings.add("errors", line)


class PyFlakes(FindingStep):
    """Run pyflakes, `make pyflakes`. Sets the properties `pyflakes-unused`, `-undefined`, `-redefs`, `-import*`,
    `-misc` and `-total`; an undefined name or code that cannot be read is FAILURE, anything else WARNINGS.

    Arguments: those of ShellCommand.
    """

    name = "pyflakes"
    command = ["make", "pyflakes"]
    description = "running pyflakes"
    descriptionDone = "pyflakes"
    flunkOnFailure = False
    decodeRC = {0: SUCCESS, 1: WARNINGS}  # it is 1 for whatever it finds
    prefix = "pyflakes"
    kinds = ("unused", "undefined", "redefs", "import*", "misc")
    flunking = ("undefined",)
    _line = re.compile(r"(?:[A-Za-z]:)?[^\s:][^:]*:\d+:(?:\d+:?)? ")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.unreadable = 0
        super().__init__(*args, **kwargs)

    def see_error(self, line: str) -> None:
        """It speaks there about code that is none."""
        if self._line.match(line):
            self.unreadable += 1
            self.findings.add("misc", line)

    def see(self, line: str) -> None:
        if not self._line.match(line):
            return
        if "unable to detect undefined names" in line or " import *' used" in line:
            self.findings.add("import*", line)
        elif "imported but unused" in line:
            self.findings.add("unused", line)
        elif "undefined name" in line:
            self.findings.add("undefined", line)
        elif "redefinition of" in line or "redefines" in line:
            self.findings.add("redefs", line)
        else:
            self.findings.add("misc", line)

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        return worst_status(result, FAILURE) if self.unreadable else result


class PyLint(FindingStep):
    """Run pylint. Sets the properties `pylint-convention`, `-refactor`, `-warning`, `-error`, `-fatal`, `-info` and
    `-total`. An error, a fatal message or wrong usage is FAILURE, anything else WARNINGS.

    store_results: keep each message with its file and line, as a set of test results (default True); a format that
    does not say the file has none. The other arguments are those of ShellCommand. Its output may have any of pylint's
    own formats: that of pylint 2 and later, `parseable`, and the text of pylint 1.
    """

    name = "pylint"
    description = "running pylint"
    descriptionDone = "pylint"
    prefix = "pylint"
    kinds = ("convention", "refactor", "warning", "error", "fatal", "info")
    flunking = ("fatal", "error")
    RC_OK, RC_FATAL, RC_ERROR, RC_WARNING, RC_REFACTOR, RC_CONVENTION, RC_USAGE = 0, 1, 2, 4, 8, 16, 32
    MESSAGES = {"C": "convention", "R": "refactor", "W": "warning", "E": "error", "F": "fatal", "I": "info"}

    _formats = (
        re.compile(r"(?:[A-Za-z]:)?[^\s:][^:]*:\d+:\d+: ([CRWEFI])\d{1,5}:"),  # pylint 2 and later
        re.compile(r"(?:[A-Za-z]:)?[^\s:][^:]*:\d+: \[([CRWEFI])(?:\d{1,5})?(?:\([\w-]+\))?[,\]]"),  # parseable
        re.compile(r"([CRWEFI])(?:\d{1,5})?: *\d+(?:, *\d+)?:"),  # pylint 1
    )

    _place = re.compile(r"((?:[A-Za-z]:)?[^\s:][^:]*):(\d{1,9}):(?:\d+:)? (.*)")

    def __init__(self, *args: Any, store_results: Any = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._store_results = store_results
        self._set: int | None = None
        if not isinstance(store_results, bool):
            error(f"PyLint: store_results is True or False, not {store_results!r}")

    async def addTestResultSets(self) -> None:
        if self._store_results:
            self._set = await self.addTestResultSet("Pylint warnings", "code_issue", "message")

    def see(self, line: str) -> None:
        for form in self._formats:
            if match := form.match(line):
                self.findings.add(self.MESSAGES[match[1]], line)
                self._keep(line)
                return

    def _keep(self, line: str) -> None:
        place = self._place.match(line)
        if place is not None and self._set is not None:
            path, number, message = place.groups()
            self.addTestResult(self._set, message, test_code_path=path, line=int(number))

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        found = super().evaluateCommand(cmd)
        if cmd.rc is None or not 0 <= cmd.rc < 64 or cmd.rc in (self.decodeRC or {}) or self.log_eval_func:
            return found
        if cmd.rc & (self.RC_FATAL | self.RC_ERROR | self.RC_USAGE):
            return FAILURE
        if any(self.findings.counts[kind] for kind in self.flunking):
            return FAILURE
        return WARNINGS if self.findings.total or cmd.rc else SUCCESS


class Sphinx(MadeCommand, FindingStep):
    """Build documents with Sphinx.

    sphinx_sourcedir: where they are (default "."). sphinx_builddir: where to (needed). sphinx_builder: such as "html"
    (default: Sphinx's). sphinx: the program (default "sphinx-build"). tags: list of words for `-t`. defines: dict for
    `-D`; None defines the name alone. strict_warnings: warnings are errors. mode: "incremental", or "full": read all
    sources again. All may be renderable; the other arguments are those of ShellCommand.
    """

    name = "sphinx"
    description = "running sphinx"
    descriptionDone = "sphinx"
    haltOnFailure = True
    kinds = ("warnings",)
    renderables: ClassVar[Any] = (
        "sphinx_sourcedir",
        "sphinx_builddir",
        "sphinx_builder",
        "sphinx",
        "tags",
        "defines",
        "strict_warnings",
        "mode",
    )
    _message = re.compile(r"(?:^|: )(WARNING|ERROR|SEVERE|CRITICAL): ")

    def __init__(
        self,
        sphinx_sourcedir: Any = ".",
        sphinx_builddir: Any = None,
        sphinx_builder: Any = None,
        sphinx: Any = "sphinx-build",
        tags: Any = None,
        defines: Any = None,
        strict_warnings: Any = False,
        mode: Any = "incremental",
        **kwargs: Any,
    ) -> None:
        self.sphinx_sourcedir = sphinx_sourcedir
        self.sphinx_builddir = sphinx_builddir
        self.sphinx_builder = sphinx_builder
        self.sphinx = sphinx
        self.tags = tags
        self.defines = defines
        self.strict_warnings = strict_warnings
        self.mode = mode
        needed(self, "sphinx_builddir")
        if not needs_rendering(mode) and mode not in ("incremental", "full"):
            error(f'Sphinx: mode is "incremental" or "full", not {mode!r}')
        check_words(self, "tags")
        if defines is not None and not needs_rendering(defines) and not isinstance(defines, dict):
            error(f"Sphinx: defines is a dict, not {defines!r}")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        words: list[Any] = [self.sphinx]
        if self.sphinx_builder is not None:
            words += ["-b", self.sphinx_builder]
        for tag in self.tags or ():
            words += ["-t", tag]
        for name, value in sorted((self.defines or {}).items()):
            if value is None:
                words += ["-D", name]
            else:
                words += ["-D", f"{name}={int(value) if isinstance(value, bool) else value}"]
        if self.mode == "full":
            words.append("-E")
        if self.strict_warnings:
            words.append("-W")
        return [*words, self.sphinx_sourcedir, self.sphinx_builddir]

    def see(self, line: str) -> None:
        if self._message.search(line):
            self.findings.add("warnings", line)
