"""What a step's logs hold: no secret, and no more than they may."""

from __future__ import annotations

from typing import Any

from buildbot.process import buildsetup
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import SUCCESS
from buildbot.steps.shell import ShellCommand
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


class TestLimits(RigCase):
    async def test_a_log_keeps_its_beginning_and_its_end(self) -> None:
        self.rig.log_limit = Limit(1000, 100)
        built = await self.run_steps(ShellCommand(name="it", command="seq 10000"))
        text = built.text("it")
        self.assertLess(len(text), 1200)
        self.assertTrue(text.startswith("1\n2\n3\n") and text.endswith("9999\n10000\n"))
        self.assertIn("logMaxSize = 1000", built.text("it", headers=True))

    def test_what_the_configuration_says(self) -> None:
        def limit(**other: Any) -> Any:
            return buildsetup.log_settings(other)["log_limit"]

        self.assertIsNone(limit())
        self.assertIsNone(limit(logMaxTailSize=5))
        self.assertEqual(limit(logMaxSize=9), Limit(9, 0))
        self.assertEqual(limit(logMaxSize=9, logMaxTailSize=5), Limit(9, 5))
