"""What a build is made of before its first step, and the text that it ends with."""

from __future__ import annotations

import ntpath
import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from buildbot.model import BuildID, BuildsetID, Result
from buildbot.process.properties import render
from buildbot.process.results import FAILURE, SKIPPED, SUCCESS
from buildbot.process.sourcestamp import SourceStampView
from buildbot.process.userchange import UserChange
from buildbot.store import changes, properties, sourcestamps
from buildbot.store.logfiles import Limit

if TYPE_CHECKING:
    from buildbot.process.build import Build
    from buildbot.process.lockturns import Prospect


def sources_of(store: Any, build: BuildID) -> list[SourceStampView]:
    """What it builds, with the changes that led to it."""
    blamed = [
        (change, UserChange(change, changes.files(store, change.id), properties.of(store, "change", change.id)))
        for change in changes.of_build(store, build)
    ]
    return [
        SourceStampView(
            stamp,
            [view for change, view in blamed if change.codebase == stamp.codebase],
            None if stamp.patch_id is None else sourcestamps.patch(store, stamp.patch_id),
        )
        for stamp in sourcestamps.of_build(store, build)
    ]


async def set_up_properties(build: Build | Prospect) -> None:
    """Give a build that begins, or may begin, its properties, each source over those before it."""
    mine = build.properties
    for given, source in (
        (build.slave_config.defaultProperties, "Worker default"),
        (build.config.defaultProperties, "Builder default"),
        (build.services.properties, "master.cfg"),
    ):
        mine.update(await render(given, build.properties), source)
    for stamp in build.sources:
        for change in stamp.changes:
            mine.updateFromProperties(change.properties)
    for request in build.requests:
        for asked in properties.of(build.store, "buildset", BuildsetID(request.bsid)):
            mine.setProperty(asked.name, asked.value, asked.source)
    _set_standard_properties(build)
    builders, slaves = await render((build.config.properties, build.slave_config.properties), mine)
    mine.update(builders, "Builder")
    mine.update(slaves, "BuildSlave")
    _set_standard_properties(build)  # nobody else's business, whatever was given


def _set_standard_properties(build: Build | Prospect) -> None:
    mine = build.properties
    for name, value, source in (
        ("buildername", build.builder_name, "Builder"),
        ("builderid", int(build.row.builder_id), "Builder"),
        ("slavename", build.slavename, "BuildSlave"),
        ("workername", build.slavename, "Worker"),
    ):
        mine.setProperty(name, value, source)
    if build.number is not None:
        mine.setProperty("buildnumber", build.number, "Build")
        mine.setProperty("builddir", _directory(build), "Worker")
    basedir = build.getSlaveInfo().get("basedir")
    if basedir:
        mine.setProperty("basedir", basedir, "Worker")
    authors = build.blamelist()
    if authors:
        mine.setProperty("owners", authors, "Build")
    for attribute in ("branch", "revision", "repository", "project", "codebase"):
        values = {stamp.codebase: getattr(stamp, attribute) for stamp in build.sources}
        if len(values) == 1:
            mine.setProperty(attribute, next(iter(values.values())), "Build")
        elif values:
            mine.setProperty(attribute, values, "Build")


def _directory(build: Build | Prospect) -> str:
    """Where it is built: on the slave, or (of one that does not say where it is) below the slave's own directory."""
    told = build.getSlaveInfo()
    paths = ntpath if told.get("system") == "nt" else posixpath
    return str(paths.join(str(told.get("basedir") or ""), build.builddir))


def log_settings(other: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration says of all logs, as BuildServices wants it."""
    most = other.get("logMaxSize")
    return {
        "log_encoding": other.get("logEncoding", "utf-8"),
        "log_limit": Limit(most, other.get("logMaxTailSize") or 0) if most else None,
    }


def text_of(result: int, words: list[str]) -> str:
    """A build's one line: what it came to, and what its steps say of it."""
    first = {SUCCESS: "build successful", SKIPPED: "nothing to do", FAILURE: "failed"}
    return " ".join([first.get(result) or Result(result).name.lower(), *words])
