"""A copy of a master's store and logs, made while it runs, in which every row has its log.

The store is copied first, as it is at one moment. Then the files of the logs that it names: those of finished builds by
a second name on the same disk (they never change), the others as they are. A log that retention has taken away
meanwhile is marked as removed in the copy. A master that is started on the copy is where one would be after a power
loss at that moment: what ran then is put in order.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from buildbot.store.logfiles import parts_of
from buildbot.store.store import Queries, connect

STORE_FILE = "state.sqlite"
LOGS = "logs"
_AT_ONCE = 500


class Copied(NamedTuple):
    """What a backup holds."""

    store_bytes: int
    logs: int
    removed_meanwhile: int
    missing: list[str]  # logs without a file that nothing has removed; the first 20


class _LogRow(NamedTuple):
    id: int
    path: str
    finished: bool  # and so is its build


def back_up(basedir: Path, target: Path, now: float, *, link: bool = True) -> Copied:
    """Copy into `target`, a new directory. link: give finished logs a second name where that works.

    Raises OSError and sqlite3.Error.
    """
    target.mkdir(parents=True)
    with closing(connect(basedir / STORE_FILE, read_only=True)) as connection:
        connection.execute("VACUUM INTO ?", (str(target / STORE_FILE),))
        live = Queries(connection)
        with closing(connect(target / STORE_FILE)) as copied:
            copied.execute("PRAGMA journal_mode = WAL")
            result = _copy_logs(basedir / LOGS, target / LOGS, live, Queries(copied), link, now)
            for id, removed_at, removed_by in result.gone:
                set_removed = "UPDATE logs SET removed_at = ?, removed_by = ? WHERE id = ?"
                copied.execute(set_removed, (removed_at, removed_by, id))
            copied.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for path in (target / STORE_FILE, target):
        _sync(path)
    return Copied((target / STORE_FILE).stat().st_size, result.copied, len(result.gone), result.missing[:20])


class _Logs(NamedTuple):
    copied: int
    gone: list[tuple[int, float, str]]
    missing: list[str]


def _copy_logs(source: Path, target: Path, live: Queries, copied: Queries, link: bool, now: float) -> _Logs:
    count, gone, missing = 0, [], []
    for row in _rows(copied):
        if _copy_log(source / row.path, target / row.path, link=link and row.finished):
            count += 1
            continue
        found = live.first(lambda *values: values, "SELECT removed_at, removed_by FROM logs WHERE id = ?", row.id)
        if found is None:
            gone.append((row.id, now, "its build was removed while the backup was made"))
        elif found[0] is not None:
            gone.append((row.id, found[0], found[1] or ""))
        elif row.finished:
            missing.append(row.path)
    return _Logs(count, gone, missing)


def _rows(store: Queries) -> Iterator[_LogRow]:
    last = 0
    while True:
        rows = store.all(
            lambda id, path, finished: _LogRow(id, path, bool(finished)),
            "SELECT l.id, l.path, l.finished_at IS NOT NULL AND b.complete_at IS NOT NULL FROM logs AS l "
            "JOIN steps AS s ON s.id = l.step_id JOIN builds AS b ON b.id = s.build_id "
            "WHERE l.id > ? AND l.removed_at IS NULL ORDER BY l.id LIMIT ?",
            last,
            _AT_ONCE,
        )
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1].id


def _copy_log(log: Path, target: Path, *, link: bool) -> bool:
    """Copy the files that a log consists of. False when there is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    there = False
    for _ in range(2):  # it may be compressed just now: then the other files are there
        for part, to in zip(parts_of(log), parts_of(target), strict=True):
            if part.suffix != ".part" and not to.exists() and _copy(part, to, link=link):
                there = there or part.name.startswith(log.name)
        if there:
            return True
    return False


def _copy(source: Path, target: Path, *, link: bool) -> bool:
    if link:
        try:
            os.link(source, target)
        except FileNotFoundError:
            return False
        except OSError:
            pass  # another disk, or a file system without second names
        else:
            return True
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        return False
    _sync(target)
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
