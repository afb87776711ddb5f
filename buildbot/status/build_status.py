"""Builds as the message formatters of Buildbot 0.8 see them: `build.getChanges()`, `status.getURLForThing(build)` ...

These objects are made for one call of a user's function and read the store as they are asked; each question is a
bounded, indexed statement. Their method names are Buildbot's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from buildbot.model import Build, BuilderID, Log, SourceStamp, Step
from buildbot.process.testresults import OLD_UNIT, TestResult, as_it_was
from buildbot.process.userchange import UserChange
from buildbot.status.build_report import build_url
from buildbot.status.mail_text import Site
from buildbot.store import builders, builds, changes, logs, properties, sourcestamps, steps, testresults
from buildbot.store.logfiles import LogFiles
from buildbot.store.store import Store

MOST_TESTS = 10_000
LARGEST_LOG = 1 << 20  # of a longer log, getText gives the end


class MasterStatus:
    """The master: its title, addresses and builders."""

    def __init__(self, store: Store, log_files: LogFiles, site: Site) -> None:
        self.store = store
        self.log_files = log_files
        self._site = site

    def getTitle(self) -> str:
        return self._site.title

    getProjectName = getTitle

    def getTitleURL(self) -> str:
        return self._site.title_url

    getProjectURL = getTitleURL

    def getBuildbotURL(self) -> str:
        return self._site.url

    def getBuilderNames(self, tags: list[str] | None = None, categories: list[str] | None = None) -> list[str]:
        wanted = tags or categories
        present = builders.present(self.store)
        return [b.name for b in present if wanted is None or not set(wanted).isdisjoint(b.tags)]

    def getBuilder(self, name: str) -> BuilderStatus:
        row = builders.by_name(self.store, name)
        if row is None:
            raise KeyError(name)
        return BuilderStatus(self, row.id)

    def getURLForThing(self, thing: Any) -> str | None:
        """The page of a builder, build, step, log or change; None when the master has no pages."""
        return (self._site.url.rstrip("/") + "/" + thing.path()) if self._site.url else None


def status_of(store: Store, log_files: LogFiles, config: Any) -> MasterStatus:
    """The master of this configuration."""
    return MasterStatus(store, log_files, Site(config.title, config.title_url or "", config.buildbot_url or ""))


class BuilderStatus:
    def __init__(self, status: MasterStatus, id: BuilderID) -> None:
        self._status = status
        row = builders.get(status.store, id)
        assert row is not None
        self._row = row

    def getName(self) -> str:
        return self._row.name

    name = property(getName)

    def getTags(self) -> list[str]:
        return list(self._row.tags)

    def getCategory(self) -> str | None:
        return self._row.tags[0] if self._row.tags else None

    def getDescription(self) -> str:
        return self._row.description

    def getBuild(self, number: int) -> BuildStatus | None:
        row = builds.by_number(self._status.store, self._row.id, number)
        return None if row is None else BuildStatus(self._status, row)

    def path(self) -> str:
        return f"builders/{quote(self._row.name, safe='')}"


class BuildStatus:
    def __init__(self, status: MasterStatus, row: Build) -> None:
        self._status = status
        self._store = status.store
        self._row = row

    def getBuilder(self) -> BuilderStatus:
        return BuilderStatus(self._status, self._row.builder_id)

    builder = property(getBuilder)

    def getNumber(self) -> int:
        return self._row.number

    number = property(getNumber)

    def isFinished(self) -> bool:
        return self._row.complete_at is not None

    def getResults(self) -> int | None:
        return None if self._row.result is None else int(self._row.result)

    def getText(self) -> list[str]:
        return [self._row.state_text]

    def getReason(self) -> str:
        return self._row.reason

    def getTimes(self) -> tuple[float, float | None]:
        return self._row.started_at, self._row.complete_at

    def getSlavename(self) -> str:
        return str(self.getProperty("slavename", ""))

    getWorkername = getSlavename

    def getProperties(self) -> dict[str, tuple[Any, str]]:
        return {p.name: (p.value, p.source) for p in properties.of(self._store, "build", self._row.id)}

    def getProperty(self, name: str, default: Any = None) -> Any:
        return self.getProperties().get(name, (default, ""))[0]

    def getChanges(self) -> list[ChangeStatus]:
        found = changes.of_build(self._store, self._row.id)
        return [ChangeStatus(change, changes.files(self._store, change.id)) for change in found]

    def getResponsibleUsers(self) -> list[str]:
        return sorted({change.who for change in self.getChanges()})

    getInterestedUsers = getResponsibleUsers

    def getSourceStamps(self, absolute: bool = False) -> list[StampStatus]:
        return [StampStatus(stamp, self) for stamp in sourcestamps.of_build(self._store, self._row.id)]

    def getSourceStamp(self, codebase: str = "") -> StampStatus | None:
        return next((stamp for stamp in self.getSourceStamps() if stamp.codebase == codebase), None)

    def getTestResults(self) -> dict[tuple[str, ...], TestResult]:
        """What its steps told with `addTestResult`, the first 10,000."""
        return {result.getName(): result for result in self._test_results()}

    def getTestResultsOrd(self) -> list[TestResult]:
        return sorted(self._test_results(), key=TestResult.getName)

    def _test_results(self) -> list[TestResult]:
        found = testresults.of_unit(self._store, self._row.id, OLD_UNIT, MOST_TESTS)
        return [as_it_was(each) for each in found]

    def getPreviousBuild(self) -> BuildStatus | None:
        row = builds.before(self._store, self._row)
        return None if row is None else BuildStatus(self._status, row)

    def getSteps(self) -> list[StepStatus]:
        return [StepStatus(self._status, self, row) for row in steps.of_build(self._store, self._row.id)]

    def getLogs(self) -> list[LogStatus]:
        return [log for step in self.getSteps() for log in step.getLogs()]

    def getURL(self) -> str | None:
        return self._status.getURLForThing(self)

    def path(self) -> str:
        return build_url("x", self.getBuilder().getName(), self._row.number)[2:]


class StepStatus:
    def __init__(self, status: MasterStatus, build: BuildStatus, row: Step) -> None:
        self._status = status
        self._build = build
        self._row = row

    def getName(self) -> str:
        return self._row.name

    def getBuild(self) -> BuildStatus:
        return self._build

    def getText(self) -> list[str]:
        return [self._row.state_text]

    def getResults(self) -> tuple[int | None, list[str]]:
        return (None if self._row.result is None else int(self._row.result)), [self._row.state_text]

    def getTimes(self) -> tuple[float | None, float | None]:
        return self._row.started_at, self._row.complete_at

    def isFinished(self) -> bool:
        return self._row.complete_at is not None

    def isHidden(self) -> bool:
        return self._row.hidden

    def getURLs(self) -> dict[str, str]:
        urls = steps.urls_of_build(self._status.store, self._row.build_id)
        return {url.name: url.url for url in urls if url.step_id == self._row.id}

    def getLogs(self) -> list[LogStatus]:
        return [LogStatus(self._status, self, row) for row in logs.of_step(self._status.store, self._row.id)]

    def path(self) -> str:
        return f"{self._build.path()}/steps/{quote(self._row.name, safe='')}"


class LogStatus:
    def __init__(self, status: MasterStatus, step: StepStatus, row: Log) -> None:
        self._status = status
        self._step = step
        self._row = row

    def getName(self) -> str:
        return self._row.name

    def getStep(self) -> StepStatus:
        return self._step

    def isFinished(self) -> bool:
        return self._row.finished_at is not None

    def hasContents(self) -> bool:
        return self._row.removed_at is None and bool(self._row.size)

    def getText(self) -> str:
        """The log's text; of a long one, its last 1 MiB. Empty when the file is not there any more."""
        try:
            with self._status.log_files.read(self._row.path) as reader:
                return reader.raw(max(0, reader.size - LARGEST_LOG), reader.size).decode("utf-8", "replace")
        except OSError:
            return ""

    getTextWithHeaders = getText

    def readlines(self) -> Iterator[str]:
        return iter(self.getText().splitlines(keepends=True))

    def path(self) -> str:
        return f"{self._step.path()}/logs/{quote(self._row.slug, safe='')}"


class ChangeStatus(UserChange):
    """A change as the rest of users' code knows it, with its page."""

    def path(self) -> str:
        return f"changes/{self.number}"


class StampStatus:
    """What was built, of one codebase."""

    def __init__(self, row: SourceStamp, build: BuildStatus) -> None:
        self.branch = row.branch
        self.revision = row.revision
        self.repository = row.repository
        self.project = row.project
        self.codebase = row.codebase
        self.changes = build.getChanges()
