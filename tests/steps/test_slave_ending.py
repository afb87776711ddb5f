"""What a command started is really ended: a daemon that left its group and its session, ignores SIGTERM, and has
dropped its environment.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildslave import platform
from buildslave.family import MARK, Family, marked
from tests.unit.buildslave.cases import SlaveCase
from tests.unit.buildslave.slave_process import SlaveProcessCase
from tests.unit.buildslave.test_shell import alive

# Forks twice, leaves its session, ignores every polite signal, tells its number, and stays.
DAEMON = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(polite, signal.SIG_IGN)
with open("daemon.new", "w") as file:
    file.write(str(os.getpid()))
nowhere = os.open(os.devnull, os.O_RDWR)
for each in range(3):
    os.dup2(nowhere, each)
os.rename("daemon.new", "daemon.pid")
time.sleep(300)
"""
MARKED = f"{sys.executable} -c '{DAEMON}'"
BARE = f"env -i {MARKED}"


class Daemons(SlaveProcessCase):
    """The slave is a process of its own, as `buildslave start` makes it."""

    changes = (("started", "BEAT_SECONDS", 0.2),)

    async def daemon(self, name: str = "builder") -> int:
        """The number of the daemon that the command of this builder has started."""
        path = self.basedir / name / "daemon.pid"
        await self.master.until(path.exists)
        pid = int(path.read_text())
        self.addCleanup(lambda: alive(pid) and os.kill(pid, 9))
        self.assertTrue(alive(pid))
        self.assertNotEqual(os.getsid(pid), os.getsid(int(self.process.pid)))  # type: ignore[union-attr]
        return pid

    async def stopped(self, daemon: str, **args: Any) -> dict[str, Any]:
        await self.master.order("1", "shell", command=f"{daemon}; sleep 300", **args)
        pid = await self.daemon()
        if not args:
            await self.master.call("interrupt", "1", "stop it")
        outcome: dict[str, Any] = await self.master.ended("1")
        self.assertFalse(alive(pid))
        return outcome

    async def test_gone_after_stop(self) -> None:
        self.assertEqual((await self.stopped(MARKED))["reason"], "interrupted")

    async def test_gone_after_stop_without_its_environment(self) -> None:
        self.assertEqual((await self.stopped(BARE))["reason"], "interrupted")

    async def test_gone_after_a_timeout(self) -> None:
        self.assertEqual((await self.stopped(MARKED, timeout=1.5))["reason"], "timeout_without_output")

    async def test_gone_after_max_time(self) -> None:
        self.assertEqual((await self.stopped(BARE, maxTime=1.5, sigtermTime=0.2))["reason"], "timeout")

    async def test_one_that_holds_the_output_is_ended_and_does_not_delay_the_end(self) -> None:
        holding = DAEMON.replace("os.dup2(nowhere, each)", "pass")
        outcome = await self.stopped(f"{sys.executable} -c '{holding}'", timeout=1.5)
        self.assertLess(outcome["elapsed"], 5)

    async def test_gone_when_the_slave_stops(self) -> None:
        await self.master.order("1", "shell", command=f"{MARKED}; sleep 300")
        pid = await self.daemon()
        self.process.terminate()  # type: ignore[union-attr]
        await self.master.until(lambda: self.process.poll() is not None)  # type: ignore[union-attr]
        self.assertFalse(alive(pid))

    async def test_what_a_command_left_that_ended_by_itself_goes_on_until_the_slave_stops(self) -> None:
        for id, builder, daemon in (("1", "a", MARKED), ("2", "b", BARE)):
            outcome = await self.master.run(id, "shell", builder, command=daemon)
            self.assertEqual((outcome["rc"], outcome["reason"]), (0, None))
        pids = [await self.daemon("a"), await self.daemon("b")]
        await self.master.run("3", "shell", command="sleep 300", timeout=0.3)
        self.assertTrue(alive(pids[0]))  # its mark tells that it is not of the command that was ended
        self.process.terminate()  # type: ignore[union-attr]
        await self.master.until(lambda: self.process.poll() is not None)  # type: ignore[union-attr]
        await self.master.until(lambda: not any(map(alive, pids)))
        self.assertIn("killed what commands had left running: ", self.log())

    async def test_gone_when_a_killed_slave_starts_again(self) -> None:
        await self.master.order("1", "shell", command=f"{MARKED}; sleep 300")
        pid = await self.daemon()
        await self.kill()
        self.assertTrue(alive(pid))
        await self.start()
        await self.master.until(lambda: not alive(pid))
        self.assertIn(f"killed {pid}", self.log().replace(", ", " killed "))

    async def test_what_another_command_started_is_left_alone(self) -> None:
        for id, builder, daemon in (("1", "a", MARKED), ("2", "b", BARE)):
            await self.master.order(id, "shell", builder, command=f"{daemon}; sleep 300")
        first, second = await self.daemon("a"), await self.daemon("b")
        await self.master.call("interrupt", "2", "")
        await self.master.ended("2")
        self.assertEqual((alive(first), alive(second)), (True, True))  # whose the second is cannot be told
        await self.master.call("interrupt", "1", "")
        await self.master.ended("1")
        self.assertEqual((alive(first), alive(second)), (False, False))

    async def test_adopted_orphans_leave_no_zombie(self) -> None:
        await self.stopped(BARE)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")  # type: ignore[union-attr]
        await self.master.until(lambda: children.read_text().split() == [])


class InOtherProcesses(SlaveCase):
    """A slave whose process does not adopt orphans: started by `twistd`, or beside other services."""

    async def test_the_mark_finds_the_daemon(self) -> None:
        self.assertFalse(platform.adopts_orphans())
        await self.master.order("1", "shell", command=f"{MARKED}; sleep 300")
        path = self.basedir / "builder" / "daemon.pid"
        await self.master.until(path.exists)
        await self.master.call("interrupt", "1", "")
        await self.master.ended("1")
        self.assertFalse(alive(int(path.read_text())))

    async def test_the_mark_is_not_shown_and_adds_to_that_of_an_outer_slave(self) -> None:
        await self.master.run("1", "shell", command=f"echo ${MARK}")
        log = self.master.log("1")
        self.assertRegex(log.text("stdout").decode(), "^[0-9a-f]{32}\n$")
        self.assertNotIn(MARK.encode() + b"=", log.text("header"))
        self.assertEqual(marked({"A": "b"}, "inner", {MARK: "outer"}), {"A": "b", MARK: "outer:inner"})

    async def test_a_number_that_another_process_has_now_is_nobody(self) -> None:
        process = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        family = Family(process.pid, "no-such-mark", clock=reactor, others=lambda: {1})  # type: ignore[arg-type]
        self.assertEqual([member.pid for member in family.members()], [process.pid])
        family._leader = platform.Relative(process.pid, 1)
        self.assertEqual(family.members(), [])
        self.assertFalse(platform.signal_relative(platform.Relative(process.pid, 1), 9))
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        self.assertIsNone(process.poll())


def test_the_tests_own_process_adopts_nobody() -> None:
    """Else a slave in it would take other tests' servers for what its commands left."""
    assert not platform.adopts_orphans()
    assert ctypes.CDLL(None).prctl(37, ctypes.byref(ctypes.c_int()), 0, 0, 0) == 0
