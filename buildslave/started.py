"""The processes that the slave has started and that run, written down so that its next process can end them.

When the slave's process is killed, the processes of its commands go on, and nobody owns them. Each has a small file in
`.spool/`, `PID.process`, while its command runs. A number may have been given to another process since, which must not
be signalled: the group is the one that we started if its leader is there and started when ours did; or, without a
leader, if somebody in it lived already when the slave was last alive (`alive`, written every few seconds), because the
number of a group is not given away while anybody is in it. What has left the group is found by the command's mark.
Where the system does not tell such things nothing is kept.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from buildslave import platform
from buildslave.family import Family, end_adopted, end_marked

RECORD = ".process"
ALIVE = "alive"
BEAT_SECONDS = 5.0


class StartedProcesses:
    """The records of one slave. To be used only while the directory is ours."""

    _log = Logger()
    _leaders: ClassVar[set[int]] = set()
    """Of the commands of all slaves in this process."""

    def __init__(self, directory: Path, clock: Any) -> None:
        self._directory = directory
        self._clock = clock
        self._boot = platform.boot()
        self._running: set[int] = set()
        self._dead: set[int] = set()
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock

    def start(self) -> None:
        """End what a former process of the slave left running, and begin."""
        for path in self._directory.glob(f"*{RECORD}"):
            try:
                self._end(json.loads(path.read_bytes()))
            except (OSError, ValueError, TypeError, KeyError) as error:
                self._log.warn("{path} cannot be read: {why}", path=str(path), why=str(error))
            with contextlib.suppress(OSError):
                path.unlink()
        _ = self._beating.start(BEAT_SECONDS, now=False).addErrback(
            lambda failure: self._log.failure("cannot write when this slave was alive", failure=failure)
        )

    def stop(self) -> None:
        """End what the commands have left running that ended by themselves."""
        if self._beating.running:
            self._beating.stop()
        left = end_adopted(self._leaders)
        if left:
            self._log.info("killed what commands had left running: {pids}", pids=", ".join(map(str, left)))

    def add(self, pid: int, command_id: str, mark: str) -> Family:
        """`pid` has just been started, as the leader of a group, with this mark."""
        self._leaders.add(pid)
        stat = platform.process_stat(pid)
        if self._boot is not None and stat is not None:
            known = {"pid": pid, "started": stat.started_ticks, "boot": self._boot, "command": command_id, "mark": mark}
            if self._write(f"{pid}{RECORD}", known):
                self._running.add(pid)
        return Family(pid, mark, clock=self._clock, others=lambda: self._leaders - {pid})

    def remove(self, pid: int) -> None:
        """Its command has ended."""
        self._leaders.discard(pid)
        if pid in self._running:
            self._running.remove(pid)
            with contextlib.suppress(OSError):
                self._path(pid).unlink(missing_ok=True)

    def _path(self, pid: int) -> Path:
        return self._directory / f"{pid}{RECORD}"

    def _beat(self) -> None:
        if self._running:
            self._write(ALIVE, {"boot": self._boot, "ticks": platform.ticks_since_boot()})
        if platform.adopts_orphans():
            # Nobody else asks how an orphan ended. One that was started here would have been asked about by now.
            dead = platform.dead_children(self._leaders)
            platform.reap(dead & self._dead)
            self._dead = dead

    def _write(self, name: str, known: dict[str, Any]) -> bool:
        path = self._directory / name
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                json.dump(known, file)
        except OSError as error:
            self._log.warn("cannot write {path}: {why}", path=str(path), why=str(error))
            return False
        return True

    def _end(self, known: dict[str, Any]) -> None:
        pid = int(known["pid"])
        if known["boot"] == self._boot and pid > 1 and self._is_ours(pid, known["started"]):
            self._log.warn(
                "command {id} of a former process of this slave is still running: killing process {pid} and its group",
                id=known["command"], pid=pid,
            )  # fmt: skip
            platform.signal_group(pid, platform.KILL)
        strays = end_marked(str(known["mark"])) if known["boot"] == self._boot and known.get("mark") else []
        if strays:
            self._log.warn("of command {id} of a former process of this slave: killed {pids} as well",
                           id=known["command"], pids=", ".join(map(str, strays)))  # fmt: skip

    def _is_ours(self, pid: int, started_ticks: object) -> bool:
        leader = platform.process_stat(pid)
        if leader is not None:
            return leader.started_ticks == started_ticks and leader.group == pid
        last = self._last_alive()
        return any(member.started_ticks <= last for member in platform.group_members(pid))

    def _last_alive(self) -> int:
        """When a former process of the slave was last known to live."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads((self._directory / ALIVE).read_bytes())
            if known["boot"] == self._boot:
                return int(known["ticks"])
        return -1
