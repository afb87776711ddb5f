"""Real processes for tests: started in a group of their own, watched through their output, ended with the test.

A process writes into a file and not into a pipe, so a test that does not read cannot stall it. Only what a test started
is ever killed: the process group of each child, and daemons whose PID file the test has named.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.02


class Gone(AssertionError):
    """The process ended while the test waited for something else."""


class Late(AssertionError):
    """What the test waited for did not come in time."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on just now, for servers that cannot say which port 0 gave them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_answers(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def pid_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not reaped does not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(true: Callable[[], object], timeout: float = 30, what: str = "it") -> None:
    """Ask again and again until the answer is true; raise Late after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise Late(f"waited {timeout} s for {what}")
        time.sleep(POLL_SECONDS)


class Process:
    """One started program. `name` is how failure reports call it."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def output(self) -> str:
        """All it has printed so far, standard error included."""
        return self.log.read_text(errors="replace")

    def _wait(self, true: Callable[[], object], timeout: float, what: str) -> None:
        deadline = time.monotonic() + timeout
        while not true():
            # Asked once more after the end: the last words of a process come before its exit code.
            if not self.running and not true():
                raise Gone(f"{self.name} ended with {self.popen.returncode} before {what}:\n{self.output()}")
            if time.monotonic() > deadline:
                raise Late(f"{self.name}: waited {timeout} s for {what}:\n{self.output()}")
            time.sleep(POLL_SECONDS)

    def wait_for_line(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """The first match of the regular expression in the output."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.output(), re.MULTILINE)
            if match:
                found.append(match)
            return bool(match)

        self._wait(look, timeout, f"a line like {pattern!r}")
        return found[0]

    def wait_for_port(self, port: int, timeout: float = 30) -> None:
        self._wait(lambda: port_answers(port), timeout, f"port {port}")

    def wait_for_file(self, path: Path, timeout: float = 30) -> None:
        self._wait(path.exists, timeout, f"the file {path}")

    def wait_for_exit(self, timeout: float = 30) -> int:
        """Its exit code; negative is the signal that killed it."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.name}: still running after {timeout} s:\n{self.output()}") from None

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Signal this process alone, as `kill` would; its children stay."""
        self.popen.send_signal(signum)

    def stop(self, grace: float = 10) -> int:
        """End it and its whole group: SIGTERM, then SIGKILL after `grace` seconds."""
        if self.running:
            _signal_group(self.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace)
        _signal_group(self.pid, signal.SIGKILL)
        return self.popen.wait(10)


def _signal_group(pgid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signum)


class Processes:
    """Starts programs for one test and ends them all with it. Use the fixture `processes`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._started: list[Process] = []
        self._pid_files: list[Path] = []

    def start(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> Process:
        """Start `argv`. `env` is laid over the test's own environment; None takes a variable away."""
        name = name or Path(argv[0]).name
        log = self._directory / f"{len(self._started)}-{name.replace('/', '_')}.out"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [os.fspath(word) for word in argv],
                cwd=cwd,
                env=_environment(env),
                stdin=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        process = Process(name, popen, log)
        self._started.append(process)
        return process

    def python(self, *words: str | os.PathLike[str], **options: object) -> Process:
        """Start the Python of the tests; the options are those of `start`."""
        return self.start([sys.executable, *words], **options)  # type: ignore[arg-type]

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout: float = 60,
        code: int | None = 0,
    ) -> str:
        """Start `argv`, wait for its end and return its output. An exit code other than `code` (None: any) fails."""
        process = self.start(argv, name=name, cwd=cwd, env=env)
        got = process.wait_for_exit(timeout)
        if code is not None and got != code:
            raise AssertionError(f"{process.name} ended with {got}, not {code}:\n{process.output()}")
        return process.output()

    def daemon(self, pid_file: Path) -> None:
        """End the daemon that writes this PID file, too. Say it before the daemon is started."""
        self._pid_files.append(pid_file)

    def stop_all(self) -> None:
        for pid_file in self._pid_files:
            _stop_daemon(pid_file)
        for process in reversed(self._started):
            if process.running:
                _signal_group(process.pid, signal.SIGTERM)
        for process in reversed(self._started):
            process.stop()

    def report(self) -> list[tuple[str, str]]:
        """What each process printed, for the report of a failed test."""
        return [(f"{process.name} (pid {process.pid})", process.output()) for process in self._started]


def _environment(over: Mapping[str, str | None] | None) -> dict[str, str]:
    env = dict(os.environ)
    for key, value in (over or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = value
    return env


def _stop_daemon(pid_file: Path, grace: float = 10) -> None:
    try:
        pid = int(pid_file.read_text())
    except (OSError, ValueError):
        return
    for signum in (signal.SIGTERM, signal.SIGKILL):
        if not pid_alive(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        with contextlib.suppress(Late):
            wait_until(lambda: not pid_alive(pid), grace)
