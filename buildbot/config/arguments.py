"""Constructors that tell a user what is wrong with their arguments: `@configurable` for every class a master.cfg names.

A wrong argument is noted with the user's line and the nearest right name, and the file goes on loading, so that all
mistakes show together.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar, overload

from buildbot.config.errors import ConfigErrors, did_you_mean, error, is_loading, remember_place, report

C = TypeVar("C", bound=type)


@overload
def configurable(cls: C, /) -> C: ...


@overload
def configurable(*, renamed: Mapping[str, str] | None = None) -> Callable[[C], C]: ...


def configurable(cls: C | None = None, /, *, renamed: Mapping[str, str] | None = None) -> C | Callable[[C], C]:
    """Class decorator: check constructor arguments, accept old spellings, remember the line where an object was made.

    renamed: {old keyword: present keyword}. While a file loads, an object whose arguments are wrong is marked broken
    (`errors.is_broken`); at other times its constructor raises ConfigErrors.
    """
    if cls is not None:
        return _checked(cls, {})
    return lambda decorated: _checked(decorated, renamed or {})


def _checked(cls: C, renamed: Mapping[str, str]) -> C:
    original = cls.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        remember_place(self)
        if renamed and not renamed.keys().isdisjoint(kwargs):
            kwargs = _with_present_names(type(self), kwargs, renamed)
        try:
            original(self, *args, **kwargs)
        except TypeError:
            wrong = _Wrong(original, self, args, kwargs)
            if not wrong:
                raise
            _tell(self, original, checked_init, args, kwargs, wrong)

    checked_init.renamed = renamed  # type: ignore[attr-defined]
    cls.__init__ = checked_init  # type: ignore[misc]
    return cls


def _with_present_names(cls: type, kwargs: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    present: dict[str, Any] = {}
    for name, value in kwargs.items():
        now = renamed.get(name, name)
        if now in present or (now != name and now in kwargs):
            error(f"{cls.__name__}(): {name}= is the older name of {now}=; give one of them")
            continue
        present[now] = value
    return present


class _Wrong:
    """What is wrong with one call; false when the arguments fit."""

    def __init__(self, init: Callable[..., None], made: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        parameters = list(inspect.signature(init).parameters.values())[1:]
        kinds = {parameter.kind for parameter in parameters}
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        filled = set(positional[: len(args)])
        self.unknown = [] if inspect.Parameter.VAR_KEYWORD in kinds else [name for name in kwargs if name not in names]
        self.twice = [name for name in kwargs if name in filled]
        self.missing = [
            p.name
            for p in parameters
            if p.default is p.empty
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            and p.name not in filled
            and p.name not in kwargs
        ]
        too_many = len(args) > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds
        self.at_most = len(positional) if too_many else None

    def __bool__(self) -> bool:
        return bool(self.unknown or self.missing or self.hopeless)

    @property
    def hopeless(self) -> bool:
        """Whether nothing can be made of the call even without its unknown arguments."""
        return bool(self.missing or self.twice or self.at_most is not None)

    def messages(self, cls: type) -> list[tuple[str, str | None]]:
        """(message, hint) for each mistake."""
        known = known_arguments(cls)
        name = cls.__name__
        found: list[tuple[str, str | None]] = [
            (f"{name}() has no argument {wrong!r}", did_you_mean(wrong, known)) for wrong in self.unknown
        ]
        # a misspelt name is usually also a missing one; one message is enough
        guessed = {hint for _, hint in found}
        found += [
            (f"{name}() needs the argument {missing!r}", None)
            for missing in self.missing
            if f"did you mean {missing!r}?" not in guessed
        ]
        found += [(f"{name}() got the argument {twice!r} twice", None) for twice in self.twice]
        if self.at_most is not None:
            found.append((f"{name}() takes at most {self.at_most} arguments without a name", None))
        return found


def known_arguments(cls: type) -> set[str]:
    """Every keyword that a class or its bases take, for suggestions. A class may list more in `known_arguments`."""
    names: set[str] = set()
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is not None and base is not object:
            parameters = inspect.signature(init).parameters.values()
            names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        names.update(base.__dict__.get("known_arguments", ()))
    return names - {"self"}


def _tell(
    made: Any,
    original: Callable[..., None],
    checked_init: Callable[..., None],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wrong: _Wrong,
) -> None:
    """Note (or raise) the mistakes; then make what can be made, so that the rest of the file can go on."""
    report(wrong.messages(type(made)))
    mark_broken(made)
    if not wrong.hopeless:
        original(made, *args, **{name: value for name, value in kwargs.items() if name not in wrong.unknown})
    elif type(made).__init__ is not checked_init:
        # A user's subclass would go on with a half-made object and fail where it is not at fault.
        raise ConfigErrors()


def mark_broken(made: Any) -> None:
    """Say that this object was made with wrong arguments, which have been reported; later checks leave it out."""
    if is_loading():
        with suppress(AttributeError):
            object.__setattr__(made, "_config_broken", True)
