"""What the last process left unfinished: its builds go back to the queue, its logs are closed where they end."""

from __future__ import annotations

from twisted.logger import Logger

from buildbot.model import Build, Result
from buildbot.store import Store, builds, logs, slaves, steps
from buildbot.store.logfiles import LogFiles

_log = Logger()


def recover(store: Store, log_files: LogFiles, now: float) -> int:
    """Run once, before anything else. Returns how many builds are tried again."""
    _close_logs(store, log_files, now)
    store.transact(slaves.none_connected, now)
    interrupted = builds.running(store)
    for build in interrupted:
        store.transact(_retry, build, now)
        _log.warn("build {build} was cut off by the end of the last process; it is tried again", build=build.id)
    return len(interrupted)


def _retry(store: Store, build: Build, now: float) -> None:
    text = "retry: the master was restarted"
    steps.end_open(store, build.id, Result.RETRY, text, now)
    builds.finish(store, build.id, Result.RETRY, text, now, counts=False)


def _close_logs(store: Store, log_files: LogFiles, now: float) -> None:
    for log in logs.unfinished(store):
        writer = log_files.write(log.path)
        store.transact(logs.finish, log.id, writer.size, writer.lines, now)
        writer.close()
