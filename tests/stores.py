"""Stores that tests begin with: the schema is made once a process, and copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from buildbot.store.store import Store


@cache
def _new_file() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state.sqlite"
        Store.open(path).close()
        return path.read_bytes()


def new_store(path: Path) -> Store:
    """A store as `Store.open` makes it where there is none, without the three flushes to disk of a new file."""
    path.write_bytes(_new_file())
    return Store.open(path)
