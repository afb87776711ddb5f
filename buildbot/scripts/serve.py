"""The process that is the master: it loads buildbot.tac, logs, says that it is ready, and runs until it is stopped.

Started by `buildbot start`, as a script of its own, so that nothing of the starting process is left in it. Through a
pipe it tells its starter one of two things: that the master is serving, or, in full, why it cannot.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script, perhaps from a source tree that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from twisted.application.service import IService, IServiceCollection, loadApplication
from twisted.internet.defer import Deferred
from twisted.python import log
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from buildbot.scripts import status_file
from buildbot.scripts.outcome import CommandFailed, ExitCode
from buildbot.scripts.pidfile import AlreadyRunning, PidFile
from buildbot.scripts.tac import TAC_FILE, require_tac
from buildbot.secrets.logmask import masked_observer

READY = b"ready\n"
ERROR = b"error\n"
LOG_FILE = "twistd.log"
ROTATE_BYTES = 10_000_000
KEPT_LOGS = 10


class Starter:
    """Who waits for the master to be ready: the other end of a pipe, or (in the foreground) the terminal."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        self._say(READY)

    def failed(self, text: str) -> None:
        if self._descriptor is None:
            print(f"buildbot: {text}", file=sys.__stderr__)
        else:
            self._say(ERROR + text.encode("utf-8", "backslashreplace"))

    def _say(self, message: bytes) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with contextlib.suppress(BrokenPipeError):  # the starter does not wait any more
            while message:
                message = message[os.write(descriptor, message) :]
        os.close(descriptor)


def load_tac(basedir: Path) -> Any:
    """The application that buildbot.tac makes. Raises CommandFailed."""
    path = require_tac(basedir)
    try:
        return loadApplication(str(path), "python")
    except SyntaxError as error:
        raise CommandFailed(
            f"{path}, line {error.lineno}: {error.msg}. It may be Python 2: mend that line, or make a new one with "
            "`buildbot create-master --force`"
        ) from error
    except Exception as error:
        raise CommandFailed(f"{path}: {type(error).__name__}: {error}") from error


def start_logging(application: Any, masters: list[Any], basedir: Path, *, foreground: bool) -> None:
    """Log where buildbot.tac says, else to twistd.log with rotation; in the foreground to the terminal as well."""
    observer = application.getComponent(log.ILogObserver, None)
    if observer is None:
        rotation = next((m.log_rotation for m in masters if hasattr(m, "log_rotation")), None)
        file = LogFile.fromFullPath(
            str(basedir / LOG_FILE),
            rotateLength=_number(getattr(rotation, "rotateLength", None)) or ROTATE_BYTES,
            maxRotatedFiles=_number(getattr(rotation, "maxRotatedFiles", None)) or KEPT_LOGS,
        )
        observer = log.FileLogObserver(file).emit
    secrets = next((m.secrets for m in masters), None)
    shown: list[Any] = [observer, *([log.FileLogObserver(sys.stdout).emit] if foreground else [])]
    if secrets is not None:
        shown = [masked_observer(each, secrets.mask) for each in shown]
    log.startLoggingWithObserver(shown[0], setStdout=not foreground)
    for each in shown[1:]:
        log.addObserver(each)


def _number(value: object) -> int | None:
    """A number as tac files of all eras write it, which may be a string or None."""
    try:
        return int(str(value))
    except ValueError:
        return None


def steady(reactor: Any) -> None:
    """Have its timers go by a clock that nobody sets; Twisted's own go by the time of day, and stand still when that is
    set back. Its seconds begin with the time of day, because the lines of the web's log are dated by them."""
    began = time.time() - time.monotonic()
    reactor.seconds = lambda: began + time.monotonic()


def serve(basedir: Path, starter: Starter, *, foreground: bool) -> ExitCode:
    """Run the master until it is stopped."""
    from twisted.internet import reactor

    steady(reactor)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the master can answer it
    os.chdir(basedir)
    pid_file = PidFile(basedir)
    pid_file.acquire()
    try:
        application = load_tac(basedir)
        masters = [service for service in IServiceCollection(application) if hasattr(service, "ready")]
        start_logging(application, masters, basedir, foreground=foreground)
        outcome = [ExitCode.OK]
        gc.freeze()  # what is there now stays; else each full collection would look at all of it, for 50 ms
        reactor.callWhenRunning(_start, application, masters, starter, outcome)
        reactor.addSystemEventTrigger("before", "shutdown", IService(application).stopService)
        reactor.run()
        return outcome[0]
    finally:
        status_file.remove(basedir)
        pid_file.release()


def _start(application: Any, masters: list[Any], starter: Starter, outcome: list[ExitCode]) -> None:
    """With the reactor running, so that a failure to start ends the process and is not called ready."""
    from twisted.internet import reactor

    def failed(failure: Failure) -> None:
        outcome[0] = ExitCode.FAILED
        if not getattr(failure.value, "problems", None):
            log.msg(f"the master could not start\n{failure.getTraceback()}")
        starter.failed(_reason(failure))
        reactor.callLater(0, _stop)

    if masters:
        ready: Deferred[object] = masters[0].ready
        _ = ready.addCallbacks(lambda _: starter.ready(), failed)  # before it may fire
    try:
        IService(application).privilegedStartService()
        IService(application).startService()
    except Exception:
        failed(Failure())
        return
    if not masters:
        starter.ready()


def _stop() -> None:
    from twisted.internet import reactor
    from twisted.internet.error import ReactorNotRunning

    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def _reason(failure: Failure) -> str:
    """What the person who starts the master should read: all mistakes of a configuration, or the one error."""
    problems = getattr(failure.value, "problems", None)
    if problems:
        return "the configuration is wrong:\n" + "\n".join(f"  {problem}" for problem in problems)
    text = str(failure.value)
    if os.strerror(errno.EADDRINUSE) in text:
        return (
            f"{text.rstrip('.')}: another program, perhaps another master, has this port. End it, or choose another "
            "port in master.cfg: c['protocols'] has the one for slaves, c['www'] the one for browsers"
        )
    known = type(failure.value).__module__.startswith("buildbot.") and text
    return text if known else f"{type(failure.value).__name__}: {text}"


def main(words: list[str]) -> int:
    """`serve.py BASEDIR [DESCRIPTOR]`"""
    descriptor = int(words[1]) if len(words) > 1 else None
    if descriptor is not None:
        os.set_inheritable(descriptor, False)
    starter = Starter(descriptor)
    try:
        return serve(Path(words[0]), starter, foreground=descriptor is None)
    except AlreadyRunning as error:
        starter.failed(str(error))
        return ExitCode.ALREADY_RUNNING
    except CommandFailed as error:
        starter.failed(str(error))
        return error.code
    except OSError as error:
        starter.failed(f"{TAC_FILE}: {error}")
        return ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
