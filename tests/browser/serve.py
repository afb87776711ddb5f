"""A web status with a history to look at: `python -m tests.browser.serve DIRECTORY [BUILDS]`.

Prints `listening on PORT`. Name ada, password secret. SIGUSR1 ends its first running build as a failure; what people
ask of the master is printed.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred

from buildbot.config.authz import UserPasswordAuth
from buildbot.config.builder import BuilderConfig
from buildbot.config.web import Web
from buildbot.model import BuilderID, BuildID, BuildRequestID, BuildsetID, Result
from buildbot.process.factory import BuildFactory
from buildbot.process.reattach import Away
from buildbot.schedulers.base import drive
from buildbot.schedulers.basic import SingleBranchScheduler
from buildbot.schedulers.dependent import Dependent
from buildbot.schedulers.timed import Nightly
from buildbot.schedulers.triggerable import Triggerable
from buildbot.status.web.site import WebSite
from buildbot.store import actions, builds, commands, pauses, requests, schedulers, slaves, steps, testresults
from buildbot.store.logfiles import LogFiles
from buildbot.store.pauses import Kind
from buildbot.store.store import Store
from buildbot.store.testresults import Counts, NewResult
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


def stop_things(store: Store, now: float) -> None:
    """Somebody has paused a builder and a slave, and wants another slave to end."""
    for kind, name, graceful in ((Kind.BUILDER, "linux-py311", False), (Kind.SLAVE, "slave-2", True)):
        pauses.begin(store, kind, name, now, who="ada", why="the disk is <full>", graceful=graceful)
        actions.add(store, who="ada", what="pause", subject=f"{kind} {name}", why="the disk is <full>", now=now)


def lose_a_slave(store: Store, id: BuildID, now: float) -> str:
    """The slave of this build is away, with one command that is waited for and one that was given up. Its name."""

    def work(store: Store) -> str:
        build = builds.get(store, id)
        assert build is not None
        assert build.slave_id is not None
        slave = slaves.get(store, build.slave_id)
        assert slave is not None
        slaves.lost(store, slave.id, now - 90, "it gives <no> answer")
        step = steps.of_build(store, id)[-1].id
        for ordinal, command in enumerate(("make --keep-going <check> " + "x" * 300, ["make", "a file"])):
            args: dict[str, Any] = {"command": command}
            made = commands.order(
                store, step=step, ordinal=ordinal, name="shell", args=args, incarnation="a", now=now - 200
            )
            if ordinal:
                commands.lose(store, made, now - 60)
        return slave.name

    return store.transact(work)


def tell_tests(store: Store, builder: int) -> None:
    """The builder's last two builds have results of tests: some fail, one of them newly, one has a difficult name."""
    ended = "SELECT id FROM builds WHERE builder_id = ? AND complete_at IS NOT NULL ORDER BY number DESC LIMIT 2"
    newest = store.column(ended, builder)

    def work(store: Store, id: BuildID, failing: set[int]) -> None:
        step = steps.of_build(store, id)[-1].id
        kinds = (("unit tests", "pass_fail", "boolean"), ("warnings of <lint>", "code_issue", "message"))
        made = [
            testresults.begin_set(
                store, BuilderID(builder), id, step, number, description=said, category=category, value_unit=unit
            )
            for number, (said, category, unit) in enumerate(kinds)
        ]
        results = []
        for number in range(250):
            bad = number in failing
            name = f"project.test.test_module{number // 25}.Case.test_number_{number}"
            name = "a/b <x> " + "very_long_name_" * 12 if number == 7 else name
            log = json.dumps({"logs": {"output": "Traceback <most recent>\n" + "x" * 300}}) if bad else None
            results.append(NewResult(name, None, None, 1_234_567 * number, str(int(not bad)), not bad, log))
        testresults.put(store, BuilderID(builder), made[0], 0, results, Counts(250, 250 - len(failing), len(failing)))
        issue = NewResult(None, "project/a <file>.py", 12, None, "C0114: Missing <docstring>", False, None)
        testresults.put(store, BuilderID(builder), made[1], 0, [issue] * 3, Counts(3, 0, 3))

    for id, failing in zip(reversed(newest), ({30, *range(100, 120)}, {7, 30, 31, *range(100, 120)}), strict=True):
        store.transact(work, id, failing)


def judge(store: Store, kinds: Sequence[Any]) -> None:
    """Have the schedulers look at the last changes, and one of them paused."""
    now = reactor.seconds()
    store.transact(schedulers.sync, [each.name for each in kinds], now)
    store.execute("UPDATE schedulers SET classified_change_id = max(classified_change_id - 20, 0)")
    store.transact(pauses.begin, Kind.SCHEDULER, "packages", now - 60, who="ada", why="the disk is <full>")
    for each in kinds:
        ensureDeferred(drive(each, store, now)).addErrback(lambda why: print(why, flush=True))


def main(directory: str, count: str = "300") -> None:
    basedir = Path(directory)
    basedir.mkdir(parents=True, exist_ok=True)
    store = Store.open(basedir / "state.sqlite")
    log_files = LogFiles(basedir / "logs")
    history = fill(store, now=reactor.seconds(), builds_count=int(count), log_files=log_files)
    store.transact(stop_things, reactor.seconds() - 600)
    tell_tests(store, history.builders["docs"])
    slavenames = ["slave-1", "slave-2"]
    known = tuple(BuilderConfig(name=name, slavenames=slavenames, factory=BuildFactory()) for name in history.builders)
    web = Web(port="tcp:0:interface=127.0.0.1", auth=UserPasswordAuth([("ada", "secret")]))
    kinds = (
        SingleBranchScheduler("main", "main", 600, list(history.builders)),
        Nightly("nightly <x>", ["linux-py311"], hour=3, minute=30, dayOfWeek="mon-fri", timezone="Europe/Berlin"),
        Dependent("packages", "main", ["linux-py311"]),
        Triggerable("parts", ["linux-py311"]),
    )
    about = {"title": "Example", "title_url": "https://example.org/", "schedulers": kinds}
    config = replace(a_config(), **about, builders=known, www=web)
    judge(store, kinds)
    gone = lose_a_slave(store, history.running[-1], reactor.seconds())
    away = {gone: Away(reactor.seconds() - 95, reactor.seconds() + 3600, "it gives <no> answer")}
    site = WebSite(store, log_files, lambda: config, Control(store), reactor, reactor.seconds, away=away)

    async def start() -> None:
        await site.start()
        running = iter(history.running)
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(end_build, store, next(running)))
        print(f"listening on {site.port_number}", flush=True)

    reactor.callWhenRunning(Deferred.fromCoroutine, start())
    reactor.run()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
