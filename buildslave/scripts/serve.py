"""The process that is the slave: it loads buildbot.tac, logs, says that it is ready, and runs until it is stopped.

Started by `buildslave start`, as a script of its own so that nothing of the starting process is left in it.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script, perhaps from a source tree that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from twisted.application.service import IService, IServiceCollection
from twisted.python import log
from twisted.python.logfile import LogFile

from buildslave import platform
from buildslave.scripts.outcome import ExitCode
from buildslave.scripts.pidfile import AlreadyRunning, PidFile
from buildslave.scripts.started import LOG_FILE, READY
from buildslave.scripts.tac import TAC_FILE, upgraded_tac

ROTATE_BYTES = 10_000_000
KEPT_LOGS = 10


class TacError(Exception):
    """buildbot.tac cannot be used. The text is shown to the user."""


def load_tac(basedir: Path) -> Any:
    """The application that buildbot.tac makes; one of another era is taken as `upgrade-slave` would leave it. Raises
    TacError."""
    path = basedir / TAC_FILE
    if not path.is_file():
        raise TacError(f"{basedir} has no {TAC_FILE}; make one with `buildslave create-slave`")
    try:
        text = upgraded_tac(path.read_text(encoding="utf-8", errors="surrogateescape"))
        values: dict[str, Any] = {"__file__": str(path)}
        exec(compile(text.encode("utf-8", "surrogateescape"), str(path), "exec"), values)
    except Exception as error:
        raise TacError(f"{path}: {type(error).__name__}: {error}") from error
    if "application" not in values:
        raise TacError(f"{path} makes no `application`; make one with `buildslave create-slave`")
    return values["application"]


def start_logging(application: Any, basedir: Path, *, foreground: bool) -> None:
    """Log where buildbot.tac says, else to twistd.log with rotation; in the foreground to the terminal as well."""
    observer = application.getComponent(log.ILogObserver, None)
    if observer is None:
        file = LogFile.fromFullPath(str(basedir / LOG_FILE), rotateLength=ROTATE_BYTES, maxRotatedFiles=KEPT_LOGS)
        observer = log.FileLogObserver(file).emit
    log.startLoggingWithObserver(observer, setStdout=not foreground)
    if foreground:
        log.addObserver(log.FileLogObserver(sys.stdout).emit)


def steady(reactor: Any) -> None:
    """Have its timers go by a clock that nobody sets; Twisted's own go by the time of day, and stand still when that is
    set back."""
    began = time.time() - time.monotonic()
    reactor.seconds = lambda: began + time.monotonic()


def serve(basedir: Path, *, ready: int | None) -> ExitCode:
    """Run the slave until it is stopped. `ready` is a descriptor to which READY is written once it is started."""
    from twisted.internet import reactor

    steady(reactor)
    platform.adopt_orphans()  # this process is the slave's own: what its commands leave behind can be found
    os.chdir(basedir)
    pid_file = PidFile(basedir)
    pid_file.acquire()
    try:
        application = load_tac(basedir)
        start_logging(application, basedir, foreground=ready is None)
        service = IService(application)
        reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        failures: list[Exception] = []
        reactor.callWhenRunning(_start, service, ready, failures)
        reactor.run()
        return ExitCode.FAILED if failures else _exit_code(application)
    finally:
        pid_file.release()


def _start(service: Any, ready: int | None, failures: list[Exception]) -> None:
    """With the reactor running, so that a failure to start ends the process and is not called ready."""
    from twisted.internet import reactor

    try:
        service.privilegedStartService()
        service.startService()
    except Exception as error:
        log.err()
        failures.append(error)
        # sys.stderr is the log by now; the starter reads the real one.
        os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace"))
        reactor.stop()
        return
    if ready is not None:
        os.write(ready, READY)
        os.close(ready)
        _leave_starter()


def _leave_starter() -> None:
    """What goes to standard error from now on has no reader any more."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _exit_code(application: Any) -> ExitCode:
    gave_up = any(getattr(service, "gave_up_connecting", False) for service in IServiceCollection(application))
    return ExitCode.GAVE_UP if gave_up else ExitCode.OK


def main(words: list[str]) -> int:
    """`serve.py BASEDIR [DESCRIPTOR]`"""
    ready = int(words[1]) if len(words) > 1 else None
    if ready is not None:
        os.set_inheritable(ready, False)
    try:
        return serve(Path(words[0]), ready=ready)
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return ExitCode.ALREADY_RUNNING
    except TacError as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
