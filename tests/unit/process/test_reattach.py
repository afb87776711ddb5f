"""How long builds wait for their slave: on a clock of our own."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from buildbot.model import SlaveID
from buildbot.process.reattach import LEAST_PATIENCE_SECONDS, PATIENCE_SECONDS, STALL_SECONDS, Reattaching
from buildbot.process.running import RunningBuilds
from buildbot.store import absences
from tests.unit.store.cases import NOW, StoreCase


class Session:
    resumes = True

    def __init__(self, id: int) -> None:
        self.name, self.id = "al", SlaveID(id)


class Waiting:
    """A build, as far as it waits for its slave."""

    slavename = "al"

    def __init__(self, session: Any, goes_on: bool = True) -> None:
        self.session = session
        self.id = 1
        self.lost: list[str] = []
        self._goes_on = goes_on

    def goes_on_with(self, session: Any) -> bool:
        return self._goes_on

    def slave_is_away(self) -> None:
        self.session = None

    def slave_is_back(self, session: Any) -> None:
        self.session = session

    def lose_slave(self, why: str, *, gone: bool = False) -> None:
        self.lost.append(why)


class TestPatience(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.running = RunningBuilds()
        self.reattaching = Reattaching(
            running=self.running, store=self.store, clock=self.clock, now=lambda: NOW + self.clock.seconds()
        )
        self.session: Any = Session(self.slave)
        self.build: Any = Waiting(self.session)
        self.running.by_id[self.build.id] = self.build

    def test_from_its_last_sign_of_life(self) -> None:
        self.reattaching.lost(self.session, "the connection was lost", 15.0)
        self.clock.advance(PATIENCE_SECONDS - 15 - 1)
        self.assertEqual(self.build.lost, [])
        self.clock.advance(1)
        self.assertEqual(
            self.build.lost, ["slave al was lost (the connection was lost) and did not come back within 60 s"]
        )
        self.assertEqual((self.reattaching.away, self.clock.getDelayedCalls()), ({}, []))

    def test_but_some_time_in_any_case(self) -> None:
        self.reattaching.lost(self.session, "it gives no answer", PATIENCE_SECONDS)
        self.clock.advance(LEAST_PATIENCE_SECONDS - 1)
        self.assertEqual(self.build.lost, [])
        self.clock.advance(1)
        self.assertEqual(len(self.build.lost), 1)

    def test_who_is_back_in_time_goes_on_and_his_absence_is_written_down(self) -> None:
        self.reattaching.lost(self.session, "the connection was lost", 5.0)
        self.assertIsNone(self.build.session)
        self.clock.advance(30)
        again: Any = Session(self.slave)
        self.reattaching.came(again)
        self.assertIs(self.build.session, again)
        (away,) = absences.during(self.store, self.slave, NOW, None)
        self.assertEqual((away.began_at, away.ended_at, away.why), (NOW - 5, NOW + 30, "the connection was lost"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_process_of_the_slave_ends_it(self) -> None:
        self.build._goes_on = False
        self.reattaching.lost(self.session, "the connection was lost", 0.0)
        self.reattaching.came(self.session)
        self.assertEqual(self.build.lost, ["slave al was restarted"])

    def test_nobody_waits_for_a_slave_whose_commands_have_ended_with_its_connection(self) -> None:
        self.session.resumes = False
        self.reattaching.lost(self.session, "the connection was lost", 0.0)
        self.assertEqual(self.build.lost, ["slave al was lost: the connection was lost"])
        self.assertEqual((self.reattaching.away, self.clock.getDelayedCalls()), ({}, []))

    def test_a_master_that_stood_still_gives_it_its_time_again(self) -> None:
        self.reattaching.lost(self.session, "the connection was lost", 0.0)
        self.clock.advance(PATIENCE_SECONDS + STALL_SECONDS + 1)
        self.assertEqual(self.build.lost, [])
        self.clock.advance(LEAST_PATIENCE_SECONDS)
        self.assertEqual(len(self.build.lost), 1)

    def test_after_a_restart_of_the_master(self) -> None:
        self.build.session = None
        self.reattaching.expect("al")
        self.clock.advance(PATIENCE_SECONDS)
        self.assertIn("the master was restarted", self.build.lost[0])

    def test_nobody_waits_for_a_slave_without_builds(self) -> None:
        self.running.by_id.clear()
        self.reattaching.lost(self.session, "the connection was lost", 0.0)
        self.assertEqual((self.reattaching.away, self.clock.getDelayedCalls()), ({}, []))
