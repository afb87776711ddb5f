"""The one SQLite file: transactions, reads, and the promise that nobody is told what did not happen.

Holds no SQL about nouns; those statements live in the sibling modules. A transaction is a plain function run
synchronously in the reactor; see docs/decisions/0001-store-instead-of-axiom.md for why.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from itertools import count
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from buildbot.model import Event
from buildbot.store.upgrades import FIRST_SCHEMA, SCHEMA_VERSION, UPGRADES

T = TypeVar("T")
P = ParamSpec("P")

SLOW_TRANSACTION_SECONDS = 0.05
OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
_INCREMENTAL = 2  # of auto_vacuum
SCHEMA_FILE = Path(__file__).with_name("schema.sql")


class StoreError(Exception):
    """The store cannot be opened; the text says what to do."""


class StoreIsInUse(StoreError):
    """Another process has this store open. Stop the other master first."""


class StoreIsNewer(StoreError):
    """The file was written by a newer Buildbot. Install that version, or restore the backup made before its upgrade."""


class StoreNeedsUpgrade(StoreError):
    """The file has an older schema. Run `buildbot upgrade-master` in its directory."""


class Queries:
    """Questions to one connection. The writer has them, and so has each read-only snapshot."""

    statements = 0  # asked so far on this connection; benchmarks count them

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _asked(self, sql: str) -> None:
        self.statements += 1

    def all(self, make: Callable[..., T], sql: str, *args: object) -> list[T]:
        """Every row, each given to `make` as positional arguments."""
        self._asked(sql)
        return [make(*row) for row in self._connection.execute(sql, args)]

    def first(self, make: Callable[..., T], sql: str, *args: object) -> T | None:
        """The first row, or None."""
        self._asked(sql)
        row = self._connection.execute(sql, args).fetchone()
        return None if row is None else make(*row)

    def one(self, make: Callable[..., T], sql: str, *args: object) -> T:
        """The row that must be there. Raises LookupError."""
        found = self.first(make, sql, *args)
        if found is None:
            raise LookupError(sql, args)
        return found

    def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row; None when there is no row."""
        self._asked(sql)
        row = self._connection.execute(sql, args).fetchone()
        return None if row is None else row[0]

    def column(self, sql: str, *args: object) -> list[Any]:
        """The first column of every row."""
        self._asked(sql)
        return [row[0] for row in self._connection.execute(sql, args)]


class Readers(Protocol):
    """Whoever runs long questions elsewhere than in the reactor's thread."""

    def read(self, question: Callable[[Queries], T]) -> Deferred[T]: ...

    def close(self) -> None: ...


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with the settings that all of ours share. May be used from any thread, one at a time."""
    uri = path.absolute().as_uri() + ("?mode=ro" if read_only else "")
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, cached_statements=512, check_same_thread=False, timeout=0.25
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


class Store(Queries):
    """The writer. One a process; open it with `Store.open`.

    Arguments of `open`: the file's path (made when missing), `readers` for long questions (None: they run in this
    thread, which suits tests and tools), `upgrade` to bring an older file up to date instead of refusing it.
    """

    _log = Logger()

    def __init__(self, connection: sqlite3.Connection, path: Path, lock: IO[str], readers: Readers | None) -> None:
        super().__init__(connection)
        self.path = path
        self._lock = lock
        self._readers = readers
        self._to_tell: list[Callable[[], object]] = []
        self._running: list[str] = []
        self._durable = False
        self._doubted = False
        self.event_listeners: list[Callable[[Event], object]] = []  # told of each event after its commit
        # what replaces secrets in a text that people wrote or that tells of an error; asked before it is stored
        self.hide: Callable[[str], str] = str

    @classmethod
    def open(cls, path: Path, *, readers: Readers | None = None, upgrade: bool = False) -> Store:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
        lock = _lock_file(path)
        connection = connect(path)
        try:
            store = cls(connection, path, lock, readers)
            _refuse_newer(store)  # before anything is written
            if store.schema_version == 0:
                connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _bring_up_to_date(store, upgrade)
            if upgrade:
                _let_it_shrink(store)
        except BaseException:
            connection.close()
            lock.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection and let another process open the file."""
        if self._readers is not None:
            self._readers.close()
        self._connection.close()
        self._lock.close()

    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    @property
    def schema_version(self) -> int:
        return int(self.value("PRAGMA user_version"))

    # -- transactions

    def _asked(self, sql: str) -> None:
        super()._asked(sql)
        if self.in_transaction():
            self._running.append(sql)

    def transact(self, work: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(store, *args)` as one transaction, or as part of the one that is open.

        Returns its value after the commit; raises what it raised after everything was reverted.
        """
        if self.in_transaction():
            return _at_once(work(self, *args, **kwargs))
        started = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            value = _at_once(work(self, *args, **kwargs))
            self._connection.execute("COMMIT")
        except BaseException as problem:
            if self.in_transaction():
                self._connection.execute("ROLLBACK")
            self._to_tell.clear()
            self._running.clear()
            self.doubt_after(problem)
            raise
        self._committed(started)
        return value

    def transact_durable(self, work: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `transact`, and the commit survives a power loss. For what is acknowledged to someone who will not repeat.

        Must be the outermost transaction: an inner one cannot make the outer one durable.
        Raises sqlite3.OperationalError while the disk does not keep what it is told to.
        """
        if self._connection.in_transaction:
            if not self._durable:
                raise RuntimeError("a durable transaction cannot join one that is not durable")
            return _at_once(work(self, *args, **kwargs))
        if self._doubted:
            self._write_all_anew()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._durable = True
        try:
            return self.transact(work, *args, **kwargs)
        finally:
            self._durable = False
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def doubt_after(self, problem: BaseException) -> None:
        """A disk that failed once may have lost what came before, and say at the next fsync that all is well."""
        if isinstance(problem, sqlite3.Error):
            code: int = getattr(problem, "sqlite_errorcode", 0)
            self._doubted = self._doubted or code & 0xFF == sqlite3.SQLITE_IOERR

    def _write_all_anew(self) -> None:
        """Bring everything from the write-ahead log to the file, and begin the log anew: then nothing rests on what the
        disk was told to keep before it failed. Raises OperationalError if it fails again, or a reader is in the way.
        """
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the disk has failed, and the store could not be written to it anew yet")
        self._doubted = False
        self._log.info("the disk takes what it is told to keep again")

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call this once the open transaction is committed; never if it is reverted. At once outside of one."""
        if self._connection.in_transaction:
            self._to_tell.append(call)
        else:
            call()

    def _committed(self, started: float) -> None:
        to_tell, self._to_tell = self._to_tell, []
        statements, self._running = self._running, []
        elapsed = time.perf_counter() - started
        if elapsed > SLOW_TRANSACTION_SECONDS:
            self._log.warn(
                "a transaction took {elapsed:.0f} ms: {statements}",
                elapsed=elapsed * 1000,
                statements="; ".join(" ".join(sql.split()) for sql in list(dict.fromkeys(statements))[:10]),
            )
        for call in to_tell:
            try:
                call()
            except Exception:
                self._log.failure("telling what was committed failed")

    def tell_listeners(self, event: Event) -> None:
        """One that fails is logged; the others hear all the same."""
        for listener in list(self.event_listeners):
            try:
                listener(event)
            except Exception:
                self._log.failure("a listener failed to hear of {event}", event=event)

    # -- statements that change something

    def execute(self, sql: str, *args: object) -> int:
        """Change rows; the number of rows changed."""
        self._asked(sql)
        return self._connection.execute(sql, args).rowcount

    def insert(self, sql: str, *args: object) -> int:
        """Insert one row; its id."""
        self._asked(sql)
        rowid = self._connection.execute(sql, args).lastrowid
        assert rowid is not None
        return rowid

    def execute_many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._asked(sql)
        self._connection.executemany(sql, rows)

    # -- long questions

    def read(
        self, question: Callable[Concatenate[Queries, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Ask outside the reactor's thread, on a read-only connection that sees what is committed."""
        if self._readers is None:
            return maybeDeferred(question, self, *args, **kwargs)
        return self._readers.read(lambda queries: question(queries, *args, **kwargs))

    def checkpoint_elsewhere(self) -> None:
        """Never checkpoint in this thread; whoever calls this calls `readers.checkpoint` now and then."""
        self.execute("PRAGMA wal_autocheckpoint = 0")

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target`, which must not exist."""
        self._connection.execute("VACUUM INTO ?", (str(target),))


def _at_once(value: T) -> T:
    """What a transaction returned, unless one would have to wait for it."""
    if isinstance(value, Awaitable):
        if isinstance(value, Coroutine):
            value.close()
        raise TypeError(f"a transaction must not wait, and this one returned {value!r}")
    return value


def _lock_file(path: Path) -> IO[str]:
    lock = open(path.with_name(path.name + ".lock"), "a+")  # noqa: SIM115  held open for as long as the store is
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise StoreIsInUse(
            f"{path} is in use by another process" + (f" (pid {owner})" if owner else "") + ": stop that master first"
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def statements_of(script: str) -> list[str]:
    """The single statements of an SQL script (`executescript` would commit the open transaction)."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    return statements


def _refuse_newer(store: Store) -> None:
    version = store.schema_version
    if version > SCHEMA_VERSION:
        raise StoreIsNewer(
            f"{store.path} has schema {version}, this Buildbot knows up to {SCHEMA_VERSION}: "
            "install the newer version, or restore the backup made before its upgrade"
        )


def _bring_up_to_date(store: Store, upgrade: bool) -> None:
    version = store.schema_version
    if version == 0:
        store.transact(_create)
    elif version < SCHEMA_VERSION:
        if not upgrade:
            raise StoreNeedsUpgrade(
                f"{store.path} has schema {version}, this Buildbot needs {SCHEMA_VERSION}: run buildbot upgrade-master"
            )
        store.backup(_unused(store.path.with_name(f"{store.path.name}.{version}")))
        apply_upgrades(store, UPGRADES[version - FIRST_SCHEMA :], SCHEMA_VERSION)


def _let_it_shrink(store: Store) -> None:
    """A file that was made without incremental vacuum is written anew once, with it."""
    if store.value("PRAGMA auto_vacuum") != _INCREMENTAL:
        store.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        store.execute("VACUUM")


def _unused(path: Path) -> Path:
    """This path, or with a number after it: an upgrade that failed before has left its backup there."""
    if not path.exists():
        return path
    return next(other for number in count(1) if not (other := path.with_name(f"{path.name}.{number}")).exists())


def _create(store: Store) -> None:
    for statement in statements_of(SCHEMA_FILE.read_text()):
        store.execute(statement)
    store.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def apply_upgrades(store: Store, upgrades: Iterable[Callable[[Store], None]], version: int) -> None:
    """Run the upgraders in one transaction; nothing changes when one fails or leaves a dangling reference."""

    def work(store: Store) -> None:
        for upgrader in upgrades:
            upgrader(store)
        dangling = store.all(lambda *row: row, "PRAGMA foreign_key_check")
        if dangling:
            raise StoreError(f"the upgrade would leave {len(dangling)} dangling references, first in {dangling[0][0]}")
        store.execute(f"PRAGMA user_version = {version}")

    store.execute("PRAGMA foreign_keys = OFF")  # ignored inside a transaction
    try:
        store.transact(work)
    finally:
        store.execute("PRAGMA foreign_keys = ON")
