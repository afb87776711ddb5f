"""A slave that stood still judges nobody by the time that it missed."""

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from buildslave.patience import LATE_SECONDS, MOMENT_SECONDS, PatientClock

from .slave_process import SlaveProcessCase


class Rules(SynchronousTestCase):
    def setUp(self) -> None:
        self.real = Clock()
        self.clock = PatientClock(self.real)
        self.clock.start()
        self.addCleanup(self.clock.stop)
        self.fired: list[float] = []

    def later(self, seconds: float) -> Any:
        return self.clock.callLater(seconds, lambda: self.fired.append(self.real.seconds()))

    def run_for(self, seconds: float) -> None:
        self.real.pump([0.25] * int(seconds * 4))

    def test_without_a_stall_it_is_a_clock(self) -> None:
        self.later(10)
        self.run_for(30)
        self.assertEqual((self.fired, self.clock.seconds()), ([10], 30))

    def test_a_stall_is_left_out(self) -> None:
        self.later(10)
        self.run_for(5)
        self.real.advance(1000)
        self.assertLess(self.clock.seconds(), 7)
        self.run_for(3)
        self.assertEqual(self.fired, [])
        self.run_for(4)
        self.assertEqual(len(self.fired), 1)

    def test_what_was_due_waits_a_moment(self) -> None:
        for late in (LATE_SECONDS * 2, 100):
            self.fired = []
            self.later(5)
            self.run_for(4.75)
            self.real.advance(late)
            self.assertEqual(self.fired, [])
            began = self.real.seconds()
            self.run_for(3)
            self.assertEqual(len(self.fired), 1)
            self.assertGreaterEqual(self.fired[0] - began, MOMENT_SECONDS)

    def test_a_slow_reactor_is_late_and_not_without_end(self) -> None:
        self.later(5)
        self.real.pump([1.9] * 10)
        self.assertEqual(len(self.fired), 1)

    def test_a_clock_that_is_set_back_changes_nothing(self) -> None:
        self.run_for(10)
        self.real.rightNow -= 1000
        self.assertEqual(self.clock.seconds(), 10)

    def test_timers_can_be_changed(self) -> None:
        call = self.later(5)
        call.delay(3)
        self.run_for(7)
        self.assertEqual((self.fired, call.active()), ([], True))
        call.reset(5)
        self.run_for(6)
        self.assertEqual((self.fired, call.active()), ([12], False))
        self.assertRaises(AlreadyCalled, call.cancel)
        self.later(1).cancel()
        answer: Deferred[None] = Deferred()
        answer.addTimeout(5, self.clock)
        answer.callback(None)
        self.run_for(10)
        self.assertEqual(len(self.fired), 1)


class FrozenSlave(SlaveProcessCase):
    changes = (
        ("connection", "PROBE_AFTER_SECONDS", 0.4), ("connection", "PROBE_EVERY_SECONDS", 0.1),
        ("connection", "KEEPALIVE_ANSWER_SECONDS", 2.0),
    )  # fmt: skip

    async def freeze_while_it_asks(self) -> None:
        """Five seconds, in which its master answers and its command writes, and in which both are due."""
        self.master.keepalive_seconds = 0.2
        asked = self.master.keepalives
        await self.master.until(lambda: self.master.keepalives > asked)
        self.freeze()
        await deferLater(reactor, 5, lambda: None)
        self.assertEqual(self.master.outcomes, {})
        self.thaw()

    async def test_connection_and_commands_are_kept(self) -> None:
        loop = "import time\nfor i in range(9): print('.', flush=True); time.sleep(0.8)"
        await self.master.order("1", "shell", command=[sys.executable, "-c", loop], timeout=3)
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.freeze_while_it_asks()
        outcome = await self.master.ended("1", 30)
        self.assertEqual((outcome["rc"], outcome["reason"]), (0, None))
        self.assertEqual(self.master.log("1").text("stdout"), b".\n" * 9)
        self.assertEqual(self.master.logins, 1)
        await self.master.until(lambda: "stood still" in self.log())

    async def test_real_silence_is_still_found_later(self) -> None:
        await self.master.order("1", "shell", command="echo a; exec sleep 300", timeout=3)
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.freeze_while_it_asks()
        self.assertEqual((await self.master.ended("1", 30))["reason"], "timeout_without_output")
        self.assertEqual(self.master.logins, 1)
