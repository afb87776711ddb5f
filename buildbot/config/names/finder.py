"""The import hook that serves the table of names."""

from __future__ import annotations

import dis
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from buildbot.config.errors import did_you_mean, error, is_loading
from buildbot.config.names import absent
from buildbot.config.names.dropped import advice_for
from buildbot.config.names.known import KNOWN_MODULES, KNOWN_NAMES
from buildbot.config.names.table import OWN_MODULES, PLUGIN_GROUPS, TABLE

_PACKAGES = frozenset(
    path.rsplit(".", depth)[0]
    for path in TABLE
    for depth in range(1, path.count(".") + 1)
    if path.startswith("buildbot.")
)
_EXTENDED = frozenset({*TABLE, *_PACKAGES, *OWN_MODULES})


class Message(NamedTuple):
    """What is said about a name that is not there. known: it is a name of Buildbot in some era."""

    text: str
    hint: str | None
    known: bool = False


def names_of(module: str) -> list[str]:
    """Every public name of a module path: those of the table and, when it is loaded, its own."""
    names = set(TABLE.get(module, ()))
    prefix = module + "."
    names |= {path[len(prefix) :].partition(".")[0] for path in TABLE if path.startswith(prefix)}
    loaded = sys.modules.get(module)
    if loaded is not None:
        names |= {name for name in vars(loaded) if not name.startswith("_")}
    return sorted(names)


def message_for(module: str, name: str) -> Message:
    """Why `module` has no `name`, and what may have been meant."""
    hint = did_you_mean(name, names_of(module))
    elsewhere = next((path for path in TABLE if name in TABLE[path]), None)
    dropped = advice_for(name, f"{module}.{name}")
    known = False
    if elsewhere is not None:
        hint = f"it is in {elsewhere}"
    elif dropped is not None:
        hint, known = dropped, True
    elif name in KNOWN_NAMES or f"{module}.{name}" in KNOWN_MODULES:
        hint, known = "it is a name of Buildbot, but not in this version", True
    return Message(f"there is no {name!r} in {module}", hint, known)


def resolve(target: str) -> Any:
    """The object behind `module:attribute`, or the module of that name."""
    module, _, attribute = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split(".") if attribute else ():
        found = getattr(found, part)
    return found


def _getter(module: str, older: Callable[[str], Any] | None = None) -> Callable[[str], Any]:
    """The `__getattr__` of a module path: the table, submodules, installed plugins, or a message with a suggestion."""
    table = TABLE.get(module, {})

    def __getattr__(name: str) -> Any:
        if name in table:
            return resolve(table[name])
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if f"{module}.{name}" in TABLE or f"{module}.{name}" in _PACKAGES:
            return importlib.import_module(f"{module}.{name}")
        plugin = _plugin(module, name)
        if plugin is not None:
            return plugin
        if older is not None:
            return older(name)
        text, hint, known = message_for(module, name)
        if known and is_loading() and not _is_submodule(module, name):
            error(text, hint)
            return absent.stand_in(name)
        whole = f"{text} ({hint})" if hint else text
        if _is_from_import(sys._getframe(1)):
            raise ImportError(whole, name=module)
        raise AttributeError(whole, name=name)

    return __getattr__


def _plugin(module: str, name: str) -> Any:
    """What an installed package registers for `buildbot.plugins.GROUP`, or None.

    Of a name with a dot, such as `svn.split`, the first part gives a namespace with the rest.
    """
    group = PLUGIN_GROUPS.get(module)
    if group is None:
        return None
    within: dict[str, Any] = {}
    for entry in importlib.metadata.entry_points(group=group):
        if entry.name == name:
            return entry.load()
        first, dot, rest = entry.name.partition(".")
        if dot and first == name:
            within[rest] = entry.load()
    return SimpleNamespace(**within) if within else None


def _is_submodule(module: str, name: str) -> bool:
    """Whether it is a file beside the module's, which `from module import name` looks for after this."""
    path = getattr(sys.modules.get(module), "__path__", None)
    return path is not None and importlib.machinery.PathFinder.find_spec(f"{module}.{name}", path) is not None


def _is_from_import(frame: FrameType) -> bool:
    """Whether `frame` is at `from module import name`: there Python puts its own text for an AttributeError's."""
    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and dis.opname[code[frame.f_lasti]] == "IMPORT_FROM"


class _VirtualLoader(importlib.abc.Loader):
    """Makes a module that exists in the table only."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        module.__doc__ = "Served by buildbot.config.names."
        module.__dict__["__getattr__"] = _getter(name)
        module.__dict__["__dir__"] = lambda: names_of(name)
        module.__dict__["__all__"] = sorted(TABLE.get(name) or names_of(name))  # for `from ... import *`


class _Finder(importlib.abc.MetaPathFinder):
    """Comes last: whatever has a file is found before it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in TABLE and fullname not in _PACKAGES:
            return absent.module_spec(fullname) if is_loading() and absent.is_module(fullname) else None
        return importlib.machinery.ModuleSpec(fullname, _VirtualLoader(), is_package=True)


class _Extending(importlib.abc.MetaPathFinder):
    """Comes first: gives a module of ours, when it is imported, the names it had in other eras."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "buildbot" or fullname not in _EXTENDED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        loader = spec.loader
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            _extend(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _extend(module: ModuleType) -> None:
    getter = module.__dict__.get("__getattr__")
    if getattr(getter, "__module__", None) != __name__:
        module.__dict__["__getattr__"] = _getter(module.__name__, getter)


def install() -> None:
    """Make all the names importable. Any number of calls do the same as one."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Extending())
        sys.meta_path.append(_Finder())
    for name in _EXTENDED:
        module = sys.modules.get(name)
        if module is not None:
            _extend(module)
