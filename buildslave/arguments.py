"""A command's arguments as the master sent them, checked at the edge: what comes out of here can be trusted."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from buildslave.errors import BadArguments


def is_int(value: object) -> TypeGuard[int]:
    """True for a whole number; True and False are not numbers here."""
    return isinstance(value, int) and not isinstance(value, bool)


class Arguments:
    """The arguments of one command. Every getter raises `BadArguments` with the argument's name in the sentence."""

    def __init__(self, command: str, given: Mapping[str, Any]) -> None:
        self._command = command
        self._given = given

    def refuse(self, name: str, why: str) -> BadArguments:
        return BadArguments(f"{self._command}: argument {name!r} {why}")

    def raw(self, name: str, default: Any = None) -> Any:
        return self._given.get(name, default)

    def text(self, *names: str, default: str | None = None) -> str:
        """The first of `names` that is given (one thing may have an old and a new name)."""
        for name in names:
            value = self._given.get(name)
            if value is None:
                continue
            if not isinstance(value, str):
                raise self.refuse(name, f"must be a string, not {value!r}")
            if "\0" in value:
                raise self.refuse(name, "holds a NUL character")
            return value
        if default is None:
            raise self.refuse(names[0], "is missing")
        return default

    def texts(self, name: str) -> list[str]:
        """One string or a list of them."""
        value = self._given.get(name)
        if isinstance(value, (list, tuple)):
            return [Arguments(self._command, {name: each}).text(name) for each in value]
        return [self.text(name)]

    def seconds(self, name: str) -> float | None:
        """A positive number of seconds; None and 0 mean no limit."""
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e10:
            raise self.refuse(name, f"must be a number of seconds, not {value!r}")
        return float(value) or None

    def count(self, name: str) -> int | None:
        """A whole number, at least 0; None means it was not given."""
        value = self._given.get(name)
        if value is None:
            return None
        if not is_int(value) or value < 0:
            raise self.refuse(name, f"must be a whole number, not {value!r}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._given.get(name)
        return default if value is None else bool(value)
