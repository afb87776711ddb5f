"""Calling what users have written for another version: with as many arguments as it takes."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

_PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def called(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, without the last ones if it takes fewer. Its keywords keep their defaults."""
    takes = signature(function).parameters.values()
    if not any(each.kind is Parameter.VAR_POSITIONAL for each in takes):
        args = args[: sum(each.kind in _PLACED for each in takes)]
    return function(*args)
