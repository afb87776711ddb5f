"""Locks as a configuration names them: which thing must not be used by too many at once, and how one use counts.

They are values. Who holds one follows from what runs; see `lockqueue`.

A lock *is* its kind and name (and, of a SlaveLock, the slave): that is how a running build still holds a lock after
a reconfiguration has made a new object of it, perhaps with other limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from buildbot.config.errors import error, remember_place

_MODES = ("counting", "exclusive")


class LockKey(NamedTuple):
    """Which lock is meant, whatever its limits: its kind and name, and of a SlaveLock the slave."""

    kind: str
    name: str
    slave: str  # "": a MasterLock

    def __str__(self) -> str:
        return f"{self.name} of {self.slave}" if self.slave else self.name


class _Lock:
    """A named limit. Two objects are equal when kind, name and limits are."""

    __slots__ = ("_config_location", "maxCount", "name")

    def __init__(self, name: Any, maxCount: Any = 1) -> None:
        self.name: str = name
        self.maxCount: int = maxCount
        self._config_location = None
        remember_place(self)
        if not isinstance(name, str) or not name:
            error(f"a lock's name is a string, not {name!r}")
        if not _is_count(maxCount) or maxCount < 1:
            error(f"lock {name!r}: maxCount is a whole number of at least 1, not {maxCount!r}")

    def access(self, mode: str, count: int | None = None) -> LockAccess:
        """A use of this lock. mode: `"counting"` (count uses of maxCount, default 1) or `"exclusive"` (all of it)."""
        return LockAccess(self, mode, count)

    def defaultAccess(self) -> LockAccess:
        """The use that is meant where a lock stands without one: one counting use."""
        return self.access("counting")

    def key_on(self, slave: str) -> LockKey:
        """The lock that a build on this slave takes."""
        return LockKey("MasterLock", self.name, "")

    def limit_on(self, slave: str) -> int:
        """How many may hold it at once there."""
        return self.maxCount

    def _facts(self) -> tuple[Any, ...]:
        return (self.name, self.maxCount)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.maxCount})"


class MasterLock(_Lock):
    """A limit over the whole master. name: unique. maxCount: how many may hold it at once (default 1)."""

    __slots__ = ()


class SlaveLock(_Lock):
    """A limit on each slave by itself.

    name: unique. maxCount: how many may hold it at once on one slave (default 1).
    maxCountForSlave (or maxCountForWorker): {slave's name: another count}.
    """

    __slots__ = ("maxCountForSlave",)

    def __init__(
        self,
        name: Any,
        maxCount: Any = 1,
        maxCountForSlave: Any = None,
        maxCountForWorker: Any = None,
    ) -> None:
        super().__init__(name, maxCount)
        if maxCountForSlave and maxCountForWorker:
            error(f"lock {name!r}: maxCountForSlave and maxCountForWorker are the same argument; give one")
        counts = maxCountForSlave or maxCountForWorker or {}
        self.maxCountForSlave: dict[str, int] = {}
        if not isinstance(counts, Mapping) or not all(_is_count(count) for count in counts.values()):
            error(f"lock {name!r}: maxCountForSlave is a dict of slave names and counts, not {counts!r}")
        else:
            self.maxCountForSlave = dict(counts)

    @property
    def maxCountForWorker(self) -> dict[str, int]:
        return self.maxCountForSlave

    def key_on(self, slave: str) -> LockKey:
        return LockKey("SlaveLock", self.name, slave)

    def limit_on(self, slave: str) -> int:
        return self.maxCountForSlave.get(slave, self.maxCount)

    def _facts(self) -> tuple[Any, ...]:
        return (self.name, self.maxCount, self.maxCountForSlave)


WorkerLock = SlaveLock


class LockAccess:
    """One use of a lock: its mode, and how much of maxCount it takes."""

    __slots__ = ("count", "lock", "mode")

    def __init__(self, lock: Any, mode: Any, count: Any = None) -> None:
        self.lock: MasterLock | SlaveLock = lock
        self.mode: str = mode
        self.count: int = 1 if count is None else count
        if not isinstance(lock, _Lock):
            error(f"{lock!r} is not a lock")
        if mode not in _MODES:
            error(f'access() takes "counting" or "exclusive", not {mode!r}')
        if not _is_count(self.count) or self.count < 0:
            error(f"access(): count is a whole number of at least 0, not {count!r}")
        elif mode == "exclusive" and self.count != 1:
            error("access(): an exclusive use takes the whole lock; count must be 1")

    @property
    def lockid(self) -> MasterLock | SlaveLock:
        """The lock, as Buildbot names it."""
        return self.lock

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockAccess) and (self.lock, self.mode, self.count) == (
            other.lock,
            other.mode,
            other.count,
        )

    def __hash__(self) -> int:
        return hash((self.lock, self.mode, self.count))

    def __repr__(self) -> str:
        return f"{self.lock!r}.access({self.mode!r}, {self.count})"


def lock_access(given: Any) -> LockAccess:
    """A use of a lock from what stands in a `locks` list; a bare lock means one counting use."""
    if isinstance(given, LockAccess):
        return given
    if isinstance(given, _Lock):
        return given.defaultAccess()
    raise TypeError(f"{given!r} is not a lock; `locks` is a list such as [lock.access('counting')]")


Wants = Mapping[LockKey, LockAccess]


def wants_of(given: Iterable[Any], slave: str) -> Wants:
    """What a `locks` list means for whoever runs on this slave. A lock that stands there twice is taken once: for
    both counts together, or exclusively. Raises TypeError for what is not a lock.
    """
    wants: dict[LockKey, LockAccess] = {}
    for access in map(lock_access, given):
        key = access.lock.key_on(slave)
        wants[key] = _together(wants[key], access) if key in wants else access
    return wants


def _together(one: LockAccess, other: LockAccess) -> LockAccess:
    if "exclusive" in (one.mode, other.mode):
        return other.lock.access("exclusive")
    return other.lock.access("counting", one.count + other.count)


def fits(limit: int, access: LockAccess, others: Iterable[LockAccess]) -> bool:
    """Whether a lock with this limit admits one more use beside these."""
    used = 0
    for other in others:
        if other.mode == "exclusive":
            return False
        used += other.count
    return (limit > 0 and used == 0) if access.mode == "exclusive" else used + access.count <= limit


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
