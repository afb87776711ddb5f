"""What code of a running build reaches by way of it: its builder, its slave, its master and its status."""

from __future__ import annotations

import ntpath
import posixpath
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from buildbot.process.properties import Properties
from buildbot.process.testkeeping import MOST_RESULTS
from buildbot.process.testresults import OLD_UNIT, TestResult, as_it_was, to_keep
from buildbot.process.unserved import refuse
from buildbot.process.userviews import BuilderView, MasterView
from buildbot.store import testresults


class RunningBuilder(BuilderView):
    """The builder of a running build."""

    def __init__(self, build: Any) -> None:
        super().__init__(build.config, build.row.builder_id, None, build.store)
        self._build = build

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(self.config, name):
            return getattr(self.config, name)
        return refuse(self, name)

    @property
    def builder_status(self) -> Any:
        return self._build.build_status.getBuilder()


class RunningSlave:
    """The slave of a running build. `slave` and `worker` are the same again: what runs there was two objects once.

    name, slavename, workername. properties, info: Properties objects. worker_environ, worker_system, worker_basedir,
    worker_version, also with `slave_`: what it has told of itself. path_module: ntpath or posixpath.
    """

    def __init__(self, build: Any) -> None:
        self._build = build
        self.name = self.slavename = self.workername = build.slavename
        self.slave = self.worker = self

    def __repr__(self) -> str:
        return f"<Slave {self.name!r}>"

    def __getattr__(self, name: str) -> Any:
        for prefix in ("worker_", "slave_"):
            told = name.removeprefix(prefix)
            if told != name and told in ("environ", "system", "basedir", "version"):
                return self._told.get(told, {} if told == "environ" else None)
        config = self._build.slave_config
        if not name.startswith("_") and hasattr(config, name):  # what a subclass of people's own has
            return getattr(config, name)
        return refuse(self, name)

    @property
    def _told(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._build.getSlaveInfo()
        return told

    @property
    def properties(self) -> Properties:
        config = self._build.slave_config
        given = {**config.defaultProperties, **config.properties, "slavename": self.name, "workername": self.name}
        return Properties.fromDict({name: (value, "BuildSlave") for name, value in given.items()})

    @property
    def info(self) -> Properties:
        return Properties.fromDict({name: (value, "Worker") for name, value in self._told.items()})

    def getSlaveInfo(self, key: str, default: Any = None) -> Any:
        """What is known of it by this name."""
        return self._told.get(key, default)

    def updateSlaveInfo(self, **found: Any) -> None:
        """Add what a step has found out of it, over what is known by these names: plain data, as in JSON."""
        self._build.slave_is_known_by(found)

    @property
    def path_module(self) -> ModuleType:
        return ntpath if self._told.get("system") == "nt" else posixpath

    def getName(self) -> str:
        return str(self.name)


class RunningMaster(MasterView):
    """The master, as far as a running build needs it: `data.get(path)`, `config`, `now`."""

    def __getattr__(self, name: str) -> Any:
        return refuse(self, name)


class StepToCome:
    """The status of a step that has not begun: there is nothing to say of it but its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> Any:
        return refuse(self, name)

    def getName(self) -> str:
        return self.name


class RunningBuildStatus:
    """A running build as `build_status`: it is read from the store, but for what only the running build knows."""

    def __init__(self, build: Any) -> None:
        self._build = build
        self._results: list[TestResult] = []
        self._set: Any = None  # of the step that told one last

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._stored, name)

    @property
    def _stored(self) -> Any:
        """As it is in the store now."""
        build = self._build
        return self.master.getBuilder(build.builder_name).getBuild(build.number)

    @property
    def master(self) -> Any:
        status = self._build.services.status
        if status is None:
            raise NotImplementedError("this master serves no status objects to its steps")
        return status()

    @property
    def reason(self) -> str:
        return str(self._build.reason)

    def getReason(self) -> str:
        return self.reason

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self._build.getProperty(name, default)

    def getProperties(self) -> Properties:
        properties: Properties = self._build.getProperties()
        return properties

    def getSlavename(self) -> str:
        return str(self._build.slavename)

    getWorkername = getSlavename

    def getResults(self) -> int:
        """What it has come to so far."""
        return int(self._build.results)

    def addStepWithName(self, name: str) -> StepToCome:
        """For code that puts a step into `build.steps`; it has its place on the page when it begins."""
        return StepToCome(name)

    def addTestResult(self, result: TestResult) -> None:
        """Keep the result of a test, as one of the step that runs."""
        if len(self._results) < MOST_RESULTS:
            self._results.append(result)
        tests, step = self._build.tests, self._build.currentStep
        if step is None:
            raise ValueError("addTestResult() is for steps that run: what it tells is kept with the step")
        if self._set is None or self._set.step is not step:
            self._set = tests.new_set(step, "tests", "result", OLD_UNIT)
        tests.add(self._set, to_keep(result, self._build.secrets.mask))

    async def recall(self) -> None:
        """After a restart: have again what the steps have told that had ended; the others tell it again."""
        store, id = self._build.store, self._build.id
        found = await store.read(testresults.of_unit, id, OLD_UNIT, MOST_RESULTS, ended_steps=True)
        self._results = [as_it_was(each) for each in found]

    def getTestResults(self) -> dict[tuple[str, ...], TestResult]:
        return {result.getName(): result for result in self._results}

    def getTestResultsOrd(self) -> list[TestResult]:
        return sorted(self._results, key=TestResult.getName)
