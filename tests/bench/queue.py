"""What a long queue costs: one pass of assigning for a slave that has become free, and the start of a master."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from buildbot.config.builder import BuilderConfig
from buildbot.config.slave import BuildSlave
from buildbot.model import BuilderID, NewChange, Result
from buildbot.process.assigning import Assigning
from buildbot.process.factory import BuildFactory
from buildbot.process.running import RunningBuilds
from buildbot.store import Store, builders, builds, buildsets, changes, slaves, sourcestamps

NOW = 1_700_000_000.0


def fill(store: Store, names: Sequence[str], pending: int) -> dict[str, BuilderID]:
    """So many requests, spread over the builders. Each is made of a change, so those of a builder can be merged."""

    def work(store: Store) -> dict[str, BuilderID]:
        ids = builders.sync(store, [(name, "", ()) for name in names], NOW)
        done = number = 0
        while done < pending:
            new = NewChange(author="ann", branch="main", revision=f"r{number}", files=("a.c",))
            change, _ = changes.add(store, new, NOW)
            stamp = sourcestamps.add(store, branch="main", revision=f"r{number}", changes=[change], now=NOW)
            asked = list(ids.values())[: pending - done]
            buildsets.submit(store, builders=asked, source_stamps=[stamp], reason="", now=NOW + number)
            done, number = done + len(asked), number + 1
        return ids

    return store.transact(work)


class _OnlyNoted(RunningBuilds):
    """Builds that never do anything."""

    def launch(self, build: Any) -> None:
        self.by_id[build.id] = build


class _Services(SimpleNamespace):
    """Builds that never do anything need nothing of what they are given."""

    def __getattr__(self, name: str) -> Any:
        return None


class PassCost(NamedTuple):
    """Of one pass that starts one build: CPU milliseconds, statements, thousands of SQLite's own instructions, and how
    many requests the build took. ends_ms: CPU of storing its end."""

    cpu_ms: float
    statements: int
    steps: float
    requests: int
    end_cpu_ms: float


class Queue:
    """A store with a queue, and an assigning whose builds never do anything. Every builder may use the only slave."""

    def __init__(self, where: Path, *, builders: int, pending: int, merging: bool = False) -> None:
        where.mkdir(parents=True, exist_ok=True)
        self.store = Store.open(where / "state.sqlite")
        names = [f"b{number}" for number in range(builders)]
        self.ids = fill(self.store, names, pending)
        slave = self.store.transact(slaves.sync, ["s"], NOW)["s"]
        self.session = SimpleNamespace(name="s", id=slave, incarnation=None, details={})
        config = SimpleNamespace(
            builders=[BuilderConfig(name=name, slavenames=["s"], factory=BuildFactory()) for name in names],
            slaves=[BuildSlave("s", "pw", max_builds=1)],
            other={"mergeRequests": merging},
        )
        self.running = _OnlyNoted()
        services: Any = _Services()
        services.store, services.now = self.store, lambda: NOW
        self.assigning = Assigning(
            running=self.running,
            services=lambda: services,
            sessions=lambda: {"s": self.session},  # type: ignore[dict-item]
            config=lambda: config,
            builder_ids=lambda: self.ids,
        )

    def give(self) -> PassCost:
        """The slave is free: one pass, and then the end of the build that it has started."""
        ticks = 0

        def tick() -> int:
            nonlocal ticks
            ticks += 1
            return 0

        before, cpu = self.store.statements, time.process_time()
        self.store._connection.set_progress_handler(tick, 100)
        try:
            self.assigning.run(NOW).send(None)
        except StopIteration:
            pass
        finally:
            self.store._connection.set_progress_handler(None, 0)
        cpu, statements = time.process_time() - cpu, self.store.statements - before
        (build,) = self.running.by_id.values()
        self.running.by_id.clear()
        ended = time.process_time()
        self.store.transact(builds.finish, build.id, Result.SUCCESS, "", NOW)
        ended = time.process_time() - ended
        return PassCost(cpu * 1000, statements, ticks / 10, len(build.requests), ended * 1000)

    def close(self) -> None:
        self.store.close()


def pass_cost(where: Path, *, builders: int, pending: int, merging: bool = False, rounds: int = 5) -> PassCost:
    """The middle one of several."""
    queue = Queue(where, builders=builders, pending=pending, merging=merging)
    try:
        queue.give()
        return sorted(queue.give() for _ in range(rounds))[rounds // 2]
    finally:
        queue.close()
