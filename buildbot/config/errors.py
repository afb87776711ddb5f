"""What is wrong with a configuration, and where: problems are collected, so that one look shows them all.

While a master.cfg is loading, `error()` notes a problem at the user's line and goes on; at any other time it raises.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple

_OUR_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Location(NamedTuple):
    """A line of the user's configuration."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Problem(NamedTuple):
    """One mistake: what is wrong, where (when known), and what to write instead (when known)."""

    message: str
    file: str | None = None
    line: int | None = None
    hint: str | None = None

    def __str__(self) -> str:
        place = "" if self.file is None else self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text


class ConfigErrors(Exception):
    """The configuration cannot be used; `problems` says why, each with its place."""

    def __init__(self, problems: Iterable[Problem | str] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            Problem(problem) if isinstance(problem, str) else problem for problem in problems
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def errors(self) -> list[str]:
        """The messages alone, as Buildbot names them."""
        return [problem.message for problem in self.problems]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Collecting:
    """The problems and warnings met while the files under one directory are loading."""

    def __init__(self, main_file: str, directory: str) -> None:
        self.main_file = main_file
        self._prefix = directory.rstrip(os.sep) + os.sep
        # where a problem is that arises when no line of the user's is running
        self.default_place: Location | None = None
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def is_users_file(self, filename: str) -> bool:
        """Whether this file is part of the configuration (not ours, and not an installed package below it)."""
        if filename == self.main_file:
            return True
        return (
            filename.startswith(self._prefix)
            and not filename.startswith(_OUR_PACKAGE)
            and not any(part in filename for part in _INSTALLED)
        )

    def place_in(self, frame: FrameType | None) -> Location | None:
        """The user's line nearest to `frame`, walking outwards."""
        while frame is not None:
            if self.is_users_file(frame.f_code.co_filename):
                return Location(frame.f_code.co_filename, frame.f_lineno)
            frame = frame.f_back
        return self.default_place

    def place_in_traceback(self, traceback: TracebackType | None) -> Location | None:
        """The user's line nearest to where an exception was raised."""
        found = None
        while traceback is not None:
            if self.is_users_file(traceback.tb_frame.f_code.co_filename):
                found = Location(traceback.tb_frame.f_code.co_filename, traceback.tb_lineno)
            traceback = traceback.tb_next
        return found

    def users_modules(self) -> list[str]:
        """The files of imported modules that are part of the configuration."""
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        return sorted(file for file in files if isinstance(file, str) and self.is_users_file(file))


# Ambient, because constructors called by a user's file have no other way to know that a file is loading.
_loading: ContextVar[Collecting | None] = ContextVar("buildbot_config_loading", default=None)


@contextmanager
def collecting(main_file: str, directory: str) -> Iterator[Collecting]:
    """Until the end of the block, `error()` adds to the yielded list instead of raising."""
    collected = Collecting(main_file, directory)
    token = _loading.set(collected)
    try:
        yield collected
    finally:
        _loading.reset(token)


def error(message: str, hint: str | None = None, always_raise: bool = False) -> None:
    """Say that the configuration is wrong: noted while a file is loading, raised as ConfigErrors otherwise.

    `always_raise` is for code that cannot go on without an answer; the loader then shows this one and those before.
    """
    collected = _loading.get()
    place = collected.place_in(sys._getframe(1)) if collected is not None else None
    problem = Problem(message, place.file if place else None, place.line if place else None, hint)
    if collected is None or always_raise:
        raise ConfigErrors([problem])
    collected.add(problem)


def report(mistakes: Iterable[tuple[str, str | None]]) -> None:
    """Several errors at once, as (message, hint), all of them shown when they are raised."""
    collected = _loading.get()
    if collected is None:
        raise ConfigErrors(Problem(message, hint=hint) for message, hint in mistakes)
    place = collected.place_in(sys._getframe(1))
    for message, hint in mistakes:
        collected.add(Problem(message, place.file if place else None, place.line if place else None, hint))


def is_loading() -> bool:
    """Whether a configuration file is being loaded by this thread or task."""
    return _loading.get() is not None


def warning(message: str, hint: str | None = None) -> None:
    """Say something the user should know although the configuration works; silent when no file is loading."""
    collected = _loading.get()
    if collected is not None:
        place = collected.place_in(sys._getframe(1))
        problem = Problem(message, place.file if place else None, place.line if place else None, hint)
        if problem not in collected.warnings:
            collected.warnings.append(problem)


def without_effect(what: str) -> None:
    """Say that something is accepted, because configurations have it, but that nothing acts on it yet."""
    warning(f"{what} has no effect in this version")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    candidates = sorted(set(known))
    folded = {candidate.lower(): candidate for candidate in candidates}
    if name.lower() in folded:
        return folded[name.lower()]
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint naming the nearest right name, or None."""
    right = nearest(name, known)
    return f"did you mean {right!r}?" if right is not None else None


def remember_place(thing: Any) -> None:
    """Note where in the user's files `thing` was made, if a file is loading; the outermost constructor wins."""
    collected = _loading.get()
    if collected is None or location_of(thing) is not None:
        return
    place = collected.place_in(sys._getframe(1))
    if place is not None:
        with suppress(AttributeError):  # a class with slots and without this one has no place, which is all right
            object.__setattr__(thing, "_config_location", place)


def location_of(thing: Any) -> Location | None:
    """Where in the user's files this object was made, if it was made while loading them."""
    return getattr(thing, "_config_location", None)


def is_text(value: Any) -> bool:
    """Whether a user's value, of whatever type, is a string."""
    return isinstance(value, str)


def is_broken(thing: Any) -> bool:
    """Whether this object was made with wrong arguments (which have been reported); it must not be used."""
    return bool(getattr(thing, "_config_broken", False))
