"""A slave and a fake master, joined over a loopback port, for each test anew."""

import tempfile
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from buildslave.bot import BuildSlave
from buildslave.commands.trees import remove_tree

from .fake_master import FakeMaster


def temporary_directory(case: SynchronousTestCase) -> Path:
    """An empty directory that is gone after the test, whatever is in it then."""
    path = Path(tempfile.mkdtemp(prefix="slave-"))
    case.addCleanup(remove_tree, str(path), Event())
    return path


class SlaveCase(TestCase):
    """`self.master` has `self.slave` logged in; its directory is `self.basedir`."""

    timeout = 60

    def setUp(self) -> Any:
        self.basedir = temporary_directory(self)
        self.master = FakeMaster()
        self.master.listen()
        self.stops = 0
        self.slave = self.make_slave()
        self.slave.startService()
        return Deferred.fromCoroutine(self.master.until(lambda: self.master.avatar is not None))

    def make_slave(self, **changes: Any) -> BuildSlave:
        given: dict[str, Any] = {"keepalive": 600, "usepty": False, "maxdelay": 1, "stop_process": self._stopped}
        given |= changes
        return BuildSlave("127.0.0.1", self.master.port, "bot", "secret", str(self.basedir), **given)

    def _stopped(self) -> None:
        self.stops += 1

    def tearDown(self) -> Any:
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        if self.slave.running:
            await self.slave.stopService()
        await self.master.close()
        await self.master.until(lambda: self.master.avatar is None)
