"""MTR: the test run of MySQL and MariaDB, `mysql-test-run.pl`."""

from __future__ import annotations

import re
import time
from typing import Any, ClassVar, NamedTuple

from twisted.enterprise import adbapi
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.config.errors import error
from buildbot.process.buildstep import LogLineObserver
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import FAILURE, WARNINGS, worst_status
from buildbot.steps.examining import MOST_EXAMINED
from buildbot.steps.warnings import Test
from buildbot.store import mtr

_TEST = re.compile(r"([-._0-9a-zA-Z]{1,200})(?: '([-_, 0-9a-zA-Z]{1,100})')?(?: w\d{1,3})? +\[ ?([a-z-]{1,20}) ?\](.*)")
_SHUTDOWN = re.compile(r"\*\*\*Warnings generated in error logs during shutdown after running tests: (.*)")
MOST_FAILURES = 1000  # whose texts are kept
MOST_TEXT = 64 << 10  # characters of one


class EqConnectionPool:
    """A pool of connections that equals one of the same arguments, so that a reconfiguration changes nothing.

    dbapiName and the rest: as twisted.enterprise.adbapi.ConnectionPool has them. Nothing is opened before the first
    query.
    """

    def __init__(self, dbapiName: str, *connargs: Any, **connkw: Any) -> None:
        self._made_of = (dbapiName, connargs, tuple(sorted(connkw.items())))
        self._pool: adbapi.ConnectionPool | None = None

    @property
    def pool(self) -> adbapi.ConnectionPool:
        """Twisted's own, made when it is asked for. Raises ImportError when there is no such module."""
        if self._pool is None:
            name, args, keywords = self._made_of
            self._pool = adbapi.ConnectionPool(name, *args, **dict(keywords))
        return self._pool

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.pool, name)

    def runInteraction(self, interaction: Any, *args: Any, **kw: Any) -> Any:
        return self.pool.runInteraction(interaction, *args, **kw)

    def close(self) -> None:
        """Close the connections; the next query opens them again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqConnectionPool) and self._made_of == other._made_of

    def __hash__(self) -> int:
        return hash(self._made_of[0])

    def __reduce__(self) -> Any:
        return (type(self), self._made_of)  # what tells it from another one


class MtrTestFailData(NamedTuple):
    """A test that failed: its name, its variant (such as `row`), what stands behind the result, and the text below."""

    testname: str
    variant: str
    result: str
    info: str
    text: str


class MtrLogObserver(LogLineObserver):
    """Sees the output of mysql-test-run.pl.

    textLimit: how many failed tests are named in the step's text. testNameLimit: characters of each name there.
    """

    def __init__(self, textLimit: int = 5, testNameLimit: int = 16, testType: str = "") -> None:
        super().__init__()
        self.textLimit = textLimit
        self.testNameLimit = testNameLimit
        self.testType = testType
        self.numTests = 0
        self.testFails: list[MtrTestFailData] = []
        self.warnLists: list[list[str]] = []
        self.failed = 0
        self._open: tuple[str, str, str, str] | None = None
        self._text: list[str] = []
        self._size = 0

    def outLineReceived(self, line: str) -> None:
        line = line[:MOST_EXAMINED]
        test = _TEST.match(line)
        if test or line.startswith("-" * 20):
            self.close()
        if test:
            self._saw(test)
        elif self._open is not None and self._size < MOST_TEXT:
            self._text.append(line)
            self._size += len(line) + 1
        if (shutdown := _SHUTDOWN.match(line)) and len(self.warnLists) < MOST_FAILURES:
            self.warnLists.append(shutdown[1].split())

    errLineReceived = outLineReceived

    def _saw(self, test: re.Match[str]) -> None:
        name, variant, result, info = test[1], test[2] or "", test[3], test[4].strip()
        self.numTests += 1
        self.step.setProgress("tests", self.numTests)
        if result in ("fail", "retry-fail"):
            self.failed += 1
            self._open = (name, variant, result, info)

    def close(self) -> None:
        """The text of the test that failed last is whole."""
        if self._open is not None and len(self.testFails) < MOST_FAILURES:
            text = "".join(f"{line}\n" for line in self._text)
            self.testFails.append(MtrTestFailData(*self._open, text=text[:MOST_TEXT]))
        self._open, self._text, self._size = None, [], 0

    def words(self) -> str:
        """The names of the tests that failed, as many and as long as is wanted."""
        names = list(dict.fromkeys(each.testname for each in self.testFails))
        said = [_abbreviated(name, self.testNameLimit) for name in names[: self.textLimit]]
        return " ".join(said + (["..."] if len(names) > self.textLimit else []))


def _abbreviated(name: str, most: int) -> str:
    name = name.removeprefix("main.")
    return name if len(name) <= most else f"{name[: max(1, most - 3)]}..."


class MTR(Test):
    """Run `mysql-test-run.pl`, count its tests, and write what failed into a database, if there is one.

    dbpool: a pool of connections (`EqConnectionPool("MySQLdb", ...)`); None: none. autoCreateTables: make its tables
    when they are not there. test_type: a word for the kind of run, for the database and the text. test_info: more
    about it. textLimit: how many failed tests are named in the step's text (default 5). testNameLimit: characters of
    each name (default 16). parallel: how many servers the run may have at once, for their logs (default 4).
    mtr_subdir: where it runs (default "mysql-test"). The other arguments are those of Test.

    The error logs of the servers are logs of the step, once something is in them.
    """

    renderables: ClassVar[Any] = ("mtr_subdir", "test_type", "test_info")
    warningPattern = r"MTR's internal check of the test case '.*' failed"
    _log = Logger()

    def __init__(
        self,
        dbpool: Any = None,
        test_type: Any = None,
        test_info: Any = "",
        description: Any = None,
        descriptionDone: Any = None,
        autoCreateTables: Any = False,
        textLimit: Any = 5,
        testNameLimit: Any = 16,
        parallel: Any = 4,
        logfiles: Any = None,
        lazylogfiles: Any = True,
        warningPattern: Any = None,
        mtr_subdir: Any = "mysql-test",
        **kwargs: Any,
    ) -> None:
        self.dbpool = dbpool
        self.test_type = test_type
        self.test_info = test_info
        self.autoCreateTables = autoCreateTables
        self.mtr_subdir = mtr_subdir
        self.parallel = parallel
        for name, value in (("textLimit", textLimit), ("testNameLimit", testNameLimit), ("parallel", parallel)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                error(f"MTR: {name} is a number, not {value!r}")
        if dbpool is not None and not hasattr(dbpool, "runInteraction"):
            error(f'MTR: dbpool is a pool of connections, such as EqConnectionPool("MySQLdb", ...), not {dbpool!r}')
        if description is not None:
            kwargs["description"] = description
        if descriptionDone is not None:
            kwargs["descriptionDone"] = descriptionDone
        self.myMtr = MtrLogObserver(textLimit=textLimit, testNameLimit=testNameLimit)
        self._own_logfiles = dict(logfiles or {})
        self._unwritten = False
        super().__init__(lazylogfiles=lazylogfiles, warningPattern=warningPattern, **kwargs)
        self.addLogObserver("stdio", self.myMtr)

    async def run(self) -> int:
        self.logfiles = {**self._logs_of_servers(), **(self.logfiles or {}), **self._own_logfiles}
        return await super().run()

    def _logs_of_servers(self) -> dict[str, str]:
        logs = {}
        for worker in range(self.parallel + 1):
            for number in range(1, 5):
                name = f"mysqld.{number}.err" + (f".{worker}" if worker else "")
                logs[name] = f"{self.mtr_subdir}/var/{f'{worker}/' if worker else ''}log/mysqld.{number}.err"
        return logs

    async def commandComplete(self, cmd: RemoteCommand) -> Any:
        self.myMtr.close()
        if self.dbpool is None:
            return
        try:
            if self.autoCreateTables:
                await self.runInteractionWithRetry(mtr.create_tables, self._paramstyle)
            await self.runInteractionWithRetry(self._write)
        except Exception as problem:
            self._unwritten = True
            self._log.failure("results of {build} could not be written", build=self.build)
            self.note_text("err.text", f"the results could not be written into the database: {problem}\n")

    @property
    def _paramstyle(self) -> str:
        return str(getattr(getattr(self.dbpool, "dbapi", None), "paramstyle", "format"))

    def _write(self, cursor: mtr.Cursor) -> int:
        run = mtr.MtrRun(
            branch=self.getProperty("branch"),
            revision=str(self.getProperty("got_revision") or self.getProperty("revision") or ""),
            platform=str(self.getProperty("buildername")),
            bbnum=int(self.build.number),
            typ=str(self.test_type or ""),
            info=str(self.test_info or ""),
        )
        fails = [mtr.MtrFailure(each.testname, each.variant, each.info, each.text) for each in self.myMtr.testFails]
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.build.now()))
        return mtr.write(cursor, self._paramstyle, run, fails, self.myMtr.warnLists, now)

    async def runInteractionWithRetry(self, actionFn: Any, *args: Any, **kw: Any) -> Any:
        """`actionFn(cursor, ...)` in a transaction of the database, tried up to three times: a server drops connections
        that were idle for long."""
        for attempt in (1, 2, 3):
            try:
                return await self.dbpool.runInteraction(actionFn, *args, **kw)
            except Exception:
                if attempt == 3:
                    raise
                await deferLater(self.build.clock, 1.0, lambda: None)
        return None

    async def runQueryWithRetry(self, *args: Any, **kw: Any) -> Any:
        """A query, for subclasses; the rows."""

        def ask(cursor: Any) -> Any:
            cursor.execute(*args, **kw)
            return cursor.fetchall()

        return await self.runInteractionWithRetry(ask)

    def createSummary(self, stdio: Any = None) -> Any:
        super().createSummary(stdio)
        for number, fail in enumerate(self.myMtr.testFails[:50], 1):
            self.note_text(f"failure {number}: {fail.testname}", f"{fail.testname} {fail.variant}\n{fail.text}")
        total, failed = self.myMtr.numTests, self.myMtr.failed
        if total:
            self.setTestResults(total=total, failed=failed, passed=max(0, total - failed))

    def evaluateCommand(self, cmd: RemoteCommand) -> Any:
        result = super().evaluateCommand(cmd)
        if self.myMtr.failed:
            return worst_status(result, FAILURE)
        return worst_status(result, WARNINGS) if self._unwritten else result

    def getResultSummary(self) -> dict[str, str]:
        summary = super().getResultSummary()
        if self.test_type:
            summary["step"] += f" {self.test_type}"
        if self.myMtr.testFails:
            summary["step"] += f": {self.myMtr.words()}"
        return summary
