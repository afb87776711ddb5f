"""The slave with a master that speaks the dialect of Buildbot 0.7 to 4.x: order, bounds, refusals, lost connections."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.spread import pb
from twisted.trial.unittest import TestCase

from buildslave.bot import BuildSlave
from tests.interop.old_master import OldMaster, Reader, Step, Writer
from tests.processes import pid_alive
from tests.unit.buildslave.cases import temporary_directory

FAMILY = "echo $$; sleep 300 & echo $!; setsid sleep 300 & echo $!; wait"


class OldDialectCase(TestCase):
    """`self.master` has `self.slave` logged in."""

    timeout = 60

    def setUp(self) -> Any:
        self.basedir = temporary_directory(self)
        self.master = OldMaster()
        self.stops = 0
        self.slave = self.make_slave()
        self.slave.startService()
        return Deferred.fromCoroutine(self.master.meet())

    def make_slave(self, **changes: Any) -> BuildSlave:
        return BuildSlave(
            "127.0.0.1", self.master.port, "bot", "secret", str(self.basedir), maxdelay=1, stop_process=self._stopped,
            **changes,
        )  # fmt: skip

    def _stopped(self) -> None:
        self.stops += 1

    def tearDown(self) -> Any:
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        if self.slave.running:
            await self.slave.stopService()
        await self.master.close()

    async def family(self) -> tuple[Step, list[int]]:
        """A command of three processes that does not end by itself, one of them in a session of its own."""
        step = await self.master.start("shell", command=FAMILY)
        await self.master.until(lambda: step.text("stdout").count("\n") == 3)
        return step, [int(line) for line in step.text("stdout").split()]

    async def until_gone(self, pids: list[int]) -> None:
        await self.master.until(lambda: not any(pid_alive(pid) for pid in pids))


class Meeting(OldDialectCase):
    async def test_what_the_slave_tells_of_itself(self) -> None:
        told = await self.master.call("getWorkerInfo")
        self.assertEqual(told["basedir"], str(self.basedir))
        self.assertIn("shell", told["worker_commands"])
        self.assertIn("resumable", told)  # our own masters ask so, too
        self.assertNotIn("slave_commands", told)
        self.assertIn("slave_commands", await self.master.call("getSlaveInfo"))
        self.assertEqual(await self.master.call("getVersion"), told["version"])
        self.assertEqual(await self.master.call("getCommands"), told["worker_commands"])

    async def test_builders_are_objects_that_stay_the_same(self) -> None:
        before = self.master.builders
        self.assertEqual(set(before), {"one", "two"})
        self.assertTrue((self.basedir / "two").is_dir())
        for name in ("print", "setMaster"):
            self.assertIsNone(await before["one"].callRemote(name, "something"))
        for name in ("startBuild", "ping"):
            self.assertIsNone(await before["one"].callRemote(name))
        after = await self.master.call("setBuilderList", [("one", "other"), (b"three", b"three")])
        self.assertEqual(set(after), {"one", "three"})
        self.assertEqual(after["one"], before["one"])
        self.master.builders = after
        step = await self.master.run("shell", command="pwd")
        self.assertEqual(step.text("stdout"), f"{self.basedir}/other\n")

    async def test_what_another_master_left_is_dropped(self) -> None:
        order = {
            "id": "5",
            "name": "shell",
            "builddir": "one",
            "args": {"command": "echo $$ > pid; sleep 300"},
            "held": 0,
        }
        self.assertIs(await self.master.call("order", order), True)
        pid = self.basedir / "one" / "pid"
        await self.master.until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        self.assertIs(await self.master.call("setBuilderList", [("one", "one")]), True)
        self.assertFalse(self.slave.commands.idle)
        self.master.drop()
        await self.master.until(lambda: self.master.mind is None)
        await self.master.meet()
        self.assertTrue(self.slave.commands.idle)
        await self.until_gone([int(pid.read_text())])

    async def test_directories_of_former_builders(self) -> None:
        await self.slave.stopService()
        await self.master.until(lambda: self.master.mind is None)
        (self.basedir / "former").mkdir()
        self.slave = self.make_slave(delete_leftover_dirs=True)
        self.slave.startService()
        await self.master.meet()
        await self.master.until(lambda: not (self.basedir / "former").exists())
        self.assertTrue((self.basedir / "one").is_dir())

    async def test_shutdown(self) -> None:
        await self.master.builders["one"].callRemote("shutdown")
        await self.master.until(lambda: self.stops == 1)


class Commands(OldDialectCase):
    async def test_a_program(self) -> None:
        script = "echo out; sleep 0.1; echo err >&2; cat; exit 3"
        step = await self.master.run(
            "shell", command=["sh", "-c", script], workdir="build", initial_stdin="given", env={"A": "b"},
            logfiles={}, timeout=60, maxTime=None, max_lines=None, usePTY=False, want_stdout=1, want_stderr=1,
        )  # fmt: skip
        self.assertEqual(step.completed, [None])
        self.assertEqual((step.text("stdout"), step.text("stderr")), ("out\ngiven", "err\n"))
        self.assertEqual((step.value("rc"), step.updates[-2][0], step.updates[-1][0]), (3, "rc", "elapsed"))
        self.assertEqual(step.numbers, list(range(1, len(step.numbers) + 1)))
        self.assertIn("A=b", step.text("header"))
        self.assertTrue(self.slave.bound.idle)

    async def test_why_the_slave_has_ended_it(self) -> None:
        for limit, reason in (
            ({"timeout": 0.2}, "timeout_without_output"),
            ({"maxTime": 0.2}, "timeout"),
            ({"max_lines": 1}, "max_lines_failure"),
        ):
            step = await self.master.run("shell", command="echo 1; echo 2; sleep 300", **limit)
            self.assertEqual((step.value("failure_reason"), step.value("rc")), (reason, -1))

    async def test_interrupting(self) -> None:
        step, pids = await self.family()
        await self.master.builders["one"].callRemote("interruptCommand", "0", "of nobody")
        await self.master.builders["two"].callRemote("interruptCommand", "1", "of another builder")
        self.assertFalse(step.completed)
        await self.master.builders["one"].callRemote("interruptCommand", b"1", b"enough")
        await self.master.until(lambda: step.completed)
        self.assertEqual(step.value("rc"), -1)
        self.assertIn("enough", step.text("header"))
        self.assertNotIn("failure_reason", dict(step.updates))
        await self.until_gone(pids)

    async def test_files(self) -> None:
        (self.basedir / "one" / "file").write_text("12345")
        self.assertEqual((await self.master.run("stat", file="file", workdir="")).value("stat")[stat.ST_SIZE], 5)
        missing = await self.master.run("stat", file="nothing")
        self.assertEqual((missing.value("rc"), "stat" in dict(missing.updates)), (2, False))
        self.assertIn("nothing", missing.text("header"))
        self.assertEqual((await self.master.run("glob", path="f*")).value("files"), [f"{self.basedir}/one/file"])
        self.assertEqual((await self.master.run("listdir", dir=".")).value("files"), ["file"])
        self.assertEqual((await self.master.run("rmfile", path="file")).value("rc"), 0)
        self.assertEqual(os.listdir(self.basedir / "one"), [])

    async def test_several_at_once(self) -> None:
        first = await self.master.start("shell", command="while [ ! -e go ]; do sleep .05; done", command_id=1)
        await self.master.run("shell", command="touch go", command_id=2)
        await self.master.until(lambda: first.completed)
        self.assertEqual(first.value("rc"), 0)

    async def test_what_is_refused(self) -> None:
        one = self.master.builders["one"]
        for args in (
            ("shell", {}),
            ("juggle", {}),
            ("mkdir", {"dir": "../../x"}),
            ("shell", []),
            ("uploadFile", {"workersrc": "x"}),
            ("downloadFile", {"workerdest": "x", "reader": "no object"}),
        ):
            with self.assertRaises(pb.RemoteError):
                await one.callRemote("startCommand", Step(), "1", *args)
        with self.assertRaises(pb.RemoteError):
            await one.callRemote("startCommand", None, "1", "shell", {"command": "true"})
        self.assertTrue(self.slave.bound.idle)


class Output(OldDialectCase):
    async def test_characters_come_whole(self) -> None:
        script = r"printf '\303'; sleep 0.2; printf '\251 \377 '; sleep 0.2; printf '\342\202'"
        step = await self.master.run("shell", command=script)
        self.assertEqual(step.text("stdout"), "\u00e9 \ufffd \ufffd")

    async def test_another_encoding(self) -> None:
        await self.slave.stopService()
        await self.master.until(lambda: self.master.mind is None)
        self.slave = self.make_slave(unicode_encoding="latin-1")
        self.slave.startService()
        await self.master.meet()
        self.assertEqual((await self.master.run("shell", command=r"printf '\351'")).text("stdout"), "\u00e9")
        with self.assertRaisesRegex(ValueError, "unicode_encoding: 'latin-99'"):
            self.make_slave(unicode_encoding="latin-99")

    async def test_a_master_of_python_2_gets_bytes(self) -> None:
        self.master.drop()
        await self.master.until(lambda: self.master.mind is None)
        await self.master.meet(text=False)
        step = await self.master.run(b"shell", command=b"printf '\303\251\377'", command_id=b"7")
        self.assertEqual(step.text("stdout"), b"\xc3\xa9\xff")

    async def test_followed_files(self) -> None:
        step = await self.master.run("shell", command="echo kept > it.log", logfiles={"it": "it.log"})
        self.assertIn(
            ("log", ("it", "kept\n")), [(name, tuple(value)) for name, value in step.updates if name == "log"]
        )

    async def test_a_master_that_does_not_answer_makes_the_program_wait(self) -> None:
        script = "import os\nfor n in range(400): os.write(1, b'x' * 65536); open('wrote', 'w').write(str(n))"
        step = Step()
        step.deaf = True
        args = {"command": ["python3", "-c", script]}
        await self.master.builders["one"].callRemote("startCommand", step, "1", "shell", args)
        wrote = self.basedir / "one" / "wrote"
        await self.master.until(lambda: len(step.unanswered) == 8)
        seen = -1
        while int((wrote.exists() and wrote.read_text()) or 0) > seen:
            seen = int((wrote.exists() and wrote.read_text()) or 0)
            await deferLater(reactor, 0.5)
        self.assertLess(seen, 60)
        self.assertEqual(len(step.unanswered), 8)
        step.hear()
        await self.master.until(lambda: step.completed)
        self.assertEqual(len(step.text("stdout")), 400 * 65536)

    async def test_output_that_the_master_refuses_is_not_sent_again(self) -> None:
        step = Step()
        step.refuse = 1
        args = {"command": "echo one; sleep 0.3; echo two"}
        await self.master.builders["one"].callRemote("startCommand", step, "1", "shell", args)
        await self.master.until(lambda: step.completed)
        self.assertEqual((step.text("stdout"), step.value("rc")), ("two\n", 0))
        self.assertEqual(len(self.flushLoggedErrors()), 0)


class LostConnection(OldDialectCase):
    async def test_everything_that_ran_is_ended(self) -> None:
        step, pids = await self.family()
        self.master.drop()
        await self.until_gone(pids)
        await self.master.until(lambda: self.slave.bound.idle)
        self.assertEqual(step.completed, [])
        await self.master.until(lambda: self.master.mind is not None)
        await self.master.meet()
        self.assertEqual((await self.master.run("shell", command="echo again")).text("stdout"), "again\n")

    async def test_in_the_middle_of_a_transfer(self) -> None:
        (self.basedir / "one" / "file").write_bytes(bytes(3_000_000))
        writer = Writer()
        step = await self.master.start("uploadFile", workersrc="file", writer=writer, blocksize=1000, maxsize=None)
        await self.master.until(lambda: len(writer.data) > 10_000)
        self.master.drop()
        await self.master.until(lambda: self.slave.bound.idle)
        self.assertEqual((step.completed, writer.calls), ([], []))

    async def test_the_end_of_the_slave(self) -> None:
        _, pids = await self.family()
        await self.slave.stopService()
        self.assertFalse(any(pid_alive(pid) for pid in pids))

    async def test_graceful_end_waits_for_what_runs(self) -> None:
        step = await self.master.start("shell", command="while [ ! -e go ]; do sleep .05; done")
        self.slave._stop_when_idle()
        await deferLater(reactor, 0.2)
        self.assertEqual(self.stops, 0)
        (self.basedir / "one" / "go").touch()
        await self.master.until(lambda: self.stops == 1)
        self.assertEqual(step.completed, [None])


class Transfers(OldDialectCase):
    async def test_a_file_goes_to_the_master(self) -> None:
        data = os.urandom(200_001)
        path = self.basedir / "one" / "file"
        path.write_bytes(data)
        os.utime(path, (1000.0, 2000.0))
        writer = Writer()
        args = {"workdir": "", "writer": writer, "blocksize": 16 * 1024, "maxsize": None}
        step = await self.master.run("uploadFile", workersrc="file", keepstamp=True, **args)
        self.assertEqual((bytes(writer.data), step.value("rc")), (data, 0))
        self.assertEqual(writer.calls, ["close", ("utime", (1000.0, 2000.0))])

    async def test_a_file_that_is_not_there_or_too_big(self) -> None:
        (self.basedir / "one" / "file").write_bytes(b"x" * 100)
        for name, most, rc, sent in (("nothing", None, 2, b""), ("file", 10, 1, b"x" * 10)):
            writer = Writer()
            step = await self.master.run("uploadFile", slavesrc=name, writer=writer, blocksize=4, maxsize=most)
            self.assertEqual((step.value("rc"), bytes(writer.data), writer.calls), (rc, sent, ["close"]))

    async def test_a_master_that_refuses_it(self) -> None:
        (self.basedir / "one" / "file").write_bytes(bytes(100_000))
        writer = Writer()
        writer.refuse_at = 10_000
        step = await self.master.run("uploadFile", workersrc="file", writer=writer, blocksize=1000, maxsize=None)
        self.assertEqual((step.value("rc"), writer.calls), (-1, ["close"]))
        self.assertIn("the disk is full", step.text("header"))

    async def test_interrupted(self) -> None:
        (self.basedir / "one" / "file").write_bytes(bytes(3_000_000))
        writer, reader = Writer(), Reader(bytes(3_000_000))
        up = {"name": "uploadFile", "workersrc": "file", "writer": writer}
        down = {"name": "downloadFile", "workerdest": "got", "reader": reader}
        for args, begun in ((up, lambda: len(writer.data) > 10_000), (down, lambda: len(reader.data) < 2_990_000)):
            step = await self.master.start(**args, blocksize=1000, maxsize=None)
            await self.master.until(begun)
            await self.master.builders["one"].callRemote("interruptCommand", "1", "enough")
            await self.master.until(lambda step=step: step.completed)
            self.assertEqual(step.value("rc"), -1)
        self.assertLess(len(writer.data), 3_000_000)
        self.assertEqual((writer.calls, reader.closed), (["close"], 1))
        self.assertEqual(os.listdir(self.basedir / "one"), ["file"])

    async def test_a_file_comes_from_the_master(self) -> None:
        data = os.urandom(100_001)
        for most in (1 << 20, 777):  # one that gives less than was asked for does so in the middle of the file, too
            reader = Reader(data, most)
            step = await self.master.run(
                "downloadFile", workerdest="got", reader=reader, blocksize=4096, maxsize=None, mode=0o600, workdir="sub"
            )
            path = self.basedir / "one" / "sub" / "got"
            self.assertEqual((path.read_bytes(), path.stat().st_mode & 0o777), (data, 0o600))
            self.assertEqual((step.value("rc"), reader.closed), (0, 1))

    async def test_a_file_that_does_not_come(self) -> None:
        reader = Reader(b"x" * 100)
        reader.refuse = True
        step = await self.master.run("downloadFile", workerdest="got", reader=reader, blocksize=10, maxsize=None)
        self.assertEqual((step.value("rc"), reader.closed), (-1, 1))
        step = await self.master.run(
            "downloadFile", workerdest="got", reader=Reader(b"x" * 99), blocksize=10, maxsize=50
        )
        self.assertEqual(step.value("rc"), 1)
        self.assertEqual(os.listdir(self.basedir / "one"), [])

    async def test_a_directory_goes_to_the_master(self) -> None:
        tree = self.basedir / "one" / "tree"
        (tree / "deep").mkdir(parents=True)
        (tree / "deep" / "file").write_bytes(data := os.urandom(300_000))
        for compress in (None, "gz"):
            writer = Writer()
            args = {"writer": writer, "blocksize": 4096, "maxsize": None, "compress": compress, "workdir": ""}
            step = await self.master.run("uploadDirectory", workersrc="tree", **args)
            self.assertEqual((step.value("rc"), writer.calls), (0, ["unpack"]))
            with tarfile.open(fileobj=io.BytesIO(bytes(writer.data))) as tar:
                unpacked = tar.extractfile("deep/file")
                assert unpacked is not None
                self.assertEqual(unpacked.read(), data)

    async def test_a_directory_that_does_not_get_there(self) -> None:
        (self.basedir / "one" / "tree").mkdir()
        args = {"blocksize": 4096, "maxsize": None, "compress": None}
        writer = Writer()
        step = await self.master.run("uploadDirectory", workersrc="nothing", writer=writer, **args)
        self.assertEqual((step.value("rc"), writer.calls), (2, []))
        writer.unpack_error = pb.Error("no room")
        step = await self.master.run("uploadDirectory", workersrc="tree", writer=writer, **args)
        self.assertEqual((step.value("rc"), writer.calls), (1, ["unpack"]))
        self.assertIn("no room", step.text("header"))
