"""Coroutines for callers that know Deferreds alone: steps of 0.7 and 0.8 add callbacks to what they are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import isawaitable
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")
P = ParamSpec("P")


def gives_deferred(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Awaitable[T]]:
    """Have an `async` method give a Deferred, which is awaited as well as a coroutine, and begins at once."""

    @wraps(method)
    def begin(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return Deferred.fromCoroutine(method(*args, **kwargs))

    return begin


async def answer_of(value: Any) -> Any:
    """What a method of a user's step has answered: a value, or something that has to be awaited for it."""
    return await value if isawaitable(value) else value
