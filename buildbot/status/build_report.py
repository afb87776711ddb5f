"""What a message about a finished build can tell: one immutable value, read from the store in one go.

`gather` is a long question for `store.read`; nothing here waits or formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from buildbot.model import (
    Build,
    Builder,
    BuildID,
    Change,
    Log,
    Patch,
    Property,
    Result,
    SourceStamp,
    Step,
)
from buildbot.store import builders, builds, changes, logs, properties, reports, slaves, sourcestamps, steps
from buildbot.store.store import Queries

MOST_CHANGES = 200  # with their files; a build of more is told by their number
MOST_FILES = 100


class ReportedChange(NamedTuple):
    change: Change
    files: tuple[str, ...]
    all_files: int  # how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """A finished build and everything around it."""

    build: Build
    builder: Builder
    slave: str
    changes: tuple[ReportedChange, ...]
    all_changes: int
    stamps: tuple[SourceStamp, ...]
    patches: tuple[Patch, ...]
    steps: tuple[Step, ...]
    logs: tuple[Log, ...]
    properties: tuple[Property, ...]
    schedulers: tuple[str, ...]
    previous: Build | None

    @property
    def result(self) -> Result:
        return Result.EXCEPTION if self.build.result is None else self.build.result

    def property(self, name: str, default: Any = None) -> Any:
        for known in self.properties:
            if known.name == name:
                return known.value
        return default

    def users(self) -> list[str]:
        """Who is interested: the authors of the changes, of the patches, and whoever forced the build; each once."""
        named = [reported.change.author for reported in self.changes]
        named += [patch.author for patch in self.patches]
        owners = self.property("owners", [])
        named += [owner for owner in owners if isinstance(owner, str)] if isinstance(owners, list) else []
        owner = self.property("owner")
        named += [owner] if isinstance(owner, str) else []
        return list(dict.fromkeys(name.strip() for name in named if name.strip()))

    def failing_step(self) -> Step | None:
        """The step that made the build what it is: the first of those with the worst result."""
        for result in (Result.EXCEPTION, Result.FAILURE, Result.CANCELLED, Result.RETRY, Result.WARNINGS):
            for step in self.steps:
                if step.result is result:
                    return step
        return None

    def logs_of(self, step: Step) -> list[Log]:
        return [log for log in self.logs if log.step_id == step.id]

    def step_of(self, log: Log) -> Step:
        return next(step for step in self.steps if step.id == log.step_id)


def gather(store: Queries, id: BuildID) -> BuildReport | None:
    """All about a build; None when there is no such build (any more)."""
    build = builds.get(store, id)
    builder = builders.get(store, build.builder_id) if build else None
    if build is None or builder is None:
        return None
    slave = slaves.get(store, build.slave_id) if build.slave_id is not None else None
    found = changes.of_build(store, id)
    stamps = sourcestamps.of_build(store, id)
    patches = [sourcestamps.patch(store, stamp.patch_id) for stamp in stamps if stamp.patch_id is not None]
    return BuildReport(
        build=build,
        builder=builder,
        slave="" if slave is None else slave.name,
        changes=tuple(_with_files(store, change) for change in found[-MOST_CHANGES:]),
        all_changes=len(found),
        stamps=tuple(stamps),
        patches=tuple(patch for patch in patches if patch is not None),
        steps=tuple(steps.of_build(store, id)),
        logs=tuple(logs.of_build(store, id)),
        properties=tuple(properties.of(store, "build", id)),
        schedulers=tuple(reports.schedulers_of(store, id)),
        previous=reports.conclusive_before(store, build),
    )


def _with_files(store: Queries, change: Change) -> ReportedChange:
    files = changes.files(store, change.id)
    return ReportedChange(change, tuple(files[:MOST_FILES]), len(files))


def build_url(buildbot_url: str, builder: str, number: int) -> str:
    """The build's page; '' when the configuration does not say where the pages are."""
    if not buildbot_url:
        return ""
    return f"{buildbot_url.rstrip('/')}/builders/{quote(builder, safe='')}/builds/{number}"


def log_url(buildbot_url: str, report: BuildReport, log: Log) -> str:
    page = build_url(buildbot_url, report.builder.name, report.build.number)
    return f"{page}/steps/{quote(report.step_of(log).name, safe='')}/logs/{quote(log.slug, safe='')}" if page else ""
