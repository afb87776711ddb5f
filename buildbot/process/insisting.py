"""Transactions of a running build that must come to pass: repeated while the disk takes nothing.

A build waits for a disk that has no room or fails, as it waits for a slave that is away; it does not fail for that.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.store import Store

T = TypeVar("T")
P = ParamSpec("P")

FIRST_SECONDS, MOST_SECONDS = 1.0, 10.0
# What the disk, or who else uses it, is to blame for; the low byte of SQLite's extended codes says which.
_PASSING = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
    )
)
_PASSING_ERRNOS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
)
_log = Logger()


def is_passing(problem: OSError | sqlite3.OperationalError) -> bool:
    """Whether the disk, or who else uses it, is to blame: trying again may help."""
    if isinstance(problem, OSError):
        return problem.errno in _PASSING_ERRNOS
    return problem.sqlite_errorcode & 0xFF in _PASSING


class Insisting(Protocol):
    """The build: what it needs to go on."""

    store: Store
    clock: IReactorTime
    left: bool


async def insist(
    build: Insisting, work: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """As `store.transact`, repeated until the disk takes it.

    Raises what else `work` raises, a mistake in its SQL among it, and CancelledError when this process has left the
    build meanwhile.
    """
    delay = FIRST_SECONDS
    while True:
        try:
            return build.store.transact(work, *args, **kwargs)
        except sqlite3.OperationalError as problem:
            if not is_passing(problem):
                raise
            _log.error("{build} waits: its state cannot be stored: {problem}", build=build, problem=str(problem))
        await deferLater(build.clock, delay)
        if build.left:
            raise CancelledError
        delay = min(2 * delay, MOST_SECONDS)
