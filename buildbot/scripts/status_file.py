"""master.status.json: what a running master says of itself to the command line.

The master writes it as a whole (a temporary file, then a rename) at each step of its life and after each attempt to
load its configuration; `buildbot reconfig` and `buildbot stop` read it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

STATUS_FILE = "master.status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterState:
    """pid; state: starting, running or stopping; config_generation: how often this process has tried to load its
    configuration, with or without success; config_error: why the last attempt failed, in full (None: it did not)."""

    pid: int
    state: str
    config_generation: int = 0
    config_error: str | None = None


def write(basedir: Path, state: MasterState) -> None:
    path = basedir / STATUS_FILE
    temporary = path.with_name(f"{STATUS_FILE}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read(basedir: Path) -> MasterState | None:
    """What the file says; None when there is none, or it is not to be understood."""
    try:
        said = json.loads((basedir / STATUS_FILE).read_text(encoding="utf-8"))
        return MasterState(
            pid=int(said["pid"]),
            state=str(said["state"]),
            config_generation=int(said.get("config_generation", 0)),
            config_error=said.get("config_error"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(basedir: Path) -> None:
    (basedir / STATUS_FILE).unlink(missing_ok=True)
