"""What a step's logs hold: no secret, and no more than they may."""

from __future__ import annotations

import errno
from typing import Any

from buildbot.model import Result
from buildbot.process import buildsetup
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.process.results import SUCCESS
from buildbot.process.steprunner import recall_step
from buildbot.steps.shell import ShellCommand
from buildbot.store import steps
from buildbot.store.logfiles import Limit
from tests.rig import RigCase

VALUE = "hunter2-is-no-password"


class Source:
    """One secret for every name."""

    async def get(self, name: str) -> str:
        return VALUE


class TestSecrets(RigCase):
    async def test_a_secret_is_in_no_log_whatever_writes_it(self) -> None:
        class Tells(BuildStep):
            async def run(self) -> int:
                value = await self.build.secrets.get("door")
                split = f"printf {VALUE[:7]}; sleep 0.3; printf {VALUE[7:]}; echo; echo {VALUE} >&2"
                await self.runCommand(RemoteCommand("shell", {"command": split}))
                self.addCompleteLog("told", f"it is {value}\n")
                self.addHTMLLog("page", f"<b>{value}</b>")
                return SUCCESS

        self.rig.secrets = Source()
        self.rig.add_builder("b", BuildFactory([Tells(name="it")]))
        built = await self.rig.build("b")
        self.assertEqual(built.result, SUCCESS)
        self.assertIn("<door>\n", built.text("it"))
        self.assertEqual(built.text("it", "told"), "it is <door>\n")
        self.assertEqual(built.text("it", "page"), "<b>&lt;door&gt;</b>")
        for path in self.rig.base.rglob("*"):
            if path.is_file() and "bot" not in path.relative_to(self.rig.base).parts[:1]:
                self.assertNotIn(VALUE.encode(), path.read_bytes(), path)

    async def test_what_could_have_been_a_secret_is_not_lost(self) -> None:
        class Tells(ShellCommand):
            async def run(self) -> int:
                await self.build.secrets.get("door")
                return await super().run()

        self.rig.secrets = Source()
        built = await self.run_steps(Tells(name="it", command=["printf", VALUE[:9]]))
        self.assertIn(VALUE[:9], built.text("it"))


    async def test_a_step_that_ended_before_a_restart_gives_its_secrets_away_no_more_than_before(self) -> None:
        class Recalls(BuildStep):
            async def run(self) -> int:
                ended = ShellCommand(name="login", command=["login", Interpolate("%(secret:door)s")])
                ended.build = self.build
                row = steps.records(self.build.store, self.build.id)[0].step._replace(result=Result.SUCCESS)
                await recall_step(ended, steps.Record(row, [], {}, True, False, []))
                self.addCompleteLog("told", f"it was {VALUE}")
                return SUCCESS

        self.rig.secrets = Source()
        built = await self.run_steps(Recalls(name="it"))
        self.assertEqual(built.result, SUCCESS)
        self.assertEqual(built.text("it", "told"), "it was <door>")


class TestDisk(RigCase):
    async def test_logs_that_the_disk_does_not_take_are_an_exception_and_the_build_comes_to_its_end(self) -> None:
        def fails(paths: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(self.rig.log_files, "sync", fails)
        built = await self.run_steps(
            ShellCommand(name="one", command="echo 1"), ShellCommand(name="last", command="echo 2", alwaysRun=True)
        )
        self.assertEqual(built.results, {"one": Result.EXCEPTION, "last": Result.EXCEPTION})
        self.assertIn("could not be brought to the disk: Input/output error", built.step("one").state_text)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)


class TestLimits(RigCase):
    async def test_a_log_keeps_its_beginning_and_its_end(self) -> None:
        self.rig.log_limit = Limit(1000, 100)
        built = await self.run_steps(ShellCommand(name="it", command="seq 10000"))
        text = built.text("it")
        self.assertLess(len(text), 1200)
        self.assertTrue(text.startswith("1\n2\n3\n") and text.endswith("9999\n10000\n"))
        self.assertIn("logMaxSize = 1000", built.text("it", headers=True))

    async def test_what_was_left_out_cannot_be_told_again(self) -> None:
        """After a restart of the master, an observer would see less than it had seen before."""
        told: list[bytes] = []

        class Asks(BuildStep):
            async def run(self) -> int:
                command = RemoteShellCommand(".", "seq 10000" if self.name == "long" else "seq 10")
                await self.runCommand(command)
                list(self.logs["stdio"].recall(int(command.id or 0)))  # nobody watches
                list(self.logs["stdio"].recall(int(command.id or 0), lambda channel, data: told.append(data)))
                return SUCCESS

        self.rig.log_limit = Limit(1000, 100)
        built = await self.run_steps(Asks(name="short"))
        self.assertEqual(built.result, Result.SUCCESS)
        self.assertIn(b"10\n", b"".join(told))
        told.clear()
        built = await self.run_steps(Asks(name="long"))
        self.assertEqual((built.result, told), (Result.RETRY, []))
        self.assertIn("a part of log stdio was left out (logMaxSize)", built.step("long").state_text)

    def test_what_the_configuration_says(self) -> None:
        def limit(**other: Any) -> Any:
            return buildsetup.log_settings(other)["log_limit"]

        self.assertIsNone(limit())
        self.assertIsNone(limit(logMaxTailSize=5))
        self.assertEqual(limit(logMaxSize=9), Limit(9, 0))
        self.assertEqual(limit(logMaxSize=9, logMaxTailSize=5), Limit(9, 5))
