"""A slave in a process of its own, and a fake master in ours."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from buildslave.scripts import serve

from .cases import temporary_directory
from .fake_master import FakeMaster
from .test_shell import alive

ROOT = Path(__file__).resolve().parents[3]
TAC = """\
from twisted.application.service import Application
from buildslave import connection, spooldir, started
from buildslave.bot import BuildSlave

for module, name, value in {changes!r}:
    assert hasattr(globals()[module], name)
    setattr(globals()[module], name, value)
application = Application("buildslave")
BuildSlave("127.0.0.1", {port}, "bot", "secret", ".", maxdelay=1, **{options!r}).setServiceParent(application)
"""


class SlaveProcessCase(TestCase):
    """`start` starts `self.process`, in `self.basedir`, which logs in to `self.master`."""

    timeout = 60
    changes: tuple[tuple[str, str, float], ...] = ()
    """Of constants: module of buildslave, name, value."""
    options: dict[str, Any] = {}

    def setUp(self) -> Any:
        self.basedir = temporary_directory(self)
        self.master = FakeMaster()
        self.master.listen()
        self.process: subprocess.Popen[bytes] | None = None
        return Deferred.fromCoroutine(self.start())

    async def start(self) -> None:
        logins = self.master.logins
        tac = TAC.format(changes=self.changes, port=self.master.port, options=self.options)
        (self.basedir / "buildbot.tac").write_text(tac)
        self.process = subprocess.Popen(
            [sys.executable, "-P", serve.__file__, str(self.basedir)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await self.master.until(lambda: self.master.logins > logins and self.master.avatar is not None)

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        await self.master.until(lambda: self.master.avatar is None)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.basedir / "twistd.log").read_text()

    async def pids(self, count: int, command_id: str = "1") -> list[int]:
        """The numbers that a command has written, each on a line; their processes are killed at the end of the test."""
        log = self.master.log(command_id)
        await self.master.until(lambda: len(log.text("stdout").split()) >= count)
        pids = [int(word) for word in log.text("stdout").split()]
        for pid in pids:
            self.addCleanup(end, pid)
        return pids

    def tearDown(self) -> Any:
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            await self.master.until(lambda: self.process is None or self.process.poll() is not None)
        await self.master.close()
        await self.master.until(lambda: self.master.avatar is None)


def end(pid: int) -> None:
    if alive(pid):
        os.kill(pid, signal.SIGKILL)
