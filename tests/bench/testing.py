"""What it costs to store the results of a build's tests: once with names that are new, and once with known ones."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildbot.process.buildsecrets import BuildSecrets
from buildbot.process.testkeeping import TestsOfBuild
from buildbot.process.testresults import TellsTests
from buildbot.store import Store, builders, builds, buildsets, slaves, sourcestamps, steps

NOW = 1_700_000_000.0


class TestsCost(NamedTuple):
    """Of the results of one build: the CPU of storing them and of telling them, the longest transaction (both in
    milliseconds), and what they take of the file."""

    __test__ = False  # not one of pytest's

    statements: int
    cpu_ms: float
    told_ms: float
    longest_cpu_ms: float
    bytes_each: float


def cost_of_tests(where: Path, *, results: int) -> tuple[TestsCost, TestsCost]:
    """(of the builder's first build, of its second)."""
    where.mkdir(parents=True, exist_ok=True)
    store = Store.open(where / "state.sqlite")
    try:
        builder = builders.sync(store, [("b", "", ())], NOW)["b"]
        slave = slaves.sync(store, ["s"], NOW)["s"]
        first, second = (_Measured(store, builder, slave).run(results) for _ in "12")
        return first, second
    finally:
        store.close()


class _Step(TellsTests):
    replays = runs_anew = False


class _Measured:
    def __init__(self, store: Store, builder: Any, slave: Any) -> None:
        stamp = sourcestamps.add(store, now=NOW)
        _, asked = buildsets.submit(store, reason="r", builders=[builder], source_stamps=[stamp], now=NOW)
        row = builds.start(store, builder=builder, slave=slave, claimed=asked, reason="r", now=NOW)
        self.store = store
        self.clock: Any = Clock()
        self.took: list[float] = []
        self.step: Any = _Step()
        self.step.step_id = steps.start(store, row.id, 0, "tests", "testing", NOW)
        build: Any = SimpleNamespace(id=row.id, row=row, store=self, clock=self.clock, left=False)
        build.secrets = BuildSecrets(None)
        build.tests = TestsOfBuild(build)
        self.step.build = build

    def transact(self, *args: Any, **kw: Any) -> Any:
        began = time.thread_time()
        try:
            return self.store.transact(*args, **kw)
        finally:
            self.took.append((time.thread_time() - began) * 1000)

    def run(self, results: int) -> TestsCost:
        pages, statements = self.pages(), self.store.statements
        set_id = self.wait(self.step.addTestResultSet("unit", "pass_fail", "boolean"))
        began = time.thread_time()
        for number in range(results):
            name = f"project.package{number // 1000}.test_module{number // 50}.Case.test_number_{number}"
            value = "1" if number % 100 else "0"
            self.step.addTestResult(set_id, value, test_name=name, duration_ns=1_000_000 + number)
        told = time.thread_time()
        self.wait(ensureDeferred(self.step.build.tests.end_step(self.step)))
        ended = time.thread_time()
        return TestsCost(
            self.store.statements - statements,
            (ended - told) * 1000,
            (told - began) * 1000,
            max(self.took),
            (self.pages() - pages) * self.store.value("PRAGMA page_size") / results,
        )

    def pages(self) -> int:
        return int(self.store.value("PRAGMA page_count"))

    def wait(self, deferred: Any) -> Any:
        found: list[Any] = []
        deferred.addCallback(found.append)
        while not deferred.called:
            self.clock.advance(1.0)
        return found[0]
