"""A real store with builds in it, for tests of what is told about builds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from buildbot.model import BuildID, ChangeID, EventKind, NewChange, Property, Result
from buildbot.store import (
    builders,
    builds,
    buildsets,
    changes,
    events,
    logs,
    properties,
    slaves,
    sourcestamps,
    steps,
)
from buildbot.store.logfiles import Channel, LogFiles, log_path
from buildbot.store.store import Store
from tests.stores import new_store

NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Config:
    title: str = "Pyflakes"
    title_url: str = "http://pyflakes.example.org/"
    buildbot_url: str = "http://ci.example.org/bb/"


class World:
    """One master's state: two builders and a slave, and builds as a test asks for them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "state.sqlite"
        self.store = new_store(self.path)
        self.log_files = LogFiles(directory / "logs")
        self.time = NOW
        wanted = [("runtests", "", ["unit"]), ("lint <all>", "", ["style"])]
        self.builders = self.store.transact(builders.sync, wanted, self.time)
        self.slave = self.store.transact(slaves.sync, ["bob"], self.time)["bob"]

    def now(self) -> float:
        return self.time

    def reopen(self) -> None:
        """As after a crash: what was in memory is gone."""
        self.store.close()
        self.store = Store.open(self.path)

    def change(
        self, author: str = "Joe <joe@example.org>", revision: str = "abc123", comments: str = "Fix it"
    ) -> ChangeID:
        new = NewChange(author=author, comments=comments, files=("setup.py",), branch="main", revision=revision)
        return self.store.transact(changes.add, new, self.time)[0]

    def build(
        self,
        result: Result = Result.FAILURE,
        *,
        builder: str = "runtests",
        blamed: tuple[ChangeID, ...] = (),
        log: bytes = b"collecting\nFAILED test_x\n",
        patch: bytes | None = None,
        extra: tuple[Property, ...] = (),
        text: str = "failed test",
    ) -> BuildID:
        """A finished build of two steps, the second of which ends as the build does."""

        def work(store: Store) -> BuildID:
            patch_id = None if patch is None else sourcestamps.add_patch(store, patch)
            stamp = sourcestamps.add(
                store, branch="main", revision="abc123", patch_id=patch_id, changes=blamed, now=self.time
            )
            _, (request,) = buildsets.submit(
                store,
                builders=[self.builders[builder]],
                source_stamps=[stamp],
                reason="a change",
                scheduler="quick",
                now=self.time,
            )
            build = builds.start(
                store,
                builder=self.builders[builder],
                slave=self.slave,
                claimed=[request],
                reason="a change",
                now=self.time,
            )
            properties.put(store, "build", build.id, [Property("slavename", "bob", "BuildSlave"), *extra])
            for number, (name, ends) in enumerate([("compile", Result.SUCCESS), ("test", result)]):
                step = steps.start(store, build.id, number, name, "running", self.time)
                path = log_path(builder, build.number, name, "stdio")
                row = logs.add(store, step=step, name="stdio", slug="stdio", kind="stream", path=path, now=self.time)
                writer = self.log_files.write(path)
                writer.append(log, Channel.STDOUT, 0, self.time)
                logs.finish(store, row, writer.size, writer.lines, self.time)
                writer.close()
                steps.finish(store, step, ends, f"{name} done", False, self.time)
            builds.finish(store, build.id, result, text, self.time + 65)
            return build.id

        return self.store.transact(work)

    def event(self, kind: EventKind, subject: int | None = None) -> int:
        return int(self.store.transact(events.add, self.time, kind, subject).id)
