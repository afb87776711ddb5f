"""The renderables that are not format strings: Property, FlattenList, Transform, renderer, Secret and the operators."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from zope.interface import implementer

from buildbot.config.errors import error
from buildbot.process.rendering import IRenderable, PropertySource, RenderingError, render

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "in": lambda a, b: a in b,
}


class Operators:
    """Gives a renderable the operators of Python: the answer is computed in each build, from both rendered sides."""

    __slots__ = ()

    def __eq__(self, other: object) -> Any:
        return Operation("==", self, other)

    def __ne__(self, other: object) -> Any:
        return Operation("!=", self, other)

    def __lt__(self, other: object) -> Operation:
        return Operation("<", self, other)

    def __le__(self, other: object) -> Operation:
        return Operation("<=", self, other)

    def __gt__(self, other: object) -> Operation:
        return Operation(">", self, other)

    def __ge__(self, other: object) -> Operation:
        return Operation(">=", self, other)

    def __add__(self, other: object) -> Operation:
        return Operation("+", self, other)

    def __radd__(self, other: object) -> Operation:
        return Operation("+", other, self)

    def __sub__(self, other: object) -> Operation:
        return Operation("-", self, other)

    def __mul__(self, other: object) -> Operation:
        return Operation("*", self, other)

    def __truediv__(self, other: object) -> Operation:
        return Operation("/", self, other)

    def __floordiv__(self, other: object) -> Operation:
        return Operation("//", self, other)

    def __mod__(self, other: object) -> Operation:
        return Operation("%", self, other)

    def in_(self, other: object) -> Operation:
        """Whether this value is in the other one (Python's `in` cannot be delayed)."""
        return Operation("in", self, other)

    def same_as(self, other: object) -> bool:
        """Whether `other` is written the same way: what a comparison of two configurations asks."""
        if type(self) is not type(other):
            return False
        return _same(self._facts(), other._facts())

    def _facts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for cls in type(self).__mro__ for name in cls.__dict__.get("__slots__", ()))

    def __hash__(self) -> int:
        return hash(type(self))  # equal for all that may be the same; renderables are rarely keys


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Operators):
        return a.same_as(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(item, b[key]) for key, item in a.items())
    return bool(a == b)


@implementer(IRenderable)
class Operation(Operators):
    """Two values and an operator between them, applied when a build runs."""

    __slots__ = ("symbol", "left", "right")

    def __init__(self, symbol: str, left: Any, right: Any) -> None:
        self.symbol = symbol
        self.left = left
        self.right = right

    async def getRenderingFor(self, properties: PropertySource) -> Any:
        left = await render(self.left, properties)
        right = await render(self.right, properties)
        try:
            return _FUNCTIONS[self.symbol](left, right)
        except TypeError as wrong:
            raise RenderingError(f"cannot compute {self!r} from {left!r} and {right!r}: {wrong}") from wrong

    def __bool__(self) -> bool:
        """Python itself asks this in `x in a_list`; then `==` means "written the same way"."""
        if self.symbol == "==":
            return _same(self.left, self.right)
        if self.symbol == "!=":
            return not _same(self.left, self.right)
        raise TypeError(
            f"{self!r} has no value while the configuration is read; it gets one in each build "
            "(use it as an argument, or decide inside a @renderer function)"
        )

    def __repr__(self) -> str:
        return f"({self.left!r} {self.symbol} {self.right!r})"


@implementer(IRenderable)
class Property(Operators):
    """The value of one property, of any type.

    key: its name. default: what to use instead (itself renderable). defaultWhenFalse: whether the default also
    replaces a value that Python takes for false (empty, zero, None); otherwise only a property that is not set.
    """

    __slots__ = ("key", "default", "defaultWhenFalse")

    def __init__(self, key: Any, default: Any = None, defaultWhenFalse: bool = True) -> None:
        if not isinstance(key, str):
            error(f"Property() takes the name of a property, not {key!r}")
        self.key = key
        self.default = default
        self.defaultWhenFalse = defaultWhenFalse

    def getRenderingFor(self, properties: PropertySource) -> Any:
        value = properties.getProperty(self.key)
        if value or (not self.defaultWhenFalse and properties.hasProperty(self.key)):
            return value
        return self.default

    def __repr__(self) -> str:
        return f"Property({self.key!r})" if self.default is None else f"Property({self.key!r}, {self.default!r})"


@implementer(IRenderable)
class FlattenList(Operators):
    """A list whose nested lists are spread out, after rendering. types: which containers are spread."""

    __slots__ = ("nested", "types")

    def __init__(self, nestedlist: Any, types: tuple[type, ...] = (list, tuple)) -> None:
        self.nested = nestedlist
        self.types = types

    async def getRenderingFor(self, properties: PropertySource) -> list[Any]:
        return list(flatten(await render(self.nested, properties), self.types))

    def __add__(self, other: Any) -> Any:
        return FlattenList([self.nested, other], self.types)

    def __repr__(self) -> str:
        return f"FlattenList({self.nested!r})"


def flatten(nested: Any, types: tuple[type, ...] = (list, tuple)) -> Iterator[Any]:
    """The items of nested containers, one after the other."""
    for item in nested:
        if isinstance(item, types):
            yield from flatten(item, types)
        else:
            yield item


@implementer(IRenderable)
class Transform(Operators):
    """Calls `function` with the rendered arguments, in each build; its answer may be renderable again."""

    __slots__ = ("function", "args", "kwargs")

    def __init__(self, function: Any, *args: Any, **kwargs: Any) -> None:
        if not callable(function) and not hasattr(function, "getRenderingFor"):
            error(f"Transform() takes a function first, not {function!r}")
        self.function = function
        self.args = args
        self.kwargs = kwargs

    async def getRenderingFor(self, properties: PropertySource) -> Any:
        function = await render(self.function, properties)
        args = await render(self.args, properties)
        kwargs = await render(self.kwargs, properties)
        return function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Transform({_name(self.function)}, ...)"


@implementer(IRenderable)
class renderer:
    """Decorator: the function is called with the properties of each build and returns the value.

    It may be `async`, return a Deferred, or return something renderable. `withArgs(...)` gives a renderable that also
    passes these arguments, rendered first.
    """

    def __init__(self, function: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None):
        if not callable(function):
            error(f"@renderer decorates a function, not {function!r}")
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}
        functools.update_wrapper(self, function, updated=())

    def withArgs(self, *args: Any, **kwargs: Any) -> renderer:
        return renderer(self.function, (*self.args, *args), {**self.kwargs, **kwargs})

    def getRenderingFor(self, properties: PropertySource) -> Any:
        if not self.args and not self.kwargs:
            return self.function(properties)
        return self._with_rendered_arguments(properties)

    async def _with_rendered_arguments(self, properties: PropertySource) -> Any:
        args = await render(self.args, properties)
        kwargs = await render(self.kwargs, properties)
        return self.function(properties, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, renderer)
            and self.function == other.function
            and _same(self.args, other.args)
            and _same(self.kwargs, other.kwargs)
        )

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return f"renderer({_name(self.function)})"


class NoSecrets(RenderingError):
    """A secret is wanted where there is nobody to ask for it."""


@implementer(IRenderable)
class Secret(Operators):
    """A value kept outside the configuration, by name; asked for in each build."""

    __slots__ = ("secret_name",)

    def __init__(self, secret_name: Any) -> None:
        if not isinstance(secret_name, str):
            error(f"Secret() takes the name of a secret, not {secret_name!r}")
        self.secret_name = secret_name

    def getRenderingFor(self, properties: PropertySource) -> Any:
        return secret(properties, self.secret_name)

    def __repr__(self) -> str:
        return f"Secret({self.secret_name!r})"


def secret(properties: PropertySource, name: str) -> Any:
    """Ask the build for a secret. Its `getSecret(name)` may answer later."""
    build = build_of(properties)
    ask = getattr(build, "getSecret", None) or getattr(properties, "getSecret", None)
    if ask is None:
        no_secrets(name)
    return ask(name)


def no_secrets(name: str) -> NoReturn:
    """Raise NoSecrets, which says what to do."""
    raise NoSecrets(f"the secret {name!r} is wanted, but there is no secret provider: add one to c['secretsProviders']")


@implementer(IRenderable)
class _URLForBuild(Operators):
    """The address of the build's page."""

    __slots__ = ()

    def getRenderingFor(self, properties: PropertySource) -> Any:
        url = getattr(build_of(properties), "getUrl", None)
        if url is None:
            raise RenderingError("URLForBuild has no value outside a build")
        return url()

    def __repr__(self) -> str:
        return "URLForBuild"


URLForBuild = _URLForBuild()


def build_of(properties: Any) -> Any:
    """The build that some properties belong to; a build given instead of properties is taken as it is."""
    build = getattr(properties, "build", None)
    if build is None and hasattr(properties, "getSourceStamp"):
        return properties
    return build


def _name(function: Any) -> str:
    return getattr(function, "__name__", repr(function))
