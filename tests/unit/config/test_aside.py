"""Loading beside the running master: the reactor goes on, and a hanging file ends at its deadline."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from buildbot.config.aside import load_config_aside
from buildbot.config.errors import ConfigErrors
from tests.unit.config.files import GOOD, write

REACTOR: Any = reactor


def loading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "loading master.cfg"]


class Aside(TestCase):
    async def test_it_gives_the_configuration(self) -> None:
        path = write(self.mktemp_directory(), GOOD)
        config = await load_config_aside(path, REACTOR, 30)
        assert [builder.name for builder in config.builders] == ["full"]

    async def test_it_raises_the_problems(self) -> None:
        path = write(self.mktemp_directory(), "c = BuildmasterConfig = {'titel': 1}\n")
        with self.assertRaises(ConfigErrors) as raised:
            await load_config_aside(path, REACTOR, 30)
        assert raised.exception.problems[0].hint == "did you mean 'title'?"

    async def test_the_reactor_goes_on_meanwhile(self) -> None:
        path = write(self.mktemp_directory(), "import time\ntime.sleep(0.3)\n" + GOOD)
        turns: list[float] = []
        ticking = task.LoopingCall(lambda: turns.append(time.monotonic()))
        ticking.clock = REACTOR
        ended = ticking.start(0.01)
        await load_config_aside(path, REACTOR, 30)
        ticking.stop()
        await ended
        assert len(turns) > 10

    async def test_a_file_that_loops_ends_at_the_deadline_with_its_line(self) -> None:
        path = write(self.mktemp_directory(), "def forever():\n    while True:\n        pass\n\nforever()\n")
        with self.assertRaises(ConfigErrors) as raised:
            await load_config_aside(path, REACTOR, 0.2)
        (problem,) = raised.exception.problems
        assert problem.message == "the configuration did not load within 0.2 seconds"
        assert (problem.file, problem.line in (2, 3)) == (str(path), True)
        for _ in range(200):
            if not loading():
                break
            await task.deferLater(REACTOR, 0.01)
        assert not loading(), "the thread did not end"

    async def test_a_late_end_changes_nothing(self) -> None:
        path = write(self.mktemp_directory(), "import time\ntime.sleep(0.4)\n" + GOOD)
        late = ensureDeferred(load_config_aside(path, REACTOR, 0.1))
        await self.assertFailure(late, ConfigErrors)
        await task.deferLater(REACTOR, 0.6)
        assert not loading()

    def mktemp_directory(self) -> Path:
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        return path
