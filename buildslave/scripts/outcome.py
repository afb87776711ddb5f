"""What a subcommand of `buildslave` may end with. The numbers are promised in docs/manual/buildslave.md."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the `buildslave` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ALREADY_RUNNING = 3
    GAVE_UP = 4
    """In the foreground: maxRetries attempts to connect have failed."""


class CommandFailed(Exception):
    """The subcommand cannot do it. The text is shown to the user."""

    def __init__(self, sentence: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(sentence)
        self.code = code
