"""Small things that older configurations import from `buildbot.util`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.task import deferLater


class ComparableMixin:
    """Objects of one class are equal when the attributes named in `compare_attrs` are."""

    compare_attrs: ClassVar[Any] = ()

    def _facts(self) -> tuple[Any, ...]:
        missing = object
        names = [name for cls in type(self).__mro__ for name in vars(cls).get("compare_attrs", ())]
        return tuple(getattr(self, name, missing) for name in names)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(type(self))


def now() -> float:
    """The time in epoch seconds."""
    return time.time()


def formatInterval(seconds: float) -> str:
    """A duration for people: `1 hrs, 2 mins, 3 secs`."""
    whole = round(seconds)
    parts = [f"{whole % 60} secs"]
    if whole >= 60:
        parts.insert(0, f"{whole // 60 % 60} mins")
    if whole >= 3600:
        parts.insert(0, f"{whole // 3600} hrs")
    return ", ".join(parts)


def bytes2unicode(x: Any, encoding: str = "utf-8", errors: str = "strict") -> str | None:
    """Text of bytes; text and None are as they were. Raises UnicodeDecodeError."""
    return x.decode(encoding, errors) if isinstance(x, bytes) else None if x is None else str(x)


def unicode2bytes(x: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    """Bytes of text; whatever else is as it was."""
    return x.encode(encoding, errors) if isinstance(x, str) else x


def epoch2datetime(epoch: float | None) -> datetime | None:
    """Epoch seconds as a time in UTC."""
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)


def datetime2epoch(dt: datetime | None) -> int | None:
    """The reverse; a time without a zone is in UTC."""
    return None if dt is None else int((dt if dt.tzinfo else dt.replace(tzinfo=UTC)).timestamp())


def flatten(values: Any, types: Any = (list,)) -> Any:
    """A list with the items of the lists in it, at any depth."""
    if not isinstance(values, types):
        return values
    found: list[Any] = []
    for value in values:
        inner = flatten(value, types)
        found.extend(inner if isinstance(value, types) else [inner])
    return found


def asyncSleep(delay: float, reactor: Any = None) -> Deferred[None]:
    """Fires after so many seconds; nothing else waits."""
    if reactor is None:
        from twisted.internet import reactor as running  # noqa: TID251

        reactor = running
    return deferLater(reactor, delay, lambda: None)


def deferredLocked(lock_or_attr: DeferredLock | str) -> Callable[[Callable[..., Any]], Callable[..., Deferred[Any]]]:
    """Decorator: one call at a time. A DeferredLock, or the name of the attribute of the object that holds one."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Deferred[Any]]:
        @wraps(function)
        def locked(*args: Any, **kwargs: Any) -> Deferred[Any]:
            lock = getattr(args[0], lock_or_attr) if isinstance(lock_or_attr, str) else lock_or_attr
            answer: Deferred[Any] = lock.run(maybeDeferred, function, *args, **kwargs)
            return answer

        return locked

    return decorate


def naturalSort(values: Iterable[str]) -> list[str]:
    """Sorted as people count: `b2` before `b10`."""
    import re

    def parts(text: str) -> list[tuple[bool, int, str]]:
        return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", text)]

    return sorted(values, key=parts)
