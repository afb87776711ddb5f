"""Whether a configuration still makes the same build: a digest of each step's recipe, and of the builder's settings.

A build that goes on after a restart of the master takes its steps from the configuration that is then in force. The
digests are stored when the build begins; if the configuration now gives others, going on would mix two builds into
one.

A digest is of what a person wrote: names, arguments, and the code of functions and classes outside of Buildbot. It
does not depend on the process, the order of sets or dictionaries, or on where in the file something stands. Of a lock
it is the name alone: how many may hold it, and how much of it a use takes, change nothing of what a build does.
"""

from __future__ import annotations

import copyreg
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from buildbot.config.builder import BuilderConfig
from buildbot.process.factory import Recreatable, step_factory_of
from buildbot.process.locks import LockAccess, MasterLock, SlaveLock

MOST_PARTS = 2000  # what is beyond so many parts of a value is not looked at
_SETTINGS = ("env", "properties", "defaultProperties", "locks", "slavebuilddir")
_KEPT_OUT = frozenset({"_config_location"})
_classes: WeakKeyDictionary[type, str] = WeakKeyDictionary()  # what they were when they were seen first
_KEPT_OUT_OF_CLASSES = frozenset({"__dict__", "__weakref__", "__module__", "__doc__", "_all_renderables"})


def recipe_of(config: BuilderConfig) -> list[str]:
    """The digest of the builder's settings, then one for each step of its factory."""
    settings = {name: getattr(config, name, None) for name in _SETTINGS}
    settings["workdir"] = getattr(config.factory, "workdir", None)
    build_class = getattr(config.factory, "buildClass", None)
    if build_class is not None:
        settings["buildClass"] = _digest_of_class(build_class)
    new_build = getattr(type(config.factory), "newBuild", None)
    if new_build is not None and not _is_ours(new_build.__module__):
        settings["newBuild"] = digest(new_build)
    steps = [step_factory_of(step) for step in config.factory.steps]
    return [digest(settings), *(digest([_digest_of_class(each.factory), each.args, each.kwargs]) for each in steps)]


def look_at_classes(builders: Iterable[BuilderConfig]) -> None:
    """Take the digests of the steps' classes before any of them runs: what it keeps in its class is not its recipe."""
    for builder in builders:
        for step in builder.factory.steps:
            _digest_of_class(step_factory_of(step).factory)


def _digest_of_class(factory: Any) -> str:
    if not isinstance(factory, type):
        return digest(factory)
    if factory not in _classes:
        _classes[factory] = digest(factory)
    return _classes[factory]


def difference(before: list[str], now: list[str]) -> str | None:
    """In words what is not the same any more; None when all is."""
    if before[:1] != now[:1]:
        return "the builder's own settings have changed"
    for number, (old, new) in enumerate(zip(before[1:], now[1:], strict=False), 1):
        if old != new:
            return f"step {number} is another one now"
    if len(before) != len(now):
        return f"there are {len(now) - 1} steps where there were {len(before) - 1}"
    return None


def digest(value: Any) -> str:
    """A digest of a configured value: equal for equal values, also in another process."""
    return _hash(_Plain().of(value))


def _hash(plain: Any) -> str:
    return hashlib.sha256(repr(plain).encode("utf-8", "backslashreplace")).hexdigest()[:16]


class _Plain:
    """A value made of strings, numbers, lists and tuples alone, in an order of its own."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, Any]] = {}  # by id: what became of it, and itself: it must live on
        self._open: dict[int, int] = {}  # by id: how deep it is that we are in the middle of it

    def of(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value
        if id(value) in self._open:
            return ["itself", len(self._open) - self._open[id(value)]]
        if id(value) not in self._seen:
            if len(self._seen) + len(self._open) >= MOST_PARTS:
                return "..."
            self._open[id(value)] = len(self._open)
            plain = _hash(self._parts(value))
            del self._open[id(value)]
            self._seen[id(value)] = plain, value
        return [self._seen[id(value)][0]]

    def _parts(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [type(value).__name__, *(self.of(item) for item in value)]
        if isinstance(value, (set, frozenset)):
            return ["set", *sorted(_hash(self.of(item)) for item in value)]
        if isinstance(value, Mapping):
            items = [(_hash(self.of(key)), self.of(item)) for key, item in value.items()]
            return ["dict", *sorted(items, key=itemgetter(0))]
        if isinstance(value, ModuleType):
            return ["module", value.__name__]
        if isinstance(value, CodeType):
            return ["code", value.co_code, self.of(value.co_consts), value.co_names, value.co_varnames]
        if isinstance(value, MethodType):
            return ["method", self.of(value.__self__), self.of(value.__func__)]
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Recreatable):
            recipe = value.get_step_factory()
            return ["step", self.of(recipe.factory), self.of(recipe.args), self.of(recipe.kwargs)]
        if isinstance(value, LockAccess):
            return self._parts(value.lock)
        if isinstance(value, (MasterLock, SlaveLock)):
            return ["lock", list(value.key_on(""))]
        return self._pickled(value) if _says_how_it_is_pickled(type(value)) else self._object(value)

    def _function(self, value: FunctionType) -> Any:
        if _is_ours(value.__module__):
            name: Any = [value.__module__, value.__qualname__]
        else:
            used = [self.of(helper) for helper in _helpers(value)]
            name = [value.__name__, self.of(value.__code__), self.of(value.__kwdefaults__), used]
        return ["function", name, self.of(value.__defaults__), [self._cell(cell) for cell in value.__closure__ or ()]]

    def _cell(self, cell: Any) -> Any:
        try:
            return self.of(cell.cell_contents)
        except ValueError:
            return "empty"

    def _class(self, value: type) -> Any:
        if _is_ours(value.__module__):
            return ["class", value.__module__, value.__qualname__]
        own = {
            name: item
            for name, item in vars(value).items()
            if name not in _KEPT_OUT_OF_CLASSES and not name.startswith(("_abc", "__static", "__first"))
        }
        return ["class", value.__qualname__, self.of(value.__bases__), self.of(own)]

    def _object(self, value: Any) -> Any:
        """By what it is made of; where it stands in the file is none of that."""
        made_of = dict(getattr(value, "__dict__", {}))
        for kind in type(value).__mro__:
            slots = getattr(kind, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    made_of[name] = getattr(value, name)
        made_of = {name: item for name, item in made_of.items() if name not in _KEPT_OUT and not name.startswith("__")}
        return ["object", self.of(type(value)), self.of(made_of)]


    def _pickled(self, value: Any) -> Any:
        """As pickle takes it apart: a path, a date, a compiled expression, a partial ..."""
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(4) if registered is None else registered(value)
        except Exception:
            return self._object(value)  # it only says that it cannot be pickled
        inside = self.of(getattr(value, "__wrapped__", None))
        if isinstance(reduced, str):
            return ["object", self.of(type(value)), reduced, inside]
        parts = [list(part) if isinstance(part, Iterator) else part for part in reduced]
        return ["object", self.of(type(value)), *map(self.of, parts), inside]


def _says_how_it_is_pickled(kind: type) -> bool:
    base: Any = object
    methods = ("__reduce_ex__", "__reduce__")
    return kind in copyreg.dispatch_table or any(getattr(kind, name) is not getattr(base, name) for name in methods)


def _helpers(function: FunctionType) -> Iterator[Any]:
    """The functions and classes that it uses by their names; other globals may change while the master runs."""
    waiting, seen = [function.__code__], set[str]()
    while waiting:
        code = waiting.pop()
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
        for name in code.co_names:
            used = function.__globals__.get(name)
            if name not in seen and isinstance(used, (FunctionType, type)) and not _is_ours(used.__module__):
                seen.add(name)
                yield used


def _is_ours(module: str | None) -> bool:
    """Whether it is Buildbot's, Twisted's or Python's: then its name says enough."""
    root = "" if module is None else module.split(".")[0]
    return root in ("buildbot", "builtins", "twisted", "zope") or root in sys.stdlib_module_names
