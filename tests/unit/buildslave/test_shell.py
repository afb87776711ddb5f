"""The shell command, with real processes over a real connection."""

from .cases import SlaveCase


class Basics(SlaveCase):
    async def test_output_and_exit_code_come_back(self) -> None:
        outcome = await self.master.run("1", "shell", command="echo out; echo err >&2; exit 3")
        log = self.master.log("1")
        self.assertEqual((outcome["rc"], outcome["reason"], outcome["signal"]), (3, None, None))
        self.assertEqual((log.text("stdout"), log.text("stderr")), (b"out\n", b"err\n"))
        self.assertIn(b"exit code 3", log.text("header"))
        self.assertTrue(self.slave.commands.idle)
