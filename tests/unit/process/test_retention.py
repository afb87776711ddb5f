"""Retention: what is old goes, what is needed stays, in slices, whatever the moment at which the process dies."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.config.retention import DAY, Keep, RetentionPlan
from buildbot.model import BuilderID, EventKind, LogID, Result
from buildbot.process import retention as module
from buildbot.process.retention import Retention, next_look
from buildbot.process.slices import SLICE_SECONDS
from buildbot.store import (
    Store,
    absences,
    actions,
    builddata,
    builders,
    builds,
    buildsets,
    changes,
    events,
    passes,
    requests,
    retention,
    schedulers,
)
from buildbot.store.logfiles import LogFiles, parts_of
from buildbot.store.passes import Pass
from tests import history
from tests.stores import new_store

NOW = 1_700_000_000.0
BUILDERS = history.BUILDERS[:4]
INSTRUCTIONS_A_TICK = 100
SECONDS_AN_INSTRUCTION = 1e-6


class Stop(Exception):
    """The process dies here."""


class RetentionCase(SynchronousTestCase):
    rules: tuple[Keep, ...] = ()
    living: tuple[str, ...] = ()
    seconds = staticmethod(time.perf_counter)
    builds_count = 60

    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.base)
        self.store = new_store(self.base / "state.sqlite")
        self.addCleanup(lambda: self.store.close())
        self.files = LogFiles(self.base / "logs")
        self.made = history.fill(
            self.store, now=NOW, builds_count=self.builds_count, builder_list=BUILDERS, log_files=self.files
        )
        self.clock = Clock()
        self.in_thread: Any = lambda work: succeed(work())

    def look(self, *rules: Keep, now: float = NOW) -> float | None:
        """One pass; when the next one is due."""
        self.rules = rules or self.rules
        keeper = Retention(
            store=self.store,
            log_files=self.files,
            clock=self.clock,
            in_thread=self.in_thread,
            plan=lambda: RetentionPlan(self.rules),
            receivers=lambda: self.living,
            seconds=self.seconds,
        )
        done = ensureDeferred(keeper.run(now))
        while not done.called:
            self.clock.advance(1.0)
        self.assertEqual(self.store.all(lambda *row: row, "PRAGMA foreign_key_check"), [])
        return self.successResultOf(done)

    def numbers(self, builder: str) -> list[int]:
        return self.store.column(
            "SELECT number FROM builds WHERE builder_id = ? ORDER BY number", self.builder(builder)
        )

    def builder(self, builder: str) -> BuilderID:
        return self.made.builders[builder]

    def count(self, table: str, where: str = "1") -> int:
        return int(self.store.value(f"SELECT count(*) FROM {table} WHERE {where}"))

    def logs_on_disk(self) -> set[str]:
        return {str(path.relative_to(self.files.root)) for path in self.files.root.rglob("*") if path.is_file()}


class TestBuilds(RetentionCase):
    def test_a_number_of_builds_is_kept_in_each_builder(self) -> None:
        before = {name: self.numbers(name) for name in self.made.builders}
        self.look(Keep("builds", newest=5))
        for name, numbers in before.items():
            self.assertEqual(self.numbers(name), numbers[-5:], name)
        self.assertEqual(self.count("builds", "complete_at IS NULL"), 3)
        self.assertEqual(self.count("steps", "build_id NOT IN (SELECT id FROM builds)"), 0)

    def test_data_of_builds_goes_by_a_rule_of_its_own_and_with_its_build(self) -> None:
        name, builder = next(iter(self.made.builders.items()))
        for number in self.numbers(name):
            id = self.store.value("SELECT id FROM builds WHERE builder_id = ? AND number = ?", builder, number)
            self.store.transact(builddata.put, id, "diff", b"{}", "Step")
        numbers = "SELECT b.number FROM build_data AS d JOIN builds AS b ON b.id = d.build_id ORDER BY b.number"
        self.look(Keep("data", newest=4))
        self.assertEqual(self.store.column(numbers), self.numbers(name)[-4:])
        self.look(Keep("builds", newest=2), now=NOW + 7200)
        self.assertEqual(self.store.column(numbers), self.numbers(name)[-2:])

    def test_their_requests_and_source_stamps_go_with_them(self) -> None:
        self.look(Keep("builds", newest=2))
        served = "id IN (SELECT request_id FROM build_requests_of_builds)"
        alone = (
            "buildset_id NOT IN (SELECT r.buildset_id FROM build_requests AS r WHERE r.complete_at IS NULL OR r.id IN"
        )
        alone += " (SELECT request_id FROM build_requests_of_builds))"
        self.assertGreater(self.count("build_requests", served), 0)
        self.assertEqual(self.count("build_requests", alone), 0)
        unused = "id NOT IN (SELECT source_stamp_id FROM buildset_source_stamps)"
        self.assertEqual(self.count("source_stamps", unused), 0)
        self.assertLess(self.count("source_stamps"), 30)

    def test_their_files_and_directories_go_with_them(self) -> None:
        directory = self.files.root / BUILDERS[0][0]
        kept = self.numbers(BUILDERS[0][0])[-1:]
        self.assertGreater(len(list(directory.iterdir())), 1)
        self.look(Keep("builds", newest=1))
        self.assertEqual([path.name for path in directory.iterdir()], [str(number) for number in kept])

    def test_the_newest_one_stays_and_numbers_go_on(self) -> None:
        self.look(Keep("builds", newest=0, days=0.001), now=NOW + 100 * DAY)
        for name in self.made.builders:
            (number,) = self.numbers(name)
            self.assertEqual(self.store.value("SELECT last_number FROM builders WHERE name = ?", name), number)

    def test_a_build_that_a_request_still_needs_stays(self) -> None:
        """One that ended as RETRY: its request waits, and shows what became of it."""
        builder = self.builder(BUILDERS[0][0])
        first = self.store.value("SELECT min(id) FROM builds WHERE builder_id = ?", builder)
        request = self.store.value("SELECT request_id FROM build_requests_of_builds WHERE build_id = ?", first)
        self.store.execute("UPDATE build_requests SET complete_at = NULL, result = NULL WHERE id = ?", request)
        self.look(Keep("builds", newest=1))
        self.assertEqual(self.count("builds", f"id = {first}"), 1)
        self.store.execute("UPDATE build_requests SET complete_at = 1.0, result = 6 WHERE id = ?", request)
        self.look(now=NOW + DAY)
        self.assertEqual(self.count("builds", f"id = {first}"), 0)

    def test_a_build_that_waits_for_its_children_stays(self) -> None:
        first = self.store.value("SELECT min(id) FROM builds")
        self.store.transact(
            buildsets.submit,
            builders=[self.builder(BUILDERS[1][0])],
            source_stamps=[],
            reason="child",
            now=NOW,
            parent_build_id=first,
        )
        self.look(Keep("builds", newest=1))
        self.assertEqual(self.count("builds", f"id = {first}"), 1)

    def test_a_build_that_a_running_parent_still_asks_about_stays(self) -> None:
        first = self.store.value("SELECT min(id) FROM builds")
        request = self.store.value("SELECT request_id FROM build_requests_of_builds WHERE build_id = ?", first)
        self.store.execute(
            "UPDATE buildsets SET parent_build_id = ? WHERE id = (SELECT buildset_id FROM build_requests WHERE id = ?)",
            self.made.running[0],
            request,
        )
        self.look(Keep("builds", newest=1))
        self.assertEqual(self.count("builds", f"id = {first}"), 1)

    def test_by_builder_and_tag_the_first_rule_decides(self) -> None:
        linux, other, windows, mac = (name for name, _, _ in BUILDERS)
        before = len(self.numbers(mac))
        self.look(
            Keep("builds", newest=3, builders=[linux]),
            Keep("builds", newest=4, tags=["linux"]),
            Keep("builds", newest=5, builders=windows),
        )
        kept = [len(self.numbers(name)) for name in (linux, other, windows, mac)]
        self.assertEqual(kept, [3, 4, 5, before])

    def test_with_both_what_either_keeps_is_kept(self) -> None:
        ends = dict(
            self.store.all(lambda *row: row, "SELECT id, complete_at FROM builds WHERE complete_at IS NOT NULL")
        )
        horizon = sorted(ends.values())[len(ends) // 2]
        self.look(Keep("builds", newest=2, days=(NOW - horizon) / DAY))
        gone = set(ends) - set(self.store.column("SELECT id FROM builds"))
        self.assertTrue(gone)
        self.assertTrue(all(ends[id] < horizon for id in gone))
        for name in self.made.builders:
            self.assertGreaterEqual(len(self.numbers(name)), 2)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.one_of(st.none(), st.integers(0, 30)),
        st.one_of(st.none(), st.floats(0.01, 3)),
        st.sampled_from(["builds", "logs", "steps"]),
    )
    def test_nothing_younger_than_the_horizon_goes(self, newest: int | None, days: float | None, what: str) -> None:
        if newest is None and days is None:
            return
        self.setUp()
        rows = self.store.all(
            lambda *row: row, "SELECT id, builder_id, number, complete_at FROM builds ORDER BY builder_id, number DESC"
        )
        self.look(Keep(what, newest=newest, days=days))
        rank: dict[int, int] = {}
        for id, builder, _, complete_at in rows:
            rank[builder] = rank.get(builder, 0) + 1
            young = (newest is not None and rank[builder] <= newest) or (
                days is not None and (complete_at is None or complete_at >= NOW - days * DAY)
            )
            young = young or complete_at is None or (what == "builds" and rank[builder] == 1)
            there = self.count("builds", f"id = {id}")
            if what != "builds":
                table = "logs AS l JOIN steps AS s ON s.id = l.step_id" if what == "logs" else "steps AS s"
                there = self.count(
                    table, f"s.build_id = {id}" + (" AND l.removed_at IS NULL" if what == "logs" else "")
                )
            self.assertEqual(bool(there), young, (id, rank[builder], complete_at))


class TestLogs(RetentionCase):
    def test_their_rows_say_when_and_by_which_rule(self) -> None:
        self.look(Keep("logs", newest=1))
        row = self.store.one(
            lambda *row: row, "SELECT removed_at, removed_by, size FROM logs WHERE removed_at IS NOT NULL LIMIT 1"
        )
        self.assertEqual(row, (NOW, "Keep('logs', newest=1)", 4096))

    def test_rows_and_files_agree(self) -> None:
        self.look(Keep("logs", newest=2))
        there = set()
        for path in self.store.column("SELECT path FROM logs WHERE removed_at IS NULL"):
            there |= {str(part.relative_to(self.files.root)) for part in parts_of(self.files.root / path)}
        self.assertTrue(self.logs_on_disk())
        self.assertLessEqual(self.logs_on_disk(), there)

    def test_death_before_the_files_are_removed(self) -> None:
        def die(work: Any) -> Any:
            raise Stop

        for path in self.store.column("SELECT path FROM logs ORDER BY id LIMIT 10"):
            self.files.write(path).close()
        remembered, self.in_thread = self.in_thread, die
        with self.assertRaises(self.failureException):
            self.look(Keep("logs", newest=1))
        marked = set(self.store.column("SELECT path FROM logs WHERE removed_at IS NOT NULL"))
        self.assertTrue(marked & self.logs_on_disk())
        self.in_thread = remembered
        self.look(Keep("logs", newest=1), now=NOW + 5000)
        paths = set(self.store.column("SELECT path FROM logs WHERE removed_at IS NOT NULL"))
        self.assertEqual(self.logs_on_disk() & paths, set())

    def test_steps_go_and_their_build_stays(self) -> None:
        before = self.count("builds")
        self.look(Keep("steps", newest=1))
        self.assertEqual(self.count("builds"), before)
        self.assertEqual(self.store.value("SELECT count(DISTINCT build_id) FROM steps"), len(BUILDERS))


class TestOthers(RetentionCase):
    def cancelled(self, count: int) -> None:
        for _ in range(count):
            _, (request,) = self.store.transact(
                buildsets.submit, builders=[self.builder(BUILDERS[0][0])], source_stamps=[], reason="x", now=NOW
            )
            self.store.transact(self._cancel, request)

    def _cancel(self, store: Store, request: Any) -> None:
        requests.cancel(store, request, NOW, "ann", "not needed")
        stored = requests.get(store, request)
        assert stored is not None
        buildsets.complete_if_done(store, stored.buildset_id, NOW)

    def test_requests_that_no_build_serves(self) -> None:
        self.cancelled(10)
        alone = "id NOT IN (SELECT request_id FROM build_requests_of_builds) AND complete_at IS NOT NULL"
        open_ones = self.count("build_requests", "complete_at IS NULL")
        served = self.count("build_requests", "id IN (SELECT request_id FROM build_requests_of_builds)")
        self.look(Keep("requests", newest=4))
        self.assertLessEqual(self.count("build_requests", alone), 4)
        self.assertEqual(self.count("build_requests", "complete_at IS NULL"), open_ones)
        self.assertEqual(
            self.count("build_requests", "id IN (SELECT request_id FROM build_requests_of_builds)"), served
        )
        self.assertEqual(self.count("buildsets", "id NOT IN (SELECT buildset_id FROM build_requests)"), 0)

    def test_a_rule_for_requests_keeps_those_of_builds_that_are_gone(self) -> None:
        before = self.count("build_requests")
        self.look(Keep("builds", newest=1), Keep("requests", days=1000))
        self.assertEqual(self.count("build_requests"), before)
        self.look(Keep("builds", newest=1), Keep("requests", days=0.0001), now=NOW + DAY)
        alone = "complete_at IS NOT NULL AND id NOT IN (SELECT request_id FROM build_requests_of_builds)"
        self.assertEqual(self.count("build_requests", alone), 0)

    def test_changes_that_are_held_stay(self) -> None:
        held = set(self.store.column("SELECT DISTINCT change_id FROM source_stamp_changes"))
        self.look(Keep("changes", newest=1))
        self.assertLessEqual(held, set(self.store.column("SELECT id FROM changes")))
        self.look(Keep("builds", newest=1), Keep("changes", newest=1), now=NOW + DAY)
        held = set(self.store.column("SELECT DISTINCT change_id FROM source_stamp_changes"))
        newest = changes.last_id(self.store)
        self.assertEqual(set(self.store.column("SELECT id FROM changes")), held | {newest})

    def test_changes_that_a_scheduler_has_not_decided_upon_stay(self) -> None:
        self.store.execute("DELETE FROM source_stamp_changes")
        ids = self.store.column("SELECT id FROM changes ORDER BY id")
        self.store.execute("UPDATE classifications SET retired = 0 WHERE scheduler = 'main' AND change_id = ?", ids[1])
        self.store.execute("UPDATE schedulers SET classified_change_id = ? WHERE name = 'docs-only'", ids[4])
        self.look(Keep("changes", newest=1))
        self.assertEqual(self.store.column("SELECT id FROM changes ORDER BY id"), [ids[1], *ids[5:]])
        self.store.transact(schedulers.sync, ["main"], NOW)
        self.look(now=NOW + DAY)
        self.assertEqual(self.store.column("SELECT id FROM changes ORDER BY id"), [ids[1], ids[-1]])

    def test_events_that_a_living_receiver_has_not_been_told_stay(self) -> None:
        ids = self.store.column("SELECT id FROM events ORDER BY id")
        middle = ids[len(ids) // 2]
        self.store.transact(events.start_cursor, "mail")
        self.store.transact(events.start_cursor, "gone")
        self.store.execute("UPDATE cursors SET event_id = ? WHERE receiver = 'mail'", middle)
        self.store.execute("UPDATE cursors SET event_id = 0 WHERE receiver = 'gone'")
        self.living = ("mail",)
        self.look(Keep("events", newest=1), Keep("builds", newest=1))
        left = self.store.column("SELECT id FROM events ORDER BY id")
        self.assertEqual(left[-(len(ids) - len(ids) // 2 - 1) :], ids[len(ids) // 2 + 1 :])
        untold = self.store.column(
            "SELECT subject_id FROM events WHERE id > ? AND kind = ?", middle, EventKind.BUILD_FINISHED
        )
        self.assertTrue(untold)
        self.assertLessEqual(set(untold), set(self.store.column("SELECT id FROM builds")))

    def test_what_a_scheduler_that_lives_by_events_has_not_seen_stays(self) -> None:
        ids = self.store.column("SELECT id FROM events ORDER BY id")
        self.store.transact(schedulers.set_state, "main", schedulers.SEEN_EVENT, ids[-20])
        self.look(Keep("events", newest=1), Keep("builds", newest=1))
        self.assertEqual(self.store.column("SELECT id FROM events ORDER BY id")[-19:], ids[-19:])
        untold = "SELECT subject_id FROM events WHERE id > ? AND kind = ?"
        ended = set(self.store.column(untold, ids[-20], EventKind.BUILD_FINISHED))
        self.assertLessEqual(ended, set(self.store.column("SELECT id FROM builds")))
        self.store.transact(schedulers.sync, ["docs-only"], NOW)
        self.look(now=NOW + DAY)
        self.assertLessEqual(self.count("events"), 2)

    def test_what_people_did_and_who_was_away_goes_with_the_events(self) -> None:
        slave = self.store.value("SELECT min(id) FROM slaves")
        running = self.store.value("SELECT min(started_at) FROM builds WHERE complete_at IS NULL")
        self.assertLess(running, NOW)
        self.store.execute("DELETE FROM master_runs")
        for days in (9, 8, 3, 2, 1):
            when = NOW - days * DAY
            self.store.transact(actions.add, who="ann", what="force", subject="builder b", why=str(days), now=when)
            self.store.transact(absences.add, slave, when - 1, when, f"lost {days}")
            self.store.transact(actions.master_started, f"life {days}", when - 60)
            self.store.transact(actions.master_stopped, f"life {days}", when)
        self.store.transact(absences.add, None, running + 1, running + 2, "of a build that runs")
        self.look(Keep("events", days=2.5))
        whys = [self.store.column(f"SELECT why FROM {table} ORDER BY id") for table in ("operator_actions", "absences")]
        self.assertEqual(whys, [["2", "1"], ["lost 2", "lost 1", "of a build that runs"]])
        lives = "SELECT incarnation FROM master_runs ORDER BY id"
        self.assertEqual(self.store.column(lives), ["life 2", "life 1"])
        self.look(Keep("events", newest=0), now=NOW + DAY)
        self.assertEqual([self.count("operator_actions"), self.count("absences")], [0, 1])
        self.assertEqual(self.store.column(lives), ["life 1"])
        removed = passes.last(self.store)
        assert removed is not None
        self.assertEqual(removed.removed["operators' actions"], 2)

    def test_the_last_word_about_the_configuration_stays(self) -> None:
        self.look(Keep("events", newest=1))
        self.assertEqual(self.count("events", "kind = 'config loaded'"), 1)
        self.assertEqual(self.count("events"), 2)


class TestPasses(RetentionCase):
    builds_count = 200

    def test_without_rules_nothing_is_looked_for(self) -> None:
        self.rules = ()
        self.assertIsNone(self.look())
        self.assertIsNone(passes.last(self.store))

    def test_it_is_written_down_and_repeated_an_hour_later(self) -> None:
        self.assertEqual(self.look(Keep("logs", newest=3)), NOW + 3600)
        done = passes.last(self.store)
        assert done is not None
        self.assertEqual((done.began_at, done.problem), (NOW, None))
        self.assertGreater(done.removed["logs"], 100)
        self.assertEqual(self.look(now=NOW + 10), NOW + 3600)
        self.assertEqual(self.count("retention_passes"), 1)
        self.assertEqual(self.look(now=NOW + 3600), NOW + 7200)

    def test_when_the_next_one_is_due(self) -> None:
        plan = RetentionPlan((Keep("logs", days=1),))
        self.assertEqual(next_look(plan, None, NOW), NOW)
        self.assertEqual(next_look(plan, Pass(NOW - 60, None, {}, None), NOW), NOW)
        self.assertEqual(next_look(plan, Pass(NOW - 60, NOW - 50, {}, None), NOW), NOW + 3540)
        self.assertEqual(next_look(plan, Pass(NOW + 9000, NOW + 9001, {}, None), NOW), NOW)

    def test_every_transaction_is_short(self) -> None:
        """By a clock of SQLite's instructions, which does not depend on how busy this machine is."""
        self.fatten()
        ticks = 0

        def tick() -> int:
            nonlocal ticks
            ticks += 1
            return 0

        took: list[int] = []
        real = self.store.transact

        def measured(work: Any, *args: Any, **kw: Any) -> Any:
            before = ticks
            try:
                return real(work, *args, **kw)
            finally:
                took.append(ticks - before)

        self.patch(self.store, "transact", measured)
        self.seconds = lambda: ticks * INSTRUCTIONS_A_TICK * SECONDS_AN_INSTRUCTION
        self.store._connection.set_progress_handler(tick, INSTRUCTIONS_A_TICK)
        self.look(Keep("builds", newest=1), Keep("changes", newest=1), Keep("events", newest=1))
        self.store._connection.set_progress_handler(None, 0)
        self.assertEqual(self.count("commands", "ordinal >= 1000"), 0)
        self.assertEqual(self.count("change_files", "path LIKE 'fat%'"), 0)
        self.assertGreater(sum(took) * INSTRUCTIONS_A_TICK * SECONDS_AN_INSTRUCTION, 10 * SLICE_SECONDS)
        self.assertLess(max(took) * INSTRUCTIONS_A_TICK * SECONDS_AN_INSTRUCTION, 2 * SLICE_SECONDS)

    def fatten(self) -> None:
        """A step with many commands, changes with many files, a buildset with many requests."""
        step = self.store.value(
            "SELECT s.id FROM steps AS s JOIN builds AS b ON b.id = s.build_id ORDER BY b.id LIMIT 1"
        )
        self.store.execute_many(
            "INSERT INTO commands (step_id, ordinal, name, args, state, ordered_at) "
            "VALUES (?, ?, 'shell', '{}', 'finished', 1.0)",
            [(step, number + 1000) for number in range(2000)],
        )
        self.store.execute_many(
            "INSERT INTO change_files SELECT id, ? + 1000, 'fat ' || ? FROM changes WHERE id < "
            "(SELECT max(id) FROM changes) ORDER BY id LIMIT 30",
            [(number, number) for number in range(300)],
        )
        self.store.execute("DELETE FROM source_stamp_changes")

    def test_the_file_gets_shorter(self) -> None:
        self.patch(module, "FEW_PAGES", 4)
        before = self.store.value("PRAGMA page_count")
        self.look(Keep("builds", newest=1), Keep("changes", newest=1), Keep("events", newest=1))
        self.assertLessEqual(retention.free_pages(self.store), 4)
        self.assertLess(self.store.value("PRAGMA page_count"), before)

    def test_the_store_refuses_to_drop_logs_that_are_there(self) -> None:
        build = self.store.value("SELECT min(id) FROM builds")
        with self.assertRaises(ValueError):
            self.store.transact(retention.delete_steps, build, 10)

    def test_what_runs_is_not_touched_even_when_asked(self) -> None:
        running = self.made.running[0]
        told = retention.told(self.store, [])
        self.assertEqual(self.store.transact(retention.delete_build, running, told, with_requests=True), -1)
        self.assertEqual(self.store.transact(retention.delete_steps, running, 10), 0)
        logs = self.store.column(
            "SELECT l.id FROM logs AS l JOIN steps AS s ON s.id = l.step_id WHERE build_id = ?", running
        )
        self.assertTrue(logs)
        self.assertEqual(self.store.transact(retention.mark_logs, [LogID(id) for id in logs], "x", NOW), 0)

    def test_an_old_reading_is_checked_again(self) -> None:
        builder = self.builder(BUILDERS[0][0])
        told = retention.told(self.store, [])
        newest = builds.newest(self.store, builder, 2)[1]
        assert newest.result is not Result.RETRY
        self.assertEqual(self.store.transact(retention.delete_build, newest.id, told, with_requests=True), -1)


def every_table(store: Store) -> Sequence[str]:
    return store.column("SELECT name FROM sqlite_schema WHERE type = 'table'")


class TestNoChangeWithoutRules(RetentionCase):
    def test_a_rule_that_keeps_everything_changes_nothing(self) -> None:
        counts = {table: self.count(table) for table in every_table(self.store)}
        self.look(*(Keep(what, days=100_000) for what in ("builds", "steps", "logs", "requests", "changes", "events")))
        counts |= {"retention_passes": 1, "sqlite_sequence": counts["sqlite_sequence"] + 1}
        self.assertEqual({table: self.count(table) for table in every_table(self.store)}, counts)
        self.assertTrue(builders.all_of(self.store))
