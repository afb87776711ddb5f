"""A builder as the configuration describes it, in the words of every era."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildbot.config.arguments import configurable, known_arguments
from buildbot.config.errors import did_you_mean, error, is_broken, is_text, report, without_effect

_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]")


@configurable
class BuilderConfig:
    """What is built, by which slaves, with which steps. All arguments are keywords.

    name: unique. slavename/workername, slavenames/workernames: who may build it (at least one). factory: a
    BuildFactory. builddir, slavebuilddir/workerbuilddir: directories (default: the name, made safe). tags (or the
    older category): labels. properties, defaultProperties: set in each build (the latter only if nothing else sets
    them). env: environment of every step. locks: taken by each build. description: shown on the builder's page.
    max_running: how many of its builds may run at once (None: as many as its slaves allow). max_builds_per_slave or
    max_builds_per_worker: how many of them one slave may run at once (default 1), each in a directory of its own.
    priority: a whole number that is added to that of each of its requests; the higher one goes first (default 0).
    nextSlave(builder, slaves) or nextWorker(builder, slaves, request), nextBuild(builder, requests),
    canStartBuild(builder, slave, request): your own choice. mergeRequests(builder, one, other) or
    collapseRequests(master, builder, one, other): True (the default), False or a function: whether one build may serve
    two requests. do_build_if(build): False skips it.
    buildHorizon, logHorizon: of so many of its newest builds are the builds, or their logs, kept (None: as
    c['retention'] says).
    """

    def __init__(
        self,
        name: Any = None,
        slavename: str | None = None,
        slavenames: str | Sequence[str] | None = None,
        builddir: str | None = None,
        slavebuilddir: str | None = None,
        factory: Any = None,
        category: str | None = None,
        tags: Sequence[str] | None = None,
        nextSlave: Callable[..., Any] | None = None,
        nextBuild: Callable[..., Any] | None = None,
        locks: Any = None,
        env: Any = None,
        properties: Mapping[str, Any] | None = None,
        mergeRequests: Any = None,
        description: str | None = None,
        canStartBuild: Callable[..., Any] | None = None,
        workername: str | None = None,
        workernames: str | Sequence[str] | None = None,
        workerbuilddir: str | None = None,
        nextWorker: Callable[..., Any] | None = None,
        collapseRequests: Any = None,
        defaultProperties: Mapping[str, Any] | None = None,
        description_format: str | None = None,
        project: str | None = None,
        do_build_if: Callable[..., Any] | None = None,
        max_running: int | None = None,
        max_builds_per_slave: int | None = None,
        max_builds_per_worker: int | None = None,
        priority: int = 0,
        buildHorizon: int | None = None,
        logHorizon: int | None = None,
    ) -> None:
        self.name: str = name
        self.slavenames = self._names(slavename, slavenames, workername, workernames)
        self.factory = factory
        self.builddir: str = builddir if builddir is not None else safe_directory(str(name))
        self.slavebuilddir: str = self._one_of("slavebuilddir", slavebuilddir, "workerbuilddir", workerbuilddir)
        self.slavebuilddir = self.slavebuilddir or self.builddir
        self.tags = self._tags(category, tags)
        self.nextSlave = nextSlave
        self.nextWorker = nextWorker
        self.nextBuild = nextBuild
        self.canStartBuild = canStartBuild
        self.mergeRequests = mergeRequests
        self.collapseRequests = collapseRequests
        self.locks: Any = [] if locks is None else locks
        self.env: Any = {} if env is None else env
        self.properties: dict[str, Any] = dict(properties or {})
        self.defaultProperties: dict[str, Any] = dict(defaultProperties or {})
        self.description = description
        self.description_format = description_format
        self.project = project
        self.do_build_if = do_build_if
        self.max_running = max_running
        each = self._one_of(
            "max_builds_per_slave", max_builds_per_slave, "max_builds_per_worker", max_builds_per_worker
        )
        self.max_builds_per_slave: int = 1 if each is None else each
        self.priority = priority
        self.buildHorizon = buildHorizon
        self.logHorizon = logHorizon
        self._check()
        for argument in ("description_format", "project"):
            if getattr(self, argument):
                without_effect(f"{argument}= of builder {name!r}")

    @property
    def workernames(self) -> tuple[str, ...]:
        return self.slavenames

    @property
    def workerbuilddir(self) -> str:
        return self.slavebuilddir

    @property
    def max_builds_per_worker(self) -> int:
        return self.max_builds_per_slave

    def slave_directory(self, slot: int) -> str:
        """Where the builds of this slot run on a slave: the first in the builder's own directory."""
        return self.slavebuilddir if slot == 1 else f"{self.slavebuilddir}-{slot}"

    def slave_directories(self) -> tuple[str, ...]:
        """Every directory that it may use on a slave."""
        return tuple(self.slave_directory(slot) for slot in range(1, self.max_builds_per_slave + 1))

    @property
    def category(self) -> str | None:
        """The first tag, as 0.8 had one."""
        return self.tags[0] if self.tags else None

    def choose_slave(self) -> Callable[[Any, Any, Any], Any] | None:
        """The user's own choice as (builder, slaves, request) -> slave, whichever era's function was given."""
        if self.nextWorker is not None:
            return self.nextWorker
        older = self.nextSlave
        return None if older is None else lambda builder, slaves, request: older(builder, slaves)

    def _one_of(self, old: str, old_value: Any, new: str, new_value: Any) -> Any:
        if old_value is not None and new_value is not None:
            error(f"builder {self.name!r}: {old} and {new} are the same argument; give one")
        return old_value if old_value is not None else new_value

    def _names(self, slavename: Any, slavenames: Any, workername: Any, workernames: Any) -> tuple[str, ...]:
        single = self._one_of("slavename", slavename, "workername", workername)
        several = self._one_of("slavenames", slavenames, "workernames", workernames)
        names = [*_as_list(single), *_as_list(several)]
        for wrong in [name for name in names if not isinstance(name, str)]:
            error(f"builder {self.name!r}: slave names are strings, not {wrong!r}")
        names = [name for name in names if isinstance(name, str)]
        if not names:
            error(f"builder {self.name!r} names no slave", "give slavenames=[...] (or workernames=[...])")
        return tuple(dict.fromkeys(names))

    def _tags(self, category: Any, tags: Any) -> tuple[str, ...]:
        if category is not None and tags is not None:
            error(f"builder {self.name!r}: category is the older form of tags; give one of them")
        if isinstance(tags, str):
            error(f"builder {self.name!r}: tags is a list of strings, not one string", f"write tags=[{tags!r}]")
        given = [category] if category is not None else _as_list(tags)
        for wrong in [tag for tag in given if not isinstance(tag, str)]:
            error(f"builder {self.name!r}: a tag is a string, not {wrong!r}")
        for twice in sorted({tag for tag in given if given.count(tag) > 1}, key=str):
            error(f"builder {self.name!r}: the tag {twice!r} is given twice")
        return tuple(tag for tag in given if isinstance(tag, str))

    def _check(self) -> None:
        if not is_text(self.name) or not self.name.strip():
            error(f"a builder needs a name, a string; not {self.name!r}")
        elif self.name.startswith("_"):
            error(f"builder {self.name!r}: names that begin with '_' are reserved")
        if self.factory is None:
            error(f"builder {self.name!r} has no factory", "give factory=BuildFactory([...])")
        elif not callable(getattr(self.factory, "new_steps", None)):
            error(f"builder {self.name!r}: factory must be a BuildFactory, not {self.factory!r}")
        self._check_directories()
        self._check_types()

    def _check_directories(self) -> None:
        for what, directory in (("builddir", self.builddir), ("slavebuilddir", self.slavebuilddir)):
            if not is_text(directory) or not directory:
                error(f"builder {self.name!r}: {what} is a string, not {directory!r}")
            elif directory.startswith("/") or ".." in re.split(r"[/\\]", directory):
                error(f"builder {self.name!r}: {what} must stay inside the base directory, not {directory!r}")

    def _check_types(self) -> None:
        for name in ("nextSlave", "nextWorker", "nextBuild", "canStartBuild", "do_build_if"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                error(f"builder {self.name!r}: {name} must be a function, not {value!r}")
        for name in ("mergeRequests", "collapseRequests"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool) and not callable(value):
                error(f"builder {self.name!r}: {name} must be True, False or a function, not {value!r}")
        if not isinstance(self.env, dict) and not hasattr(self.env, "getRenderingFor"):
            error(f"builder {self.name!r}: env must be a dict, not {self.env!r}")
        if not isinstance(self.locks, (list, tuple)) and not hasattr(self.locks, "getRenderingFor"):
            error(f"builder {self.name!r}: locks must be a list, not {self.locks!r}")
        if self.mergeRequests is not None and self.collapseRequests is not None:
            error(f"builder {self.name!r}: mergeRequests and collapseRequests are the same argument; give one")
        for name in ("max_running", "max_builds_per_slave"):
            most: Any = getattr(self, name)
            if most is not None and (not _is_whole(most) or most < 1):
                error(f"builder {self.name!r}: {name} must be a whole number of at least 1, not {most!r}")
                setattr(self, name, 1)
        if not _is_whole(self.priority):
            error(f"builder {self.name!r}: priority must be a whole number, not {self.priority!r}")
        for name in ("buildHorizon", "logHorizon"):
            count: Any = getattr(self, name)
            if count is not None and (not _is_whole(count) or count < 0):
                error(f"builder {self.name!r}: {name} must be a whole number of at least 0, not {count!r}")
                setattr(self, name, None)

    def __repr__(self) -> str:
        return f"<BuilderConfig {self.name!r}>"


def builder_from(given: Any) -> Any:
    """A BuilderConfig from an entry of c['builders'], which older configurations write as a dict."""
    if not isinstance(given, dict):
        return given
    keys = dict(given)
    known = known_arguments(BuilderConfig)
    name = keys.get("name")
    mistakes: list[tuple[str, str | None]] = []
    for key in [key for key in keys if key not in known]:
        del keys[key]
        hint = _OLD_KEYS.get(key) or did_you_mean(str(key), known)
        mistakes.append((f"builder {name!r} has no key {key!r}", hint))
    if mistakes:
        report(mistakes)
    return BuilderConfig(**keys)


_OLD_KEYS = {
    "periodicBuildTime": "use a Periodic scheduler",
    "eventHorizon": "events belong to no builder: use c['eventHorizon']",
}


def safe_directory(name: str) -> str:
    """A directory name for a builder's name: everything but letters, digits and `_.+-` becomes `_`."""
    safe = _UNSAFE.sub("_", name)
    return "_" + safe[1:] if safe.startswith(".") else safe


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_list(given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, (list, tuple, set, frozenset)):
        return list(given)
    return [given]


def is_usable(builder: Any) -> bool:
    """Whether later checks can look at this entry of c['builders']."""
    return isinstance(builder, BuilderConfig) and not is_broken(builder)


def directories_on(slave: str, builders: Sequence[BuilderConfig]) -> list[tuple[str, str]]:
    """What builds of these builders use on a slave: (a name for each, its directory)."""
    return [
        (builder.name if slot == 1 else f"{builder.name} ({slot})", directory)
        for builder in builders
        if slave in builder.slavenames
        for slot, directory in enumerate(builder.slave_directories(), 1)
    ]
