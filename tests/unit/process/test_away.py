"""People and slaves that are away: they are given up at once, and what was left on them is let go."""

from __future__ import annotations

import signal
from typing import Any

from buildbot.model import Result
from buildbot.store import actions, commands, requests
from tests.unit.process.test_lost_slave import LostCase


class TestGivingUp(LostCase):
    async def kill(self, bot: Any) -> None:
        """Kill the process of the slave `bot`, and begin nothing new."""
        self.rig.running.draining = True
        bot.kill(signal.SIGKILL)
        await self.rig.until(lambda: "bot" in self.rig.reattaching.away, "the loss is known")

    async def test_its_builds_are_tried_again_and_what_runs_there_is_known_until_it_is_back(self) -> None:
        self.rig.add_slaves("other")
        self.add_sleeper("bot", "other")
        bot = await self.start_process()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        self.assertEqual(self.rig.control.give_up_slave("bot", "ada", "too early"), 0)  # it is here
        bot.kill(signal.SIGSTOP)
        self.addCleanup(bot.kill, signal.SIGCONT)
        self.rig.sessions.here["bot"].lose("it gives no answer")
        self.make_quick("other")
        await self.start_process("other")
        self.assertEqual(self.rig.control.give_up_slave("bot", "ada", "it burnt"), 1)
        lost = await self.rig.built(request)
        self.assertEqual(lost.result, Result.RETRY)
        self.assertIn("slave bot was given up by ada: it burnt", lost.row.state_text)
        self.assertEqual((await self.rig.built(request, attempt=2)).result, Result.SUCCESS)
        row = requests.get(self.rig.store, request)
        assert row is not None
        self.assertEqual(row.retries, 0)  # no fault of its own
        (action,) = actions.about(self.rig.store, "slave bot")
        self.assertEqual((action.who, action.what, action.why), ("ada", "give up slave", "it burnt"))
        self.assertEqual(self.rig.control.give_up_slave("bot", "ada", "again"), 0)
        self.assertEqual(list(commands.left_on(self.rig.store).values()), [1])
        bot.kill(signal.SIGCONT)
        await self.rig.until(lambda: not commands.left_on(self.rig.store), "the slave has dropped it")

    async def test_what_was_left_on_it_is_let_go_at_a_persons_word(self) -> None:
        self.add_sleeper()
        bot = await self.start_process()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        await self.kill(bot)
        self.assertEqual(self.rig.control.free_slave("bot", "ada", "too early"), 0)
        self.rig.control.give_up_slave("bot", "ada", "")
        await self.rig.built(request)
        self.assertEqual(self.rig.control.free_slave("bot", "ada", "its machine is gone"), 1)
        self.assertEqual(self.rig.control.free_slave("bot", "ada", "again"), 0)
        self.assertEqual(commands.left_on(self.rig.store), {})
        self.assertEqual(
            [(each.what, each.why) for each in actions.about(self.rig.store, "slave bot")],
            [("free slave", "its machine is gone"), ("give up slave", "")],
        )

    async def test_a_slave_that_was_started_again_has_nothing_of_it(self) -> None:
        self.add_sleeper()
        bot = await self.start_process()
        request = self.rig.submit()
        await self.rig.until_step_runs("it", "begun\n")
        await self.kill(bot)
        await self.start_process()
        self.assertEqual((await self.rig.built(request)).result, Result.RETRY)
        self.assertEqual(commands.left_on(self.rig.store), {})
