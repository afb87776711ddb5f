"""The checked configuration: what a BuildmasterConfig dict comes to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildbot.config.builder import BuilderConfig, builder_from, is_usable
from buildbot.config.checks import Named, check_all
from buildbot.config.errors import Location, Problem, error, is_broken, warning
from buildbot.config.keys import KEYS, SAME, read_keys, read_ports
from buildbot.config.retention import DEFAULT_PACKING, NO_PLAN, Packing, RetentionPlan, packing_of, plan_of
from buildbot.config.slave import BuildSlave, slave_from
from buildbot.config.web import Web, take_web

# what people may type into forms unless c['validation'] says otherwise
DEFAULT_VALIDATION: Mapping[str, re.Pattern[str]] = {
    "branch": re.compile(r"^[\w.+/~-]*$"),
    "revision": re.compile(r"^[ \w.\-/]*$"),
    "property_name": re.compile(r"^[\w.\-/~:]*$"),
    "property_value": re.compile(r"^[\w.\-/~:]*$"),
}

_OTHER = (
    "mergeRequests collapseRequests prioritizeBuilders select_next_worker codebaseGenerator codebases projects db "
    "db_url mq caches buildCacheSize changeCacheSize logMaxSize "
    "logMaxTailSize logEncoding debugPassword manhole metrics user_managers revlink machines"
)
OTHER_KEYS = tuple(_OTHER.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One whole, consistent configuration. Every part of the master is built from this and nothing else."""

    title: str
    title_url: str
    buildbot_url: str  # ends with a slash
    builders: tuple[BuilderConfig, ...]
    slaves: tuple[BuildSlave, ...]
    schedulers: tuple[Any, ...]
    change_sources: tuple[Any, ...]
    status: tuple[Any, ...]  # receivers: c['status'] and c['services'] without the web
    www: Web | None
    pb_ports: tuple[str, ...]  # endpoint strings
    msgpack_ports: tuple[str, ...] = ()  # endpoint strings
    properties: Mapping[str, Any]
    validation: Mapping[str, re.Pattern[str]]
    retention: RetentionPlan = NO_PLAN
    packing: Packing = DEFAULT_PACKING  # of finished logs
    other: Mapping[str, Any] = field(default_factory=dict)  # the rest, under the names of config.keys
    secrets_providers: tuple[Any, ...] = ()
    multi_master: bool = False
    files: tuple[str, ...] = ()  # master.cfg and the modules of its directory that it imported
    warnings: tuple[Problem, ...] = ()

    def builder(self, name: str) -> BuilderConfig | None:
        """The builder of this name."""
        return next((builder for builder in self.builders if builder.name == name), None)


Places = Callable[[str], None]


def config_from_dict(given: Mapping[Any, Any], at: Places, set_place: Callable[[Location | None], None]) -> Config:
    """Check and convert. Mistakes are reported; when there were any, the result is not to be used."""
    values = read_keys(given, at)
    all_slaves, all_builders = _converted(values, at)
    builders = _builders(all_builders, at)
    slaves = _slaves(all_slaves, at)
    schedulers = _objects("schedulers", values.get("schedulers", ()), at, ("builderNames",))
    sources = _change_sources(values, at)
    at("www")
    web, receivers = take_web(values.get("www"), list(values.get("status", ())))
    status = _objects("status", receivers, at) + _objects("services", values.get("services", ()), at)
    ports = read_ports(values, at)
    _require(given, at)
    config = Config(
        title=values.get("title", "Buildbot"),
        title_url=values.get("titleURL", ""),
        buildbot_url=_with_slash(values.get("buildbotURL", "http://localhost:8010/")),
        builders=builders,
        slaves=slaves,
        schedulers=schedulers,
        change_sources=sources,
        secrets_providers=_objects("secretsProviders", values.get("secretsProviders", ()), at, ("get",)),
        status=status,
        www=web,
        pb_ports=ports.pb,
        msgpack_ports=ports.msgpack,
        properties=dict(values.get("properties", {})),
        validation={**DEFAULT_VALIDATION, **_validation(values, at)},
        retention=plan_of(values, builders, at),
        packing=packing_of(values, at),
        other={key: values[key] for key in OTHER_KEYS if key in values},
        multi_master=values.get("multiMaster", False),
    )
    _warn_of_database(values, at)
    named = Named.among(all_slaves, all_builders, values.get("schedulers", ()))
    check_all(config, named, at, set_place, old_web_forces=_old_web_forces(values))
    return config


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else url + "/"


def _require(given: Mapping[Any, Any], at: Places) -> None:
    if not all(key in KEYS or key in SAME for key in given):
        return  # a misspelt list is not also a missing one
    at("")
    if not given.get("builders"):
        error("no builders are configured", "c['builders'] = [BuilderConfig(...)]")
    if not any(given.get(name) for name in ("slaves", "workers", "bots")):
        error("no slaves are configured", "c['slaves'] = [BuildSlave('name', 'password')]")


def _converted(values: Mapping[str, Any], at: Places) -> tuple[list[Any], list[Any]]:
    """The slaves and the builders, tuples and dicts of older configurations among them made into objects."""
    at("slaves")
    slaves = [slave_from(given) for given in values.get("slaves", ())]
    builders: list[Any] = []
    for given in values.get("builders", ()):
        at("builders")
        if isinstance(given, dict):
            at(f"name={given.get('name')}")
        builders.append(builder_from(given))
    return slaves, builders


def _builders(given: Iterable[Any], at: Places) -> tuple[BuilderConfig, ...]:
    found: list[BuilderConfig] = []
    for builder in given:
        at("builders")
        if is_usable(builder):
            found.append(builder)
        elif not is_broken(builder):
            error(f"c['builders'] holds BuilderConfig objects, not {builder!r}")
    return tuple(found)


def _slaves(given: Iterable[Any], at: Places) -> tuple[BuildSlave, ...]:
    found: list[BuildSlave] = []
    for slave in given:
        at("slaves")
        if isinstance(slave, BuildSlave) and not is_broken(slave):
            found.append(slave)
        elif not is_broken(slave):
            error(f"c['slaves'] holds BuildSlave objects, not {type(slave).__name__}")
    return tuple(found)


def _objects(key: str, given: Iterable[Any], at: Places, needs: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """The entries of a list that can be worked with; plain values among them are mistakes."""
    found: list[Any] = []
    for entry in given:
        at(key)
        if is_broken(entry):
            continue
        plain = entry is None or isinstance(entry, (str, bytes, int, float, list, tuple, dict, type))
        if plain or not all(hasattr(entry, name) for name in needs):
            hint = f"call it: {entry.__name__}(...)" if isinstance(entry, type) else None
            error(f"c[{key!r}] holds objects of Buildbot's classes, not {entry!r}", hint)
            continue
        found.append(entry)
    return tuple(found)


def _change_sources(values: Mapping[str, Any], at: Places) -> tuple[Any, ...]:
    given = values.get("change_source", ())
    if not isinstance(given, (list, tuple)):
        given = [given]
    return _objects("change_source", given, at)


def _validation(values: Mapping[str, Any], at: Places) -> dict[str, re.Pattern[str]]:
    at("validation")
    found: dict[str, re.Pattern[str]] = {}
    for name, pattern in values.get("validation", {}).items():
        try:
            found[str(name)] = re.compile(pattern)
        except (re.error, TypeError) as wrong:
            error(f"c['validation'][{name!r}] must be a regular expression: {wrong}")
        if name not in DEFAULT_VALIDATION:
            error(f"c['validation'] has no {name!r}", f"its keys are {', '.join(DEFAULT_VALIDATION)}")
    return found


def _warn_of_database(values: Mapping[str, Any], at: Places) -> None:
    url = values.get("db", {}).get("db_url") or values.get("db_url")
    if isinstance(url, str) and not url.startswith("sqlite:"):
        at("db" if "db" in values else "db_url")
        warning("the database of c['db'] is not used: the store is state.sqlite in the base directory")


def _old_web_forces(values: Mapping[str, Any]) -> bool:
    """Whether an old web status lets people force builds of builders that no scheduler names."""
    return any(getattr(receiver, "allowForce", False) for receiver in values.get("status", ()))
