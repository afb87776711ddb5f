"""What the last process left unfinished: builds that can go on are made again, others go back to the queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from buildbot import model
from buildbot.model import Result
from buildbot.process.build import Build, BuildServices, new_build
from buildbot.process.recipe import difference, recipe_of
from buildbot.process.steplog import close_left_open
from buildbot.store import Store, actions, builders, builds, commands, requests, slaves, steps

_log = Logger()


def restore(config: Any, services: Callable[[], BuildServices]) -> list[Build]:
    """Run once, before anything else. Returns the builds that go on, still without their slaves.

    A build cannot go on when its builder, its slave or its steps are not what they were: it ends as RETRY, and says so.
    """
    store, now = services().store, services().now()
    store.transact_durable(commands.leave_a_gap)
    store.transact(slaves.none_connected, now)
    going_on = []
    for row in builds.running(store):
        made = _made_again(row, config, services)
        if isinstance(made, Build):
            going_on.append(made)
        else:
            store.transact(_retry, row, f"retry: it cannot go on after the restart: {made}", now)
            builder = builders.get(store, row.builder_id)
            if builder is not None:
                services().log_files.remove_asides(builder.name, row.number)
            _log.warn("build {build} cannot go on after the restart: {why}", build=row.id, why=made)
    close_left_open(store, services().log_files, now)
    return going_on


def _made_again(row: model.Build, config: Any, services: Callable[[], BuildServices]) -> Build | str:
    """The build, or in words why it cannot go on."""
    store = services().store
    builder = builders.get(store, row.builder_id)
    slave = None if row.slave_id is None else slaves.get(store, row.slave_id)
    if builder is None or slave is None:
        return "its builder or its slave is not known"
    builder_config = config.builder(builder.name)
    slave_config = next((each for each in config.slaves if each.name == slave.name), None)
    if builder_config is None:
        return f"there is no builder {builder.name} any more"
    if slave_config is None or slave.name not in builder_config.slavenames:
        return f"slave {slave.name} is not one of its builder any more"
    if slave.incarnation is None:
        return f"slave {slave.name} is of another version, whose commands end with the connection"
    other = difference(builds.recipe(store, row.id), recipe_of(builder_config))
    if other is not None:
        return f"the configuration is another one now: {other}"
    return new_build(
        row,
        config=builder_config,
        slave=slave_config,
        session=None,
        requests=requests.of_build(store, row.id),
        services=services(),
        details=slave.details,
    )


def _retry(store: Store, build: model.Build, text: str, now: float) -> None:
    steps.end_open(store, build.id, Result.RETRY, text, now)
    builds.finish(store, build.id, Result.RETRY, text, now, counts=False)


def last_touched(path: Path) -> float | None:
    """When somebody last wrote to the store, before we do."""
    times = [file.stat().st_mtime for file in (path, path.with_name(f"{path.name}-wal")) if file.exists()]
    return max(times, default=None)


def absence_since(before: actions.MasterRun, touched: float | None, now: float) -> tuple[float, float, str]:
    """From when until when no process of this master ran, and why. touched: when somebody last wrote to the store."""
    if before.stopped_at is not None:
        return before.stopped_at, now, "stopped and started again"
    return max(touched or 0.0, before.started_at), now, "it died and was started again"
