"""A git repository with a commit for every change that the torture run may send: `r0`, `r1`, ... are its tags."""

from __future__ import annotations

import subprocess
from pathlib import Path

FILE = "which"  # holds the name of the revision
COMMITS = 2000


def make(where: Path) -> None:
    """A bare repository with branch `main`."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", where], check=True)
    commits = "".join(
        f"commit refs/heads/main\ncommitter Ann <ann@localhost> {1_200_000_000 + number} +0000\n"
        f"data <<END\nrevision {number}\nEND\nM 100644 inline {FILE}\ndata <<END\nr{number}\nEND\n"
        f"reset refs/tags/r{number}\nfrom refs/heads/main\n\n"
        for number in range(COMMITS)
    )
    subprocess.run(["git", "-C", where, "fast-import", "--quiet"], input=commits.encode(), check=True)
