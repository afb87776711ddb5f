"""What stands in for a name of Buildbot that this version does not have, so that the rest of a configuration is read.

A stand-in may be called, subclassed and asked for anything. The mistake has been noted where it was imported; the
configuration is refused in any case.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from buildbot.config.errors import error
from buildbot.config.names.dropped import advice_for
from buildbot.config.names.known import KNOWN_MODULES

#: The modules that were made for this load, to be forgotten with it.
_made: list[str] = []


class _AbsentType(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name)

    def __repr__(cls) -> str:
        return f"{cls.__name__}, which is not in this version"


class Absent(metaclass=_AbsentType):
    """Any name that is not there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Whatever it is given."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else Absent()  # it may be a decorator

    def __repr__(self) -> str:
        return repr(type(self))


def stand_in(name: str) -> Any:
    return _AbsentType(name, (Absent,), {})


def is_absent(value: Any) -> bool:
    return isinstance(value, (Absent, _AbsentType))


def without_absent(given: Mapping[Any, Any]) -> tuple[dict[Any, Any], set[Any]]:
    """BuildmasterConfig without stand-ins, and the keys from which some were taken."""
    kept: dict[Any, Any] = {}
    missing: set[Any] = set()
    for key, value in given.items():
        if is_absent(value):
            missing.add(key)
            continue
        if isinstance(value, (list, tuple)):
            kept[key] = [item for item in value if not is_absent(item)]
        elif isinstance(value, Mapping):
            kept[key] = {name: item for name, item in value.items() if not is_absent(item)}
        else:
            kept[key] = value
            continue
        if len(kept[key]) != len(value):
            missing.add(key)
        else:
            kept[key] = value
    return kept, missing


def is_module(name: str) -> bool:
    """Whether it is a module of Buildbot in some era, or a package of such."""
    return name in KNOWN_MODULES or any(known.startswith(name + ".") for known in KNOWN_MODULES)


def module_spec(name: str) -> importlib.machinery.ModuleSpec:
    """Note that the module is not there, and give one that has every name."""
    parent = name.rpartition(".")[0]
    if parent not in _made:
        hint = advice_for("", name) or "it is a module of Buildbot, but not in this version"
        error(f"there is no module {name}", hint)
    _made.append(name)
    return importlib.machinery.ModuleSpec(name, _AbsentLoader(), is_package=True)


def forget_modules() -> None:
    """The load is over: whoever imports such a module again is told again."""
    for name in _made:
        sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        vars(sys.modules.get(parent, ModuleType(parent))).pop(child, None)
    _made.clear()


class _AbsentLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        def __getattr__(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return stand_in(name)

        module.__dict__["__getattr__"] = __getattr__
