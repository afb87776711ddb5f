"""The keys of BuildmasterConfig, of every era: which there are, what type each has, and which mean the same.

The result of `read_keys` has one spelling for each: title, titleURL, buildbotURL, slaves, builders, schedulers,
change_source, status, services, www, ports, properties and so on. Everything that is wrong has been reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from buildbot.config.errors import did_you_mean, error, without_effect
from buildbot.config.ports import BadPort, slave_ports


class Kind(NamedTuple):
    """What a key's value must be."""

    says: str
    fits: Callable[[Any], bool]


TEXT = Kind("a string", lambda value: isinstance(value, str))
LIST = Kind("a list", lambda value: isinstance(value, (list, tuple)))
DICT = Kind("a dict", lambda value: isinstance(value, Mapping))
FUNCTION = Kind("a function", callable)
BOOL = Kind("True or False", lambda value: isinstance(value, bool))
COUNT = Kind("a whole number of at least 0", lambda value: _is_count(value))
COUNT_OR_NO = Kind("a whole number, or False or None", lambda value: value in (False, None) or _is_count(value))
YES_OR_FUNCTION = Kind("True, False or a function", lambda value: isinstance(value, bool) or callable(value))
ENCODING = Kind("the name of an encoding, such as 'utf-8'", lambda value: is_encoding(value))
ANYTHING = Kind("anything", lambda value: True)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_encoding(value: Any) -> bool:
    """Whether it is the name of an encoding of text that Python knows."""
    try:
        return isinstance(value, str) and "".encode(value) is not None
    except LookupError:
        return False


KEYS: Mapping[str, Kind] = {
    "title": TEXT,
    "titleURL": TEXT,
    "buildbotURL": TEXT,
    "builders": LIST,
    "slaves": LIST,
    "schedulers": LIST,
    "change_source": ANYTHING,
    "status": LIST,
    "services": LIST,
    "www": DICT,
    "slavePortnum": ANYTHING,
    "protocols": DICT,
    "properties": DICT,
    "validation": DICT,
    "mergeRequests": YES_OR_FUNCTION,
    "collapseRequests": YES_OR_FUNCTION,
    "prioritizeBuilders": FUNCTION,
    "select_next_worker": FUNCTION,
    "codebaseGenerator": FUNCTION,
    "codebases": LIST,
    "projects": LIST,
    "multiMaster": BOOL,
    "db": DICT,
    "db_url": ANYTHING,
    "db_poll_interval": ANYTHING,
    "mq": DICT,
    "caches": DICT,
    "buildCacheSize": COUNT,
    "changeCacheSize": COUNT,
    "autoBuildCacheRatio": ANYTHING,
    "changeHorizon": COUNT_OR_NO,
    "buildHorizon": COUNT_OR_NO,
    "eventHorizon": COUNT_OR_NO,
    "logHorizon": COUNT_OR_NO,
    "retention": LIST,
    "logCompressionLimit": COUNT_OR_NO,
    "logCompressionMethod": TEXT,
    "logMaxSize": COUNT_OR_NO,
    "logMaxTailSize": COUNT_OR_NO,
    "logEncoding": ENCODING,
    "debugPassword": TEXT,
    "manhole": ANYTHING,
    "metrics": ANYTHING,
    "user_managers": LIST,
    "revlink": FUNCTION,
    "machines": LIST,
    "secretsProviders": LIST,
    "configurators": LIST,
    "buildbotNetUsageData": ANYTHING,
}

# spellings of other eras: {old: present}
SAME: Mapping[str, str] = {
    "projectName": "title",
    "projectURL": "titleURL",
    "workers": "slaves",
    "bots": "slaves",
    "sources": "change_source",
}

# both spellings often stand in one file, and the newer one is meant
QUIETLY_SAME = frozenset({"projectName", "projectURL"})

GONE: Mapping[str, str] = {
    "interlocks": "use locks: MasterLock or SlaveLock in the builders' and steps' locks=[...]",
    "schedulerdb": "the store is state.sqlite in the base directory",
}

# accepted because configurations have them, but nothing here acts on them yet
WITHOUT_EFFECT = (
    "codebases",
    "projects",
    "mq",
    "caches",
    "buildCacheSize",
    "changeCacheSize",
    "autoBuildCacheRatio",
    "debugPassword",
    "manhole",
    "metrics",
    "user_managers",
    "revlink",
    "machines",
)


def read_keys(given: Mapping[Any, Any], at: Callable[[str], None]) -> dict[str, Any]:
    """The values under their present names. `at(key)` is called before a key is judged, to set its place."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        at(str(key))
        if key in KEYS:
            _keep(values, given, key, key, value)
        elif key in SAME:
            _keep(values, given, key, SAME[key], value)
        else:
            _unknown(key)
    for key in WITHOUT_EFFECT:
        if values.get(key):
            at(key)
            without_effect(f"c[{key!r}]")
    return values


def _keep(values: dict[str, Any], given: Mapping[Any, Any], key: str, name: str, value: Any) -> None:
    if key != name and name in given:
        if key not in QUIETLY_SAME:
            error(f"c[{key!r}] and c[{name!r}] are the same key; give one of them")
        return
    if name in values:
        error(f"c[{key!r}] and another key both give c[{name!r}]; give one of them")
        return
    kind = KEYS[name]
    if value is None and kind is not LIST:
        return
    if not kind.fits(value):
        error(f"c[{key!r}] must be {kind.says}, not {_shown(value)}")
        return
    values[name] = value


def _unknown(key: Any) -> None:
    known = [*KEYS, *SAME]
    if not isinstance(key, str):
        error(f"the keys of BuildmasterConfig are strings, not {key!r}")
    elif key in GONE:
        error(f"c[{key!r}] is not a key any more", GONE[key])
    else:
        hint = did_you_mean(key, known) or "values of your own belong in ordinary variables"
        error(f"c[{key!r}] is not a key of BuildmasterConfig", hint)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else f"a {type(value).__name__}"


class Ports(NamedTuple):
    """The endpoint strings on which slaves are awaited; empty when none was asked for."""

    pb: tuple[str, ...] = ()
    msgpack: tuple[str, ...] = ()


def read_ports(values: Mapping[str, Any], at: Callable[[str], None]) -> Ports:
    """Where c['slavePortnum'] or c['protocols'] have slaves connect."""
    if "slavePortnum" in values and "protocols" in values:
        at("slavePortnum")
        error("c['slavePortnum'] is the older form of c['protocols']; give one of them")
        return Ports()
    if "slavePortnum" in values:
        at("slavePortnum")
        return Ports(_endpoints("c['slavePortnum']", values["slavePortnum"]))
    at("protocols")
    ports = Ports()
    for name, options in values.get("protocols", {}).items():
        if name == "pb":
            ports = ports._replace(pb=_ports_of(name, options))
        elif name == "msgpack_experimental_v7":
            ports = ports._replace(msgpack=_ports_of(name, options))
        elif name != "null":
            error(
                f"c['protocols'] has no {name!r}",
                "write {'pb': {'port': 9989}}; the other one is 'msgpack_experimental_v7'",
            )
    for endpoint in set(ports.pb) & set(ports.msgpack):
        error(f"two of c['protocols'] have the port {endpoint}", "give each one of its own")
    return ports


def _ports_of(protocol: str, options: Any) -> tuple[str, ...]:
    if not isinstance(options, Mapping) or "port" not in options:
        error(f"c['protocols'][{protocol!r}] must be a dict such as {{'port': 9989}}, not {options!r}")
        return ()
    for name in options:
        if name != "port":
            error(f"c['protocols'][{protocol!r}] has no {name!r}", "its only key is 'port'")
    return _endpoints(f"c['protocols'][{protocol!r}]['port']", options["port"])


def _endpoints(what: str, ports: Any) -> tuple[str, ...]:
    try:
        return slave_ports(ports)
    except BadPort as bad:
        error(f"{what}: {bad}")
        return ()
