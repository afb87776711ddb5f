"""What a database file is, asked without opening it as a store: nothing is locked, made or changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def schema_of(path: Path) -> int:
    """The schema number of the store; 0 when there is no file."""
    if not path.exists():
        return 0
    with closing(_read_only(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def tables_of(path: Path) -> set[str]:
    """The names of its tables. Raises sqlite3.Error when it is no SQLite file."""
    with closing(_read_only(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
