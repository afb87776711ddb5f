"""The part of a step whose command is made of its other arguments."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import error


class MadeCommand:
    """Beside ShellCommand, before it: `argv()` gives the words of the command, once the arguments are rendered.

    `command=` may be given all the same, and is then run instead.
    """

    command: Any

    def argv(self) -> Any:
        """The command: a list of words, or a string for the slave's shell."""
        raise NotImplementedError

    async def run(self) -> int:
        if self.command is None:
            self.command = self.argv()
        result: int = await super().run()  # type: ignore[misc]
        return result


def needed(step: Any, *names: str) -> None:
    """Say which of these arguments of the step are missing."""
    for name in names:
        if getattr(step, name) is None:
            error(f"{type(step).__name__} needs {name}")


def words(value: Any) -> list[Any]:
    """A word, a list of words or None, as a list."""
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def check_words(step: Any, *names: str) -> None:
    """Each of these arguments is a list (or None, or renderable): a string would become a word for each letter."""
    for name in names:
        value = getattr(step, name)
        if isinstance(value, (str, bytes, dict, int)):
            error(f"{type(step).__name__}: {name} is a list, not {value!r}")
