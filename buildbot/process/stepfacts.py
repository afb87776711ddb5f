"""What a step may say of itself and ask of its build: links, properties, numbers, and what its slave knows."""

from __future__ import annotations

from typing import Any

from buildbot.model import StepID
from buildbot.process.assignable import assignable
from buildbot.process.slaveport import SlaveTooOld
from buildbot.process.steplog import DONE, Done
from buildbot.process.unserved import refuse
from buildbot.store import steps


class StepFacts:
    """The part of a BuildStep that only notes and answers."""

    name: Any
    build: Any
    workdir: Any
    progress: dict[str, float]
    _row: StepID | None
    _urls: list[tuple[str, str]]
    _statistics: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return refuse(self, name)

    def setBuild(self, build: Any) -> None:
        """It is a step of this build, and its turn has come."""
        self.build = build

    def setDefaultWorkdir(self, workdir: str) -> None:
        """Where to run, for a step that does not say."""
        self.workdir = workdir

    def setBuildSlave(self, slave: Any) -> None:
        """Code that makes steps calls it; the slave of a step is that of its build, whatever it says."""

    setWorker = setBuildSlave

    def setStepStatus(self, status: Any) -> None:
        """The same; a step has its `step_status` from the beginning."""

    @assignable
    def slaveEnvironment(self) -> dict[str, Any]:
        """The environment that the builder gives all its steps."""
        given: dict[str, Any] = self.build.env
        return given

    workerEnvironment = builderEnvironment = slaveEnvironment

    @assignable
    def worker(self) -> Any:
        """The slave on which it runs."""
        return self.build.worker

    buildslave = worker

    @assignable
    def master(self) -> Any:
        return self.build.master

    def addURL(self, name: str, url: str) -> Done:
        """A link shown with the step."""
        self._urls.append((name, url))
        if self._row is not None:
            name, url = self.build.secrets.mask(str(name)), self.build.secrets.mask(str(url))
            self.build.store.transact(steps.put_url, self._row, name, url)
            self.build.moved()
        return DONE

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.build.getProperty(name, default)

    def setProperty(self, name: str, value: Any, source: str | None = None, runtime: bool = True) -> Done:
        self.build.setProperty(name, value, source or str(self.name), runtime=runtime)
        return DONE

    def hasProperty(self, name: str) -> bool:
        return bool(self.build.hasProperty(name))

    has_key = hasProperty

    def render(self, value: Any) -> Any:
        """A Deferred with what a renderable, or a structure of them, comes to in this build."""
        return self.build.render(value)

    def getProperties(self) -> Any:
        return self.build.getProperties()

    def setProgress(self, metric: str, value: float) -> None:
        self.progress[metric] = value

    def setStatistic(self, name: str, value: Any) -> None:
        """A number of this step, such as how many tests passed."""
        self._statistics[name] = value

    def getStatistic(self, name: str, default: Any = None) -> Any:
        return self._statistics.get(name, default)

    def hasStatistic(self, name: str) -> bool:
        return name in self._statistics

    def getStatistics(self) -> dict[str, Any]:
        return dict(self._statistics)

    def slaveVersion(self, command: str, oldversion: str | None = None) -> str | None:
        """The version of a command that the slave knows; `oldversion` when it gives none, None when it lacks it."""
        found: str | None = self.build.getSlaveCommandVersion(command, oldversion)
        return found

    workerVersion = slaveVersion

    def checkSlaveHasCommand(self, command: str) -> None:
        """Raises SlaveTooOld, which ends the step as EXCEPTION with a sentence in `err.text`."""
        if self.slaveVersion(command) is None:
            raise SlaveTooOld(
                f"slave {self.getSlaveName()} does not know the command {command!r}, which step {self.name} needs; "
                "give the builder a newer slave"
            )

    checkWorkerHasCommand = checkSlaveHasCommand

    def slaveVersionIsOlderThan(self, command: str, minversion: str) -> bool:
        version = self.slaveVersion(command)
        if version is None:
            return True
        return [int(part) for part in version.split(".")] < [int(part) for part in minversion.split(".")]

    workerVersionIsOlderThan = slaveVersionIsOlderThan

    def getSlaveName(self) -> str:
        return str(self.build.getSlaveName())

    getWorkerName = getSlaveName
