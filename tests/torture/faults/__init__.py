"""What happens to machines, made to happen: one module a fault.

    network.Network    packets lost, connections reset, a cable pulled out, for what runs in a namespace of its own
    power.Disk         a disk whose machine loses its power: what was not brought to it is gone
    disk.SmallDisk     a disk that is full, and has room again
    fsync.Failing      a disk that does not take what it is told to keep, for one running process
    clock.Clock        a time of day that jumps, for the processes that are started with it

Nothing here knows a master or a slave. Each of them takes everything away again at its end. Most of it is for root
alone.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.tools import require_tool


def require_root() -> None:
    """Without it the test is skipped; in CI it fails."""
    if os.geteuid() == 0:
        return
    message = "only root makes network namespaces and mounts disks"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def run(*words: str | os.PathLike[str], package: str = "", code: int | None = 0) -> str:
    """A program to its end: what it said. `package` is the Debian package that it is in. Raises AssertionError."""
    program = require_tool(os.fspath(words[0]), package or os.fspath(words[0]))
    done = subprocess.run(
        [program, *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    if code is not None and done.returncode != code:
        raise AssertionError(f"{' '.join(map(os.fspath, words))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout
