"""Checks across the parts of a configuration: names that must exist, must be unique, or must be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from buildbot.config.errors import Location, did_you_mean, error, is_broken, location_of, warning

if TYPE_CHECKING:
    from buildbot.config.builder import BuilderConfig
    from buildbot.config.master import Config

SetPlace = Callable[[Location | None], None]


class _Places:
    """Puts each problem at the line where the thing at fault was made, or else at its key."""

    def __init__(self, at: Callable[[str], None], set_place: SetPlace) -> None:
        self._at = at
        self._set_place = set_place

    def of(self, thing: Any, key: str) -> None:
        place = location_of(thing)
        if place is not None:
            self._set_place(place)
        elif key == "builders":
            self._at(f"name={thing.name}")
        else:
            self._at(key)


class Named(NamedTuple):
    """The names that the user gave, also those of things with other mistakes; None when some thing has no name.

    One mistake is told once: what is checked against an unknown list of names is not checked.
    """

    slaves: list[str] | None
    builders: list[str] | None
    schedulers: list[str] | None

    @classmethod
    def among(cls, slaves: Iterable[Any], builders: Iterable[Any], schedulers: Iterable[Any]) -> Named:
        return cls(_names(slaves), _names(builders), _names(schedulers))


def _names(things: Iterable[Any]) -> list[str] | None:
    names = [getattr(thing, "name", None) for thing in things]
    return [str(name) for name in names] if names and None not in names else None


def check_all(
    config: Config, named: Named, at: Callable[[str], None], set_place: SetPlace, *, old_web_forces: bool
) -> None:
    """Report everything that does not fit together."""
    places = _Places(at, set_place)
    _check_unique(config.slaves, "slaves", "slave", places)
    _check_unique(config.builders, "builders", "builder", places)
    _check_unique(config.schedulers, "schedulers", "scheduler", places)
    _check_directories(config.builders, places)
    _check_logins(config, places)
    if named.slaves is not None:
        _check_slaves_of_builders(config, named.slaves, places)
    _check_locks(config, places)
    if named.schedulers is not None:
        _check_upstreams(config, named.schedulers, places)
    if not config.multi_master and named.builders is not None:
        _check_builders_of_services(config, named.builders, places)
        all_known = _check_builders_of_schedulers(config, named.builders, places)
        if all_known and (named.schedulers is None) == (not config.schedulers):
            _check_idle_builders(config, places, old_web_forces)


def _check_unique(things: Iterable[Any], key: str, what: str, places: _Places) -> None:
    seen: dict[str, Any] = {}
    for thing in things:
        name = getattr(thing, "name", None)
        if not isinstance(name, str):
            continue
        if name in seen:
            places.of(thing, key)
            first = location_of(seen[name])
            error(f"there are two {what}s named {name!r}", f"the other one is at {first}" if first else None)
        seen[name] = thing


def _check_directories(builders: Sequence[BuilderConfig], places: _Places) -> None:
    owners: dict[str, str] = {}
    for builder in builders:
        other = owners.setdefault(builder.builddir, builder.name)
        if other != builder.name:
            places.of(builder, "builders")
            error(
                f"builders {other!r} and {builder.name!r} have the same builddir {builder.builddir!r}",
                "give one of them builddir=...",
            )
    users: dict[tuple[str, str], BuilderConfig] = {}  # of each slave's directories that nobody may share
    for builder in sorted(builders, key=lambda builder: builder.max_builds_per_slave):
        for slot, directory in enumerate(builder.slave_directories(), 1):
            shared = [users[slave, directory] for slave in builder.slavenames if (slave, directory) in users]
            if slot > 1 and shared:
                places.of(builder, "builders")
                error(
                    f"builder {builder.name!r} with max_builds_per_slave={builder.max_builds_per_slave} would use the "
                    f"directory {directory!r} of builder {shared[0].name!r} on the same slave",
                    "give one of them slavebuilddir=...",
                )
            users.update(((slave, directory), builder) for slave in builder.slavenames)


def _check_logins(config: Config, places: _Places) -> None:
    """Slaves, change sources and status clients that share a port are told apart by their names alone."""
    taken: dict[tuple[str, str], Any] = {
        (port, slave.name): slave for slave in config.slaves for port in slave.ports or config.pb_ports
    }
    lists = (("schedulers", config.schedulers), ("change_source", config.change_sources), ("status", config.status))
    for key, thing in ((key, thing) for key, things in lists for thing in things):
        for user in _users(thing):
            ends = [(endpoint, user) for endpoint in (config.pb_ports if thing.port is None else (thing.port,))]
            clash = next((end for end in ends if taken.setdefault(end, thing) is not thing), None)
            if clash is not None:
                first = taken[clash]
                places.of(thing, key)
                at = location_of(first)
                what = f"{type(thing).__name__} and {type(first).__name__}"
                error(f"{what} both log in as {user!r} on {clash[0]}", f"the other one is at {at}" if at else None)


def _users(thing: Any) -> list[str]:
    """The names of those who log in to it on a Perspective Broker port."""
    if not isinstance(getattr(thing, "port", 0), (str, type(None))):
        return []
    users = [user for user, _ in getattr(thing, "userpass", ())]
    return [*users, thing.user] if isinstance(getattr(thing, "user", None), str) and hasattr(thing, "passwd") else users


def _check_slaves_of_builders(config: Config, known: list[str], places: _Places) -> None:
    for builder in config.builders:
        for name in builder.slavenames:
            if name not in known:
                places.of(builder, "builders")
                error(f"builder {builder.name!r}: there is no slave {name!r}", did_you_mean(name, known))


def builder_names_of(scheduler: Any) -> list[str]:
    """The builders that a scheduler names; empty when that depends on each build."""
    names = scheduler.builderNames
    if not isinstance(names, (list, tuple, set, frozenset)):
        return []
    return [name for name in names if isinstance(name, str)]


def _check_builders_of_schedulers(config: Config, known: list[str], places: _Places) -> bool:
    """Whether every builder that a scheduler names is there."""
    all_known = True
    for scheduler in config.schedulers:
        for name in builder_names_of(scheduler):
            if name not in known:
                all_known = False
                places.of(scheduler, "schedulers")
                title = getattr(scheduler, "name", type(scheduler).__name__)
                error(f"scheduler {title!r}: there is no builder {name!r}", did_you_mean(name, known))
    return all_known


def _check_builders_of_services(config: Config, known: list[str], places: _Places) -> None:
    for service in config.status:
        for name in getattr(service, "filtered_builders", ()):
            if name not in known:
                places.of(service, "services")
                what = f"{type(service).__name__} {service.name!r}"
                error(f"{what}: there is no builder {name!r}", did_you_mean(name, known))


def _check_upstreams(config: Config, known: list[str], places: _Places) -> None:
    """A Dependent's upstream is a scheduler of this configuration, and no circle leads back to it."""
    upstream: dict[str, str] = {}
    for scheduler in config.schedulers:
        above = getattr(scheduler, "upstream_name", None)
        if isinstance(above, str):
            upstream[scheduler.name] = above
            places.of(scheduler, "schedulers")
            if above not in known:
                hint = did_you_mean(above, known) or "it must be in c['schedulers'] as well"
                error(f"scheduler {scheduler.name!r}: there is no scheduler {above!r}, its upstream", hint)
    for name in upstream:
        chain = [name]
        while upstream.get(chain[-1], name) not in chain:
            chain.append(upstream[chain[-1]])
        if upstream.get(chain[-1]) == name:
            error(f"scheduler {name!r} depends on itself: {' <- '.join([*chain, name])}")


def _check_idle_builders(config: Config, places: _Places, old_web_forces: bool) -> None:
    scheduled = {name for scheduler in config.schedulers for name in builder_names_of(scheduler)}
    if any(hasattr(scheduler.builderNames, "getRenderingFor") for scheduler in config.schedulers):
        return
    for builder in config.builders:
        if builder.name in scheduled:
            continue
        places.of(builder, "builders")
        message = f"builder {builder.name!r} has no scheduler: nothing would ever start it"
        if old_web_forces:
            warning(message + " unless it is forced")
        else:
            error(message, "name it in a scheduler's builderNames")


def _check_locks(config: Config, places: _Places) -> None:
    known: dict[tuple[type, str], Any] = {}
    for slave in config.slaves:
        places.of(slave, "slaves")
        _check_lock_names(slave.locks, f"slave {slave.name!r}", known)
    for builder in config.builders:
        places.of(builder, "builders")
        on_build = _check_lock_names(builder.locks, f"builder {builder.name!r}", known)
        for step, locks in _step_locks(builder):
            places.of(step, "builders")
            for lock in _check_lock_names(locks, f"a step of builder {builder.name!r}", known):
                if lock in on_build:
                    error(
                        f"builder {builder.name!r} and one of its steps both take the lock {lock.name!r}; "
                        "the step would wait for ever"
                    )


def _check_lock_names(locks: Any, owner: str, known: dict[tuple[type, str], Any]) -> list[Any]:
    """The locks of a `locks` list. Two different locks of one kind must not share a name."""
    found: list[Any] = []
    for entry in locks if isinstance(locks, (list, tuple)) else ():
        lock: Any = getattr(entry, "lock", entry)
        if is_broken(lock) or hasattr(lock, "getRenderingFor"):
            continue
        if not hasattr(lock, "maxCount"):
            error(f"{owner}: locks holds locks such as lock.access('counting'), not {entry!r}")
            continue
        first = known.setdefault((type(lock), lock.name), lock)
        if first != lock:
            error(f"{owner}: there are two different locks named {lock.name!r}: {first!r} and {lock!r}")
        _check_amount(entry, lock, owner)
        found.append(lock)
    return found


def _check_amount(entry: Any, lock: Any, owner: str) -> None:
    most = max([lock.maxCount, *getattr(lock, "maxCountForSlave", {}).values()])
    if getattr(entry, "mode", "counting") == "counting" and getattr(entry, "count", 1) > most:
        error(f"{owner} would wait for ever: it takes {entry.count} of the lock {lock.name!r}, which has {most}")


def locks_of(config: Config) -> list[Any]:
    """The locks that a configuration names by itself, that is, not in a renderable."""
    of_builders = [lock for builder in config.builders for lock in locks_of_builder(builder)]
    return of_builders + _named_in(slave.locks for slave in config.slaves)


def locks_of_builder(builder: BuilderConfig) -> list[Any]:
    """The locks that a builder and its steps name by themselves."""
    return _named_in([builder.locks, *(locks for _, locks in _step_locks(builder))])


def _named_in(lists: Iterable[Any]) -> list[Any]:
    entries = [entry for locks in lists if isinstance(locks, (list, tuple)) for entry in locks]
    found = [getattr(entry, "lock", entry) for entry in entries]
    return [lock for lock in found if hasattr(lock, "maxCount")]


def _step_locks(builder: BuilderConfig) -> Iterator[tuple[Any, Any]]:
    """(recipe, its locks argument) of each step that takes any."""
    for step in getattr(builder.factory, "steps", ()):
        kwargs = getattr(step, "kwargs", None)
        if isinstance(kwargs, dict) and kwargs.get("locks"):
            yield step, kwargs["locks"]
