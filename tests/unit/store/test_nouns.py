"""The other nouns: changes, source stamps, builders, slaves, steps, commands, logs, properties, schedulers, events."""

from __future__ import annotations

import sqlite3
from typing import Any

from buildbot.model import (
    CommandState,
    EventID,
    EventKind,
    NewChange,
    Property,
    Result,
    Verdict,
)
from buildbot.store import (
    actions,
    builders,
    builds,
    changes,
    commands,
    events,
    logs,
    pauses,
    properties,
    requests,
    schedulers,
    slaves,
    sources,
    sourcestamps,
    steps,
)
from tests.unit.store.cases import NOW, StoreCase


class TestChanges(StoreCase):
    def add(self, **fields: Any) -> tuple[int, bool]:
        return self.store.transact(changes.add, NewChange(**{"author": "alice", **fields}), NOW)

    def test_all_of_it_is_kept(self) -> None:
        new = NewChange(
            author="Älice <a@example.org>",
            comments="fix\n\n\U0001f41b",
            files=("b", "a", "a/ü"),
            committed_at=NOW - 5,
            committer="bob",
            repository="git://r",
            project="p",
            codebase="c",
            branch="main",
            revision="abc",
            category="cat",
            revlink="http://r/abc",
            source="poller",
            properties=(("number", 1), ("list", [None, {"a": "b"}])),
        )
        id, _ = self.store.transact(changes.add, new, NOW)
        found = changes.get(self.store, id)
        assert found is not None
        kept = {name: getattr(found, name) for name in found._fields if name not in ("id", "arrived_at")}
        self.assertEqual(kept, {name: value for name, value in new._asdict().items() if name in kept})
        self.assertEqual(found.arrived_at, NOW)
        self.assertEqual(changes.files(self.store, id), ["b", "a", "a/ü"])
        self.assertEqual(
            properties.of(self.store, "change", id),
            [Property("list", [None, {"a": "b"}], "Change"), Property("number", 1, "Change")],
        )

    def test_which_two_are_one(self) -> None:
        """Identity is (repository, branch, revision), and the project when both name one."""
        base = {"repository": "r", "branch": "main", "revision": "1", "project": "p"}
        table: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
            (base, base, True),
            (base, {**base, "author": "bob", "comments": "x", "source": "hook"}, True),
            (base, {**base, "project": ""}, True),
            ({**base, "project": ""}, base, True),
            (base, {**base, "project": "q"}, False),
            (base, {**base, "branch": "topic"}, False),  # the same commit on another branch is to be built there
            (base, {**base, "branch": None}, False),
            ({**base, "branch": None}, {**base, "branch": None}, True),
            (base, {**base, "repository": "fork"}, False),
            (base, {**base, "revision": "2"}, False),
            ({**base, "revision": None}, {**base, "revision": None}, False),  # without one, always new
            ({**base, "revision": ""}, {**base, "revision": ""}, False),
        ]
        for number, (first, second, same) in enumerate(table):
            unique = {"codebase": str(number)}
            self.tearDown()
            self.setUp()
            id, new = self.add(**first, **unique)
            again, new_again = self.add(**second, **unique)
            self.assertEqual((new, id == again, new_again), (True, same, not same), (first, second))

    def test_a_duplicate_is_told_once(self) -> None:
        for _ in range(2):
            self.add(revision="1")
        self.assertEqual(self.kinds(), [EventKind.CHANGE_ADDED])

    def test_paging(self) -> None:
        ids = [self.add()[0] for _ in range(5)]
        self.assertEqual([c.id for c in changes.newest(self.store, 2)], [ids[4], ids[3]])
        self.assertEqual([c.id for c in changes.newest(self.store, 2, before=ids[3])], [ids[2], ids[1]])  # type: ignore[arg-type]
        self.assertEqual([c.id for c in changes.after(self.store, ids[1], 2)], ids[2:4])  # type: ignore[arg-type]
        self.assertEqual(changes.last_id(self.store), ids[4])

    def test_the_blame_list_is_of_all_the_requests_of_a_build(self) -> None:
        ids = [self.change(revision=str(number)) for number in range(3)]
        one, two = self.ask(changes=ids[:2]), self.ask(changes=ids[1:])
        build = self.start(one, two)
        self.assertEqual([c.id for c in changes.of_build(self.store, build.id)], ids)

    def test_none_yet(self) -> None:
        self.assertEqual(changes.last_id(self.store), 0)
        self.assertIsNone(changes.get(self.store, 1))  # type: ignore[arg-type]


class TestSourceStamps(StoreCase):
    def test_with_a_patch(self) -> None:
        body = bytes(range(256))

        def work(store: Any) -> Any:
            patch = sourcestamps.add_patch(store, body, 0, "sub", "ada", "try this")
            return sourcestamps.add(
                store, codebase="c", repository="r", project="p", branch="b", revision="1", patch_id=patch, now=NOW
            )

        stamp = sourcestamps.get(self.store, self.store.transact(work))
        assert stamp is not None and stamp.patch_id is not None
        self.assertEqual(stamp[1:6], ("c", "r", "p", "b", "1"))
        patch = sourcestamps.patch(self.store, stamp.patch_id)
        assert patch is not None
        self.assertEqual(patch[1:], (0, body, "sub", "ada", "try this"))

    def test_of_a_build_are_those_of_its_newest_request(self) -> None:
        one, two = self.ask(), self.ask()
        build = self.start(one, two)
        (stamp,) = sourcestamps.of_build(self.store, build.id)
        self.assertEqual(stamp, sourcestamps.of_buildset(self.store, self.request(two).buildset_id)[0])


class TestBuilders(StoreCase):
    def sync(self, *wanted: tuple[str, str, tuple[str, ...]]) -> Any:
        return self.store.transact(builders.sync, wanted, NOW + 1)

    def test_a_builder_keeps_its_id_and_number_while_the_configuration_comes_and_goes(self) -> None:
        self.start(self.ask())
        self.sync(("quick", "", ()))
        gone = builders.by_name(self.store, "full")
        assert gone is not None
        self.assertEqual((gone.id, gone.removed_at), (self.builder, NOW + 1))
        self.assertEqual([builder.name for builder in builders.present(self.store)], ["quick"])
        ids = self.sync(("new", "", ()), ("full", "again", ("t",)))
        self.assertEqual(ids["full"], self.builder)
        found = builders.get(self.store, self.builder)
        assert found is not None
        self.assertEqual(found[1:], ("full", 1, "again", ("t",), 1, None))
        self.assertEqual([builder.name for builder in builders.present(self.store)], ["new", "full"])

    def test_a_name_may_hold_anything(self) -> None:
        name = "a/b <x> 'y' \u2603"
        self.assertIn(name, self.sync((name, "", ())))


class TestSlaves(StoreCase):
    def test_coming_and_going(self) -> None:
        details = {"admin": "ada", "system": "Linux"}
        self.store.transact(
            lambda store: slaves.connected(store, self.slave, NOW, incarnation="x", version="1.0", details=details)
        )
        found = slaves.get(self.store, self.slave)
        assert found is not None
        self.assertEqual(found[2:8], (NOW, None, NOW, "x", "1.0", details))
        self.store.transact(slaves.heard, self.slave, NOW + 5)
        self.store.transact(slaves.lost, self.slave, NOW + 9, "connection lost")
        self.store.transact(slaves.lost, self.slave, NOW + 10, "again")
        found = slaves.by_name(self.store, "bob")
        assert found is not None
        self.assertEqual((found.connected_at, found.lost_at), (None, NOW + 9))
        self.assertEqual(self.kinds(), [EventKind.SLAVE_CONNECTED, EventKind.SLAVE_LOST])

    def test_after_a_restart_none_is_connected(self) -> None:
        for slave in self.slaves.values():
            self.store.transact(
                lambda store, slave=slave: slaves.connected(
                    store, slave, NOW, incarnation=None, version=None, details={}
                )
            )
        self.store.transact(slaves.sync, ["bob"], NOW)  # the other left the configuration while it was connected
        self.store.transact(slaves.none_connected, NOW + 1)
        found = [slaves.get(self.store, slave) for slave in self.slaves.values()]
        self.assertEqual([slave.connected_at for slave in found if slave], [None, None])
        self.assertEqual(self.kinds().count(EventKind.SLAVE_LOST), 2)

    def test_the_configuration_comes_and_goes(self) -> None:
        self.store.transact(slaves.sync, ["al"], NOW)
        self.assertEqual([slave.name for slave in slaves.present(self.store)], ["al"])
        self.assertEqual(self.store.transact(slaves.sync, ["bob"], NOW), {"bob": self.slave})


class TestSteps(StoreCase):
    def test_from_start_to_finish(self) -> None:
        id = self.step()
        self.store.transact(steps.set_text, id, "halfway")
        self.assertTrue(self.store.transact(steps.finish, id, Result.FAILURE, "failed", True, NOW + 1))
        self.assertFalse(self.store.transact(steps.finish, id, Result.SUCCESS, "ok", False, NOW + 2))
        self.store.transact(steps.set_text, id, "too late")
        found = steps.get(self.store, id)
        assert found is not None
        self.assertEqual(found[4:], (NOW, NOW + 1, Result.FAILURE, "failed", True))

    def test_a_replay_finds_the_row_again(self) -> None:
        build = self.start(self.ask())
        self.assertEqual(self.step(build), self.step(build))
        self.assertEqual(len(steps.of_build(self.store, build.id)), 1)

    def test_by_name_and_in_order(self) -> None:
        build = self.start(self.ask())
        second, first = self.step(build, 1, "test"), self.step(build, 0, "compile")
        self.assertEqual([step.id for step in steps.of_build(self.store, build.id)], [first, second])
        found = steps.by_name(self.store, build.id, "test")
        self.assertEqual(found and found.id, second)

    def test_links_are_replaced_by_name(self) -> None:
        build = self.start(self.ask())
        id = self.step(build)
        for url in ("http://a", "http://b"):
            self.store.transact(steps.put_url, id, "report", url)
        self.assertEqual([link[1:] for link in steps.urls_of_build(self.store, build.id)], [("report", "http://b")])

    def test_what_a_dead_build_left_open_is_closed(self) -> None:
        build = self.start(self.ask())
        done, open_ = self.step(build, 0, "a"), self.step(build, 1, "b")
        self.store.transact(steps.finish, done, Result.SUCCESS, "ok", False, NOW)
        command = self.store.transact(
            lambda store: commands.order(store, step=open_, ordinal=0, name="shell", args={}, incarnation=None, now=NOW)
        )
        self.store.transact(steps.end_open, build.id, Result.EXCEPTION, "died", NOW + 1)
        results = [(step.result, step.state_text) for step in steps.of_build(self.store, build.id)]
        self.assertEqual(results, [(Result.SUCCESS, "ok"), (Result.EXCEPTION, "died")])
        found = commands.get(self.store, command)
        self.assertEqual(found and found.state, CommandState.LOST)


class TestCommands(StoreCase):
    def order(self, step: Any, ordinal: int = 0) -> Any:
        args = {"command": ["make", "-k"], "env": {"A": None}}
        return self.store.transact(
            lambda store: commands.order(
                store, step=step, ordinal=ordinal, name="shell", args=args, incarnation="x", now=NOW
            )
        )

    def state(self, id: Any) -> CommandState:
        found = commands.get(self.store, id)
        assert found is not None
        return found.state

    def test_every_state_and_who_may_leave_it(self) -> None:
        step = self.step()
        doings = {
            "run": lambda id: self.store.transact(commands.running, id),
            "finish": lambda id: self.store.transact(commands.finish, id, {"rc": 0}, NOW),
            "lose": lambda id: self.store.transact(commands.lose, id, NOW),
        }
        table: list[tuple[list[str], CommandState, set[str]]] = [
            ([], CommandState.ORDERED, {"run", "finish", "lose"}),
            (["run"], CommandState.RUNNING, {"finish", "lose"}),
            (["run", "finish"], CommandState.FINISHED, set()),
            (["finish"], CommandState.FINISHED, set()),
            (["lose"], CommandState.LOST, set()),
        ]
        ordinal = 0
        for path, state, allowed in table:
            for name, doing in doings.items():
                id = self.order(step, ordinal)
                ordinal += 1
                for earlier in path:
                    self.assertTrue(doings[earlier](id))
                self.assertEqual(self.state(id), state)
                self.assertEqual(doing(id), name in allowed, (path, name))
                if name not in allowed:
                    self.assertEqual(self.state(id), state)

    def test_an_ordinal_is_given_once(self) -> None:
        step = self.step()
        self.order(step)
        self.assertRaises(sqlite3.IntegrityError, self.order, step)

    def test_the_journal_of_a_step(self) -> None:
        step = self.step()
        ids = [self.order(step, ordinal) for ordinal in (1, 0)]
        self.store.transact(commands.finish, ids[0], {"rc": 2, "result": [1]}, NOW + 3)
        first, second = commands.of_step(self.store, step)
        self.assertEqual((first.id, second.id), (ids[1], ids[0]))
        self.assertEqual((second.outcome, second.finished_at), ({"rc": 2, "result": [1]}, NOW + 3))
        self.assertEqual(first.args, {"command": ["make", "-k"], "env": {"A": None}})


class TestLogs(StoreCase):
    def add(self, step: Any, slug: str = "stdio") -> Any:
        return self.store.transact(
            lambda store: logs.add(store, step=step, name=slug, slug=slug, kind="stream", path=f"{slug}.txt", now=NOW)
        )

    def test_from_start_to_finish(self) -> None:
        step = self.step()
        id = self.add(step)
        self.assertEqual(logs.left_open(self.store), [])
        self.store.transact(steps.finish, step, Result.SUCCESS, "done", False, NOW)
        self.assertEqual([log.id for log in logs.left_open(self.store)], [id])
        self.store.transact(logs.finish, id, 10, 2, NOW + 1)
        self.store.transact(logs.finish, id, 99, 9, NOW + 2)
        found = logs.get(self.store, id)
        assert found is not None
        self.assertEqual((found.size, found.lines, found.finished_at), (10, 2, NOW + 1))
        self.assertEqual(logs.left_open(self.store), [])

    def test_a_replay_finds_the_row_again(self) -> None:
        step = self.step()
        self.assertEqual(self.add(step), self.add(step))

    def test_of_a_build_in_the_order_of_steps(self) -> None:
        build = self.start(self.ask())
        second, first = self.step(build, 1, "b"), self.step(build, 0, "a")
        ids = [self.add(second), self.add(first), self.add(first, "err")]
        self.assertEqual([log.id for log in logs.of_build(self.store, build.id)], [ids[1], ids[2], ids[0]])
        self.assertEqual([log.id for log in logs.of_step(self.store, first)], ids[1:])
        found = logs.by_slug(self.store, first, "err")
        self.assertEqual(found and found.id, ids[2])


class TestProperties(StoreCase):
    def test_the_last_one_wins_and_the_others_stay(self) -> None:
        build = self.start(self.ask())
        for values in ([Property("a", 1, "x"), Property("b", "ü", "x")], [Property("a", [2], "y")], []):
            self.store.transact(properties.put, "build", build.id, values)
        self.assertEqual(
            properties.of(self.store, "build", build.id), [Property("a", [2], "y"), Property("b", "ü", "x")]
        )

    def test_only_plain_data(self) -> None:
        build = self.start(self.ask())
        bad = [Property("a", object(), "x")]
        self.assertRaises(TypeError, self.store.transact, properties.put, "build", build.id, bad)


class TestSchedulers(StoreCase):
    def sync(self, *names: str) -> None:
        self.store.transact(schedulers.sync, names, NOW)

    def classify(self, name: str, change: Any, verdict: Verdict = Verdict.IMPORTANT) -> None:
        self.store.transact(schedulers.classify, name, change, verdict, "why", NOW)

    def unclassified(self, name: str) -> list[int]:
        return [change.id for change in schedulers.unclassified(self.store, name)]

    def waiting(self, name: str) -> list[int]:
        return [change.id for change, _ in schedulers.waiting(self.store, name)]

    def test_a_new_one_starts_at_the_newest_change(self) -> None:
        self.change()
        self.sync("a")
        newer = self.change()
        self.assertEqual(self.unclassified("a"), [newer])

    def test_one_that_stays_goes_on_where_it_was(self) -> None:
        self.sync("a")
        ids = [self.change() for _ in range(2)]
        self.classify("a", ids[0])
        self.sync("a", "b")
        self.assertEqual((self.unclassified("a"), self.unclassified("b")), ([ids[1]], []))

    def test_one_that_left_and_came_back_starts_anew(self) -> None:
        self.sync("a")
        self.classify("a", self.change())
        self.change()
        self.sync()
        self.assertFalse(schedulers.is_present(self.store, "a"))
        self.change()
        self.sync("a")
        self.assertTrue(schedulers.is_present(self.store, "a"))
        self.assertEqual((self.unclassified("a"), self.waiting("a")), ([], []))

    def test_what_waits_and_what_does_not(self) -> None:
        self.sync("a")
        ids = [self.change() for _ in Verdict]
        for id, verdict in zip(ids, Verdict, strict=True):
            self.classify("a", id, verdict)
        self.assertEqual(self.waiting("a"), ids[:2])
        self.assertEqual([v.verdict for v in schedulers.latest_verdicts(self.store, "a")], list(reversed(Verdict)))

    def test_a_verdict_is_not_changed_by_a_second_look(self) -> None:
        self.sync("a")
        id = self.change()
        self.classify("a", id, Verdict.NOT_MINE)
        self.classify("a", id, Verdict.IMPORTANT)
        self.assertEqual([v.verdict for v in schedulers.verdicts(self.store, id)], [Verdict.NOT_MINE])
        self.assertEqual(self.waiting("a"), [])

    def test_what_went_into_a_buildset_does_not_wait(self) -> None:
        self.sync("a")
        ids = [self.change() for _ in range(3)]
        for id in ids:
            self.classify("a", id)
        buildset, _ = self.submit()
        self.store.transact(schedulers.retire, "a", ids[:2], buildset)
        self.store.transact(schedulers.retire, "a", ids[:1], None)  # too late
        self.store.transact(schedulers.turn_down, "a", ids, Verdict.FAILED, "it broke")
        self.assertEqual(self.waiting("a"), [])
        found = [schedulers.verdicts(self.store, id)[0] for id in ids]
        self.assertEqual([v.buildset_id for v in found], [buildset, buildset, None])
        self.assertEqual([v.verdict for v in found], [Verdict.IMPORTANT, Verdict.IMPORTANT, Verdict.FAILED])

    def test_timers_look_only_at_what_waits(self) -> None:
        """However long the history is: the index has the waiting ones alone."""
        plan = self.store.all(
            lambda *row: str(row[3]),
            "EXPLAIN QUERY PLAN SELECT change_id FROM classifications INDEXED BY classifications_waiting "
            "WHERE scheduler = 'a' AND retired = 0 AND verdict = 'important' ORDER BY change_id LIMIT 10",
        )
        self.assertEqual(len(plan), 1)
        self.assertIn("classifications_waiting (scheduler=? AND verdict=?)", plan[0])

    def test_state(self) -> None:
        for store, state, set_state in (
            (self.store, schedulers.state, schedulers.set_state),
            (self.store, sources.state, sources.set_state),
        ):
            self.assertEqual(state(store, "a", "x", 7), 7)
            for value in ({"b": [1, None]}, "ü"):
                store.transact(set_state, "a", "x", value)
                self.assertEqual(state(store, "a", "x"), value)
            self.assertIsNone(state(store, "b", "x"))


class TestEvents(StoreCase):
    def add(self, kind: EventKind = EventKind.CONFIG_LOADED, at: float = NOW, **detail: Any) -> EventID:
        return self.store.transact(lambda store: events.add(store, at, kind, None, **detail)).id

    def test_ids_only_grow_even_when_rows_go(self) -> None:
        first = self.add()
        self.store.execute("DELETE FROM events")
        self.assertGreater(self.add(), first)

    def test_a_cursor_starts_at_the_newest_event_and_goes_on_where_it_was(self) -> None:
        self.add()
        cursor = self.store.transact(events.start_cursor, "mail")
        ids = [self.add(number=number) for number in range(3)]
        self.assertEqual([event.id for event in events.after(self.store, cursor.event_id)], ids)
        self.store.transact(events.advance_cursor, "mail", ids[1])
        self.store.transact(events.advance_cursor, "mail", ids[0])  # never backwards
        self.reopen()
        cursor = self.store.transact(events.start_cursor, "mail")
        self.assertEqual([event.detail for event in events.after(self.store, cursor.event_id)], [{"number": 2}])

    def test_failures_are_counted_until_it_works(self) -> None:
        self.store.transact(events.start_cursor, "mail")
        for _ in range(2):
            self.store.transact(events.note_failure, "mail", NOW + 5, "refused")
        self.assertEqual(events.cursors(self.store)[0][2:], (2, NOW + 5, "refused"))
        self.store.transact(events.advance_cursor, "mail", self.add())
        self.assertEqual(events.cursors(self.store)[0][2:], (0, None, None))

    def test_of_kinds_between(self) -> None:
        ids = [self.add(at=NOW + number) for number in range(4)]
        self.add(EventKind.MASTER_STARTED, NOW + 1)
        found = events.of_kinds_between(self.store, (EventKind.CONFIG_LOADED,), NOW + 1, NOW + 2)
        self.assertEqual([event.id for event in found], [ids[2], ids[1]])


class TestActions(StoreCase):
    def test_who_did_what(self) -> None:
        for why in ("first", "second"):
            self.store.transact(
                lambda store, why=why: actions.add(store, who="ada", what="force", subject="full", why=why, now=NOW)
            )
        self.assertEqual([action.why for action in actions.newest(self.store)], ["second", "first"])
        self.assertEqual(self.kinds(), [EventKind.OPERATOR_ACTION] * 2)

    def test_a_master_that_died_is_known_by_its_row(self) -> None:
        self.assertIsNone(self.store.transact(actions.master_started, "one", NOW))
        before = self.store.transact(actions.master_started, "two", NOW + 1)
        assert before is not None
        self.assertEqual((before.incarnation, before.stopped_at), ("one", None))
        self.store.transact(actions.master_stopped, "two", NOW + 2)
        before = self.store.transact(actions.master_started, "three", NOW + 3)
        self.assertEqual(before and before.stopped_at, NOW + 2)


class TestSecretsInTexts(StoreCase):
    """`store.hide` is asked about every text that people write or that tells of an error."""

    def setUp(self) -> None:
        super().setUp()
        self.store.hide = lambda text: text.replace("s3cret", "<key>")

    def test_no_text_is_stored_as_it_was_written(self) -> None:
        why, store = "why s3cret", self.store
        told = [store.transact(changes.add, NewChange("ann", comments=why, properties=(("p", why),)), NOW)[0]]
        store.transact(schedulers.sync, ["s"], NOW)
        store.transact(schedulers.classify, "s", told[0], Verdict.FAILED, why, NOW)
        store.transact(schedulers.turn_down, "s", told, Verdict.FAILED, why)
        store.transact(sourcestamps.add_patch, b"", comment=why)
        store.transact(actions.add, who="ann", what="force", subject="builder full", why=why, now=NOW)
        store.transact(pauses.begin, pauses.Kind.BUILDER, "full", NOW, who="ann", why=why)
        store.transact(pauses.end, pauses.Kind.BUILDER, "full", NOW, who="ann", why=why)
        store.transact(pauses.begin, pauses.Kind.SLAVE, "bob", NOW, who="ann", why=why)
        store.transact(events.start_cursor, "mail")
        store.transact(events.note_failure, "mail", NOW, why)
        slave = self.slaves["bob"]
        store.transact(slaves.connected, slave, NOW, incarnation="i", version="1", details={})
        store.transact(slaves.lost, slave, NOW, why)
        _, (first, second) = self.submit([self.builder, self.builders["quick"]], reason=why)
        store.transact(requests.cancel, second, NOW, "ann", why)
        for _ in range(requests.MOST_RETRIES + 1):
            build = store.transact(
                builds.start, builder=self.builder, slave=slave, claimed=[first], reason=why, now=NOW
            )
            store.transact(builds.ask_to_stop, build.id, why, Result.CANCELLED, 0)
            store.transact(builds.set_text, build.id, why)
            store.transact(builds.finish, build.id, Result.RETRY, why, NOW)
        parked = store.value("SELECT parked_reason FROM build_requests WHERE id = ?", first)
        self.assertIn("why <key>", parked)
        where = [
            f"{table}.{column}"
            for table in store.column("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for column in store.column("SELECT name FROM pragma_table_info(?)", table)
            if store.value(f"SELECT 1 FROM {table} WHERE CAST({column} AS TEXT) LIKE '%s3cret%'")
        ]
        self.assertEqual(where, ["change_properties.value"])  # what builds use is as it was given
        (shown,) = properties.shown(store, "change", told[0])
        self.assertEqual(shown.value, "why <key>")

    def test_a_number_that_is_a_secret_is_shown_as_text(self) -> None:
        id = self.change(properties=(("pin", 4711), ("other", 1)))
        self.store.hide = lambda text: text.replace("4711", "<pin>")
        self.assertEqual([p.value for p in properties.shown(self.store, "change", id)], [1, "<pin>"])
        self.assertEqual([p.value for p in properties.of(self.store, "change", id)], [1, 4711])
