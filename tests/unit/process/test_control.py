"""What operators do to many requests at once, and slaves that are to end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from buildbot.model import ChangeID, NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.store import actions, builders, buildsets, pauses, requests, slaves, sourcestamps
from buildbot.store.pauses import Kind
from tests.rig import RigCase, Source

WAITS = "while ! [ -e ../go ]; do sleep 0.05; done"


class TestCancelling(RigCase):
    with_slave = False

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.rig.add_builder("b", BuildFactory([ShellCommand(command="sleep 60")]))
        self.rig.add_builder("other", BuildFactory([ShellCommand(command="sleep 60")]))
        self.store = self.rig.store

    def result(self, request: Any) -> Result | None:
        found = requests.get(self.store, request)
        assert found is not None
        return found.result

    async def test_ten_thousand_are_cancelled_in_slices(self) -> None:
        stamp = self.store.transact(sourcestamps.add, now=1.0)
        ids = self.rig._builder_ids

        def submit(store: Any) -> None:
            for _ in range(10_000):
                buildsets.submit(store, builders=[ids["b"]], source_stamps=[stamp], reason="flood", now=1.0)

        self.store.transact(submit)
        other = self.rig.submit("other")
        cancelling = Deferred.fromCoroutine(self.rig.control.cancel_pending([ids["b"]], "ada", "flood"))
        later = self.rig.submit("b")
        self.assertEqual(await cancelling, 10_000)
        self.assertEqual(requests.pending_counts(self.store), {ids["b"]: 1, ids["other"]: 1})
        self.assertEqual((self.result(other), self.result(later)), (None, None))
        self.assertEqual(self.store.value("SELECT count(*) FROM buildsets WHERE result = ?", Result.CANCELLED), 10_000)
        (action,) = actions.about(self.store, "builder b")
        self.assertEqual((action.who, action.what, action.why), ("ada", "cancel all pending", "flood"))

    async def test_parked_requests_are_cancelled_as_well(self) -> None:
        request = self.rig.submit("b")
        for _ in range(requests.MOST_RETRIES + 1):
            self.store.transact(requests.claim, request, 1.0)
            self.store.transact(requests.put_back, request, 1.0, "lost")
        self.assertEqual(await self.rig.control.cancel_pending([self.rig._builder_ids["b"]], "ada", ""), 1)
        self.assertEqual(requests.get(self.store, request).cancelled_because, "cancelled by ada")

    async def test_of_a_selection_those_that_no_longer_wait_are_left(self) -> None:
        one, two = self.rig.submit("b"), self.rig.submit("b")
        self.store.transact(requests.claim, two, 1.0)
        self.assertEqual(await self.rig.control.cancel_requests([one, two], "ada", "why"), 1)
        self.assertEqual((self.result(one), self.result(two)), (Result.CANCELLED, None))

    async def test_all_of_a_change_waiting_and_running(self) -> None:
        await self.rig.start_slave()
        change = NewChange(author="eve", repository="r", revision="7")
        running = self.rig.submit("b", Source(repository="r", revision="7", changes=[change]))
        await self.rig.until_step_runs("shell")
        self.store.transact(pauses.begin, Kind.BUILDER, "other", 1.0, who="ada", why="")
        waiting = self.rig.submit("other", Source(repository="r", revision="7", changes=[change]))
        forced = self.rig.submit("other", Source(repository="r", revision="7"))  # its revision, without the change
        fork = self.rig.submit("other", Source(repository="fork", revision="7"))
        done = await self.rig.control.stop_change(ChangeID(1), None, "ada", "breaks all")
        self.assertEqual(done, (2, 1))
        built = await self.rig.built(running)
        self.assertEqual(built.result, Result.CANCELLED)
        self.assertIn("stopped by ada: change 1 was stopped: breaks all", built.row.state_text)
        self.assertEqual([self.result(each) for each in (waiting, forced, fork)], [Result.CANCELLED] * 2 + [None])
        self.assertEqual([each.why for each in actions.about(self.store, "change 1")], ["breaks all"])

    async def test_a_change_in_one_builder_only(self) -> None:
        source = Source(changes=[NewChange(author="eve", revision="7")])
        here, there = self.rig.submit("b", source), self.rig.submit("other", source)
        builder = builders.by_name(self.store, "b")
        assert builder is not None
        self.assertEqual(await self.rig.control.stop_change(ChangeID(1), builder.id, "ada", ""), (1, 0))
        self.assertEqual((self.result(here), self.result(there)), (Result.CANCELLED, None))


class TestRetiring(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.ended: list[str] = []
        self.rig.add_slaves("two")

    async def slave(self) -> Any:
        return await self.rig.start_slave("two", stop_process=lambda: self.ended.append("two"))

    def pause_of(self, name: str) -> pauses.Pause | None:
        return pauses.get(self.rig.store, Kind.SLAVE, name)

    async def test_an_idle_slave_is_told_at_once(self) -> None:
        await self.slave()
        self.assertTrue(self.rig.control.pause(Kind.SLAVE, "two", "ada", "old", graceful=True))
        await self.rig.until(lambda: self.ended)
        (action,) = actions.about(self.rig.store, "slave two")
        self.assertEqual((action.who, action.what, action.why), ("ada", "shut down gracefully", "old"))

    async def test_a_slave_that_asks_itself_ends_after_its_build_and_gets_no_other(self) -> None:
        slave = await self.slave()
        self.rig.add_builder("b", BuildFactory([ShellCommand(command=WAITS)]), ["two"])
        running = self.rig.submit()
        await self.rig.until_step_runs("shell")
        slave._ask_to_be_retired()
        await self.rig.until(lambda: self.pause_of("two"))
        waiting = self.rig.submit()
        (self.rig.base / "two" / "b" / "go").write_text("")
        self.assertEqual((await self.rig.built(running)).result, Result.SUCCESS)
        await self.rig.until(lambda: self.ended)
        request = requests.get(self.rig.store, waiting)
        assert request is not None
        self.assertIsNone(request.claimed_at)
        pause = self.pause_of("two")
        assert pause is not None
        self.assertEqual((pause.graceful, pause.who), (True, "slave two"))

    async def test_it_may_build_again_when_its_process_was_started_anew(self) -> None:
        await self.slave()
        self.rig.control.pause(Kind.SLAVE, "two", "ada", "", graceful=True)
        await self.rig.until(lambda: self.ended)
        self.rig.cut("two")
        await self.rig.until(lambda: "two" not in self.rig.sessions.here)
        await self.rig.until(lambda: "two" in self.rig.sessions.here)
        self.assertIsNotNone(self.pause_of("two"))  # the same process came back
        await self.rig.stop_slave("two")
        await self.rig.until(lambda: "two" not in self.rig.sessions.here)
        await self.slave()
        self.assertIsNone(self.pause_of("two"))

    async def test_a_pause_is_not_over_when_a_process_is_started_anew(self) -> None:
        self.rig.control.pause(Kind.SLAVE, "two", "ada", "")
        await self.slave()
        self.assertIsNotNone(self.pause_of("two"))

    async def test_a_build_that_the_store_knows_keeps_it_from_ending(self) -> None:
        """After a restart of the master a build may be known before it runs on."""
        await self.slave()
        row = slaves.by_name(self.rig.store, "two")
        assert row is not None
        self.assertFalse(self.rig.retiring._is_busy(self.rig.sessions.here["two"]))
        self.rig.store.execute(
            "INSERT INTO builders (name, position, description, tags, last_number) VALUES ('x', 0, '', '[]', 1)"
        )
        self.rig.store.execute(
            "INSERT INTO builds (builder_id, number, slave_id, started_at, state_text, reason, attempt) "
            "VALUES (1, 1, ?, 1.0, '', '', 1)",
            row.id,
        )
        self.assertTrue(self.rig.retiring._is_busy(self.rig.sessions.here["two"]))
