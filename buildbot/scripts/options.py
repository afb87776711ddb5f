"""`.buildbot/options`: a user's defaults for the clients, as Python assignments.

Looked for in the working directory, in those above it, and in the home directory. A directory that belongs to somebody
else is passed over, because the file is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from buildbot.scripts.outcome import CommandFailed

DIRECTORY = ".buildbot"


def _candidates(here: Path, home: Path) -> Iterator[Path]:
    for directory in dict.fromkeys([here, *here.parents, home]):
        yield directory / DIRECTORY


def load_options(here: Path, home: Path) -> dict[str, Any]:
    """The assignments of the nearest options file; {} when there is none. Raises CommandFailed for a broken one."""
    for directory in _candidates(here, home):
        path = directory / "options"
        if directory.is_dir() and directory.stat().st_uid == os.getuid() and path.is_file():
            return _run(path)
    return {}


def _run(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    except Exception as error:
        raise CommandFailed(f"{path}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if not name.startswith("__")}
