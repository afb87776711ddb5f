"""One running build: its properties, its steps one after another, and its end.

The rows are the build; this object is what runs it while the process lives. User code (steps, renderables, nextBuild
functions) sees it under Buildbot's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from buildbot import model
from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildID, BuildsetID, Result
from buildbot.process.buildsecrets import BuildSecrets, SecretSource
from buildbot.process.buildstep import BuildStep
from buildbot.process.progress import Progress
from buildbot.process.properties import Properties, needs_rendering, render
from buildbot.process.results import (
    CANCELLED,
    EXCEPTION,
    FAILURE,
    RETRY,
    SKIPPED,
    SUCCESS,
    computeResultAndTermination,
)
from buildbot.process.slaveport import SlaveSession
from buildbot.process.sourcestamp import SourceStampView
from buildbot.process.steprunner import run_step
from buildbot.process.userchange import UserChange
from buildbot.store import Store, builds, changes, properties, sourcestamps, steps
from buildbot.store.logfiles import LogFiles


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
    log_encoding: str = "utf-8"
    family: FamilyTies
    scheduler: Callable[[str], Any]  # of the configuration in force, by its name; None: there is none
    scheduler_names: Callable[[], Sequence[str]]
    secrets: SecretSource | None = None


class Build:
    """A build while it runs. Its names in camelCase are those that steps and renderables may use."""

    _log = Logger()

    def __init__(
        self,
        row: model.Build,
        *,
        config: BuilderConfig,
        slave: Any,
        session: SlaveSession,
        requests: Sequence[model.BuildRequest],
        services: BuildServices,
    ) -> None:
        self.id: BuildID = row.id
        self.number = row.number
        self.row = row
        self.config = config
        self.slave_config = slave
        self.session: SlaveSession | None = session
        self.slavename = session.name
        self.requests = list(requests)
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
        self.properties = Properties()
        self.properties.build = self
        self.build = self  # renderables ask properties and builds alike for `.build`
        self.results = SUCCESS
        self.stopped = False
        self.stop_reason = ""
        self._stop_result = CANCELLED
        self.env: dict[str, Any] = {}
        self.executedSteps: list[BuildStep] = []
        self.currentStep: BuildStep | None = None
        self.sources: list[SourceStampView] = []
        self._waiting: list[BuildStep] = []
        self._names: dict[str, int] = {}
        self._stored: dict[str, tuple[Any, str]] = {}
        self._lost = ""
        self._counts = True
        self._details = dict(session.details)

    def __repr__(self) -> str:
        return f"<Build {self.builder_name}/{self.number}>"

    # -- running

    async def run(self) -> None:
        """Run every step and write down the end. Raises nothing but what the store raises."""
        try:
            result, text = await self._run_steps()
        except CancelledError:
            raise
        except Exception as bug:
            self._log.failure("setting up {build} failed", build=self)
            result, text = EXCEPTION, f"exception: {bug}"
        self.results = result
        self.store.transact(self._finish, result, text)
        self.moved()
        self._log.info("{build} finished: {text}", build=self, text=text)

    async def _run_steps(self) -> tuple[int, str]:
        self.sources = _sources_of(self.store, self.id)
        await self._set_up_properties()
        if not await self._is_wanted():
            return SKIPPED, "skipped: do_build_if says no"
        self.env = dict(await render(self.config.env, self)) if self.config.env else {}
        self._waiting = list(self.config.factory.new_steps())
        result, halted, texts = SKIPPED, False, []
        while self._waiting:
            step = self._waiting.pop(0)
            step.build = self
            if self._lost:
                break
            if (halted or self.stopped) and not await self._runs_always(step):
                continue
            self.currentStep = step
            outcome = await run_step(step, len(self.executedSteps))
            self.executedSteps.append(step)
            self.currentStep = None
            texts += _words_of(step, outcome)
            result, stops = computeResultAndTermination(step, outcome, result)
            halted = halted or stops
        if self.stopped:
            return self._stop_result, f"{Result(self._stop_result).name.lower()}: {self.stop_reason}"
        if self._lost:
            return RETRY, f"retry: {self._lost}"
        if not self.executedSteps:
            result = SUCCESS  # a factory without steps has nothing that could fail
        return result, _text_of(result, texts)

    async def _is_wanted(self) -> bool:
        wanted = self.config.do_build_if
        return wanted is None or bool(await render(wanted(self), self))  # it may answer with a Deferred

    async def _runs_always(self, step: BuildStep) -> bool:
        try:
            return bool(await render(step.alwaysRun, self))
        except CancelledError:
            raise
        except Exception:
            return True  # its own attempt to render it shows what is wrong

    def _finish(self, store: Store, result: int, text: str) -> None:
        self.store_properties()
        steps.end_open(store, self.id, Result(result), "ended with its build", self.now())
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
        workdir = getattr(self.config.factory, "workdir", "build")
        if callable(workdir) and not needs_rendering(workdir):
            workdir = workdir(self.sources[0] if len(self.sources) == 1 else self.sources)
        return str(await render(workdir, self))

    # -- ending it from outside

    def lose_slave(self, why: str, *, counts: bool = True) -> None:
        """The slave is gone: the running command ends, no further step begins, the build ends as RETRY.

        counts: False when the master itself is why; the request is then not one retry nearer to being parked.
        """
        self._counts = self._counts and counts
        self._lost = self._lost or why
        self.session = None

    async def stopBuild(self, reason: str = "<no reason given>", results: int = CANCELLED) -> None:
        """Stop: the running step is interrupted, and none begins but those with alwaysRun; a second stop ends that.

        results: what the build has come to then.
        """
        if not self.stopped:
            self.stopped, self.stop_reason, self._stop_result = True, reason, results
        if self.currentStep is not None:
            await maybeDeferred(self.currentStep.interrupt, reason)

    # -- properties

    async def _set_up_properties(self) -> None:
        mine = self.properties
        for given, source in (
            (self.slave_config.defaultProperties, "Worker default"),
            (self.config.defaultProperties, "Builder default"),
            (self.services.properties, "master.cfg"),
        ):
            mine.update(await render(given, self), source)
        for stamp in self.sources:
            for change in stamp.changes:
                mine.updateFromProperties(change.properties)
        for request in self.requests:
            for asked in properties.of(self.store, "buildset", request.buildset_id):
                mine.setProperty(asked.name, asked.value, asked.source)
        self._set_standard_properties()
        builders, slaves = await render((self.config.properties, self.slave_config.properties), self)
        mine.update(builders, "Builder")
        mine.update(slaves, "BuildSlave")
        self._set_standard_properties()  # nobody else's business, whatever was given
        self.store_properties()

    def _set_standard_properties(self) -> None:
        for name, value in (
            ("buildername", self.builder_name),
            ("buildnumber", self.number),
            ("builddir", self.builddir),
            ("slavename", self.slavename),
            ("workername", self.slavename),
        ):
            self.properties.setProperty(name, value, "Build")
        authors = sorted({change.who for stamp in self.sources for change in stamp.changes})
        if authors:
            self.properties.setProperty("owners", authors, "Build")
        for attribute in ("branch", "revision", "repository", "project", "codebase"):
            values = {stamp.codebase: getattr(stamp, attribute) for stamp in self.sources}
            if len(values) == 1:
                self.properties.setProperty(attribute, next(iter(values.values())), "Build")
            elif values:
                self.properties.setProperty(attribute, values, "Build")

    def store_properties(self) -> None:
        """Write down the properties that are new or have changed."""
        now = self.properties.asDict()
        shown = self.secrets.mask_data
        changed = [
            model.Property(shown(name), shown(value), shown(source))
            for name, (value, source) in now.items()
            if self._stored.get(name) != (value, source)
        ]
        if changed:
            self.store.transact(properties.put, "build", self.id, changed)
            self._stored = now

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.properties.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        return self.properties.hasProperty(name)

    def setProperty(self, name: str, value: Any, source: str = "Build", runtime: bool = True) -> None:
        self.properties.setProperty(name, value, source, runtime=runtime)

    def getProperties(self) -> Properties:
        return self.properties

    def getBuild(self) -> Build:
        return self

    def render(self, value: Any) -> Deferred[Any]:
        return self.properties.render(value)

    # -- what user code asks

    @property
    def builder(self) -> BuilderConfig:
        return self.config

    @property
    def reason(self) -> str:
        return self.row.reason

    @property
    def workername(self) -> str:
        return self.slavename

    def getSlaveName(self) -> str:
        return self.slavename

    getWorkerName = getSlaveName

    def getSlaveInfo(self) -> Mapping[str, Any]:
        return {**self._details, "name": self.slavename}

    def getSourceStamp(self, codebase: str = "") -> SourceStampView | None:
        """The stamp of a codebase; the only one there is answers to '' too."""
        for stamp in self.sources:
            if stamp.codebase == codebase:
                return stamp
        return self.sources[0] if len(self.sources) == 1 and codebase == "" else None

    def getAllSourceStamps(self) -> list[SourceStampView]:
        return list(self.sources)

    def allChanges(self) -> list[UserChange]:
        return [change for stamp in self.sources for change in stamp.changes]

    def allFiles(self) -> list[str]:
        return [path for change in self.allChanges() for path in change.files]

    def blamelist(self) -> list[str]:
        return sorted({change.who for change in self.allChanges()})

    def addStepsAfterCurrentStep(self, recipes: Sequence[Any]) -> None:
        """Run these steps next (step objects or recipes of a factory)."""
        self._waiting[:0] = [self._made(recipe) for recipe in recipes]

    def addStepsAfterLastStep(self, recipes: Sequence[Any]) -> None:
        self._waiting.extend(self._made(recipe) for recipe in recipes)

    def _made(self, recipe: Any) -> BuildStep:
        step: BuildStep = recipe if isinstance(recipe, BuildStep) else recipe.buildStep()
        return step


def _sources_of(store: Any, build: BuildID) -> list[SourceStampView]:
    blamed = [
        (change, UserChange(change, changes.files(store, change.id), properties.of(store, "change", change.id)))
        for change in changes.of_build(store, build)
    ]
    return [
        SourceStampView(
            stamp,
            [view for change, view in blamed if change.codebase == stamp.codebase],
            None if stamp.patch_id is None else sourcestamps.patch(store, stamp.patch_id),
        )
        for stamp in sourcestamps.of_build(store, build)
    ]


def _words_of(step: BuildStep, outcome: int) -> list[str]:
    """What a step adds to the text of its build: what it wants to say there, or its name if it did not go well."""
    try:
        said = step.getBuildResultSummary().get("build")
    except Exception:
        said = None  # logged when the step's own text was made of the same summary
    if said:
        return [str(said)]
    quiet = outcome in (SUCCESS, SKIPPED) or step.updateBuildSummaryPolicy is not None
    return [] if quiet else [str(step.name)]


def _text_of(result: int, words: list[str]) -> str:
    first = {SUCCESS: "build successful", SKIPPED: "nothing to do", FAILURE: "failed"}
    return " ".join([first.get(result) or Result(result).name.lower(), *words])
