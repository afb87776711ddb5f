"""Random lives of requests, with the process dying now and then, against what must hold at every moment."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from buildbot.model import BuildID, BuildRequestID, BuildsetID, Result
from buildbot.store import Store, builders, builds, buildsets, events, requests, slaves, sourcestamps
from buildbot.store.requests import MOST_RETRIES, AlreadyClaimed
from tests.stores import new_store

WORST_LAST = ["SKIPPED", "SUCCESS", "WARNINGS", "FAILURE", "EXCEPTION", "CANCELLED"]
FINAL = [result for result in Result if result is not Result.RETRY]


class Crash(BaseException):
    """The process dies in the middle of a transaction."""


def several(bundle: Bundle, most: int) -> st.SearchStrategy[list]:
    """Different ones of a bundle. (`unique=True` would throw away most examples while the bundle is small.)"""
    return st.lists(bundle, min_size=1, max_size=most).map(lambda found: list(dict.fromkeys(found)))


class Lives(RuleBasedStateMachine):
    """Submits, claims (also twice, also several at once), finishes, retries, cancels, unparks, dies."""

    asked = Bundle("asked")  # requests, whatever became of them
    running = Bundle("running")

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.now = 1000.0
        self.lives = 1
        self.store = new_store(self.directory / "state.sqlite")
        self.builders = list(
            self.store.transact(builders.sync, [(name, "", ()) for name in ("a", "b")], self.now).values()
        )
        self.slave = self.store.transact(slaves.sync, ["bob"], self.now)["bob"]
        # what should be: the model
        self.sets: dict[BuildsetID, list[BuildRequestID]] = {}
        self.results: dict[BuildRequestID, Result] = {}
        self.retries: dict[BuildRequestID, int] = {}
        self.started: list[BuildRequestID] = []  # once for each build of it
        self.builds: dict[BuildID, list[BuildRequestID]] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.directory)

    def open_ones(self) -> set[BuildRequestID]:
        return {id for ids in self.sets.values() for id in ids} - self.results.keys()

    def claimed_ones(self) -> set[BuildRequestID]:
        return {id for ids in self.builds.values() for id in ids}

    def parked_ones(self) -> set[BuildRequestID]:
        return {id for id in self.open_ones() if self.retries.get(id, 0) > MOST_RETRIES}

    # -- what happens

    @rule(target=asked, which=st.sets(st.sampled_from([0, 1])), priority=st.integers(-1, 1))
    def submit(self, which: set[int], priority: int) -> object:
        self.now += 1

        def work(store: Store) -> tuple[BuildsetID, list[BuildRequestID]]:
            stamp = sourcestamps.add(store, now=self.now)
            wanted = [self.builders[number] for number in sorted(which)]
            return buildsets.submit(
                store, builders=wanted, source_stamps=[stamp], reason="", now=self.now, priority=priority
            )

        id, asked = self.store.transact(work)
        self.sets[id] = asked
        return multiple(*asked)

    @rule(target=running, ids=several(asked, 3))
    def start(self, ids: list[BuildRequestID]) -> object:
        free = not set(ids) - self.open_ones() and not set(ids) & (self.claimed_ones() | self.parked_ones())
        try:
            build = self.store.transact(self.start_work, ids)
        except AlreadyClaimed:
            assert not free
            return multiple()
        assert free
        assert build.attempt == 1 + max(self.started.count(id) for id in ids)
        self.started.extend(ids)
        self.builds[build.id] = ids
        return build.id

    def start_work(self, store: Store, ids: list[BuildRequestID]) -> builds.Build:
        return builds.start(store, builder=self.builders[0], slave=self.slave, claimed=ids, reason="", now=self.now)

    @rule(build=consumes(running), result=st.sampled_from(FINAL))
    def finish(self, build: BuildID, result: Result) -> None:
        self.now += 1
        assert self.store.transact(builds.finish, build, result, "done", self.now)
        assert not self.store.transact(builds.finish, build, Result.SUCCESS, "again", self.now)
        self.results.update(dict.fromkeys(self.builds.pop(build), result))

    @rule(build=consumes(running), counts=st.booleans())
    def ask_again(self, build: BuildID, counts: bool) -> None:
        self.retry(build, counts)

    def retry(self, build: BuildID, counts: bool = True) -> None:
        assert self.store.transact(builds.finish, build, Result.RETRY, "slave lost", self.now, counts=counts)
        for id in self.builds.pop(build):
            self.retries[id] = self.retries.get(id, 0) + counts

    @rule(id=asked)
    def cancel(self, id: BuildRequestID) -> None:
        def work(store: Store) -> bool:
            if not requests.cancel(store, id, self.now, "ada", ""):
                return False
            request = requests.get(store, id)
            assert request is not None
            buildsets.complete_if_done(store, request.buildset_id, self.now)
            return True

        possible = id in self.open_ones() and id not in self.claimed_ones()
        assert self.store.transact(work) == possible
        if possible:
            self.results[id] = Result.CANCELLED

    @rule(id=asked)
    def lose_its_slave_for_good(self, id: BuildRequestID) -> None:
        """Retry until it is parked."""
        if id not in self.open_ones() - self.claimed_ones():
            return
        while id not in self.parked_ones():
            build = self.store.transact(self.start_work, [id])
            self.builds[build.id] = [id]
            self.started.append(id)
            self.retry(build.id)

    @rule(id=asked)
    def unpark(self, id: BuildRequestID) -> None:
        parked = id in self.parked_ones()
        assert self.store.transact(requests.unpark, id) == parked
        if parked:
            self.retries[id] = 0

    @rule()
    def die(self) -> None:
        """Between two transactions: the next process finds the file and its write-ahead log as they are now."""
        before = self.store.path
        self.lives += 1
        after = self.directory / f"state-{self.lives}.sqlite"
        for end in ("", "-wal"):
            shutil.copyfile(f"{before}{end}", f"{after}{end}")
        self.store.close()
        self.store = Store.open(after)

    @rule(ids=several(asked, 2))
    def die_while_starting(self, ids: list[BuildRequestID]) -> None:
        def work(store: Store) -> None:
            self.start_work(store, ids)
            raise Crash

        try:
            self.store.transact(work)
        except (Crash, AlreadyClaimed):
            self.die()

    @rule(build=running, result=st.sampled_from(Result))
    def die_while_finishing(self, build: BuildID, result: Result) -> None:
        def work(store: Store) -> None:
            builds.finish(store, build, result, "done", self.now)
            raise Crash

        try:
            self.store.transact(work)
        except Crash:
            self.die()

    # -- what holds

    @invariant()
    def an_open_request_is_in_exactly_one_place(self) -> None:
        offered = {r.id for builder in self.builders for r in requests.pending(self.store, builder)}
        parked = set(
            self.store.column("SELECT id FROM build_requests WHERE parked_reason IS NOT NULL AND complete_at IS NULL")
        )
        in_builds = self.store.column(
            "SELECT m.request_id FROM build_requests_of_builds AS m JOIN builds AS b ON b.id = m.build_id "
            "WHERE b.complete_at IS NULL"
        )
        claimed = set(in_builds)
        assert len(in_builds) == len(claimed), "two running builds have the same request"
        assert not offered & parked and not offered & claimed and not parked & claimed
        assert offered | parked | claimed == self.open_ones()
        assert (parked, claimed) == (self.parked_ones(), self.claimed_ones())

    @invariant()
    def a_buildset_is_complete_when_and_only_when_all_its_requests_are(self) -> None:
        for id, asked in self.sets.items():
            found = buildsets.get(self.store, id)
            assert found is not None
            done = all(request in self.results for request in asked)
            assert (found.complete_at is not None) == done
            assert (found.result is not None) == done
            if done:
                names = [self.results[request].name for request in asked] or ["SUCCESS"]
                assert found.result is Result[max(names, key=WORST_LAST.index)]

    @invariant()
    def what_was_told_agrees_with_the_rows(self) -> None:
        told = [event.kind for event in events.newest(self.store, 10_000)]
        assert told.count("buildset complete") == self.store.value(
            "SELECT count(*) FROM buildsets WHERE complete_at IS NOT NULL"
        )
        assert told.count("build started") == self.store.value("SELECT count(*) FROM builds")
        assert told.count("build finished") == self.store.value(
            "SELECT count(*) FROM builds WHERE complete_at IS NOT NULL"
        )
        assert told.count("request cancelled") == list(self.results.values()).count(Result.CANCELLED) - sum(
            result == Result.CANCELLED
            for (result,) in self.store.all(
                lambda *row: row,
                "SELECT r.result FROM build_requests AS r WHERE r.claimed_at IS NOT NULL AND r.complete_at IS NOT NULL",
            )
        )

    @invariant()
    def numbers_are_without_gaps_and_references_are_whole(self) -> None:
        numbers = self.store.column("SELECT number FROM builds WHERE builder_id = ? ORDER BY number", self.builders[0])
        assert numbers == list(range(1, len(numbers) + 1))
        assert self.store.all(lambda *row: row, "PRAGMA foreign_key_check") == []


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
