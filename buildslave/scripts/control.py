"""`start`, `stop` and `restart`: a slave's process, from outside."""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from buildslave.scripts.create import Reporter
from buildslave.scripts.outcome import CommandFailed, ExitCode
from buildslave.scripts.pidfile import PidFile
from buildslave.scripts.started import LOG_FILE, READY, SCRIPT
from buildslave.scripts.tac import TAC_FILE

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
SHOWN_ERROR_BYTES = 4000


def start_in_foreground(basedir: Path) -> ExitCode:
    """Be the slave, until it is stopped."""
    _check(basedir)
    from buildslave.scripts import serve  # and with it the reactor, which no other command needs

    return ExitCode(serve.main([str(basedir)]))


def start_daemon(basedir: Path, reporter: Reporter) -> ExitCode:
    """Start the slave in the background and wait until it says that it is ready; the master need not be up."""
    _check(basedir)
    ours, theirs = os.pipe()
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT), str(basedir), str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs],
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        try:
            ready = _wait_for_ready(ours)
        finally:
            os.close(ours)
        if ready:
            reporter.say(f"the buildslave in {basedir} is started (pid {process.pid})")
            return ExitCode.OK
        raise _not_started(process, basedir, errors)


def _not_started(process: "subprocess.Popen[bytes]", basedir: Path, errors: BinaryIO) -> CommandFailed:
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - SHOWN_ERROR_BYTES))
    said = (
        errors.read().decode("utf-8", "replace").strip() or f"it ended without a word; see {basedir}/{LOG_FILE}"
    )
    known = code if code in list(map(int, ExitCode)) and code != ExitCode.OK else ExitCode.FAILED
    return CommandFailed(f"the buildslave did not start: {said}", ExitCode(known))


def _wait_for_ready(descriptor: int) -> bool:
    readable, _, _ = select.select([descriptor], [], [], READY_SECONDS)
    return bool(readable) and os.read(descriptor, len(READY)) == READY


def _check(basedir: Path) -> None:
    tac = basedir / TAC_FILE
    if not tac.is_file():
        raise CommandFailed(f"{basedir} has no {TAC_FILE}: make a slave with `buildslave create-slave`")
    if re.search(r"\bBuildMaster\(", tac.read_text(encoding="utf-8", errors="replace")):
        raise CommandFailed(f"{basedir} is the directory of a master: use `buildbot` for it")
    pid = PidFile(basedir).running()
    if pid is not None:
        raise CommandFailed(f"a buildslave is already running in {basedir} (pid {pid})", ExitCode.ALREADY_RUNNING)


def stop(basedir: Path, reporter: Reporter) -> ExitCode:
    """Stop the slave with its commands and wait until it is gone. One that does not run is stopped already."""
    if not basedir.is_dir():
        raise CommandFailed(f"{basedir} is no directory")
    with PidFile(basedir).watch() as alive:
        pid = alive()
        if pid is None:
            reporter.say(f"no buildslave is running in {basedir}")
        else:
            _end(pid, alive)
            reporter.say(f"the buildslave in {basedir} is stopped (pid {pid})")
    return ExitCode.OK


def _end(pid: int, alive: Callable[[], int | None]) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CommandFailed(f"the buildslave (pid {pid}) belongs to another user") from None
    deadline = time.monotonic() + STOP_SECONDS
    while alive() is not None:
        if time.monotonic() > deadline:
            raise CommandFailed(f"the buildslave (pid {pid}) has not ended after {STOP_SECONDS:.0f} s")
        time.sleep(0.05)
