"""What differs between operating systems, behind one seam: the rest of the slave asks here and nowhere else.

`posix` and `windows` have the same functions. Neither imports at its top what the other system lacks, nor the reactor.
What `linux` tells is empty on every other system. Windows is untested.
"""

import contextlib
import os
import signal

from buildslave.platform import posix, windows
from buildslave.platform.kinds import MARK, ProcessStat, Reader, Relative, Started, Writer
from buildslave.platform.linux import (
    adopt_orphans,
    adopts_orphans,
    boot,
    dead_children,
    group_members,
    process_stat,
    relatives,
    signal_relative,
    ticks_since_boot,
)

__all__ = [
    "KILL", "MARK", "TERM",
    "ProcessStat", "Reader", "Relative", "Started", "Writer",
    "adopt_orphans", "adopts_orphans", "boot", "dead_children", "group_members", "lock_file", "process_stat",
    "read_output", "reap", "relatives", "shell_words", "signal_group", "signal_name", "signal_number",
    "signal_relative", "start_process", "ticks_since_boot", "unlock_file", "watch_exit", "write_input",
]  # fmt: skip

_system = windows if os.name == "nt" else posix
shell_words = _system.shell_words
start_process = _system.start_process
read_output = _system.read_output
write_input = _system.write_input
watch_exit = _system.watch_exit
reap = _system.reap
signal_group = _system.signal_group
lock_file = _system.lock_file
unlock_file = _system.unlock_file


def signal_number(name: str) -> int | None:
    """9 for "KILL" and "SIGKILL"; None for what is no signal."""
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    with contextlib.suppress(KeyError):
        return signal.Signals[full].value
    return {"SIGKILL": 9, "SIGTERM": 15}.get(full)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


KILL = signal_number("KILL") or 9
TERM = signal_number("TERM") or 15
