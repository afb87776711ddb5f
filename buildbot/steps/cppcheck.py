"""Cppcheck: what it finds in C and C++, counted."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from buildbot.steps.findings import FindingStep
from buildbot.steps.madecommand import MadeCommand, check_words, words

_KINDS = "error|warning|style|performance|portability|information"


class Cppcheck(MadeCommand, FindingStep):
    """Run cppcheck. Errors are FAILURE, anything else WARNINGS; the properties `cppcheck-error`, `-warning`, `-style`,
    `-performance`, `-portability`, `-information` and `-total` are set.

    binary: the program (default "cppcheck"). source: list of files and directories (default ["."]). enable: list for
    `--enable`. inconclusive: report what is not sure, too. extra_args: list of more words. All may be renderable; the
    other arguments are those of ShellCommand.
    """

    name = "cppcheck"
    description = ["running", "cppcheck"]
    descriptionDone = ["cppcheck"]
    kinds = tuple(_KINDS.split("|"))
    flunking = ("error",)
    prefix = "cppcheck"
    renderables: ClassVar[Any] = ("binary", "source", "enable", "inconclusive", "extra_args")
    _message = re.compile(rf"(?:\[[^\]]*\]: \(({_KINDS})\) |(?:[A-Za-z]:)?[^:]+(?::\d+)+: ({_KINDS}): )")

    def __init__(
        self,
        *args: Any,
        binary: Any = "cppcheck",
        source: Any = None,
        enable: Any = None,
        inconclusive: Any = False,
        extra_args: Any = None,
        **kwargs: Any,
    ) -> None:
        self.binary = binary
        self.source = ["."] if source is None else source
        self.enable = enable
        self.inconclusive = inconclusive
        self.extra_args = extra_args
        check_words(self, "source", "enable", "extra_args")
        super().__init__(*args, **kwargs)

    def argv(self) -> list[Any]:
        command = [self.binary, *words(self.source)]
        if self.enable:
            command.append(f"--enable={','.join(words(self.enable))}")
        if self.inconclusive:
            command.append("--inconclusive")
        return [*command, *words(self.extra_args)]

    def see(self, line: str) -> None:
        if match := self._message.match(line):
            self.findings.add(match[1] or match[2], line)
