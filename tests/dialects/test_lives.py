"""What becomes of builds when slaves that cannot re-attach go, come, are two, or say nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.task import Clock

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.remotecommand import RemoteCommand
from buildbot.slaves import link, session
from buildbot.steps.shell import ShellCommand
from buildbot.store import requests
from buildbot.store.requests import MOST_RETRIES
from tests.dialects.cases import SLAVE_TAC, WORKER_TAC, Content, PeerCase, make_repository
from tests.processes import pid_alive
from tests.rig import Rig, RigCase, clock

WAIT_FOR_IT = "echo begun; while [ ! -e ../../go ]; do sleep .05; done; echo done"


async def leftovers_are_removed(rig: Rig, connect: Callable[[], Awaitable[object]], hidden: str = ".secrets") -> None:
    """Whatever the dialect: a slave that is to do so keeps the directories that builds may use, and no others."""
    rig.add_builder("b", BuildFactory([]), max_builds_per_slave=2)
    for name in ("b", "b-2", "gone/deep", hidden, "info"):
        (rig.base / "bot" / name).mkdir(parents=True)
    await connect()
    await rig.until(lambda: not (rig.base / "bot" / "gone").exists(), "it is removed")
    names = {path.name for path in (rig.base / "bot").iterdir() if path.is_dir() and path.name != ".spool"}
    assert names == {"b", "b-2", hidden, "info"}, names


class TestOurs(RigCase):
    with_slave = False

    async def test_directories_of_builders_that_are_gone_are_removed(self) -> None:
        async def connect() -> None:
            await self.rig.start_slave(delete_leftover_dirs=True)

        await leftovers_are_removed(self.rig, connect, ".hidden")


class TestLeftovers(PeerCase):
    options = "delete_leftover_dirs=True"

    async def test_directories_of_builders_that_are_gone_are_removed(self) -> None:
        await leftovers_are_removed(self.rig, self.connect)


class TestWorker(PeerCase):
    options = "allow_shutdown='signal'"

    async def begin(self) -> Any:
        """A request whose build runs on the slave."""
        self.rig.add_builder("b", BuildFactory([ShellCommand(name="it", command=WAIT_FOR_IT)]))
        request = self.rig.submit()
        await self.rig.until(lambda: (self.there / "build").exists(), "the command runs")
        return request

    async def test_a_slave_that_ends_gives_its_build_back_at_once(self) -> None:
        await self.connect()
        request = await self.begin()
        self.peer.kill()
        lost = await self.rig.built(request, timeout=5)
        self.assertIs(lost.result, Result.RETRY)
        self.assertIn("slave bot was lost: the connection was lost", lost.row.state_text)
        (self.rig.base / "bot" / "go").touch()
        await self.connect()
        self.assertIs((await self.rig.built(request, attempt=2)).result, Result.SUCCESS)

    async def test_a_build_that_ends_its_slave_each_time_is_parked(self) -> None:
        self.rig.add_builder("b", BuildFactory([ShellCommand(name="it", command="kill -9 $PPID; sleep 60")]))
        request = self.rig.submit()
        for attempt in range(1, MOST_RETRIES + 2):
            await self.connect()
            self.assertIs((await self.rig.built(request, attempt=attempt)).result, Result.RETRY)
            await self.rig.until(lambda: "bot" not in self.rig.sessions.here)
        row = requests.get(self.rig.store, request)
        assert row is not None
        self.assertIn("slave bot was lost", row.parked_reason or "")

    async def test_a_connection_that_is_cut_does_too(self) -> None:
        await self.connect()
        request = await self.begin()
        (self.rig.base / "bot" / "go").touch()
        self.rig.cut()
        self.assertIs((await self.rig.built(request, timeout=5)).result, Result.RETRY)
        self.assertIs((await self.rig.built(request, attempt=2)).result, Result.SUCCESS)

    async def test_a_slave_that_answers_nothing_is_lost(self) -> None:
        self.patch(session, "PING_SECONDS", 0.3)
        self.patch(link, "ANSWER_SECONDS", 1.5)
        await self.connect()
        request = await self.begin()
        self.stop_peer_for_a_while()
        lost = await self.rig.built(request, timeout=10)
        self.assertIs(lost.result, Result.RETRY)
        self.assertIn("gives no answer", lost.row.state_text)

    async def test_a_slave_that_packs_a_directory_is_waited_for(self) -> None:
        """It hears nothing meanwhile; here it is stopped for a time that would be too long for any other command."""

        class Slow(Content):
            def write(content, offset: int, data: bytes) -> int:  # `self` is the test
                if offset == 0:
                    self.peer.kill(signal.SIGSTOP)
                    clock.callLater(2.5, self.peer.kill, signal.SIGCONT)
                return Content.write(content, offset, data)

        self.patch(session, "PING_SECONDS", 0.3)
        self.patch(link, "ANSWER_SECONDS", 1.5)
        await self.connect()
        (self.there / "big").mkdir(parents=True)
        (self.there / "big" / "file").write_bytes(b"x" * 200_000)
        args = {"slavesrc": "big", "workdir": "", "maxsize": None, "compress": None}
        (sent,) = await self.outcomes(("uploadDirectory", args), files=Slow())
        self.assertEqual((sent["state"], sent["rc"]), ("finished", 0))

    async def test_a_build_is_stopped_on_a_slave_that_answers_nothing(self) -> None:
        self.rig.build_clock = clock = Clock()
        await self.connect()
        request = await self.begin()
        (build,) = self.rig.running.by_id
        self.stop_peer_for_a_while()
        self.rig.control.stop_build(build, "tester", "enough")
        clock.advance(41)
        self.assertIs((await self.rig.built(request, timeout=5)).result, Result.CANCELLED)

    async def test_a_second_process_of_the_same_name_is_not_taken(self) -> None:
        await self.connect()
        request = await self.begin()
        here = self.rig.sessions.here["bot"]
        twin = self.start_peer("twin")
        await self.rig.until(lambda: "another slave of this name is connected" in twin.output(), "a word to the twin")
        self.assertIs(self.rig.sessions.here["bot"], here)
        twin.kill()
        (self.rig.base / "bot" / "go").touch()
        self.assertIs((await self.rig.built(request)).result, Result.SUCCESS)

    async def test_it_is_retired_from_its_own_machine_when_its_build_is_done(self) -> None:
        await self.connect()
        request = await self.begin()
        self.peer.kill(signal.SIGHUP)
        await self.rig.until(lambda: "Telling the master we want to shutdown" in self.peer.output(), "its wish")
        (self.rig.base / "bot" / "go").touch()
        self.assertIs((await self.rig.built(request)).result, Result.SUCCESS)
        await self.rig.until(lambda: not self.peer.running, "its end")


class TestOverWebSocket(PeerCase):
    with_sockets = True
    options = "protocol='msgpack_experimental_v7', delete_leftover_dirs=True"

    async def test_a_command_that_a_cut_connection_left_is_ended_when_the_slave_is_back(self) -> None:
        await self.connect()
        script = "echo $$ > ../../pid; while [ ! -e ../../go ]; do sleep .05; done"
        self.rig.add_builder("b", BuildFactory([ShellCommand(name="it", command=script)]))
        request = self.rig.submit()
        written = self.rig.base / "bot" / "pid"
        await self.rig.until(lambda: written.exists() and written.read_text().strip(), "the command runs")
        first = int(written.read_text())
        self.rig.cut()
        self.assertIs((await self.rig.built(request, timeout=5)).result, Result.RETRY)
        await self.rig.until(lambda: not pid_alive(first), "the end of the first command")
        await self.rig.until(lambda: int(written.read_text().strip() or first) != first, "the second one")
        (self.rig.base / "bot" / "go").touch()
        self.assertIs((await self.rig.built(request, attempt=2)).result, Result.SUCCESS)

    async def test_directories_of_builders_that_are_gone_are_removed(self) -> None:
        await leftovers_are_removed(self.rig, self.connect)

    async def test_a_silent_slave_is_asked_and_answers(self) -> None:
        self.patch(session, "PING_SECONDS", 0.1)
        await self.connect()
        await self.rig.until(lambda: self.peer.output().count("keepalive confirmed") >= 2, "two questions")
        self.assertIn("bot", self.rig.sessions.here)

    async def test_who_has_the_wrong_password_is_not_let_in(self) -> None:
        self.tac = WORKER_TAC.replace('"secret"', '"wrong"')
        self.peer = self.start_peer()
        await self.rig.until(lambda: "WebSocket connection closed" in self.peer.output(), "a refusal")
        self.assertEqual(self.rig.sessions.here, {})


class SlaveSideGit(BuildStep):
    """A checkout as steps of 0.7 and 0.8 have it done: by a command of the slave."""

    def __init__(self, args: dict[str, Any], **kwargs: Any) -> None:
        self.args = args
        super().__init__(**kwargs)

    async def run(self) -> int:
        command = RemoteCommand("git", self.args)
        await self.runCommand(command)
        self.setProperty("got_revision", command.updates["got_revision"][-1], "git")
        return command.results()


class TestOldSlave(PeerCase):
    peer_name = "slave-0.8.14"
    tac = SLAVE_TAC

    async def test_a_source_command_of_the_slaves_own_tells_what_it_got(self) -> None:
        await self.connect()
        repository = make_repository(self.rig.base / "repository")
        args = {"workdir": "build", "mode": "update", "repourl": str(repository), "branch": "main", "revision": None}
        built = await self.run_steps(SlaveSideGit(args, name="git"))
        self.assertIs(built.result, Result.SUCCESS)
        head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=repository, text=True).strip()
        self.assertEqual(built.properties["got_revision"], head)
        self.assertEqual((self.there / "build" / "README").read_text(), "read me\n")

    async def test_a_step_that_breaks_on_the_slave_says_why(self) -> None:
        await self.connect()
        (broken,) = await self.outcomes(("uploadDirectory", {"slavesrc": "none", "maxsize": None, "compress": None}))
        self.assertEqual(broken["rc"], -1)
        self.assertIn("No such file or directory", broken["error"])
