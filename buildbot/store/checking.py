"""Whether a store and its logs agree with themselves and with each other; asked while a master runs, or not.

`Check` asks through a read-only connection and looks at files. What it finds it looks at a second time, because a
master may be at work. `repair` does what loses nothing: it removes files that no row names, says of rows without a file
that the log is gone, and writes down how long files are. It needs the store for itself.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from buildbot.store.logfiles import LogFiles, file_name, parts_of
from buildbot.store.store import SCHEMA_FILE, Queries, Store
from buildbot.store.upgrades import SCHEMA_VERSION

_AT_ONCE = 500
_MOST = 1000  # findings of one kind that are kept
MISSING_RULE = "buildbot check: its file was missing"


class Kind(Enum):
    """What can be wrong, in words; and whether `repair` can do something about it."""

    DAMAGE = "the store's file is damaged", False
    REFERENCE = "a row refers to one that is not there", False
    SCHEMA = "the schema is not as expected", False
    MISSING = "a log's file is missing", True
    LENGTH = "a log's file is not as long as its row says", True
    INDEX = "a log's index does not fit its text", False
    UNREADABLE = "a log's file cannot be read", False
    LEFT = "a removed log's file is still there", True
    ORPHAN = "a file belongs to no log", True

    def __init__(self, words: str, repairable: bool) -> None:
        self.words = words
        self.repairable = repairable


class Finding(NamedTuple):
    kind: Kind
    what: str
    log: int | None = None
    path: Path | None = None


class LogRow(NamedTuple):
    id: int
    path: str
    size: int | None
    finished: bool
    removed: bool


def _row(id: int, path: str, size: int | None, finished_at: float | None, removed_at: float | None) -> LogRow:
    return LogRow(id, path, size, finished_at is not None, removed_at is not None)


_COLUMNS = "l.id, l.path, l.size, l.finished_at, l.removed_at"


class Check:
    """All the questions. `looked_at` counts the logs."""

    def __init__(self, store: Queries, logs: Path) -> None:
        self._store = store
        self._logs = logs
        self._files = LogFiles(logs)
        self.looked_at = 0

    def findings(self) -> list[Finding]:
        """What is wrong, at most `_MOST` of each kind. Without a schema that we know, the logs are not looked at."""
        found = [*self._file(), *self._schema()]
        if not any(finding.kind in (Kind.DAMAGE, Kind.SCHEMA) for finding in found):
            found += self._of_rows()
            found += self._of_files()
        counts: dict[Kind, int] = {}
        kept = []
        for finding in found:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
            if counts[finding.kind] <= _MOST:
                kept.append(finding)
        return kept

    # -- the file

    def _file(self) -> Iterator[Finding]:
        try:
            for line in self._store.column("PRAGMA integrity_check(20)"):
                if line != "ok":
                    yield Finding(Kind.DAMAGE, line)
            for table, row, other in self._store.all(
                lambda table, row, other, _: (table, row, other), "PRAGMA foreign_key_check"
            ):
                yield Finding(Kind.REFERENCE, f"row {row} of {table} refers to {other}")
        except sqlite3.DatabaseError as error:
            yield Finding(Kind.DAMAGE, str(error))

    def _schema(self) -> Iterator[Finding]:
        version = self._store.value("PRAGMA user_version")
        if version != SCHEMA_VERSION:
            hint = ": run buildbot upgrade-master" if version < SCHEMA_VERSION else ""
            yield Finding(Kind.SCHEMA, f"schema {version}, and this Buildbot has {SCHEMA_VERSION}{hint}")
            return
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(SCHEMA_FILE.read_text())
            expected, there = shape(Queries(fresh)), shape(self._store)
        for name in sorted(expected.keys() | there.keys()):
            if name not in there:
                yield Finding(Kind.SCHEMA, f"{name} is missing")
            elif name not in expected:
                yield Finding(Kind.SCHEMA, f"{name} is not of this version")
            elif expected[name] != there[name]:
                yield Finding(Kind.SCHEMA, f"{name} is not as it should be")

    # -- rows, and the files that they name

    def _of_rows(self) -> Iterator[Finding]:
        last = 0
        while True:
            rows = self._store.all(
                _row, f"SELECT {_COLUMNS} FROM logs AS l WHERE l.id > ? ORDER BY l.id LIMIT ?", last, _AT_ONCE
            )
            for row in rows:
                self.looked_at += 1
                if self._of_log(row) is not None:
                    finding = self._again(row)
                    if finding is not None:
                        yield finding
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1].id

    def _again(self, row: LogRow) -> Finding | None:
        """A second look, at the row as it is now."""
        now = self._store.first(_row, f"SELECT {_COLUMNS} FROM logs AS l WHERE l.id = ?", row.id)
        return None if now is None else self._of_log(now)

    def _of_log(self, row: LogRow) -> Finding | None:
        text = self._logs / row.path
        if row.removed:
            there = [part for part in parts_of(text) if part.exists()]
            return Finding(Kind.LEFT, f"log {row.id}: {there[0]}", row.id, text) if there else None
        try:
            reader = self._files.read(row.path)
        except FileNotFoundError:
            if not row.finished:
                return None  # it is about to be made, or will be at the master's next start
            return Finding(Kind.MISSING, f"log {row.id}: {text}", row.id, text)
        except OSError as error:
            return Finding(Kind.UNREADABLE, f"log {row.id}: {error}", row.id, text)
        with reader:
            if not row.finished:
                return None  # it grows; its writer puts it in order
            if row.size != reader.size:
                longer = "longer" if reader.size > (row.size or 0) else "shorter"
                words = f"log {row.id}: {text} has {reader.size} bytes, {longer} than the {row.size} of its row"
                return Finding(Kind.LENGTH, words, row.id, text)
            try:
                problem = reader.problem()
            except OSError as error:
                return Finding(Kind.UNREADABLE, f"log {row.id}: {error}", row.id, text)
        return Finding(Kind.INDEX, f"log {row.id}: the index of {text} {problem}", row.id, text) if problem else None

    # -- files, and whether a row names them

    def _of_files(self) -> Iterator[Finding]:
        builders = {
            file_name(name): id for id, name in self._store.all(lambda *row: row, "SELECT id, name FROM builders")
        }
        for directory, _, names in os.walk(self._logs):
            here = Path(directory)
            parts = here.relative_to(self._logs).parts
            known: set[Path] | None = None
            for name in names:
                path = here / name
                if known is None:
                    known = self._named(builders, parts)
                if path not in known and path not in self._named(builders, parts) and path.exists():
                    yield Finding(Kind.ORPHAN, str(path), None, path)

    def _named(self, builders: dict[str, int], parts: tuple[str, ...]) -> set[Path]:
        """The files that the rows of one build's logs speak of."""
        if len(parts) != 2 or parts[0] not in builders or not parts[1].isdecimal():
            return set()
        paths = self._store.column(
            "SELECT l.path FROM builds AS b JOIN steps AS s ON s.build_id = b.id JOIN logs AS l ON l.step_id = s.id "
            "WHERE b.builder_id = ? AND b.number = ?",
            builders[parts[0]],
            int(parts[1]),
        )
        return {part for path in paths for part in parts_of(self._logs / path)}


def shape(store: Queries) -> dict[str, object]:
    """Tables with their columns and indexes, as far as it matters: not how they are written."""
    found: dict[str, object] = {}
    names = "SELECT name FROM sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite_%'"
    for table in store.column(names, "table"):
        found[f"table {table}"] = sorted(store.all(lambda *row: row[1:], f"PRAGMA table_xinfo({table})"))
    for index in store.column(names, "index"):
        columns = store.all(lambda *row: row, f"PRAGMA index_xinfo({index})")
        found[f"index {index}"] = [(name, desc, key) for _, _, name, desc, _, key in columns]
    return found


def repair(store: Store, logs: Path, findings: Iterable[Finding], now: float) -> list[Finding]:
    """Do what can be done about these; what is left. Only while nobody else has the store."""
    files = LogFiles(logs)
    left = []
    for finding in findings:
        try:
            if not _repair(store, files, finding, now):
                left.append(finding)
        except OSError as error:
            left.append(finding._replace(what=f"{finding.what}: {error}"))
    return left


def _repair(store: Store, files: LogFiles, finding: Finding, now: float) -> bool:
    match finding.kind:
        case Kind.LEFT | Kind.ORPHAN:
            _remove(files, finding)
        case Kind.MISSING:
            store.transact(_mark_missing, finding.log, now)
        case Kind.LENGTH:
            _measure(store, files, finding)
        case _:
            return False
    return True


def _remove(files: LogFiles, finding: Finding) -> None:
    assert finding.path is not None
    if finding.kind is Kind.LEFT:
        files.remove(str(finding.path.relative_to(files.root)))
        return
    finding.path.unlink(missing_ok=True)
    with suppress(OSError):
        finding.path.parent.rmdir()


def _mark_missing(store: Store, log: int | None, now: float) -> None:
    store.execute(
        "UPDATE logs SET removed_at = ?, removed_by = ? WHERE id = ? AND removed_at IS NULL", now, MISSING_RULE, log
    )


def _measure(store: Store, files: LogFiles, finding: Finding) -> None:
    """The file is what there is: write down how long it is."""
    assert finding.path is not None
    with files.read(str(finding.path.relative_to(files.root))) as reader:
        store.execute("UPDATE logs SET size = ?, lines = ? WHERE id = ?", reader.size, reader.line_count(), finding.log)
