"""Fills a store with a history like a real master's, through the store's own functions; for tests and benchmarks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildbot.model import (
    BuilderID,
    BuildID,
    ChangeID,
    EventKind,
    NewChange,
    Property,
    Result,
    SlaveID,
    StepID,
    Verdict,
)
from buildbot.store import (
    actions,
    builders,
    builds,
    buildsets,
    changes,
    events,
    logs,
    properties,
    requests,
    schedulers,
    slaves,
    sourcestamps,
    steps,
)
from buildbot.store.logfiles import Channel, LogFiles, log_path
from buildbot.store.store import Store

BUILDERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("linux-py311", "unit tests on Debian, Python 3.11", ("linux", "tests")),
    ("linux-py313", "unit tests on Debian, Python 3.13", ("linux", "tests")),
    ("windows-py311", "unit tests on Windows", ("windows", "tests")),
    ("macos-arm64", "unit tests on macOS", ("mac", "tests")),
    ("lint", "ruff, mypy and the import layers", ("quick",)),
    ("docs", "the manual, warnings are errors", ("quick", "docs")),
    ("package-deb", "Debian packages", ("packages",)),
    ("nightly-long", "the tests that take hours", ("nightly",)),
    ("a/b <x>", "a builder with a difficult name", ("odd & <names>",)),
    ("release", "", ()),
)
AUTHORS = (
    "Ada Example <ada@example.org>",
    "Brian Sample <brian@example.org>",
    "Čeněk Vzor <cenek@example.org>",
    "Dora <dora@example.com>",
)
COMMENTS = (
    "Store: one transaction a decision",
    "Fix the race between a lost slave and its last line of output\n\nThe slave's last chunk may come after the loss.",
    "Docs: say which directories a slave needs",
    "Escape <builder> names & step names in every page",
    "Merge branch 'release-1.0'",
    "Speed: ask for steps of all shown builds at once",
)
# name, share of the build's time, text while it runs, text when done
STEPS = (
    ("git", 0.08, "updating", "update r{revision}"),
    ("configure", 0.07, "configuring", "configured"),
    ("compile", 0.35, "compiling", "compiled"),
    ("test", 0.45, "testing", "1204 tests passed"),
    ("upload", 0.05, "uploading", "uploaded"),
)
FAILED_TEXT = {
    Result.FAILURE: "{step} failed",
    Result.WARNINGS: "{step} 3 warnings",
    Result.EXCEPTION: "{step} exception",
    Result.RETRY: "{step} slave lost",
    Result.CANCELLED: "{step} interrupted",
}


@dataclass(slots=True)
class History:
    """What was made, for who wants to look it up."""

    builders: dict[str, BuilderID] = field(default_factory=dict)
    slaves: dict[str, SlaveID] = field(default_factory=dict)
    finished: int = 0
    running: list[BuildID] = field(default_factory=list)
    last_change: ChangeID | None = None


def fill(
    store: Store,
    *,
    now: float,
    builds_count: int = 20_000,
    builder_list: Sequence[tuple[str, str, Sequence[str]]] = BUILDERS,
    slaves_count: int = 6,
    running: int = 3,
    pending: int = 4,
    seed: int = 1,
    log_files: LogFiles | None = None,
) -> History:
    """A history that ends at `now`: finished builds, some that run, some that wait.

    With `log_files` the newest builds and the running ones have real logs; the rows of older logs name no file.
    """
    return _Filler(store, now, random.Random(seed), log_files).fill(
        builds_count, builder_list, slaves_count, running, pending
    )


class _Filler:
    def __init__(self, store: Store, now: float, chance: random.Random, log_files: LogFiles | None) -> None:
        self.store = store
        self.now = now
        self.chance = chance
        self.log_files = log_files
        self.made = History()
        self.free_at: dict[BuilderID, float] = {}

    def fill(
        self,
        count: int,
        builder_list: Sequence[tuple[str, str, Sequence[str]]],
        slaves_count: int,
        running: int,
        pending: int,
    ) -> History:
        per_change = max(len(builder_list) * 2 // 3, 1)
        spacing = 2400.0
        start = self.now - 1800.0 - (count // per_change + 1) * spacing
        names = [f"slave-{number}" for number in range(1, slaves_count + 1)]

        def prepare(store: Store) -> None:
            self.made.builders = builders.sync(store, builder_list, start)
            self.made.slaves = slaves.sync(store, names, start)
            schedulers.sync(store, ["main", "docs-only"], start)
            actions.master_started(store, "0" * 16, start)
            events.add(store, start, EventKind.CONFIG_LOADED)
            for number, (name, id) in enumerate(self.made.slaves.items()):
                if number != slaves_count - 1 or slaves_count == 1:
                    details = {"admin": f"admin of {name} <admin@example.org>", "host": "8 cores, Debian 13"}
                    slaves.connected(store, id, start + number, incarnation=name, version="1.0.0a1", details=details)

        self.store.transact(prepare)
        number = 0
        while self.made.finished < count:
            self.store.transact(self._some_changes, start + number * spacing, spacing, per_change, count)
            number += 50
        self.store.transact(self._present, running, pending)
        return self.made

    def _some_changes(self, store: Store, at: float, spacing: float, per_change: int, count: int) -> None:
        for number in range(50):
            arrived = at + number * spacing + self.chance.random() * spacing / 2
            if self.made.finished >= count or arrived > self.now - 1200:
                break
            change = self._change(arrived)
            chosen = self.chance.sample(list(self.made.builders.items()), per_change)
            chosen = chosen[: count - self.made.finished]
            asked = self._buildset(change, [id for _, id in chosen], arrived + 60)
            for (name, builder), request in zip(chosen, asked, strict=True):
                begin = max(arrived + 61, self.free_at.get(builder, 0.0))
                self._finished_build(name, builder, request, begin)

    def _change(self, at: float) -> ChangeID:
        revision = f"{self.chance.getrandbits(160):040x}"
        branch = "master" if self.chance.random() < 0.8 else "release-1.0"
        new = NewChange(
            author=self.chance.choice(AUTHORS),
            comments=self.chance.choice(COMMENTS),
            files=("buildbot/store/builds.py", "docs/manual/web.md")[: self.chance.randint(1, 2)],
            committed_at=at - 30,
            repository="https://git.example.org/buildbot.git",
            project="buildbot",
            branch=branch,
            revision=revision,
            revlink=f"https://git.example.org/buildbot/commit/{revision}",
            source="GitPoller",
        )
        change, _ = changes.add(self.store, new, at)
        schedulers.classify(self.store, "main", change, Verdict.IMPORTANT, "every change is important", at)
        schedulers.classify(self.store, "docs-only", change, Verdict.NOT_MINE, "no file below docs/", at)
        self.made.last_change = change
        return change

    def _buildset(self, change: ChangeID, wanted: Sequence[BuilderID], at: float) -> list:
        stored = changes.get(self.store, change)
        assert stored is not None
        stamp = sourcestamps.add(
            self.store,
            repository=stored.repository,
            project=stored.project,
            branch=stored.branch,
            revision=stored.revision,
            changes=[change],
            now=at,
        )
        buildset, asked = buildsets.submit(
            self.store,
            builders=wanted,
            source_stamps=[stamp],
            reason="The SingleBranchScheduler scheduler named 'main' triggered this build",
            scheduler="main",
            now=at,
        )
        schedulers.retire(self.store, "main", [change], buildset)
        return asked

    def _begin(self, name: str, builder: BuilderID, request, at: float):
        slave = self.made.slaves[self.chance.choice(list(self.made.slaves)[: max(len(self.made.slaves) - 1, 1)])]
        build = builds.start(
            self.store, builder=builder, slave=slave, claimed=[request], reason="a change arrived", now=at
        )
        properties.put(
            self.store, "build", build.id, [Property("got_revision", f"{self.chance.getrandbits(160):040x}", "Git")]
        )
        return build

    def _finished_build(self, name: str, builder: BuilderID, request, at: float) -> None:
        whole = self._duration(name)
        build = self._begin(name, builder, request, at)
        result = self.chance.choices(list(Result), weights=(78, 8, 9, 1, 2, 0, 2))[0]
        bad_step = self.chance.choice((2, 3)) if result not in (Result.SUCCESS, Result.SKIPPED) else None
        clock = at + 1
        for number, (step, share, running_text, done_text) in enumerate(self._steps(name)):
            id = steps.start(self.store, build.id, number, step, running_text, clock)
            self._log(id, name, build.number, step, clock, clock + whole * share, recent=at > self.now - 20_000)
            clock += max(whole * share, 0.4)
            if number == bad_step:
                steps.finish(self.store, id, result, FAILED_TEXT[result].format(step=step), False, clock)
                if result is not Result.WARNINGS:
                    break
            else:
                steps.finish(self.store, id, Result.SUCCESS, done_text.format(revision="abc123"), False, clock)
        text = "build successful" if bad_step is None else FAILED_TEXT[result].format(step=STEPS[bad_step][0])
        builds.finish(self.store, build.id, result, text, clock + 0.5)
        self.free_at[builder] = clock + 5
        self.made.finished += 1

    def _steps(self, name: str):
        return STEPS[:3] if name in ("lint", "docs") else STEPS

    def _duration(self, name: str) -> float:
        usual = {"lint": 25.0, "docs": 60.0, "nightly-long": 1500.0}.get(name, 420.0)
        return usual * self.chance.uniform(0.8, 1.3)

    def _log(
        self, step: StepID, builder: str, build: int, name: str, begun: float, ended: float | None, recent: bool
    ) -> None:
        path = log_path(builder, build, name, "stdio")
        log = logs.add(self.store, step=step, name="stdio", slug="stdio", kind="stream", path=path, now=begun)
        size, lines = 4096, 64
        if recent and self.log_files is not None:
            writer = self.log_files.write(path)
            writer.append(f"/usr/bin/make {name}\n".encode(), Channel.HEADER, 0, begun)
            for line in range(40):
                writer.append(f"{name}: line {line} of the output\n".encode(), Channel.STDOUT, log, begun + line)
            writer.close()
        if ended is not None:
            logs.finish(self.store, log, size, lines, ended)

    def _present(self, store: Store, running: int, pending: int) -> None:
        names = list(self.made.builders.items())
        at = self.now - 900
        change = self._change(at)
        busy = names[:running]
        asked = self._buildset(change, [id for _, id in busy], at + 60)
        for position, ((name, builder), request) in enumerate(zip(busy, asked, strict=True)):
            build = self._begin(name, builder, request, at + 70 + position)
            clock = at + 72.0
            for number, (step, share, running_text, done_text) in enumerate(STEPS[: 2 + position % 3]):
                last = number == 1 + position % 3
                id = steps.start(store, build.id, number, step, running_text, clock)
                self._log(id, name, build.number, step, clock, None if last else clock + 100 * share, recent=True)
                clock += 100 * share + 20
                if not last:
                    steps.finish(store, id, Result.SUCCESS, done_text.format(revision="abc123"), False, clock)
            builds.set_text(store, build.id, "building")
            self.made.running.append(build.id)
        for number in range(pending):
            change = self._change(self.now - 300 + number * 40)
            self._buildset(change, [names[number % len(names)][1]], self.now - 200 + number * 40)
        parked = self._buildset(self._change(self.now - 90), [names[-1][1]], self.now - 80)
        for turn in range(requests.MOST_RETRIES + 1):
            requests.claim(store, parked[0], self.now - 70 + turn)
            requests.put_back(store, parked[0], self.now - 69 + turn, "slave lost")
        lost = next(iter(self.made.slaves.values()))
        if len(self.made.slaves) > 1:
            slaves.lost(store, lost, self.now - 4000, "connection lost")
            slaves.connected(
                store, lost, self.now - 3900, incarnation="again", version="1.0.0a1", details={"host": "8 cores"}
            )
