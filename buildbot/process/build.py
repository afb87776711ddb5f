"""One running build: its properties, its steps one after another, and its end.

The rows are the build; this object is what runs it while the process lives. User code (steps, renderables, nextBuild
functions) sees it under Buildbot's names.

A build outlives its slave's connection: commands go on on the slave, and whoever needs a session waits for the next
one (`a_session`). It outlives the process as well: the next one makes the object again from the rows (`restored`),
takes what the steps that have ended came to from their rows, and runs the code of the step that had begun again over
its journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from buildbot import model
from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildID, BuildsetID, CommandID, Result
from buildbot.process import buildsetup
from buildbot.process.buildpoints import BuildPoints
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildsecrets import BuildSecrets, SecretSource
from buildbot.process.buildstep import BuildStep
from buildbot.process.calling import called
from buildbot.process.deferring import answer_of, gives_deferred
from buildbot.process.ending import Ending, GivenUp
from buildbot.process.insisting import insist
from buildbot.process.journal import Diverged
from buildbot.process.lockqueue import Locks, LockUser
from buildbot.process.lockturns import locks_of_build
from buildbot.process.progress import Progress
from buildbot.process.properties import Properties, needs_rendering, render
from buildbot.process.propertykeeping import as_set, as_they_were, to_keep
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import (
    CANCELLED,
    EXCEPTION,
    RETRY,
    SKIPPED,
    SUCCESS,
)
from buildbot.process.slaveport import SlaveSession
from buildbot.process.sourcestamp import SourceStampView
from buildbot.process.steplog import close_left_open
from buildbot.process.steprunner import recall_step, run_step
from buildbot.process.testkeeping import TestsOfBuild
from buildbot.process.testresults import BuildData
from buildbot.process.userviews import BuilderView
from buildbot.store import Store, builds, commands, properties, steps
from buildbot.store.logfiles import Limit, LogFiles


class FamilyTies(Protocol):
    """What a build asks about those that it triggered."""

    def watch(self, buildsets: Sequence[BuildsetID], heard: Callable[[], object], /) -> Callable[[], None]: ...

    def stop_children(self, parent: BuildID, who: str, why: str, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildServices:
    """What every build uses of the running master."""

    store: Store
    log_files: LogFiles
    clock: IReactorTime
    now: Callable[[], float]
    progress: Progress
    properties: Mapping[str, Any]  # the master's own
    locks: Locks  # of what runs
    log_encoding: str = "utf-8"
    family: FamilyTies
    scheduler: Callable[[str], Any]  # of the configuration in force, by its name; None: there is none
    scheduler_names: Callable[[], Sequence[str]]
    secrets: SecretSource | None = None
    log_limit: Limit | None = None
    url_of: Callable[[str, int], str]  # the address of the page of a builder's build
    in_thread: Callable[..., Deferred[Any]] = maybeDeferred  # runs what takes its time
    reactor: Any = None  # starts what a step runs on the master
    basedir: Path = Path()  # of the master
    status: Callable[[], Any] | None = None  # the master as status objects of 0.8; None: there are none
    config: Any = None  # the configuration in force
    control: Any = None  # what may be done to other builds and requests (buildbot.process.control)


class Build(BuildPoints):
    """A build while it runs. Its names in camelCase are those that steps and renderables may use."""

    _log = Logger()

    def __init__(self, requests: Sequence[BuildRequest], builder: Any = None) -> None:
        """requests: those that it serves. It belongs to no builder and no slave before `begin`."""
        self.requests = list(requests)
        self.left = False
        self.settled: Deferred[None] = Deferred()  # fires when it holds what it held before the restart
        self.properties = Properties()
        self.properties.build = self
        self.build = self  # renderables ask properties and builds alike for `.build`
        self.results = SUCCESS
        self.env: dict[str, Any] = {}
        self.steps: list[BuildStep] = []
        self._steps_before: list[BuildStep] = []
        self.executedSteps: list[BuildStep] = []
        self.build_data = BuildData(self)
        self.tests = TestsOfBuild(self)
        self.currentStep: BuildStep | None = None
        self.sources: list[SourceStampView] = []
        self.asked_end: tuple[int, str] | None = None
        self.bad_class: Exception | None = None  # what the user's own class of build has raised
        self.step_began_with: dict[str, tuple[Any, str]] = {}  # the properties when the latest step began
        self._came_to: int = SKIPPED
        self._names: dict[str, int] = {}
        self._stored: dict[str, tuple[Any, str]] = {}
        self._lost = ""
        self._gone = False
        self._counts = True
        self._commands: dict[CommandID, RemoteCommand] = {}
        self._wanting_slave: list[Deferred[None]] = []

    def begin(
        self,
        row: model.Build,
        *,
        config: BuilderConfig,
        slave: Any,
        session: SlaveSession | None,
        services: BuildServices,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Now it is the build of this row. session None: it was begun by an earlier process; its slave is still away,
        and `details` is what it had told of itself."""
        self.id: BuildID = row.id
        self.number = row.number
        self.row = row
        self.config = config
        self.slave_config = slave
        self.session: SlaveSession | None = session
        self.restored = session is None
        self.slavename: str = slave.name
        self.services = services
        self.store = services.store
        self.log_files = services.log_files
        self.clock = services.clock
        self.now = services.now
        self.log_encoding = services.log_encoding
        self.secrets = BuildSecrets(services.secrets, services.log_encoding)
        self.getSecret = self.secrets.get
        self.builder_name = config.name
        self.builddir = config.slave_directory(row.slot)
        self.stopped = row.stop_reason is not None
        self.stop_reason = row.stop_reason or ""
        self.stop_step = row.stop_step
        self._stop_result: int = CANCELLED if row.stop_result is None else row.stop_result
        self.ending = Ending(self.clock, self._stop_has_waited)
        self._details = dict(details or {}) if session is None else dict(session.details)
        if session is not None:
            self._incarnation = session.incarnation
        else:
            newest = commands.newest_of(self.store, row.id)
            self._incarnation = None if newest is None else newest.incarnation

    def __repr__(self) -> str:
        return f"<Build {self.builder_name}/{self.number}>"

    # -- running

    async def run(self) -> None:
        """Run every step and write down the end. Raises nothing but what the store raises."""
        try:
            result, text = await self._run_steps()
        except CancelledError:
            raise
        except Diverged as lost:
            self.is_not_to_blame()
            result, text = RETRY, f"retry: it cannot go on after the restart: {lost}"
        except Exception as bug:
            self._log.failure("setting up {build} failed", build=self)
            result, text = EXCEPTION, f"exception: {bug}"
        finally:
            self.settle()
            self.ending.close()
        for command in list(self._commands.values()):
            command.abandon("its build has ended")
        result, text = await self._told(result, text)
        self.results = result
        if self.session is not None:
            for left in commands.open_of(self.store, self.id):  # by code that did not ask for it again
                self.session.disown(left)
        await insist(self, self._finish, result, text)
        self.log_files.remove_asides(self.builder_name, self.number)
        if self.restored:
            close_left_open(self.store, self.log_files, self.now(), self.id)
        self.moved()
        self._log.info("{build} finished: {text}", build=self, text=text)

    async def _told(self, result: int, text: str) -> tuple[int, str]:
        """How it ends, when the user's own class has been told, and perhaps says otherwise."""
        if self._lost or self.bad_class is not None or type(self).buildFinished is Build.buildFinished:
            return result, text
        self.asked_end = result, text
        try:
            await answer_of(self.buildFinished([text], result))
        except CancelledError:
            raise
        except Exception:
            self._log.failure("buildFinished() of {build} failed", build=self)
        return self.asked_end

    async def _run_steps(self) -> tuple[int, str]:
        if self.bad_class is not None:
            raise self.bad_class
        self.sources = buildsetup.sources_of(self.store, self.id)
        known = steps.records(self.store, self.id) if self.restored else []
        if self.restored:
            await self.build_status.recall()
        try:
            unwanted = await self.ending.wait_for(self._set_up(known), limited=self.stopped)
        except GivenUp:
            return self._stopped_end
        if unwanted:
            return SKIPPED, f"skipped: {unwanted}"
        await answer_of(called(self.setupBuild, None))
        halted = False
        texts: list[str] = []
        while not self._lost:
            step = self.getNextStep()
            if step is None:
                break
            step.setBuild(self)
            number = len(self.executedSteps)
            record = known[number] if number < len(known) else None
            stopped = self.stopped and (record is None or number > (self.stop_step or 0))
            if (halted or stopped) and not await self._runs_always(step, record):
                continue
            self.currentStep, self._steps_before = step, list(self.steps)
            if record is None or record.step.result is None:
                outcome, words = await run_step(step, number, record)
            elif record.made_steps:
                with as_they_were(self.properties, record.began_with):  # only its code can make them again
                    outcome, words = await run_step(step, number, record)
            else:
                outcome, words = await recall_step(step, record)
            if record is not None:
                self.step_began_with = as_set(record.began_with)
            self.executedSteps.append(step)
            self.currentStep = None
            texts += words
            halted = bool(self.stepDone(outcome, step)) or halted
        if self.stopped:
            return self._stopped_end
        if self._lost:
            return RETRY, f"retry: {self._lost}"
        result = self._came_to if self.executedSteps else SUCCESS  # without steps there is nothing that could fail
        return result, buildsetup.text_of(result, texts)

    @property
    def _stopped_end(self) -> tuple[int, str]:
        return self._stop_result, f"{Result(self._stop_result).name.lower()}: {self.stop_reason}"

    async def _set_up(self, known: Sequence[steps.Record]) -> str:
        """All before the first step. Says why it is not to be built. Raises Diverged when properties were not kept."""
        await self._set_up_properties()
        with as_they_were(self.properties, known[0].began_with) if known else nullcontext():
            if self.restored:
                taken = await locks_of_build(self.config, self.slave_config, self)
                self.services.locks.hold(self.lock_user, taken, self.row.started_at)
            if not known and (why := await self._why_unwanted()):
                return why
            self.env = dict(await render(self.config.env, self.properties)) if self.config.env else {}
        return ""

    async def _set_up_properties(self) -> None:
        before = properties.kept(self.store, self.id) if self.restored else []
        if before:
            self.properties.properties = as_set(before)
            self._stored = self.properties.asDict()
        else:
            await buildsetup.set_up_properties(self)
            await answer_of(self.setupProperties())
            self.store_properties()

    async def _why_unwanted(self) -> str:
        """What the configuration says against it; "" for nothing. Its functions may answer with Deferreds."""
        wanted, skipped = self.config.do_build_if, getattr(self.config.factory, "skipBuildIf", None)
        if wanted is not None and not await render(wanted(self), self.properties):
            return "do_build_if says no"
        if skipped is not None and await render(skipped(self), self.properties):
            return "skipBuildIf of its factory says so"
        return ""

    async def _runs_always(self, step: BuildStep, record: steps.Record | None) -> bool:
        try:
            with nullcontext() if record is None else as_they_were(self.properties, record.began_with):
                always = render(step.alwaysRun, self.properties)
                return bool(await self.ending.wait_for(always, limited=self.stopped))
        except CancelledError:
            raise
        except GivenUp:
            return False
        except Exception:
            return True  # its own attempt to render it shows what is wrong

    def _finish(self, store: Store, result: int, text: str) -> None:
        self.store_properties()
        steps.end_open(store, self.id, Result(result), "ended with its build", self.now(), gone=self._gone)
        builds.finish(store, self.id, Result(result), self.secrets.mask(text), self.now(), counts=self._counts)

    def moved(self) -> None:
        """Tell whoever looks at this build."""
        self.services.progress.tell(self.id)

    def unique_step_name(self, name: str) -> str:
        """The name, with `_1`, `_2` ... when an earlier step of the build has it."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self.unique_step_name(f"{name}_{count}")

    async def default_workdir(self) -> str:
        """Where steps run that name no workdir: the factory's."""
        workdir = self.workdir
        if callable(workdir) and not needs_rendering(workdir):
            workdir = workdir(self.sources[0] if len(self.sources) == 1 else self.sources)
        return str(await render(workdir, self.properties))

    def is_not_to_blame(self) -> None:
        """If it ends as RETRY, then for a reason of ours: its request is not one retry nearer to being parked."""
        self._counts = False

    def settle(self) -> None:
        """It holds again what it held before the restart; others may start."""
        if not self.settled.called:
            self.settled.callback(None)

    # -- ending it from outside

    @gives_deferred
    async def stopBuild(self, reason: str = "<no reason given>", results: int = CANCELLED) -> None:
        """Stop: the running step is interrupted, and none begins but those with alwaysRun; a second stop ends that.

        results: what the build has come to then.
        """
        if not self.stopped:
            self.stopped, self.stop_reason, self._stop_result = True, reason, results
            self.stop_step = len(self.executedSteps)
            self.store.transact_durable(builds.ask_to_stop, self.id, reason, Result(results), self.stop_step)
        self.ending.limit()
        told = None if self.currentStep is None else ensureDeferred(self._interrupt(self.currentStep, reason))
        if self.session is None and not self._commands:
            self.lose_slave("it was stopped while its slave was away")
        if told is not None:
            await told

    def _stop_has_waited(self) -> None:
        if self.session is None:
            self.lose_slave("it was stopped, and its slave did not come back in time")

    async def _interrupt(self, step: BuildStep, reason: str) -> None:
        if any(not claim.held for claim in self.services.locks.claims_of(self.id)):
            await BuildStep.interrupt(step, reason)  # its own code has not begun: it has nothing to interrupt
            self.end_wait_for_locks(CancelledError())
        else:
            await answer_of(step.interrupt(reason))

    @property
    def lock_user(self) -> LockUser:
        """The build, as locks know it."""
        return LockUser(self.builder_name, self.number, None, self.id)

    def end_wait_for_locks(self, why: Exception) -> None:
        for claim in self.services.locks.claims_of(self.id):
            self.services.locks.fail(claim.user, why)

    def leave(self) -> None:
        """This process ends. Nothing more is written; the next process goes on where the journal ends."""
        self.left = True
        self.ending.close()
        if self.currentStep is not None:
            self.currentStep.leave()

    # -- properties

    def store_properties(self) -> None:
        """Write down the properties that are new or have changed."""
        now = self.properties.asDict()
        changed = {name: given for name, given in now.items() if self._stored.get(name) != given}
        if changed:
            self.store.transact(properties.keep, self.id, to_keep(changed, self.secrets))
            self.store.after_commit(lambda: setattr(self, "_stored", now))


def new_build(
    row: model.Build,
    *,
    config: BuilderConfig,
    requests: Sequence[model.BuildRequest],
    services: BuildServices,
    **more: Any,
) -> Build:
    """The build of this row, as the builder's factory makes it. more: as `Build.begin`.

    A factory or a class of build that fails makes a build that ends with what it has raised.
    """
    views = [BuildRequest(request, config.name, services.store) for request in requests]
    try:
        made = called(config.factory.newBuild, views, BuilderView(config, row.builder_id, None, services.store))
        if not isinstance(made, Build):
            raise TypeError(f"newBuild() of the factory of {config.name} made {made!r}, which is no Build")
        build = made
    except Exception as bug:
        build = Build(views)
        build.bad_class = bug
    build.begin(row, config=config, services=services, **more)
    return build
