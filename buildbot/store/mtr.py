"""The results of MySQL's test runs, in a database of the user's own: its tables, and what is written there.

This is the one module here that is not about our own store. Its functions get a cursor of whatever database the user's
pool gives, and run in a thread of that pool. The tables are those of Buildbot 0.8, so that what reads them goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

_TABLES = (
    """CREATE TABLE IF NOT EXISTS test_run (
        id INT PRIMARY KEY AUTO_INCREMENT,
        branch VARCHAR(100),
        revision VARCHAR(32) NOT NULL,
        platform VARCHAR(100) NOT NULL,
        dt TIMESTAMP NOT NULL,
        bbnum INT NOT NULL,
        typ VARCHAR(32) NOT NULL,
        info VARCHAR(255),
        KEY (branch, revision), KEY (dt), KEY (platform, bbnum)
    ) ENGINE=innodb""",
    """CREATE TABLE IF NOT EXISTS test_failure (
        test_run_id INT NOT NULL,
        test_name VARCHAR(100) NOT NULL,
        test_variant VARCHAR(16) NOT NULL,
        info_text VARCHAR(255),
        failure_text TEXT,
        PRIMARY KEY (test_run_id, test_name, test_variant)
    ) ENGINE=innodb""",
    """CREATE TABLE IF NOT EXISTS test_warnings (
        test_run_id INT NOT NULL,
        list_id INT NOT NULL,
        list_idx INT NOT NULL,
        test_name VARCHAR(100) NOT NULL,
        PRIMARY KEY (test_run_id, list_id, list_idx)
    ) ENGINE=innodb""",
)
_OF_MYSQL = ((" ENGINE=innodb", ""), ("INT PRIMARY KEY AUTO_INCREMENT", "INTEGER PRIMARY KEY"))
_KEYS = ",\n        KEY (branch, revision), KEY (dt), KEY (platform, bbnum)"


class Cursor(Protocol):
    """As much of Python's database interface as is used."""

    lastrowid: Any

    def execute(self, query: str, args: Sequence[Any] = ...) -> Any: ...
    def fetchone(self) -> Any: ...


class MtrRun(NamedTuple):
    """One run: a build's step."""

    branch: str | None
    revision: str
    platform: str  # the builder
    bbnum: int  # the number of the build
    typ: str
    info: str


class MtrFailure(NamedTuple):
    """A test that failed."""

    name: str
    variant: str
    info: str
    text: str


def create_tables(cursor: Cursor, paramstyle: str) -> None:
    """Make the tables that are not there. paramstyle: of the database's module; `qmark` is SQLite's."""
    for table in _TABLES:
        if paramstyle == "qmark":
            table = table.replace(_KEYS, "")
            for mysql, plain in _OF_MYSQL:
                table = table.replace(mysql, plain)
        cursor.execute(table)


def write(
    cursor: Cursor,
    paramstyle: str,
    run: MtrRun,
    failures: Iterable[MtrFailure],
    warnings: Iterable[Sequence[str]],
    now: str,
) -> int:
    """Write down a run, and give its id. A run that is there already stays as it is: a step may do this twice."""

    def put(query: str, *args: Any) -> None:
        cursor.execute(query if paramstyle == "qmark" else query.replace("?", "%s"), args)

    put("SELECT id FROM test_run WHERE platform = ? AND bbnum = ? AND typ = ?", run.platform, run.bbnum, run.typ)
    known = cursor.fetchone()
    if known is not None:
        return int(known[0])
    put(
        "INSERT INTO test_run (branch, revision, platform, dt, bbnum, typ, info) VALUES (?, ?, ?, ?, ?, ?, ?)",
        *(run.branch, run.revision[:32], run.platform[:100], now, run.bbnum, run.typ[:32], run.info[:255]),
    )
    id = int(cursor.lastrowid)
    told: set[tuple[str, str]] = set()
    for each in failures:
        test = each.name[:100], each.variant[:16]
        if test in told:  # it was tried again
            continue
        told.add(test)
        put(
            "INSERT INTO test_failure (test_run_id, test_name, test_variant, info_text, failure_text)"
            " VALUES (?, ?, ?, ?, ?)",
            *(id, *test, each.info[:255], each.text),
        )
    for number, names in enumerate(warnings):
        for index, name in enumerate(names):
            put(
                "INSERT INTO test_warnings (test_run_id, list_id, list_idx, test_name) VALUES (?, ?, ?, ?)",
                *(id, number, index, name[:100]),
            )
    return id
