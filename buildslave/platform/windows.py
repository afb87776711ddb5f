"""Windows, written from its documentation and never run there: docs/manual/buildslave.md says so.

A command is started in a process group and a job object of its own. What it starts is in the job, wherever it goes, so
ending the job ends all of it. Windows has no signals: a polite one becomes CTRL_BREAK, which a console program may take
as a wish to end; SIGKILL ends the job.
"""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildslave.platform.kinds import Reader, Started, Writer

CREATE_NEW_PROCESS_GROUP = 0x00000200
CTRL_BREAK_EVENT = 1
KILLED_CODE = 1
PROGRAMS = (".exe", ".com")
METACHARACTERS = re.compile(r'([()%!^"<>&|])')
PIPE = "|"

_jobs: dict[int, int] = {}
"""The handle of the job of each running command, by its leader's number."""


def shell_words(command: str | bytes) -> list[str | bytes]:
    return ["cmd.exe", "/c", command]


def command_line(words: Sequence[str | bytes]) -> str:
    """What CreateProcess is given for a list of words.

    A string for the shell goes to cmd.exe as it is. A program whose name says so gets its words as the C runtime splits
    them. Everything else may be a batch file or a command of cmd.exe itself, which must not see its own characters in
    a word; a lone `|` is a pipe, as it always was here.
    """
    texts = [os.fsdecode(word) for word in words]
    if texts[:-1] == shell_words("")[:-1]:
        return f'cmd.exe /s /c "{texts[-1]}"'
    if texts[0].lower().endswith(PROGRAMS):
        return subprocess.list2cmdline(texts)
    return f'cmd.exe /s /c "{" ".join(_cmd_word(text) for text in texts)}"'


def _cmd_word(text: str) -> str:
    if text == PIPE:
        return text
    quoted = subprocess.list2cmdline([text])
    return METACHARACTERS.sub(r"^\1", quoted)


def start_process(
    argv: Sequence[str | bytes],
    *,
    cwd: str,
    env: Mapping[str, str],
    with_stdin: bool,
    use_pty: bool,
    umask: int | None,
) -> Started:
    """As on Unix; there is no terminal and no umask."""
    popen = subprocess.Popen(
        command_line(argv),
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE if with_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        creationflags=CREATE_NEW_PROCESS_GROUP,
    )
    _jobs[popen.pid] = _new_job(int(getattr(popen, "_handle")))  # noqa: B009  # Popen has it on Windows alone
    outputs = {}
    for stream, pipe in (("stdout", popen.stdout), ("stderr", popen.stderr)):
        assert pipe is not None
        outputs[stream] = _own(pipe)
    stdin = None if popen.stdin is None else _own(popen.stdin)
    popen.stdin = popen.stdout = popen.stderr = None
    return Started(popen.pid, popen, stdin, outputs)


def _own(pipe: Any) -> int:
    descriptor = os.dup(pipe.fileno())
    pipe.close()
    return descriptor


def _kernel32() -> Any:
    return getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009  # it is on Windows alone


def _new_job(process_handle: int) -> int:
    """A job with that process in it; 0 if there can be none."""
    kernel = _kernel32()
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    job = kernel.CreateJobObjectW(None, None)
    if not job or not kernel.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(process_handle)):
        return 0
    return int(job)


def read_output(reactor: Any, descriptor: int, data: Callable[[bytes], None], closed: Callable[[Any], None]) -> Reader:
    from buildslave.platform.threads import ThreadReader

    return ThreadReader(reactor, descriptor, data, closed)


def write_input(reactor: Any, descriptor: int) -> Writer:
    from buildslave.platform.threads import ThreadWriter

    return ThreadWriter(descriptor)


def watch_exit(reactor: Any, started: Started, ended: Callable[[int], None]) -> None:
    def wait() -> None:
        code = started.popen.wait()
        reactor.callFromThread(ended, code)

    threading.Thread(target=wait, daemon=True).start()


def reap(pids: set[int]) -> None:
    """Nothing is left to be asked for."""


def signal_group(leader: int, number: int) -> bool:
    """End the job for SIGKILL, which is 9; for any other number send CTRL_BREAK to the group."""
    if number != 9:
        with contextlib.suppress(OSError):
            os.kill(leader, CTRL_BREAK_EVENT)
            return True
        return False
    job = _jobs.pop(leader, 0)
    if not job:
        with contextlib.suppress(OSError):
            os.kill(leader, signal.SIGTERM)  # TerminateProcess
            return True
        return False
    kernel = _kernel32()
    ended = bool(kernel.TerminateJobObject(ctypes.c_void_p(job), KILLED_CODE))
    kernel.CloseHandle(ctypes.c_void_p(job))
    return ended


def lock_file(descriptor: int) -> bool:
    """Take the lock on the first byte; the system releases it however the process ends."""
    import msvcrt

    locking: Any = getattr(msvcrt, "locking")  # noqa: B009  # it is on Windows alone
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        locking(descriptor, 2, 1)  # LK_NBLCK
    except OSError:
        return False
    return True


def unlock_file(descriptor: int) -> None:
    import msvcrt

    os.lseek(descriptor, 0, os.SEEK_SET)
    with contextlib.suppress(OSError):
        getattr(msvcrt, "locking")(descriptor, 0, 1)  # noqa: B009  # LK_UNLCK
