"""What no master takes: output on disk, and ends that outlive the slave's process."""

import hashlib
import json
import random
import shutil
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from buildslave import spool as spool_module
from buildslave.held import State
from buildslave.spooldir import LOCK, SpoolDirectory, SpoolInUse

from .cases import SlaveCase, temporary_directory
from .test_resuming import NUMBERS, numbered, resident_bytes
from .test_shell import alive

MEBIBYTE = 1024 * 1024
TURNS = """
import os, sys
for number in range({0}):
    os.write(1 + number % 2, b"%d" % (number // 2 % 10))
"""
"""Writes to its two streams in turns, one byte each."""


class SpoolCase(SlaveCase):
    def files(self) -> list[Path]:
        return sorted(path for path in (self.basedir / ".spool").iterdir() if path.suffix in (".out", ".end"))

    async def begin(self, command: str | list[str], command_id: str = "1") -> None:
        """A command that begins to write in earnest when there is no master any more, and the file `go`."""
        wait = "echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; "
        words = [sys.executable, "-c", command[0]] if isinstance(command, list) else ["/bin/sh", "-c", command]
        await self.master.order(command_id, "shell", command=["/bin/sh", "-c", wait + 'exec "$@"', "sh", *words])
        await self.master.until(lambda: (self.basedir / "builder" / "pid").exists())
        await self.master.close()
        await self.master.until(lambda: self.master.avatar is None)
        (self.basedir / "builder" / "go").touch()

    async def is_over(self, command_id: str = "1") -> None:
        await self.master.until(lambda: self.slave.commands.state(command_id) is State.FINISHED, 100)


class Spooling(SpoolCase):
    async def test_200_megabytes_need_no_memory_and_arrive(self) -> None:
        await self.begin("yes 0123456789 | head -c 200000000")
        before = resident_bytes()
        self.master.log("1").fold()
        await self.is_over()
        self.assertLess(resident_bytes() - before, 24 * MEBIBYTE)
        self.assertGreater(self.slave.spool.used_bytes, 198_000_000)
        self.assertEqual({path.stat().st_mode & 0o777 for path in self.files()}, {0o600})
        self.master.listen()
        await self.master.ended("1", 100)
        self.assertLess(resident_bytes() - before, 48 * MEBIBYTE)
        got = self.master.log("1").pieces
        self.assertEqual(got.sizes["stdout"], 200_000_000)
        expected = (b"0123456789\n" * (200_000_000 // 11 + 1))[:200_000_000]
        self.assertEqual(got.of("stdout"), hashlib.sha256(expected).hexdigest())
        await self.master.until(lambda: self.files() == [])
        self.assertEqual(self.slave.spool.used_bytes, 0)

    async def test_dropped_connections_change_no_byte(self) -> None:
        await self.begin([NUMBERS.format(600_000)])
        chance = random.Random(7)
        self.master.drop_after = 1
        self.master.listen()
        while "1" not in self.master.outcomes:
            await deferLater(reactor, chance.random() * 0.3, lambda: None)
            self.master.drop_after = self.master.log("1").held + chance.randint(1, MEBIBYTE)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(600_000))
        self.assertGreater(self.master.logins, 3)

    async def test_streams_in_turns_keep_their_order(self) -> None:
        await self.begin([TURNS.format(120_000)])
        await self.is_over()
        self.assertTrue(self.files())
        self.master.listen()
        await self.master.ended("1", 60)
        digits = b"0123456789" * 6000
        self.assertEqual(self.master.log("1").text("stdout"), digits)
        self.assertEqual(self.master.log("1").text("stderr"), digits)

    async def test_new_output_goes_behind_what_is_on_disk(self) -> None:
        await self.begin([NUMBERS.format(300_000) + "\nimport time; time.sleep(1); print('end')"])
        await self.master.until(lambda: self.files())
        self.master.answer_seconds = 0.02
        self.master.listen()
        await self.master.ended("1", 60)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(300_000) + b"end\n")
        await self.master.until(lambda: self.files() == [])


class LittleRoom(SpoolCase):
    def make_slave(self, **changes: object):  # type: ignore[no-untyped-def]
        return super().make_slave(spool_size=500_000, **changes)

    async def test_when_the_spool_is_full_the_command_waits_and_nothing_is_lost(self) -> None:
        await self.begin([NUMBERS.format(600_000)])
        await self.master.until(lambda: self.slave.spool.used_bytes > 400_000)
        await deferLater(reactor, 1.5, lambda: None)
        self.assertLessEqual(self.slave.spool.used_bytes, 500_000)
        self.assertTrue(alive(int((self.basedir / "builder" / "pid").read_text())))
        self.master.listen()
        await self.master.ended("1", 60)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(600_000))


class Restarting(SpoolCase):
    """The slave's process ends and another one begins: another BuildSlave in the same directory."""

    async def restart(self) -> None:
        await self.stop()
        self.slave = self.make_slave()
        self.slave.startService()

    async def stop(self) -> None:
        await self.slave.stopService()
        await self.master.until(lambda: self.master.avatar is None)

    async def test_an_end_that_no_master_heard_is_told_by_the_next_process(self) -> None:
        await self.begin([NUMBERS.format(300_000) + "\nsys.exit(3)"])
        await self.is_over()
        await self.restart()
        self.assertEqual(self.slave.describe()["resumable"]["commands"], ["1"])
        self.master.listen()
        outcome = await self.master.ended("1", 60)
        self.assertEqual((outcome["rc"], self.master.attached), (3, {"1": "finished"}))
        self.assertEqual(self.master.log("1").text("stdout"), numbered(300_000))
        await self.master.until(lambda: self.slave.commands.idle)
        self.assertEqual((self.files(), self.slave.spool.used_bytes), ([], 0))

    async def test_an_end_that_is_not_acknowledged_outlives_a_stop(self) -> None:
        self.master.refuse_finished = 1
        await self.master.order("1", "shell", command="echo x; exit 3")
        await self.master.until(lambda: self.master.told_finished)
        await self.restart()
        self.assertEqual((await self.master.ended("1"))["rc"], 3)
        self.assertEqual(self.master.log("1").text("stdout"), b"x\n")

    async def test_it_goes_on_in_the_middle_of_what_is_acknowledged(self) -> None:
        self.patch(spool_module, "SEGMENT_BYTES", MEBIBYTE)
        await self.begin([NUMBERS.format(600_000)])
        await self.is_over()
        many = len(self.files())
        self.master.listen()
        await self.master.until(lambda: self.master.log("1").held > 4 * MEBIBYTE)
        await self.master.close()
        await self.restart()
        self.assertLess(len(self.files()), many - 1)
        self.master.listen()
        await self.master.ended("1", 60)
        self.assertEqual(self.master.log("1").text("stdout"), numbered(600_000))

    async def test_results_come_back_as_they_were(self) -> None:
        self.master.refuse_finished = 1
        (self.basedir / "builder").mkdir()
        await self.master.order("a/../b \N{SNOWMAN}" + "x" * 300, "listdir", dir=".")
        await self.master.until(lambda: self.master.told_finished)
        await self.restart()
        self.assertEqual((await self.master.ended("a/../b \N{SNOWMAN}" + "x" * 300))["result"], [])

    async def test_what_ran_is_killed_and_not_held_any_more(self) -> None:
        await self.master.order("1", "shell", command="echo $$; exec sleep 300")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.restart()
        await self.master.until(lambda: self.master.attached == {"1": "unknown"})
        self.assertFalse(alive(int(self.master.log("1").text("stdout"))))

    async def test_what_the_master_does_not_want_is_removed(self) -> None:
        await self.begin([NUMBERS.format(300_000)])
        await self.is_over()
        await self.restart()
        self.master.attach_named = {}
        self.master.listen()
        await self.master.until(lambda: self.slave.commands.idle)
        self.assertEqual((self.files(), self.slave.spool.used_bytes), ([], 0))

    async def test_damaged_files_are_left_out_and_logged(self) -> None:
        await self.begin([NUMBERS.format(300_000)])
        await self.is_over()
        (sound,) = (json.loads(path.read_text()) for path in self.files() if path.suffix == ".end")
        outputs = [path for path in self.files() if path.suffix == ".out"]
        self.assertGreater(len(outputs), 1)
        for damaged in (
            b"", b"{}", b"[]", b"nonsense", b"\xff", b"[" * 100_000, {**sound, "version": 2}, {**sound, "id": None},
            {**sound, "id": "2"}, {**sound, "end": sound["end"] + 1}, {**sound, "outcome": 3}, {**sound, "segments": 3},
            {**sound, "segments": [{}]}, {**sound, "segments": sound["segments"][::-1]},
            {**sound, "segments": [{**sound["segments"][0], "size": 5}]},
        ):  # fmt: skip
            other = SpoolDirectory(temporary_directory(self))
            other.open()
            for path in outputs:
                shutil.copy(path, other.path)
            (other.path / "1.end").write_bytes(damaged if isinstance(damaged, bytes) else json.dumps(damaged).encode())
            with capturedLogs() as events:
                self.assertEqual(other.kept(), [], damaged)
            self.assertIn("cannot be used", events[0]["log_format"])
            self.assertEqual(([path.name for path in other.path.iterdir()], other.used_bytes), ([LOCK], 0))
            other.close()

    async def test_output_that_is_lost_is_told(self) -> None:
        await self.begin([NUMBERS.format(300_000)])
        await self.is_over()
        for path in self.files():
            if path.suffix == ".out":
                path.write_bytes(bytes(path.stat().st_size))
        await self.restart()
        self.master.listen()
        outcome = await self.master.ended("1", 60)
        self.assertIn("output is lost", outcome["error"])
        await self.master.until(lambda: self.slave.commands.idle)

    async def test_a_second_slave_in_the_directory_touches_nothing(self) -> None:
        await self.begin([NUMBERS.format(300_000)])
        await self.is_over()
        before = self.files()
        second = self.make_slave()
        self.assertRaises(SpoolInUse, second.startService)
        self.assertEqual(self.files(), before)

    async def test_a_directory_that_cannot_be_made_is_no_obstacle(self) -> None:
        await self.stop()
        for path in (self.basedir / ".spool").iterdir():
            path.unlink()
        (self.basedir / ".spool").rmdir()
        (self.basedir / ".spool").write_text("in the way")
        self.slave = self.make_slave()
        self.slave.startService()
        self.assertEqual((await self.master.run("1", "shell", command="true"))["rc"], 0)
        self.assertEqual(SpoolDirectory(self.basedir).kept(), [])
