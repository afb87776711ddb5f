"""What the operating systems' modules give and take, whichever of them it is."""

import subprocess
from typing import NamedTuple, Protocol

MARK = "BUILDSLAVE_COMMAND"
"""The variable that tells of each process for which command it runs."""


class Started(NamedTuple):
    """A process and our ends of its pipes (or of its terminal)."""

    pid: int
    popen: "subprocess.Popen[bytes]"
    stdin: int | None
    outputs: dict[str, int]


class Reader(Protocol):
    """Reads one output of a process until it ends or is closed."""

    def resume(self) -> None: ...

    def pause(self) -> None: ...

    def close(self) -> None: ...


class Writer(Protocol):
    """Writes a process's standard input, without ever waiting for it."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None:
        """Close it when what was written is taken."""

    def close(self) -> None:
        """Close it at once."""


class ProcessStat(NamedTuple):
    """What tells a process from a later one with the same number."""

    group: int
    started_ticks: int
    """Clock ticks since the machine was started."""


class Relative(NamedTuple):
    """A process that runs because a command was started."""

    pid: int
    started_ticks: int
