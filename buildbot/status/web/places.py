"""Which builder, build, step and log does an address name? Raises NotFound with words for people."""

from __future__ import annotations

from typing import NamedTuple

from buildbot.model import Build, Builder, Log, Step
from buildbot.status.web.asked import Asked
from buildbot.status.web.pages import NotFound
from buildbot.store import builders, builds, log_pages, steps
from buildbot.store.store import Queries


class BuildPlace(NamedTuple):
    builder: Builder
    build: Build


class StepPlace(NamedTuple):
    builder: Builder
    build: Build
    step: Step


class LogPlace(NamedTuple):
    builder: Builder
    build: Build
    step: Step
    log: Log


def find_build(store: Queries, asked: Asked) -> BuildPlace:
    """The address's builder and build; a negative number counts from the newest, -1."""
    name, text = asked.place["builder"], asked.place["number"]
    digits = text.removeprefix("-")
    number = int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else 0
    found = builds.of_named_builder(store, name, number) if number else None
    if found is not None:
        return BuildPlace(*found)
    if builders.by_name(store, name) is None:
        raise NotFound(f"There is no builder {name!r}.")
    raise NotFound(f"Builder {name!r} has no build {text}.")


def find_step(store: Queries, asked: Asked) -> StepPlace:
    """A step by its name, or by its number from 0."""
    builder, build = find_build(store, asked)
    name = asked.place["step"]
    step = steps.by_name(store, build.id, name)
    if step is None and name.isascii() and name.isdecimal() and len(name) < 10:
        step = log_pages.step_by_number(store, build.id, int(name))
    if step is None:
        raise NotFound(f"Build {build.number} of {builder.name!r} has no step {name!r}.")
    return StepPlace(builder, build, step)


def find_log(store: Queries, asked: Asked) -> LogPlace:
    """A log by its slug, or by its name."""
    builder, build, step = find_step(store, asked)
    name = asked.place["log"]
    log = log_pages.log_by_name(store, step.id, name)
    if log is None:
        raise NotFound(f"Step {step.name!r} of build {build.number} of {builder.name!r} has no log {name!r}.")
    return LogPlace(builder, build, step, log)
