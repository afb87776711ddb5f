"""What user code (steps, renderables, functions of the configuration) may ask of a build, under Buildbot's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from buildbot import model
from buildbot.config.builder import BuilderConfig
from buildbot.model import BuildID
from buildbot.process.assignable import assignable
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildviews import RunningBuilder, RunningBuildStatus, RunningMaster, RunningSlave
from buildbot.process.properties import Properties
from buildbot.process.slaveport import SlaveSession
from buildbot.process.sourcestamp import SourceStampView
from buildbot.process.unserved import refuse
from buildbot.process.userchange import UserChange

if TYPE_CHECKING:
    from buildbot.process.build import BuildServices


class BuildFacts:
    """The part of a Build that only answers."""

    id: BuildID
    number: int
    row: model.Build
    config: BuilderConfig
    builder_name: str
    slavename: str
    properties: Properties
    services: BuildServices
    sources: Sequence[SourceStampView]
    requests: Sequence[BuildRequest]
    session: SlaveSession | None
    env: dict[str, Any]
    results: int
    _details: Mapping[str, Any]  # what the slave has told of itself

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.properties.getProperty(name, default)

    def hasProperty(self, name: str) -> bool:
        return self.properties.hasProperty(name)

    def setProperty(self, name: str, value: Any, source: str = "Build", runtime: bool = True) -> None:
        self.properties.setProperty(name, value, source, runtime=runtime)

    def getProperties(self) -> Properties:
        return self.properties

    def getBuild(self) -> BuildFacts:
        return self

    def render(self, value: Any) -> Deferred[Any]:
        return self.properties.render(value)

    def __getattr__(self, name: str) -> Any:
        return refuse(self, name)

    @cached_property
    def builder(self) -> RunningBuilder:
        return RunningBuilder(self)

    @cached_property
    def worker(self) -> RunningSlave:
        """Its slave."""
        return RunningSlave(self)

    @assignable
    def slave(self) -> RunningSlave:
        return self.worker

    buildslave = slavebuilder = workerforbuilder = slave

    @assignable
    def path_module(self) -> ModuleType:
        """ntpath or posixpath, as paths are written on the slave."""
        return self.worker.path_module

    @cached_property
    def master(self) -> RunningMaster:
        return RunningMaster(self.services.store, self.services.config)

    @cached_property
    def build_status(self) -> RunningBuildStatus:
        """The build as Buildbot 0.7 and 0.8 showed it to others."""
        return RunningBuildStatus(self)

    def getStatus(self) -> RunningBuildStatus:
        return self.build_status

    @assignable
    def source(self) -> SourceStampView | None:
        """The source stamp; of several, the first."""
        if self.sources:
            return self.sources[0]
        return self.requests[0].source if self.requests else None

    @property
    def result(self) -> int:
        """What it has come to so far."""
        return self.results

    @result.setter
    def result(self, value: int) -> None:
        raise AttributeError(
            "the result of a build follows from those of its steps: return it from the step, "
            "or call build.buildFinished(text, results)"
        )

    @assignable
    def workdir(self) -> Any:
        """Where steps run that name no workdir, as the factory says it: a path, renderable, or a function."""
        return getattr(self.config.factory, "workdir", "build")

    @assignable
    def slaveEnvironment(self) -> dict[str, Any]:
        return self.env


    @assignable
    def reason(self) -> str:
        return self.row.reason

    @property
    def workername(self) -> str:
        return self.slavename

    @property
    def buildid(self) -> int:
        return int(self.id)

    def getUrl(self) -> str:
        """The address of its page."""
        return self.services.url_of(self.builder_name, self.number)

    def getSlaveName(self) -> str:
        return self.slavename

    getWorkerName = getSlaveName

    def getSlaveCommandVersion(self, command: str, oldversion: str | None = None) -> str | None:
        """The version of a command that the slave knows; `oldversion` when it says none or lacks it."""
        version: str | None = None if self.session is None else self.session.command_version(command)
        return version if version is not None else oldversion

    getWorkerCommandVersion = getSlaveCommandVersion

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
