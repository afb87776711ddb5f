"""Nothing is left running that no one owns: what a killed slave's process left is ended by the next one."""

import json
import os
import signal
import subprocess
import time

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from buildslave import platform
from buildslave.started import StartedProcesses

from .cases import temporary_directory
from .slave_process import SlaveProcessCase, end
from .test_shell import alive

FAMILY = "echo $$; sleep 300 & echo $!; (sleep 300 & echo $!; wait) & wait"


class KilledSlave(SlaveProcessCase):
    changes = (("started", "BEAT_SECONDS", 0.1),)

    def records(self) -> list[str]:
        return [path.name for path in (self.basedir / ".spool").glob("*.process")]

    async def test_the_whole_group_is_ended_by_the_next_process(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        pids = await self.pids(3)
        self.assertEqual(self.records(), [f"{pids[0]}.process"])
        await self.kill()
        self.assertEqual([alive(pid) for pid in pids], [True] * 3)
        await self.start()
        await self.master.until(lambda: not any(alive(pid) for pid in pids))
        self.assertIn(f"killing process {pids[0]} and its group", self.log())
        await self.master.until(lambda: self.master.attached == {"1": "unknown"})
        self.assertEqual(self.records(), [])

    async def test_a_group_whose_leader_is_gone_too(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        pids = await self.pids(3)
        await deferLater(reactor, 0.5, lambda: None)
        await self.kill()
        os.kill(pids[0], signal.SIGKILL)
        await self.master.until(lambda: not alive(pids[0]))
        self.assertTrue(alive(pids[1]))
        await self.start()
        await self.master.until(lambda: not any(alive(pid) for pid in pids))

    async def test_nothing_is_written_down_of_what_has_ended(self) -> None:
        await self.master.run("1", "shell", command="true")
        self.assertEqual(self.records(), [])


class Records(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = temporary_directory(self)
        self.process = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
        self.addCleanup(self.process.wait)
        self.addCleanup(end, self.process.pid)

    def run_next_slave(self) -> None:
        processes = StartedProcesses(self.directory, Clock())
        processes.start()
        processes.stop()
        self.assertEqual(list(self.directory.glob("*.process")), [])

    def write(self, **changes: object) -> None:
        StartedProcesses(self.directory, Clock()).add(self.process.pid, "7", "")
        (path,) = self.directory.glob("*.process")
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def test_it_is_ended(self) -> None:
        self.write()
        self.run_next_slave()
        self.assertEqual(self.process.wait(10), -signal.SIGKILL)

    def test_a_process_that_has_the_number_now_is_left_alone(self) -> None:
        for change in ({"started": 1}, {"started": None}, {"boot": "another"}, {"pid": 0}, {"pid": "x"}):
            self.write(**change)
            self.run_next_slave()
        self.assertTrue(alive(self.process.pid))

    def test_a_group_without_leader_that_may_be_another_is_left_alone(self) -> None:
        leader = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & echo $!"], start_new_session=True,
                                  stdout=subprocess.PIPE)  # fmt: skip
        assert leader.stdout is not None
        member = int(leader.stdout.readline())
        self.addCleanup(end, member)
        leader.stdout.close()
        leader.wait()
        self.write(pid=leader.pid)
        (self.directory / "alive").write_text(json.dumps({"boot": platform.boot(), "ticks": 5}))
        self.run_next_slave()
        self.assertTrue(alive(member))
        self.write(pid=leader.pid)
        now = platform.ticks_since_boot() + 1
        (self.directory / "alive").write_text(json.dumps({"boot": platform.boot(), "ticks": now}))
        self.run_next_slave()
        deadline = time.monotonic() + 20
        while alive(member) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(alive(member))

    def test_nonsense_is_removed(self) -> None:
        for text in ("", "[]", "{}", "3"):
            (self.directory / "1.process").write_text(text)
            self.run_next_slave()
