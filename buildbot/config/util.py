"""Small things that older configurations import from `buildbot.util`."""

from __future__ import annotations

import time
from typing import Any, ClassVar


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
