"""master.status.json: what a running master says of itself to the command line.

The master writes it as a whole at each step of its life and at the end of each attempt to load its configuration.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS_FILE = "master.status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterState:
    """pid; state: running, draining or stopped; written_at: newer after each attempt to load the configuration;
    config_error: why the last attempt failed, in full (None: it did not); called_off_by: who
    has just called off a clean stop (None: nobody)."""

    pid: int
    state: str
    written_at: float
    config_error: str | None
    called_off_by: str | None = None


def write(basedir: Path, **status: Any) -> None:
    """Say it: whoever reads finds the file whole."""
    path = basedir / STATUS_FILE
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"pid": os.getpid(), "written_at": time.time(), **status}), encoding="utf-8")
    part.replace(path)


def read(basedir: Path) -> MasterState | None:
    """What the file says; None when there is none, or it is not to be understood."""
    try:
        said = json.loads((basedir / STATUS_FILE).read_text(encoding="utf-8"))
        return MasterState(
            pid=int(said["pid"]),
            state=str(said["state"]),
            written_at=float(said["written_at"]),
            config_error=said["config_error"],
            called_off_by=said.get("called_off_by"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(basedir: Path) -> None:
    (basedir / STATUS_FILE).unlink(missing_ok=True)
