"""Things that happen at the same moment: connections that are lost, masters that repeat themselves or forget."""

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from .cases import SlaveCase
from .test_shell import alive

LOOP = "echo $$; while [ ! -e go ]; do sleep 0.05; done; echo b"
FAMILY = "echo $$; sleep 300 & echo $!; (sleep 300 & echo $!; wait) & wait"


class Resumed(SlaveCase):
    async def keep(self, command: str = LOOP, lines: int = 1) -> list[int]:
        """A command that runs, and that a new connection keeps without taking its output; the numbers it wrote."""
        await self.master.order("1", "shell", command=command)
        await self.master.until(lambda: self.master.log("1").text("stdout").count(b"\n") == lines)
        self.master.attach_named = {"1": None}
        logins = self.master.logins
        self.master.drop()
        await self.master.until(lambda: self.master.logins > logins and self.master.attached == {"1": "running"})
        return [int(word) for word in self.master.log("1").text("stdout").split()]

    def go(self) -> None:
        (self.basedir / "builder" / "go").touch()

    async def test_what_is_kept_can_be_interrupted_at_once(self) -> None:
        pids = await self.keep(FAMILY, 3)
        await self.master.call("interrupt", "1", "enough")
        await self.master.until(lambda: not any(alive(pid) for pid in pids))
        self.assertEqual(self.master.outcomes, {})
        await self.master.call("resume", "1", self.master.log("1").held)
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")

    async def test_interrupt_after_resume(self) -> None:
        (pid,) = await self.keep()
        await self.master.call("resume", "1", self.master.log("1").held)
        await self.master.call("interrupt", "1", "enough")
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")
        self.assertFalse(alive(pid))

    async def test_resumed_twice_is_resumed_once(self) -> None:
        await self.keep()
        early = self.master.log("1").held
        self.assertEqual(await self.master.call("resume", "1", early), "running")
        self.assertEqual(await self.master.call("resume", "1", early), "running")
        self.go()
        await self.master.until(lambda: b"b\n" in self.master.log("1").text("stdout"))
        again = await self.master.call("resume", "1", early)
        self.assertIn(again, ("running", "finished", "unknown"))
        self.assertEqual((await self.master.ended("1"))["rc"], 0)
        self.assertEqual(self.master.log("1").text("stdout").count(b"b\n"), 1)

    async def test_a_position_from_before_the_last_acknowledgement_kills_nothing(self) -> None:
        (pid,) = await self.keep("echo $$; while [ ! -e go ]; do sleep 0.05; done; echo b; exec sleep 300")
        early = self.master.log("1").held
        await self.master.call("resume", "1", early)
        self.go()
        await self.master.until(lambda: b"b\n" in self.master.log("1").text("stdout"))
        await deferLater(reactor, 0.2, lambda: None)
        self.assertEqual(await self.master.call("resume", "1", early), "running")
        self.assertTrue(alive(pid))

    async def test_a_connection_lost_while_resuming_changes_nothing(self) -> None:
        await self.keep()
        avatar = self.master.avatar
        assert avatar is not None
        avatar.mind.callRemote("resume", "1", self.master.log("1").held).addErrback(lambda _: None)
        self.master.attach_named = None
        self.master.drop()
        self.go()
        self.assertEqual((await self.master.ended("1"))["rc"], 0)
        self.assertEqual(self.master.log("1").text("stdout").count(b"b\n"), 1)

    async def test_an_end_that_is_being_told_when_the_connection_is_lost_is_told_again(self) -> None:
        told = self.master.told_finished
        self.master.lose_finished = 2
        outcome = await self.master.run("1", "shell", command="echo x; exit 3")
        self.assertEqual((outcome["rc"], told, self.master.logins), (3, ["1"] * 3, 3))
        self.assertEqual(self.master.log("1").text("stdout"), b"x\n")
        await self.master.until(lambda: self.slave.commands.idle)
        self.assertEqual([path.name for path in (self.basedir / ".spool").iterdir() if path.suffix == ".end"], [])

    async def test_an_end_that_was_taken_and_whose_answer_was_lost_is_forgotten(self) -> None:
        self.master.lose_answer = True
        await self.master.run("1", "shell", command="echo x")
        await self.master.until(lambda: self.master.logins == 2 and self.slave.commands.idle)
        self.assertEqual(self.master.told_finished, ["1"])


class Forgetful(SlaveCase):
    """A master that was restarted and does not have the file any more of which it had acknowledged a part."""

    CONTENT = bytes(range(256)) * 8000

    def file(self) -> Path:
        (self.basedir / "builder").mkdir(exist_ok=True)
        path = self.basedir / "builder" / "f"
        path.write_bytes(self.CONTENT)
        return path

    async def test_an_upload_begins_again_where_the_new_master_is(self) -> None:
        for command_id, left in (("1", 0), ("2", 100_000)):
            self.file()
            self.master.drop_upload_at = 1_000_000
            self.master.attach_named = {command_id: None}
            await self.master.order(command_id, "uploadFile", slavesrc="f")
            await self.master.until(lambda: self.master.drop_upload_at is None)
            await self.master.until(lambda id=command_id: self.master.attached == {id: "running"})
            del self.master.uploads[command_id][left:]
            self.master.writes.clear()
            await self.master.call("resume", command_id, self.master.log(command_id).held)
            outcome = await self.master.ended(command_id)
            self.assertEqual((outcome["rc"], self.master.uploads[command_id]), (0, self.CONTENT))
            self.assertGreater(self.master.writes[0][0], left)
            self.assertIn(left, [offset for offset, _ in self.master.writes])

    async def test_an_upload_that_is_interrupted_reads_its_file_no_more(self) -> None:
        self.file()
        self.master.unanswered = answers = []
        await self.master.order("1", "uploadFile", slavesrc="f")
        await self.master.until(lambda: len(self.master.writes) == 8)
        self.master.refuse_finished = 1
        await self.master.call("interrupt", "1", "enough")
        await self.master.until(lambda: self.master.told_finished)
        for _ in range(20):  # one of them has the number that the file had
            descriptor = os.open(self.file(), os.O_RDONLY)
            self.addCleanup(os.close, descriptor)
        for answer, held in answers:
            answer.callback(held)
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")
        self.assertEqual(len(self.master.writes), 8)


class Orphans(SlaveCase):
    def make_slave(self, **changes: object):  # type: ignore[no-untyped-def]
        return super().make_slave(orphan_grace_seconds=1.0, **changes)

    async def test_after_the_grace_the_whole_group_is_killed_and_the_end_kept(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        await self.master.until(lambda: self.master.log("1").text("stdout").count(b"\n") == 3)
        pids = [int(word) for word in self.master.log("1").text("stdout").split()]
        await self.master.close()
        await deferLater(reactor, 0.3, lambda: None)
        self.assertEqual([alive(pid) for pid in pids], [True] * 3)
        await self.master.until(lambda: not any(alive(pid) for pid in pids))
        self.master.listen()
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")


class SavedOrphans(SlaveCase):
    def make_slave(self, **changes: object):  # type: ignore[no-untyped-def]
        return super().make_slave(orphan_grace_seconds=3.0, **changes)

    async def test_a_master_that_comes_back_in_time_saves_them(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        await self.master.until(lambda: self.master.log("1").text("stdout").count(b"\n") == 3)
        pids = [int(word) for word in self.master.log("1").text("stdout").split()]
        logins = self.master.logins
        self.master.attach_named = {"1": None}
        self.master.drop()
        await self.master.until(lambda: self.master.logins > logins)
        await deferLater(reactor, 3.5, lambda: None)
        self.assertEqual([alive(pid) for pid in pids], [True] * 3)
