"""No scheduler keeps anything to itself: a new object, on a store that was just opened, decides as the old one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buildbot.model import BuildID, Property, Result
from buildbot.schedulers.base import BaseScheduler, Parent
from buildbot.schedulers.basic import AnyBranchScheduler, SingleBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.forcesched import ForceScheduler, force
from buildbot.schedulers.stamps import Stamp
from buildbot.schedulers.timed import Nightly, NightlyTriggerable, Periodic
from buildbot.schedulers.triggerable import Triggerable
from buildbot.schedulers.tryjob import TryJob, encoded
from buildbot.schedulers.trysched import Try_Jobdir, Try_Userpass
from buildbot.scripts.try_commands import put
from buildbot.store import buildsets, schedulers
from tests.unit.schedulers.cases import SchedulerCase


def important(change: Any) -> bool:
    return "a.c" in change.files


TWO = {"a": {"repository": "ra"}, "b": {"repository": "rb"}}
KINDS: dict[str, Callable[[], BaseScheduler]] = {
    "at once": lambda: SingleBranchScheduler("s", "main", None, ["full"], important),
    "with a timer": lambda: SingleBranchScheduler("s", "main", 300, ["full", "quick"], important),
    "each tree": lambda: AnyBranchScheduler("s", None, 300, ["full"]),
    "absolute": lambda: AnyBranchScheduler("s", None, 60, ["full"], codebases=TWO, createAbsoluteSourceStamps=True),
    "asks": lambda: AnyBranchScheduler("s", None, 300, ["full"], priority=lambda names, seen: len(seen)),
    "dependent": lambda: Dependent("s", "up", ["quick"]),
    "periodic": lambda: Periodic("s", ["full"], 700),
    "periodic, if changed": lambda: Periodic("s", ["full"], 700, onlyIfChanged=True, fileIsImportant=important),
    "nightly": lambda: Nightly("s", ["full"], minute="*/13", timezone="Europe/Berlin"),
    "nightly, if changed": lambda: Nightly("s", ["full"], minute="*/13", onlyIfChanged=True),
    "nightly triggerable": lambda: NightlyTriggerable("s", ["full"], minute="*/13"),
    "triggerable": lambda: Triggerable("s", ["full"]),
    "try jobdir": lambda: Try_Jobdir("s", ["full", "quick"], "jobs"),
    "try userpass": lambda: Try_Userpass("s", ["full", "quick"], None, [("u", "p")]),
    "force": lambda: ForceScheduler("s", ["full", "quick"]),
}


class TestStateless(SchedulerCase):
    def history(self, make: Callable[[], BaseScheduler], *, afresh: bool) -> list[Any]:
        """What it answers and builds while changes come, other builds end, and hours pass without the master."""
        self.tearDown()
        self.path = self.path.with_name(f"{self.path.name}-{afresh}")
        self.setUp()
        self.now = 1_700_000_000.0
        kept = make()
        upstream = AnyBranchScheduler("up", builderNames=["full"])
        self.configure(kept, upstream)
        answers: list[Any] = []
        for turn in range(36):
            if turn % 3 == 0:
                files = ("a.c",) if turn % 2 else ("README",)
                where = {"codebase": "ab"[turn % 2]} if len(kept.codebases) > 1 else {}
                self.change(branch=("main", "topic")[turn % 4 // 3], revision=str(turn), files=files, **where)
            self.drive(upstream)
            if turn % 5 == 0:
                self.end_all(Result.SUCCESS if turn % 2 else Result.FAILURE)
            if afresh:
                self.reopen()
            scheduler = make() if afresh else kept
            if turn % 4 == 1:
                self.ask(scheduler, turn)
            if afresh:
                self.reopen()
                scheduler = make()
            answers.append(self.drive(scheduler))
            self.now += 3 * 3600 if turn == 24 else 97
        built = [
            (b.scheduler, b.reason, b.submitted_at, [stamp[1:6] for stamp in self.stamps(b)], self.properties(b))
            for b in self.buildsets()
        ]
        return [answers, built, self.built()]

    def ask(self, scheduler: Any, turn: int) -> None:
        """What somebody outside asks of it, if it is of a kind that is asked."""
        job = TryJob(jobid=f"j{turn // 8}", patch=b"diff\n", patch_level=1, revision=str(turn))
        if isinstance(scheduler, Try_Jobdir):
            jobdir = self.path.absolute().parent / "jobs"
            jobdir.mkdir(exist_ok=True)
            put(jobdir, encoded(job))
        elif isinstance(scheduler, Try_Userpass):
            settled = self.value_of(scheduler.settled(job))
            self.store.transact_durable(scheduler.accept, job, settled, self.now)
        elif isinstance(scheduler, ForceScheduler):
            self.value_of(force(self.store, scheduler, ["full"], {"reason": [f"turn {turn}"]}, "ada", self.now))
        elif isinstance(scheduler, Triggerable):
            settled = self.value_of(scheduler.prepare([Property("turn", turn, "Trigger")], turn))
            given = [Stamp(branch="main", revision=str(turn))]
            unknown = Parent(BuildID(77), "Triggered from", False)
            parent: Any = unknown if isinstance(scheduler, NightlyTriggerable) else None
            self.store.transact(scheduler.trigger, settled, given, parent, self.now)

    def end_all(self, result: Result) -> None:
        for buildset in self.buildsets():
            if buildset.scheduler == "up" and buildset.complete_at is None:
                sql = "UPDATE build_requests SET complete_at = ?, result = ? WHERE buildset_id = ?"
                self.store.execute(sql, self.now, result, buildset.id)
                self.store.transact(buildsets.complete_if_done, buildset.id, self.now)

    def test_each_kind(self) -> None:
        for name, make in KINDS.items():
            with self.subTest(name):
                same, fresh = self.history(make, afresh=False), self.history(make, afresh=True)
                self.assertEqual(same, fresh)
                self.assertTrue([entry for entry in same[1] if entry[0] == "s"], "it is to build something")
                self.assertTrue(schedulers.is_present(self.store, "s"))
