"""Attributes that are reckoned unless somebody sets them, as people's subclasses do with whatever name they like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class assignable(Generic[T]):
    """As `property`, but an object on which the attribute is set has what was set."""

    def __init__(self, reckon: Callable[[Any], T]) -> None:
        self._reckon = reckon
        self.__doc__ = reckon.__doc__

    @overload
    def __get__(self, of: None, kind: type) -> assignable[T]: ...

    @overload
    def __get__(self, of: object, kind: type) -> T: ...

    def __get__(self, of: object | None, kind: type) -> assignable[T] | T:
        return self if of is None else self._reckon(of)
