"""A web status with a history to look at: `python -m tests.browser.serve DIRECTORY [BUILDS]`.

Prints `listening on PORT`. Name ada, password secret. SIGUSR1 ends its first running build as a failure; what people
ask of the master is printed.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred

from buildbot.config.authz import UserPasswordAuth
from buildbot.config.web import Web
from buildbot.model import BuildID, BuildRequestID, BuildsetID, Result
from buildbot.status.web.site import WebSite
from buildbot.store import builds, requests, steps
from buildbot.store.logfiles import LogFiles
from buildbot.store.store import Store
from tests.history import fill
from tests.unit.web.served import NoStop, StepProgress, a_config

reactor: Any = global_reactor


class Control:
    """Cancels for real; says what else it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.progress = StepProgress()
        self.clean_stop = NoStop()

    def stop_build(self, id: BuildID, who: str, why: str) -> bool:
        print("asked to stop", id, who, why, flush=True)
        return True

    def rebuild(self, id: BuildID, who: str, why: str) -> BuildsetID:
        print("asked to rebuild", id, who, why, flush=True)
        return BuildsetID(1)

    def cancel_request(self, id: BuildRequestID, who: str, why: str) -> bool:
        print("asked to cancel", id, who, why, flush=True)
        return self._store.transact(requests.cancel, id, reactor.seconds(), who, why)


def end_build(store: Store, id: BuildID) -> None:
    now = reactor.seconds()

    def work(store: Store) -> None:
        for step in steps.of_build(store, id):
            steps.finish(store, step.id, Result.FAILURE, "broke <now>", False, now)
        builds.finish(store, id, Result.FAILURE, "broke <now>", now)

    store.transact(work)


def main(directory: str, count: str = "300") -> None:
    basedir = Path(directory)
    basedir.mkdir(parents=True, exist_ok=True)
    store = Store.open(basedir / "state.sqlite")
    log_files = LogFiles(basedir / "logs")
    history = fill(store, now=reactor.seconds(), builds_count=int(count), log_files=log_files)
    known: Any = tuple(SimpleNamespace(name=name, slavenames=("slave-1", "slave-2")) for name in history.builders)
    web = Web(port="tcp:0:interface=127.0.0.1", auth=UserPasswordAuth([("ada", "secret")]))
    config = replace(a_config(), title="Example", title_url="https://example.org/", builders=known, www=web)
    site = WebSite(store, log_files, lambda: config, Control(store), reactor, reactor.seconds)

    async def start() -> None:
        await site.start()
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(end_build, store, history.running[0]))
        print(f"listening on {site.port_number}", flush=True)

    reactor.callWhenRunning(Deferred.fromCoroutine, start())
    reactor.run()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
