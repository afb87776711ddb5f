"""What a subcommand of `buildbot` may end with. The numbers are promised in docs/manual/commands.md."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `buildbot` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ALREADY_RUNNING = 3
    NOT_RUNNING = 4
    TIMED_OUT = 5  # the master goes on with what was asked; only the waiting ended


class CommandFailed(Exception):
    """The subcommand cannot do it. The text is shown to the user."""

    def __init__(self, sentence: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.code = code


Say = Callable[[str], None]
