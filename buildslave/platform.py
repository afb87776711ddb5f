"""What differs between operating systems: starting a process in a group of its own, and signalling the group.

Only here, and inside the functions, is anything imported that exists on Unix alone. Windows is untested.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

SHELL = ("/bin/sh", "-c") if os.name == "posix" else ("cmd.exe", "/c")


class Started(NamedTuple):
    """A process and our ends of its pipes (or of its terminal)."""

    pid: int
    popen: "subprocess.Popen[bytes]"
    stdin: int | None
    outputs: dict[str, int]


def start_process(
    argv: Sequence[str | bytes],
    *,
    cwd: str,
    env: Mapping[str, str],
    with_stdin: bool,
    use_pty: bool,
    umask: int | None,
) -> Started:
    """Start `argv` as the leader of a new session. Raises OSError if it cannot be started."""
    if use_pty:
        return _start_on_terminal(argv, cwd, env, umask)
    popen = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if with_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        umask=-1 if umask is None else umask,
    )
    outputs = {}
    for stream, pipe in (("stdout", popen.stdout), ("stderr", popen.stderr)):
        assert pipe is not None
        outputs[stream] = _keep_open(pipe)
    stdin = None if popen.stdin is None else _keep_open(popen.stdin)
    popen.stdin = popen.stdout = popen.stderr = None
    return Started(popen.pid, popen, stdin, outputs)


def _keep_open(pipe: Any) -> int:
    """The pipe's descriptor as our own: the reactor reads it, and Popen must not close it."""
    descriptor = os.dup(pipe.fileno())
    pipe.close()
    os.set_blocking(descriptor, False)
    return descriptor


def _start_on_terminal(argv: Sequence[str | bytes], cwd: str, env: Mapping[str, str], umask: int | None) -> Started:
    import fcntl
    import termios

    ours, theirs = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    try:
        popen = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal,
            umask=-1 if umask is None else umask,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    return Started(popen.pid, popen, os.dup(ours), {"stdout": ours})


class ReapHandler(Protocol):
    """Told when a child may have ended (see `watch_exit`)."""

    def reapProcess(self) -> None: ...

    def processEnded(self, status: int) -> None: ...


def watch_exit(pid: int, handler: ReapHandler) -> None:
    """Have `handler` told by the reactor's child signal; `processEnded` at once if the child is gone already."""
    from twisted.internet.process import registerReapProcessHandler

    registerReapProcessHandler(pid, handler)


def reap(pid: int, handler: ReapHandler) -> int | None:
    """The wait status of a child that has ended, None while it runs."""
    from twisted.internet.process import unregisterReapProcessHandler

    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended == 0:
        return None
    unregisterReapProcessHandler(pid, handler)
    return status


def lock_file(descriptor: int) -> bool:
    """Take the lock on an open file, which the system releases however the process ends; False if somebody holds it.

    Where there are no such locks nobody holds any.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def unlock_file(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def signal_group(leader: int, number: int) -> bool:
    """Send a signal to every process of the group; False if there is none left."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # macOS says so of a group of which only zombies are left.
        return False
    return True


class ProcessStat(NamedTuple):
    """What tells a process from a later one with the same number."""

    group: int
    started_ticks: int
    """Clock ticks since the machine was started."""


def process_stat(pid: int) -> ProcessStat | None:
    """Of a process that exists, even as a zombie; None if there is none, or the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return ProcessStat(int(fields[2]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None


def group_members(leader: int) -> list[ProcessStat]:
    """Of all processes of a group."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    found = (process_stat(number) for number in numbers)
    return [stat for stat in found if stat is not None and stat.group == leader]


def boot() -> str | None:
    """Differs between two starts of the machine, and between containers; None if the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def ticks_since_boot() -> int:
    """The time as `ProcessStat` has it. Only where `boot` tells something."""
    import time

    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def signal_number(name: str) -> int | None:
    """9 for "KILL" and "SIGKILL"; None for what is no signal."""
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    with contextlib.suppress(KeyError):
        return signal.Signals[full].value
    return None


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
