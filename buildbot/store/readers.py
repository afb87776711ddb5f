"""Long questions and checkpoints, in threads of their own.

`ThreadedReaders` holds one read-only connection a thread; `checkpoint` moves the write-ahead log into the file
outside the reactor, so that its fsync stalls nobody.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from buildbot.store.store import Queries, connect

T = TypeVar("T")


class ThreadedReaders:
    """At most `threads` questions at once; more wait in order."""

    def __init__(self, path: Path, reactor: IReactorFromThreads, threads: int = 3) -> None:
        self._path = path
        self._reactor = reactor
        self._pool = ThreadPool(0, threads, name="store readers")
        self._pool.start()
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []

    def read(self, question: Callable[[Queries], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._pool, self._ask, question)

    def _ask(self, question: Callable[[Queries], T]) -> T:
        queries, connection = self._queries()
        connection.execute("BEGIN")  # so that all that one question reads is of one moment
        try:
            return question(queries)
        finally:
            connection.execute("ROLLBACK")

    def _queries(self) -> tuple[Queries, sqlite3.Connection]:
        own: tuple[Queries, sqlite3.Connection] | None = getattr(self._own, "queries", None)
        if own is None:
            connection = connect(self._path, read_only=True)
            self._connections.append(connection)
            own = self._own.queries = Queries(connection), connection
        return own

    def checkpoint(self) -> Deferred[None]:
        """Move what the write-ahead log holds into the file; never waits for readers or writers."""
        return deferToThreadPool(self._reactor, self._pool, checkpoint, self._path)

    def close(self) -> None:
        self._pool.stop()
        for connection in self._connections:
            connection.close()


def checkpoint(path: Path) -> None:
    """One passive checkpoint on a connection of its own."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    finally:
        connection.close()
