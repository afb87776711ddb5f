"""Real slaves of other eras as processes, at a master's inside in this reactor."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any, ClassVar

from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import SUCCESS
from tests.processes import Process, Processes
from tests.rig import RigCase
from tests.tools import make_old_peer, make_peer

WORKER_TAC = """\
from twisted.application import service
from buildbot_worker.bot import Worker
application = service.Application("worker")
Worker("127.0.0.1", {port}, "bot", "secret", {basedir!r}, 600, {options}).setServiceParent(application)
"""
SLAVE_TAC = """\
from twisted.application import service
from buildslave.bot import BuildSlave
application = service.Application("slave")
BuildSlave("127.0.0.1", {port}, "bot", "secret", {basedir!r}, 600, 0, maxdelay=1).setServiceParent(application)
"""


def make_repository(path: Path) -> Path:
    path.mkdir()
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        (path / "README").write_text("read me\n")
        subprocess.run(["git", *words], cwd=path, check=True)
    return path


class Commands(BuildStep):
    """Runs remote commands one after another, and keeps what they came to."""

    def __init__(self, *given: tuple[str, dict[str, Any]], files: Any = None, **kwargs: Any) -> None:
        self.given = given
        self.files = files
        super().__init__(**kwargs)

    async def run(self) -> int:
        for name, args in self.given:
            command = RemoteCommand(name, dict(args))
            command.upload = command.download = self.files
            await self.runCommand(command)
        return SUCCESS


class Content:
    """A file that is sent or fetched, in memory; the only step that uses it runs in this process."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def write(self, offset: int, data: bytes) -> int:
        self.content = self.content[:offset] + data
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Content)

    def __hash__(self) -> int:
        return 0


class PeerCase(RigCase):
    """`self.peer` is the process of a slave called `bot`, whose programs are those of the environment `peer_name`."""

    with_slave = False
    peer_name: ClassVar[str] = ""  # of .venv-peers; empty: the Buildbot of .venv-peer
    tac: ClassVar[str] = WORKER_TAC
    options: ClassVar[str] = ""

    async def setUp(self) -> None:
        self.programs = self.find_programs()
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        await self.rig.ports.ready()
        await self.rig.sockets.ready()

    def find_programs(self) -> Path:
        return make_old_peer(self.peer_name) if self.peer_name else make_peer().bin

    @property
    def port(self) -> int:
        return self.rig.socket_port if self.with_sockets else self.rig.port

    def start_peer(self, directory: str = "bot") -> Process:
        basedir = self.rig.base / directory
        (basedir / "info").mkdir(parents=True, exist_ok=True)
        (basedir / "info" / "admin").write_text("Ann <ann@example.org>\n")
        tac = basedir / "buildbot.tac"
        tac.write_text(self.tac.format(port=self.port, basedir=str(basedir), options=self.options))
        words = ["--nodaemon", "--pidfile=", "-y", tac]
        env = {"PYTHONDONTWRITEBYTECODE": None}
        return self.processes.start(
            [self.programs / "python", self.programs / "twistd", *words], name=directory, cwd=basedir, env=env
        )

    async def connect(self) -> None:
        self.peer = self.start_peer()
        try:
            await self.rig.until(lambda: "bot" in self.rig.sessions.here, "the slave is here")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.peer.output()}") from None

    def stop_peer_for_a_while(self) -> None:
        """It answers nothing, and is still connected."""
        self.peer.kill(signal.SIGSTOP)
        self.addCleanup(self.peer.kill, signal.SIGCONT)

    async def outcomes(self, *given: tuple[str, dict[str, Any]], files: Any = None) -> list[dict[str, Any]]:
        """What these commands came to, run by one step of builder `b`."""
        step = Commands(*given, files=files, name="commands")
        self.rig.add_builder("b", BuildFactory([step]))
        try:
            built = await self.rig.build("b", timeout=30)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.peer.output()}") from None
        return [{"state": row.state.value, **(row.outcome or {})} for row in built.commands("commands")]

    @property
    def there(self) -> Path:
        """The builder's directory on the slave."""
        return self.rig.slave_dir()
