"""Whether a store and its logs agree with themselves and with each other; asked while a master runs, or not.

`Check` asks through a read-only connection and looks at files. What it finds it looks at a second time, because a
master may be at work. `repair` does what loses nothing: it puts files that no row names into a directory of their own,
says of rows without a file that the log is gone, and writes down how long files are. It needs the store for itself, and
must not be called when the store itself is damaged: then its rows do not say which files are needed.
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
ORPHANS = "orphans"  # beside the logs: what no row names
MISSING_RULE = "buildbot check: its file was missing"


class Kind(Enum):
    """What can be wrong, in words; and whether `repair` can do something about it."""

    DAMAGE = "the store's file is damaged", False
    REFERENCE = "a row refers to one that is not there", False
    SCHEMA = "the schema is not as expected", False
    STATE = "rows contradict each other", False
    MISSING = "a log's file is missing", True
    LENGTH = "a log's file is not as long as its row says", True
    INDEX = "a log's index does not fit its text", False
    UNREADABLE = "a log's file cannot be read", False
    LEFT = "a removed log's file is still there", True
    ORPHAN = "a file belongs to no log", True

    def __init__(self, words: str, repairable: bool) -> None:
        self.words = words
        self.repairable = repairable


SPOILED = frozenset((Kind.DAMAGE, Kind.REFERENCE, Kind.SCHEMA))  # the store does not say what is needed


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


_CONTRADICTIONS = (
    ("build {} has ended without a result", "SELECT id FROM builds WHERE complete_at IS NOT NULL AND result IS NULL"),
    (
        "step {} has not ended, and its build has",
        "SELECT s.id FROM steps AS s JOIN builds AS b ON b.id = s.build_id "
        "WHERE s.complete_at IS NULL AND b.complete_at IS NOT NULL",
    ),
    (
        "command {} has not ended, and its build has",
        "SELECT c.id FROM commands AS c JOIN steps AS s ON s.id = c.step_id JOIN builds AS b ON b.id = s.build_id "
        "WHERE c.state IN ('ordered', 'running') AND b.complete_at IS NOT NULL",
    ),
    (
        "request {} is claimed, and no build of it runs",
        "SELECT r.id FROM build_requests AS r WHERE r.claimed_at IS NOT NULL AND r.complete_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
        "WHERE m.request_id = r.id AND b.complete_at IS NULL)",
    ),
    (
        "request {} is complete, and a build of it runs",
        "SELECT DISTINCT r.id FROM builds AS b JOIN build_requests_of_builds AS m ON m.build_id = b.id "
        "JOIN build_requests AS r ON r.id = m.request_id WHERE b.complete_at IS NULL AND r.complete_at IS NOT NULL",
    ),
    (
        "buildset {} is not complete, and its requests are",
        "SELECT s.id FROM buildsets AS s WHERE s.complete_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM build_requests AS r WHERE r.buildset_id = s.id AND r.complete_at IS NULL)",
    ),
    (
        "set {} of results of tests has a name or a path that is not there",
        "SELECT DISTINCT r.set_id FROM test_results AS r WHERE "
        "(r.name_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM test_texts AS t WHERE t.id = r.name_id)) "
        "OR (r.path_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM test_texts AS t WHERE t.id = r.path_id))",
    ),
)


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
            found += self._of_states()
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

    # -- rows that say what other rows deny

    def _of_states(self) -> Iterator[Finding]:
        for words, sql in _CONTRADICTIONS:
            found = self._store.column(f"{sql} LIMIT {_MOST}")
            still = set(self._store.column(f"{sql} LIMIT {_MOST}")) if found else ()
            for id in found:
                if id in still:
                    yield Finding(Kind.STATE, words.format(id))

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
    """Do what can be done about these; what is left. Only while nobody else has the store, and it is sound."""
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
        case Kind.LEFT:
            assert finding.path is not None
            files.remove(str(finding.path.relative_to(files.root)))
        case Kind.ORPHAN:
            _put_away(files, finding)
        case Kind.MISSING:
            assert finding.path is not None
            store.transact(_mark_missing, finding.log, now)
            if finding.path.is_relative_to(files.root) and ".." not in finding.path.parts:
                files.remove(str(finding.path.relative_to(files.root)))  # what lies beside it
        case Kind.LENGTH:
            _measure(store, files, finding)
        case _:
            return False
    return True


def _put_away(files: LogFiles, finding: Finding) -> None:
    """Nobody knows whose it was, and that may be because its row was lost."""
    assert finding.path is not None
    place = files.root.parent / ORPHANS / finding.path.relative_to(files.root)
    place.parent.mkdir(parents=True, exist_ok=True)
    while place.exists():
        place = place.with_name(f"{place.name}.again")
    finding.path.rename(place)
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
