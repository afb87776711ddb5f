"""Steps for programs of Windows."""

from __future__ import annotations

from typing import Any, ClassVar

from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.madecommand import MadeCommand, check_words, words
from buildbot.steps.shell import ShellCommand


def _meaning(code: int) -> int:
    """Of robocopy's exit codes: 1 files were copied, 2 there are others, 4 some differ, 8 some failed, 16 all did."""
    return FAILURE if code & 24 else WARNINGS if code & 6 else SUCCESS


class Robocopy(MadeCommand, ShellCommand):
    """Copy a directory with robocopy. Files that were left over or differ are WARNINGS, failed ones FAILURE.

    source, destination: directories. files: list of names and patterns (default: all). recursive: with directories,
    `/E`. mirror: and remove what is not in the source, `/MIR`. move: remove the source, `/MOVE`. exclude_files,
    exclude_dirs: lists of patterns for `/XF`, `/XD`; exclude is the older name of exclude_files. custom_opts: list
    of more words. verbose: `/V /TS /FP`. All may be renderable; the other arguments are those of ShellCommand.
    """

    name = "robocopy"
    description = ["copying"]
    descriptionDone = ["copied"]
    decodeRC = {code: _meaning(code) for code in range(32)}
    renderables: ClassVar[Any] = (
        "source",
        "destination",
        "files",
        "recursive",
        "mirror",
        "move",
        "exclude_files",
        "exclude_dirs",
        "custom_opts",
        "verbose",
    )

    def __init__(
        self,
        source: Any,
        destination: Any,
        exclude: Any = None,
        exclude_files: Any = None,
        files: Any = None,
        recursive: Any = False,
        mirror: Any = False,
        move: Any = False,
        exclude_dirs: Any = None,
        custom_opts: Any = None,
        verbose: Any = False,
        **kwargs: Any,
    ) -> None:
        self.source = source
        self.destination = destination
        self.files = files
        self.recursive = recursive
        self.mirror = mirror
        self.move = move
        self.exclude_files = exclude if exclude_files is None else exclude_files
        self.exclude_dirs = exclude_dirs
        self.custom_opts = custom_opts
        self.verbose = verbose
        check_words(self, "custom_opts")
        super().__init__(**kwargs)

    def argv(self) -> list[Any]:
        command = ["robocopy", self.source, self.destination, *words(self.files)]
        for wanted, option in ((self.recursive, "/E"), (self.mirror, "/MIR"), (self.move, "/MOVE")):
            command += [option] if wanted else []
        for left_out, option in ((self.exclude_files, "/XF"), (self.exclude_dirs, "/XD")):
            command += [option, *words(left_out)] if left_out else []
        if self.verbose:
            command += ["/V", "/TS", "/FP"]
        return [*command, *words(self.custom_opts), "/TEE", "/NP"]
