"""`checkconfig`: load a configuration as the master would, and say everything that is wrong with it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from buildbot.config.errors import ConfigErrors
from buildbot.config.loader import load_config
from buildbot.scripts.outcome import CommandFailed, ExitCode, Say
from buildbot.scripts.tac import TAC_FILE, config_name


def check(given: Path, say: Say, warn: Say) -> ExitCode:
    """`given` is a configuration file, or the directory of a master."""
    path = _config_file(given)
    try:
        with contextlib.chdir(path.parent):  # as the master: its file may name others relative to its directory
            config = load_config(path.name)
    except ConfigErrors as errors:
        for problem in errors.problems:
            warn(str(problem))
        number = len(errors.problems)
        raise CommandFailed(f"{path}: {number} {'mistake' if number == 1 else 'mistakes'}") from None
    for problem in config.warnings:
        warn(f"warning: {problem}")
    say("Config file is good!")
    return ExitCode.OK


def _config_file(given: Path) -> Path:
    if given.is_dir():
        path = given / config_name(given)
        if not path.is_file():
            which = "which its buildbot.tac names" if (given / TAC_FILE).is_file() else "and no buildbot.tac"
            raise CommandFailed(f"{given} has no {path.name}, {which}")
        return path
    if not given.is_file():
        raise CommandFailed(f"{given} does not exist")
    return given
