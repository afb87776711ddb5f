"""The properties of a build: named values, each with the source that set it. The last one to set a value wins.

Also the public home of everything that turns properties into values: `Interpolate`, `Property`, `renderer` ...
"""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from zope.interface import implementer

from buildbot.process.interpolate import Interpolate, WithProperties
from buildbot.process.renderables import (
    FlattenList,
    Property,
    Secret,
    Transform,
    URLForBuild,
    flatten,
    renderer,
)
from buildbot.process.rendering import (
    BuildForRendering,
    IProperties,
    IRenderable,
    PropertySource,
    RenderingError,
    needs_rendering,
    render,
)

__all__ = [
    "BuildForRendering",
    "FlattenList",
    "IProperties",
    "IRenderable",
    "Interpolate",
    "Properties",
    "Property",
    "PropertySource",
    "RenderingError",
    "Secret",
    "Transform",
    "URLForBuild",
    "WithProperties",
    "flatten",
    "needs_rendering",
    "render",
    "renderer",
]

_PLAIN = frozenset({str, int, bool, type(None)})


@implementer(IProperties)
class Properties:
    """Named values with their sources. Values are what JSON can hold, because they are stored with the build.

    Runtime properties (set while the build ran) are known by name, because a rebuild does not repeat them.
    `build` is the build they belong to, or None.
    """

    __slots__ = ("build", "properties", "runtime")

    def __init__(self, **values: Any) -> None:
        self.properties: dict[str, tuple[Any, str]] = {}
        self.runtime: set[str] = set()
        self.build: Any = None
        if values:
            self.update(values, "given")

    @classmethod
    def fromDict(cls, values: Mapping[str, tuple[Any, str]]) -> Properties:
        """From {name: (value, source)}, as `asDict` gives it and the store keeps it."""
        made = cls()
        for name, (value, source) in values.items():
            made.properties[name] = (value, source)
        return made

    def getProperty(self, name: str, default: Any = None) -> Any:
        """The value, or the default when it is not set."""
        found = self.properties.get(name)
        return default if found is None else found[0]

    def getPropertySource(self, name: str) -> str:
        """Who set this property. Raises KeyError when nobody did."""
        return self.properties[name][1]

    def hasProperty(self, name: str) -> bool:
        return name in self.properties

    has_key = hasProperty

    def setProperty(self, name: str, value: Any, source: str = "", runtime: bool = False) -> None:
        """Set a value over whatever was there. Raises TypeError for a value that JSON cannot hold."""
        if type(value) not in _PLAIN:
            _check_storable(name, value)
        if not isinstance(name, str):
            raise TypeError(f"a property's name is a string, not {name!r}")
        self.properties[name] = (value, source)
        if runtime:
            self.runtime.add(name)

    def update(self, values: Mapping[str, Any], source: str, runtime: bool = False) -> None:
        """Set several values from one source."""
        for name, value in values.items():
            self.setProperty(name, value, source, runtime)

    def updateFromProperties(self, other: Properties) -> None:
        """Take over another object's values with their sources."""
        self.properties.update(other.properties)
        self.runtime.update(other.runtime)

    def updateFromPropertiesNoRuntime(self, other: Properties) -> None:
        """Take over what another object was given, without what was set while its build ran."""
        for name, kept in other.properties.items():
            if name not in other.runtime:
                self.properties[name] = kept

    def asList(self) -> list[tuple[str, Any, str]]:
        """(name, value, source), sorted by name."""
        return [(name, value, source) for name, (value, source) in self._sorted()]

    def _sorted(self) -> list[tuple[str, tuple[Any, str]]]:
        return sorted(self.properties.items(), key=lambda item: item[0])

    def asDict(self) -> dict[str, tuple[Any, str]]:
        """{name: (value, source)}, a new dictionary."""
        return dict(self.properties)

    def getProperties(self) -> Properties:
        return self

    def getBuild(self) -> Any:
        return self.build

    def render(self, value: Any) -> Deferred[Any]:
        """A Deferred of the value for this build; custom steps `await` or `yield` it."""
        return ensureDeferred(render(value, self))

    def get(self, name: str, default: Any = None) -> Any:
        return self.getProperty(name, default)

    def keys(self) -> KeysView[str]:
        return self.properties.keys()

    def items(self) -> ItemsView[str, tuple[Any, str]]:
        return self.properties.items()

    def __getitem__(self, name: str) -> Any:
        return self.properties[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self.properties

    def __iter__(self) -> Iterator[str]:
        return iter(self.properties)

    def __len__(self) -> int:
        return len(self.properties)

    def __bool__(self) -> bool:
        return True  # an object without properties is still an object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Properties) and self.properties == other.properties

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Properties({', '.join(f'{name}={kept[0]!r}' for name, kept in self._sorted())})"


def _check_storable(name: str, value: Any) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as wrong:
        raise TypeError(f"property {name!r} cannot be {value!r}: it must be plain data as in JSON ({wrong})") from None
