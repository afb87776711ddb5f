"""A buildslave as the configuration describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import error, is_text, without_effect
from buildbot.config.ports import BadPort, slave_ports

KEEPALIVE_SECONDS = 3600.0  # the default of other masters; ours asks a silent slave after 30 s, whatever is given
RESERVED_NAMES = frozenset({"debug", "change", "status", "statusClient"})
_NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f]+")


class GivenProperties(dict[str, Any]):
    """Properties as a configuration gives them, which it may also ask for."""

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.get(name, default)

    def hasProperty(self, name: str) -> bool:
        return name in self


@configurable
class BuildSlave:
    """A machine that runs builds, known by its name and password.

    name: unique; without spaces and slashes. password: a string (or a Secret). max_builds: how many builds it runs at
    once (None: no limit). notify_on_missing: a mail address or a list of them. missing_timeout: seconds without the
    slave before that mail. properties, defaultProperties: set in each build on it (the latter only if nothing else
    sets them). locks: taken by every build on it. keepalive_interval: seconds between signs of life (None: none).
    port: where this slave logs in, instead of the ports of c['protocols']: a number, an endpoint string or a list.
    """

    def __init__(
        self,
        name: Any,
        password: Any,
        max_builds: int | None = None,
        notify_on_missing: str | Sequence[str] | None = None,
        missing_timeout: float | None = 3600,
        properties: Mapping[str, Any] | None = None,
        locks: Sequence[Any] | None = None,
        keepalive_interval: float | None = KEEPALIVE_SECONDS,
        defaultProperties: Mapping[str, Any] | None = None,
        machine_name: str | None = None,
        port: Any = None,
    ) -> None:
        self.name: str = name
        self.password = password
        self.max_builds = max_builds
        self.notify_on_missing: tuple[str, ...] = _addresses(name, notify_on_missing)
        self.missing_timeout = missing_timeout
        self.properties = GivenProperties(properties or {})
        self.defaultProperties: dict[str, Any] = dict(defaultProperties or {})
        self.locks: list[Any] = list(locks or [])
        self.keepalive_interval = keepalive_interval
        self.machine_name = machine_name
        self.port = port
        self.ports: tuple[str, ...] = _ports(name, port)
        self._check()
        for argument in ("notify_on_missing", "machine_name"):
            if getattr(self, argument):
                without_effect(f"{argument}= of slave {name!r}")
        if keepalive_interval not in (None, KEEPALIVE_SECONDS):
            without_effect(f"keepalive_interval= of slave {name!r}")

    @property
    def slavename(self) -> str:
        return self.name

    @property
    def workername(self) -> str:
        return self.name

    def _check(self) -> None:
        if not is_text(self.name) or not _NAME.fullmatch(self.name):
            error(f"a slave's name is a string without spaces and slashes, not {self.name!r}")
        elif self.name in RESERVED_NAMES:
            error(f"the slave name {self.name!r} is reserved", "choose another name")
        if not isinstance(self.password, str) and not hasattr(self.password, "getRenderingFor"):
            error(f"slave {self.name!r}: the password must be a string")
        whole = isinstance(self.max_builds, int) and not isinstance(self.max_builds, bool)
        if self.max_builds is not None and (not whole or self.max_builds < 1):
            error(f"slave {self.name!r}: max_builds must be a whole number of at least 1, not {self.max_builds!r}")

    def _facts(self) -> tuple[Any, ...]:
        return tuple(value for name, value in sorted(vars(self).items()) if not name.startswith("_config"))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"  # never the password


class Worker(BuildSlave):
    """The newer name of BuildSlave."""


def slave_from(given: Any) -> Any:
    """A BuildSlave from an entry of c['slaves']; the oldest configurations write `("name", "password")`."""
    if isinstance(given, tuple) and len(given) == 2:
        return BuildSlave(*given)
    return given


def _ports(name: Any, given: Any) -> tuple[str, ...]:
    """Its own endpoints; none if it logs in where all do."""
    if given is None:
        return ()
    try:
        return slave_ports(given)
    except BadPort as bad:
        error(f"slave {name!r}: {bad}")
        return ()


def _addresses(name: str, given: Any) -> tuple[str, ...]:
    if not given:
        return ()
    addresses = (given,) if isinstance(given, str) else tuple(given)
    for address in addresses:
        if not isinstance(address, str):
            error(f"slave {name!r}: notify_on_missing takes mail addresses, not {address!r}")
    return addresses
