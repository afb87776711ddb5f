"""Commands outlive connections: nothing is lost, nothing comes twice, memory stays bounded."""

import os
import sys

from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildslave import held

from .cases import SlaveCase
from .test_shell import alive

NUMBERS = "import sys\nfor i in range({0}): print('line', i)"


def numbered(count: int) -> bytes:
    return b"".join(b"line %d\n" % index for index in range(count))


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Resuming(SlaveCase):
    async def test_output_survives_dropped_connections_byte_for_byte(self) -> None:
        self.master.drop_after = 300_000
        await self.master.order("1", "shell", command=[sys.executable, "-c", NUMBERS.format(200_000)])
        for after in (700_000, 1_500_000):
            await self.master.until(lambda: self.master.drop_after is None)
            self.master.drop_after = after
        outcome = await self.master.ended("1", 40)
        self.assertEqual(outcome["rc"], 0)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(200_000))
        self.assertGreaterEqual(self.master.logins, 3)

    async def test_a_command_runs_on_while_there_is_no_connection(self) -> None:
        await self.master.order("1", "shell", command="echo a; while [ ! -e go ]; do sleep 0.05; done; echo b")
        await self.master.until(lambda: self.master.log("1").text("stdout") == b"a\n")
        await self.master.close()
        (self.basedir / "builder" / "go").touch()
        await deferLater(reactor, 0.5, lambda: None)
        self.master.listen()
        outcome = await self.master.ended("1")
        self.assertEqual(outcome["rc"], 0)
        self.assertEqual(self.master.log("1").text("stdout"), b"a\nb\n")
        self.assertEqual(self.master.attached, {"1": "finished"})

    async def test_a_master_that_lost_its_tail_gets_it_again(self) -> None:
        self.master.deaf = True
        await self.master.order("1", "shell", command="echo a; sleep 0.5; echo b")
        await self.master.until(lambda: self.master.calls)
        self.master.deaf = False
        self.master.drop()
        await self.master.ended("1")
        self.assertEqual(self.master.log("1").text("stdout"), b"a\nb\n")

    async def test_what_is_kept_without_a_position_waits_until_it_is_resumed(self) -> None:
        await self.master.order("1", "shell", command="echo a; while [ ! -e go ]; do sleep 0.05; done; echo b")
        await self.master.until(lambda: self.master.log("1").text("stdout") == b"a\n")
        self.master.attach_named = {"1": None}
        self.master.drop()
        await self.master.until(lambda: self.master.attached == {"1": "running"})
        (self.basedir / "builder" / "go").touch()
        await deferLater(reactor, 0.5, lambda: None)
        self.assertEqual(self.master.log("1").text("stdout"), b"a\n")
        self.assertEqual(await self.master.call("resume", "1", self.master.log("1").held), "finished")
        await self.master.ended("1")
        self.assertEqual(self.master.log("1").text("stdout"), b"a\nb\n")
        self.assertEqual(await self.master.call("resume", "1", 0), "unknown")

    async def test_an_order_for_what_is_over_runs_nothing(self) -> None:
        await self.master.run("1", "shell", command="echo x >> ran")
        await self.master.until(lambda: self.slave.commands.idle)
        order = {"id": "1", "name": "shell", "builddir": "builder", "held": 0}
        answer = await self.master.call("order", {**order, "args": {"command": "echo x >> ran", "workdir": "."}})
        self.assertEqual(answer, "over")
        self.assertTrue(self.slave.commands.idle)

    async def test_finished_is_repeated_until_it_is_durable(self) -> None:
        self.patch(held, "FIRST_REPEAT_SECONDS", 0.2)
        self.master.refuse_finished = 2
        await self.master.run("1", "shell", command=["true"])
        self.assertEqual(self.master.told_finished, ["1"] * 3)
        await self.master.until(lambda: self.slave.commands.idle)

    async def test_an_error_of_the_master_loses_nothing(self) -> None:
        self.master.output_errors = [ValueError("disk full"), ValueError("disk full")]
        await self.master.run("1", "shell", command="echo x")
        self.assertEqual(self.master.log("1").text("stdout"), b"x\n")
        self.flushLoggedErrors(ValueError)

    async def test_what_the_master_does_not_name_is_killed_and_forgotten(self) -> None:
        await self.master.order("1", "shell", command="echo $$; exec sleep 300")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        pid = int(self.master.log("1").text("stdout"))
        self.master.attach_named = {"other": 5}
        self.master.drop()
        await self.master.until(lambda: not alive(pid))
        await self.master.until(lambda: self.master.attached == {"other": "unknown"})
        self.assertTrue(self.slave.commands.idle)

    async def test_a_disowned_command_is_killed_and_says_nothing_more(self) -> None:
        await self.master.order("1", "shell", command="echo $$; exec sleep 300")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.master.call("disown", "1")
        await self.master.until(lambda: not alive(int(self.master.log("1").text("stdout"))))
        await deferLater(reactor, 0.2, lambda: None)
        self.assertEqual(self.master.told_finished, [])
        self.assertTrue(self.slave.commands.idle)

    async def test_bytes_that_are_gone_are_not_made_up(self) -> None:
        await self.master.order("1", "shell", command="echo $$; exec sleep 300")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        pid = int(self.master.log("1").text("stdout"))
        self.master.attach_named = {"1": 0}
        self.master.drop()
        await self.master.until(lambda: self.master.attached == {"1": "unknown"})
        await self.master.until(lambda: not alive(pid))
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    async def test_the_slave_tells_what_it_holds(self) -> None:
        await self.master.order("1", "shell", command="echo up; exec sleep 300")
        told = await self.master.call("getSlaveInfo")
        self.assertEqual(told["resumable"]["commands"], ["1"])
        self.assertEqual(told["resumable"]["dialect"], 1)
        again = await self.master.call("getSlaveInfo")
        self.assertEqual(told["resumable"]["incarnation"], again["resumable"]["incarnation"])
        self.assertNotEqual(self.make_slave().describe()["resumable"]["incarnation"], told["resumable"]["incarnation"])
        self.assertIn("shell", told["slave_commands"])


class Orphans(SlaveCase):
    def make_slave(self, **changes: object):  # type: ignore[no-untyped-def]
        return super().make_slave(orphan_grace_seconds=0.5, **changes)

    async def test_an_orphan_is_killed_and_its_end_is_told_later(self) -> None:
        await self.master.order("1", "shell", command="sleep 300 & echo $!; wait")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        pid = int(self.master.log("1").text("stdout"))
        await self.master.close()
        await self.master.until(lambda: not alive(pid))
        self.master.listen()
        outcome = await self.master.ended("1")
        self.assertEqual(outcome["reason"], "interrupted")
        self.assertIn(b"no master asked for it", self.master.log("1").text("header"))

    async def test_keys_and_passwords_go_when_no_master_comes_and_when_the_slave_ends(self) -> None:
        directory = self.basedir / ".secrets" / "builder"
        directory.mkdir(parents=True)
        await self.master.close()
        await self.master.until(lambda: not directory.exists())
        directory.mkdir(parents=True)
        await self.slave.stopService()
        self.assertFalse(directory.exists())


class BackPressure(SlaveCase):
    async def test_a_fast_writer_waits_for_a_master_that_does_not_answer(self) -> None:
        self.master.deaf = True
        before = resident_bytes()
        await self.master.order("1", "shell", command="yes 0123456789 & echo $! > pid; wait", timeout=1)
        await deferLater(reactor, 3, lambda: None)
        self.assertLess(resident_bytes() - before, 16 * 1024 * 1024)
        self.assertEqual(self.master.most_in_flight, 8)
        self.assertLessEqual(sum(size for _, _, size in self.master.calls), 8 * 64 * 1024)
        self.assertTrue(alive(int((self.basedir / "builder" / "pid").read_text())), "waiting is not silence")

    async def test_it_waits_without_a_connection_too_and_goes_on_later(self) -> None:
        await self.master.order(
            "1", "shell", command=f'echo up; sleep 0.5; {sys.executable} -c "{NUMBERS.format(400_000)}"'
        )
        await self.master.until(lambda: self.master.log("1").text("stdout") == b"up\n")
        await self.master.close()
        before = resident_bytes()
        await deferLater(reactor, 1.5, lambda: None)
        self.assertLess(resident_bytes() - before, 16 * 1024 * 1024)
        self.master.listen()
        await self.master.ended("1", 40)
        self.assertEqual(self.master.log("1").text("stdout"), b"up\n" + numbered(400_000))

    async def test_a_slow_master_gets_everything(self) -> None:
        self.master.answer_seconds = 0.02
        await self.master.order("1", "shell", command=[sys.executable, "-c", NUMBERS.format(400_000)])
        await self.master.ended("1", 40)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(400_000))
        self.assertLessEqual(self.master.most_in_flight, 8)

    async def test_a_paused_command_can_be_interrupted(self) -> None:
        self.master.deaf = True
        await self.master.order("1", "shell", command="echo $$ > pid; exec yes")
        await deferLater(reactor, 1, lambda: None)
        await self.master.call("interrupt", "1", "enough")
        pid = int((self.basedir / "builder" / "pid").read_text())
        await self.master.until(lambda: not alive(pid))
        self.master.deaf = False
        self.master.drop()
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")
