"""`start`, `stop`, `restart` and `reconfig`: a master's process, from outside."""

from __future__ import annotations

import getpass
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from buildbot.scripts import serve, status_file, stop_order
from buildbot.scripts.outcome import CommandFailed, ExitCode, Say
from buildbot.scripts.pidfile import PidFile
from buildbot.scripts.tac import require_tac
from buildbot.store import builders, builds
from buildbot.store.store import Queries, connect

POLL_SECONDS = 0.05
STOP_SECONDS = 60.0
CLEAN_SECONDS = 3600.0
LAST_LINES = 15


def start_in_foreground(basedir: Path) -> ExitCode:
    """Be the master, until it is stopped."""
    _check_not_running(basedir)
    return ExitCode(serve.main([str(basedir)]))


def start_daemon(basedir: Path, timeout: float | None, say: Say) -> ExitCode:
    """Start the master in the background and wait until it says that it serves, or why it cannot.

    `timeout` bounds the waiting only: a master that takes longer goes on starting.
    """
    _check_not_running(basedir)
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", serve.__file__, str(basedir), str(theirs)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs],
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    try:
        said = _listen(ours, timeout)
    finally:
        os.close(ours)
    if said == serve.READY:
        say(f"the buildmaster in {basedir} is running (pid {process.pid})")
        return ExitCode.OK
    if said is None:
        raise CommandFailed(
            f"the buildmaster (pid {process.pid}) is not ready after {timeout:g} s; it goes on starting, and "
            f"{basedir / serve.LOG_FILE} says how far it is",
            ExitCode.TIMED_OUT,
        )
    raise _not_started(process, basedir, said)


def _listen(descriptor: int, timeout: float | None) -> bytes | None:
    """What the new process says until it closes its end; None when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    said = b""
    while said != serve.READY:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([descriptor], [], [], left)
        if not readable:
            return None
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        said += piece
    return said


def _not_started(process: subprocess.Popen[bytes], basedir: Path, said: bytes) -> CommandFailed:
    try:
        code = process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    known = ExitCode(code) if code in list(map(int, ExitCode)) and code != ExitCode.OK else ExitCode.FAILED
    if said.startswith(serve.ERROR):
        reason = said.removeprefix(serve.ERROR).decode("utf-8", "replace")
        return CommandFailed(f"the buildmaster did not start: {reason}", known)
    return CommandFailed(f"the buildmaster ended while it was starting (exit {code}){_end_of_log(basedir)}", known)


def _end_of_log(basedir: Path) -> str:
    path = basedir / serve.LOG_FILE
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            lines = file.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:]
    except OSError:
        return ""
    return f"; the end of {path}:\n" + "\n".join(f"  {line}" for line in lines)


def _check_not_running(basedir: Path) -> None:
    require_tac(basedir)
    pid = PidFile(basedir).running()
    if pid is not None:
        raise CommandFailed(f"a buildmaster is already running in {basedir} (pid {pid})", ExitCode.ALREADY_RUNNING)


def stop(basedir: Path, say: Say, *, clean: bool = False, wait: bool = True, timeout: float | None = None) -> ExitCode:
    """Stop the master and wait until it is gone. One that does not run is stopped already.

    clean: let the running builds end first, and start no more; the waiting says for which. After `timeout` seconds the
    master stops without them.
    """
    require_tac(basedir)
    with PidFile(basedir).watch() as alive:
        pid = alive()
        if pid is None:
            say(f"no buildmaster is running in {basedir}")
            return ExitCode.OK
        limit = timeout if timeout is not None else CLEAN_SECONDS if clean else STOP_SECONDS
        if clean:
            _check_can_stop_cleanly(basedir, pid)
            stop_order.write(basedir, stop_order.StopOrder(who=_who(), seconds=limit))
        _signal(pid, signal.SIGUSR1 if clean else signal.SIGTERM)
        if not wait:
            say(f"told the buildmaster (pid {pid}) to stop")
            return ExitCode.OK
        waits = _WaitsFor(basedir, limit, say) if clean else None
        _wait_for_the_end(pid, alive, limit, waits)
        if waits is not None:
            waits.is_over()
    say(f"the buildmaster in {basedir} is stopped (pid {pid})")
    return ExitCode.OK


def _wait_for_the_end(pid: int, alive: Callable[[], int | None], limit: float, waits: _WaitsFor | None) -> None:
    deadline = time.monotonic() + limit + (0 if waits is None else STOP_SECONDS)
    while alive() is not None:
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"the buildmaster (pid {pid}) is still running after {limit:g} s; it goes on stopping",
                ExitCode.TIMED_OUT,
            )
        if waits is not None:
            waits.tell()
        time.sleep(POLL_SECONDS)


def _check_can_stop_cleanly(basedir: Path, pid: int) -> None:
    """A master that is still starting does not listen to the signal yet; it would die of it."""
    status = status_file.read(basedir)
    if status is None or status.pid != pid:
        raise CommandFailed(f"the buildmaster (pid {pid}) is not ready for it; try again when it is")


def _who() -> str:
    try:
        return f"{getpass.getuser()} (buildbot stop --clean)"
    except (KeyError, OSError, ImportError):  # a user without a name
        return f"user {os.getuid()} (buildbot stop --clean)"


def cancel_clean_stop(basedir: Path, say: Say) -> ExitCode:
    """Call off the clean stop that is under way."""
    require_tac(basedir)
    pid_file = PidFile(basedir)
    pid = pid_file.running()
    status = status_file.read(basedir)
    if pid is None:
        raise CommandFailed(f"no buildmaster is running in {basedir}", ExitCode.NOT_RUNNING)
    if status is None or status.pid != pid or status.state != "draining":
        raise CommandFailed(f"the buildmaster (pid {pid}) is not in a clean stop: there is nothing to call off")
    stop_order.write(basedir, stop_order.StopOrder(who=_who(), cancel=True))
    _signal(pid, signal.SIGUSR1)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and pid_file.running() == pid:
        now = status_file.read(basedir)
        if now is not None and now.called_off_by is not None and now.written_at > status.written_at:
            say(f"the buildmaster in {basedir} goes on")
            return ExitCode.OK
        time.sleep(POLL_SECONDS)
    raise CommandFailed(f"too late: the buildmaster (pid {pid}) is stopping or does not answer")


def _signal(pid: int, signum: signal.Signals) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise CommandFailed(f"the buildmaster (pid {pid}) belongs to another user") from None


class _WaitsFor:
    """Says which builds a clean stop waits for, whenever that changes. Raises CommandFailed when it is called off."""

    def __init__(self, basedir: Path, limit: float, say: Say) -> None:
        self._basedir = basedir
        self._path = basedir / "state.sqlite"
        self._say = say
        self._asked_at = time.time()
        self._ends = time.monotonic() + limit
        self._limit = limit
        self._told: list[str] = []
        self._next = 0.0

    def tell(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 1
        status = status_file.read(self._basedir)
        if status is not None and status.called_off_by is not None and status.written_at > self._asked_at:
            raise CommandFailed(f"the stop was called off by {status.called_off_by}; the buildmaster goes on")
        if time.monotonic() > self._ends - 1:
            return  # what it did not wait for is said when it is gone
        running = self._running()
        if running and running != self._told:
            self._say(f"waiting at most {self._limit:g} s for {', '.join(running)}")
        self._told = running

    def is_over(self) -> None:
        """The master is gone; if it did not wait to the end, say for what."""
        if self._told and time.monotonic() > self._ends - 1:
            self._say(f"it did not wait any longer after {self._limit:g} s; what still ran: {', '.join(self._told)}")

    def _running(self) -> list[str]:
        try:
            connection = connect(self._path, read_only=True)
        except sqlite3.Error:
            return []
        try:
            queries = Queries(connection)
            found = []
            for build in builds.running(queries):
                builder = builders.get(queries, build.builder_id)
                since = time.strftime("%H:%M:%S", time.localtime(build.started_at))
                found.append(f"{builder.name if builder else '?'} #{build.number} (since {since})")
            return found
        except sqlite3.Error:
            return []
        finally:
            connection.close()


def reconfig(basedir: Path, timeout: float, say: Say) -> ExitCode:
    """Tell the master to load its configuration again, and say what came of it."""
    require_tac(basedir)
    pid_file = PidFile(basedir)
    pid = pid_file.running()
    if pid is None:
        raise CommandFailed(f"no buildmaster is running in {basedir}", ExitCode.NOT_RUNNING)
    before = status_file.read(basedir)
    if before is None or before.pid != pid or before.state != "running":
        raise CommandFailed(f"the buildmaster (pid {pid}) is not ready for it; try again when it is")
    _signal(pid, signal.SIGHUP)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        now = status_file.read(basedir)
        if now is not None and now.pid == pid and now.written_at > before.written_at:
            if now.config_error is None:
                say(f"the buildmaster in {basedir} has its new configuration")
                return ExitCode.OK
            raise CommandFailed(
                f"the new configuration is refused, and the old one stays in force:\n{now.config_error}"
            )
        if pid_file.running() != pid:
            raise CommandFailed(f"the buildmaster (pid {pid}) ended meanwhile{_end_of_log(basedir)}")
        time.sleep(POLL_SECONDS)
    raise CommandFailed(
        f"no answer from the buildmaster (pid {pid}) after {timeout:g} s; it goes on, see {basedir / serve.LOG_FILE}",
        ExitCode.TIMED_OUT,
    )
