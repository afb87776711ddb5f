"""This repository's slave over WebSocket at this repository's master: all that a slave of another era can do, and what
only ours can.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from buildbot.model import Result
from buildbot.steps.shell import ShellCommand
from buildslave.scripts.runner import main as buildslave_command
from tests.dialects import test_commands
from tests.integration.a_master import BUILDSLAVE
from tests.interop.masters import OVER_WEBSOCKET
from tests.processes import Process

clock: Any = reactor


class TestOurs(test_commands.TestWorker43OverWebSocket):
    """The commands of the dialects' tests, and what a tuple is for."""

    version = ""
    tries_once = False

    def start_peer(self, directory: str = "bot", *options: str) -> Process:
        basedir = self.rig.base / directory
        where = f"127.0.0.1:{self.port}"
        words = ["create-slave", "--quiet", "--maxdelay=1", OVER_WEBSOCKET, *options, str(basedir), where]
        assert buildslave_command([*words, "bot", "secret"]) == 0
        (basedir / "info" / "admin").write_text("Ann <ann@example.org>\n")
        return self.processes.start([BUILDSLAVE, "start", "--nodaemon", basedir], name=directory, cwd=basedir)

    async def test_a_command_goes_on_when_its_connection_is_cut(self) -> None:
        await self.connect()
        script = "echo $$ >> ../../pids; seq 20000; while [ ! -e ../../go ]; do sleep .05; done; echo over"
        building = self.run_steps_later(ShellCommand(name="it", command=script))
        await self.rig.until_step_runs("it", "20000\n")
        first = self.rig.sessions.here["bot"]
        self.rig.cut()
        await self.rig.until(lambda: self.rig.sessions.here.get("bot", first) is not first, "the slave is back")
        self.assertTrue(self.rig.sessions.here["bot"].resumes)
        (self.rig.base / "bot" / "go").touch()
        built = await building
        self.assertIs(built.result, Result.SUCCESS)
        self.assertEqual(built.text("it"), "".join(f"{n}\n" for n in range(1, 20001)) + "over\n")
        self.assertEqual(len((self.rig.base / "bot" / "pids").read_text().split()), 1)

    async def test_what_is_not_to_be_seen_is_not_seen(self) -> None:
        """A tuple tells it, and msgpack has none of its own."""
        await self.connect()
        built = await self.run_steps(ShellCommand(name="hides", command=["echo", ("obfuscated", "s3cret", "XXXX")]))
        self.assertEqual(built.text("hides"), "s3cret\n")
        self.assertIn("echo XXXX", built.everything("hides"))

    async def test_who_has_the_wrong_password_is_told_what_to_do(self) -> None:
        self.rig.add_slaves("other")
        basedir = self.rig.base / "other"
        where = f"127.0.0.1:{self.port}"
        words = ["create-slave", "-q", "--maxretries=0", OVER_WEBSOCKET, str(basedir), where, "other", "wrong"]
        assert buildslave_command(words) == 0
        refused = self.processes.start([BUILDSLAVE, "start", "--nodaemon", basedir], name="other")
        await self.rig.until(lambda: not refused.running, "its end")
        self.assertEqual(refused.wait_for_exit(), 4)
        self.assertIn("the master refuses the login of 'other': wrong name or password", refused.output())

    async def test_what_listens_is_no_port_for_it(self) -> None:
        """One for Perspective Broker, one for browsers, one that says nothing."""
        site: Any = Site(Resource())
        site.noisy = False
        web = clock.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(web.stopListening)
        await self.rig.ports.ready()
        for port, told in (
            (self.rig.port, "no connection to the master"),
            (web.getHost().port, "it answers HTTP status 404"),
        ):
            basedir = self.rig.base / f"at-{port}"
            words = [
                "create-slave",
                "-q",
                "--maxretries=0",
                OVER_WEBSOCKET,
                str(basedir),
                f"127.0.0.1:{port}",
                "a",
                "b",
            ]
            assert buildslave_command(words) == 0
            lost = self.processes.start([BUILDSLAVE, "start", "--nodaemon", basedir], name=basedir.name)
            await self.rig.until(lambda: not lost.running, "its end")  # noqa: B023
            self.assertIn(told, lost.output())

    async def test_the_slave_may_ask_to_be_retired(self) -> None:
        self.peer = self.start_peer("bot", "--allow-shutdown=signal")
        await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is here")
        script = "while [ ! -e ../../go ]; do sleep .05; done"
        building = self.run_steps_later(ShellCommand(name="it", command="echo begun; " + script))
        await self.rig.until_step_runs("it", "begun")
        self.peer.kill(signal.SIGHUP)
        await self.rig.until(lambda: "asking the master for it" in self.peer.output(), "SIGHUP")
        (self.rig.base / "bot" / "go").touch()
        self.assertIs((await building).result, Result.SUCCESS)
        await self.rig.until(lambda: not self.peer.running, "its end")
        self.assertIn("the master asks this slave to stop", self.peer.output())

    async def test_a_directory_of_4_3_s_worker(self) -> None:
        """Its buildbot.tac as it is, for WebSocket."""
        basedir = self.rig.base / "bot"
        where = f"127.0.0.1:{self.port}"
        self.processes.run(
            [self.programs / "buildbot-worker", "create-worker", "-q", OVER_WEBSOCKET, basedir, where, "bot", "secret"]
        )
        self.processes.start([BUILDSLAVE, "start", "--nodaemon", basedir], name="bot")
        await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is here")
        self.assertTrue(self.rig.sessions.here["bot"].resumes)
        built = await self.run_steps(ShellCommand(name="it", command=["echo", "hello"]))
        self.assertEqual(built.text("it"), "hello\n")
