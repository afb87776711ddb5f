"""Unix: starting a process in a group of its own, reading its pipes, signalling the group, locks of files.

What exists on Unix alone is imported inside the functions: every system imports this module.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildslave.platform.kinds import Reader, Started, Writer


def shell_words(command: str | bytes) -> list[str | bytes]:
    """The words that have a shell run `command`."""
    return ["/bin/sh", "-c", command]


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


def read_output(reactor: Any, descriptor: int, data: Callable[[bytes], None], closed: Callable[[Any], None]) -> Reader:
    """Read a pipe or terminal from now on; `closed(reader)` is called once, at its end."""
    from buildslave.platform.pipes import OutputReader

    return OutputReader(reactor, descriptor, data, closed)


def write_input(reactor: Any, descriptor: int) -> Writer:
    from buildslave.platform.pipes import InputWriter

    return InputWriter(reactor, descriptor)


def watch_exit(reactor: Any, started: Started, ended: Callable[[int], None]) -> None:
    """Call `ended(code)` once when the process has ended: its exit code, or less than 0 by a signal of that number.
    At once if it has ended already."""
    from twisted.internet.process import registerReapProcessHandler

    registerReapProcessHandler(started.pid, _Child(started, ended))


class _Child:
    """Told by the reactor when a child may have ended."""

    def __init__(self, started: Started, ended: Callable[[int], None]) -> None:
        self._started = started
        self._ended = ended

    def reapProcess(self) -> None:
        from twisted.internet.process import unregisterReapProcessHandler

        pid, status = os.waitpid(self._started.pid, os.WNOHANG)
        if pid:
            unregisterReapProcessHandler(pid, self)
            self.processEnded(status)

    def processEnded(self, status: int) -> None:
        self._started.popen.returncode = os.waitstatus_to_exitcode(status)
        self._ended(self._started.popen.returncode)


def reap(pids: set[int]) -> None:
    """Take the end of adopted children, which nobody else asks about."""
    from twisted.internet.process import reapProcessHandlers

    for pid in pids - set(reapProcessHandlers):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue


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
