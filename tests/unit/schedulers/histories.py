"""One history of changes, builds and hours for a scheduler of each kind, whatever carries out its decisions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from buildbot.model import BuildID, Property, Result
from buildbot.schedulers.base import BaseScheduler, Parent, drive
from buildbot.schedulers.basic import AnyBranchScheduler, SingleBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.forcesched import ForceScheduler, force
from buildbot.schedulers.stamps import Stamp
from buildbot.schedulers.timed import Nightly, NightlyTriggerable, Periodic
from buildbot.schedulers.triggerable import Triggerable
from buildbot.schedulers.tryjob import TryJob, encoded
from buildbot.schedulers.trysched import Try_Jobdir, Try_Userpass
from buildbot.scripts.try_commands import put
from buildbot.store import Store, buildsets, schedulers
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

#: What a scheduler is to do on a store; it can be sent to another process.
Doing = Callable[[Store, Any], Any]
#: Has a thing done, by an object and a store of its choice.
Way = Callable[[Doing], Any]


def value_of(waiting: Any) -> Any:
    """What it gives, or raises; it must know at once."""
    found: list[Any] = []
    ensureDeferred(waiting).addBoth(found.append)
    (value,) = found
    if isinstance(value, Failure):
        value.raiseException()
    return value


def decide(store: Store, scheduler: BaseScheduler, *, now: float) -> Any:
    """One decision; returns when it wants to be called again."""
    return value_of(drive(scheduler, store, now))


def ask(store: Store, scheduler: Any, *, turn: int, now: float) -> None:
    """What somebody outside asks of it, if it is of a kind that is asked."""
    job = TryJob(jobid=f"j{turn // 8}", patch=b"diff\n", patch_level=1, revision=str(turn))
    if isinstance(scheduler, Try_Jobdir):
        jobs = store.path.absolute().parent / "jobs"
        jobs.mkdir(exist_ok=True)
        put(jobs, encoded(job))
    elif isinstance(scheduler, Try_Userpass):
        settled = value_of(scheduler.settled(job))
        store.transact_durable(scheduler.accept, job, settled, now)
    elif isinstance(scheduler, ForceScheduler):
        value_of(force(store, scheduler, ["full"], {"reason": [f"turn {turn}"]}, "ada", now))
    elif isinstance(scheduler, Triggerable):
        settled = value_of(scheduler.prepare([Property("turn", turn, "Trigger")], turn))
        given = [Stamp(branch="main", revision=str(turn))]
        unknown = Parent(BuildID(77), "Triggered from", False)
        parent: Any = unknown if isinstance(scheduler, NightlyTriggerable) else None
        store.transact(scheduler.trigger, settled, given, parent, now)


class HistoryCase(SchedulerCase):
    """A history ends with what the scheduler answered each time, and what it had built."""

    def kept(self, kind: str) -> Way:
        """One object on one open store, as in a master that runs all the time."""
        scheduler = KINDS[kind]()
        return lambda do: do(self.store, scheduler)

    def history(self, kind: str, way: Callable[[str], Way]) -> list[Any]:
        """Changes come, other builds end, and hours pass without the master."""
        self.tearDown()
        self.path = self.path.with_name(f"{self.path.name}-{way.__name__}")
        self.setUp()
        self.now = 1_700_000_000.0
        has_it = way(kind)
        upstream, codebases = AnyBranchScheduler("up", builderNames=["full"]), KINDS[kind]().codebases
        self.store.transact(schedulers.sync, ["s", "up"], self.now)
        answers: list[Any] = []
        for turn in range(36):
            if turn % 3 == 0:
                files = ("a.c",) if turn % 2 else ("README",)
                where = {"codebase": "ab"[turn % 2]} if len(codebases) > 1 else {}
                self.change(branch=("main", "topic")[turn % 4 // 3], revision=str(turn), files=files, **where)
            self.drive(upstream)
            if turn % 5 == 0:
                self.end_all(Result.SUCCESS if turn % 2 else Result.FAILURE)
            if turn % 4 == 1:
                has_it(partial(ask, turn=turn, now=self.now))
            answers.append(has_it(partial(decide, now=self.now)))
            self.now += 3 * 3600 if turn == 24 else 97
        built = [
            (b.scheduler, b.reason, b.submitted_at, [stamp[1:6] for stamp in self.stamps(b)], self.properties(b))
            for b in self.buildsets()
        ]
        return [answers, built, self.built()]

    def end_all(self, result: Result) -> None:
        for buildset in self.buildsets():
            if buildset.scheduler == "up" and buildset.complete_at is None:
                sql = "UPDATE build_requests SET complete_at = ?, result = ? WHERE buildset_id = ?"
                self.store.execute(sql, self.now, result, buildset.id)
                self.store.transact(buildsets.complete_if_done, buildset.id, self.now)

    def assert_the_same(self, other: Callable[[str], Way]) -> None:
        """Each kind builds something, and the same things with the other way as with `kept`."""
        for kind in KINDS:
            with self.subTest(kind):
                same, fresh = self.history(kind, self.kept), self.history(kind, other)
                self.assertEqual(same, fresh)
                self.assertTrue([entry for entry in same[1] if entry[0] == "s"], "it is to build something")
                self.assertTrue(schedulers.is_present(self.store, "s"))
