"""How a configured value becomes the value of one build: `render()`, and what it asks of those who take part.

Anything with `getRenderingFor(properties)` is renderable; it may answer with a value, another renderable, a
coroutine or a Deferred. Lists, tuples and dicts are rendered item by item, to any depth.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import Interface

_PLAIN = frozenset({str, int, bool, float, bytes, type(None)})


class IRenderable(Interface):
    """A value that depends on the build: users' classes declare it with `@implementer(IRenderable)`."""

    def getRenderingFor(properties: Any) -> Any:
        """Return the value for the build these properties belong to (or a Deferred or coroutine of it)."""


class IProperties(Interface):
    """Something with properties: a Properties object, a build, a step."""

    def getProperty(name: str, default: Any = None) -> Any:
        """The value of a property, or the default."""

    def hasProperty(name: str) -> bool:
        """Whether the property is set."""

    def setProperty(name: str, value: Any, source: str, runtime: bool = False) -> None:
        """Set a property."""


class BuildForRendering(Protocol):
    """What the `src:`, `slave:`/`worker:` and `secret:` selectors ask of a build."""

    def getSourceStamp(self, codebase: str = "") -> Any:
        """The source stamp of a codebase (attributes, or asDict()), or None when the build has no such codebase."""

    def getSlaveInfo(self) -> Mapping[str, Any]:
        """What the slave told about itself, with its name under `name`."""


class PropertySource(Protocol):
    """What rendering needs: properties by name, and the build they belong to (None before there is one)."""

    build: Any

    def getProperty(self, name: str, default: Any = None) -> Any: ...

    def hasProperty(self, name: str) -> bool: ...


class RenderingError(Exception):
    """A value of the configuration could not be made for this build; the text says which and why."""


def needs_rendering(value: Any) -> bool:
    """Whether `render` would do anything to `value`; a plain string or number costs one lookup."""
    kind = type(value)
    if kind in _PLAIN:
        return False
    if isinstance(value, (list, tuple)):
        return any(needs_rendering(item) for item in value)
    if isinstance(value, dict):
        return any(needs_rendering(key) or needs_rendering(item) for key, item in value.items())
    return is_renderable(value) or is_waiting(value)


def is_renderable(value: Any) -> bool:
    """Whether `value` itself (not its items) has a rendering. Classes have none, their instances may."""
    return hasattr(type(value), "getRenderingFor") or (
        not isinstance(value, type) and callable(getattr(value, "getRenderingFor", None))
    )


def is_waiting(value: Any) -> bool:
    """Whether `value` is a Deferred or anything else that must be awaited first."""
    return isinstance(value, Deferred) or inspect.isawaitable(value)


async def render(value: Any, properties: PropertySource) -> Any:
    """The value for one build. Containers come back as new ones, so the configuration's own is never shared."""
    while True:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if is_waiting(value):
            value = await _awaited(value)
        elif isinstance(value, (list, tuple, dict)):
            return await _render_items(value, properties)
        elif is_renderable(value):
            value = value.getRenderingFor(properties)
        else:
            return value


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _render_items(value: Any, properties: PropertySource) -> Any:
    if isinstance(value, dict):
        return {await render(key, properties): await render(item, properties) for key, item in value.items()}
    items = [await render(item, properties) for item in value]
    if isinstance(value, list):
        return items
    make = getattr(type(value), "_make", tuple)  # a NamedTuple stays one
    return make(items)
