"""Custom steps as people write them for Buildbot 0.9 to 4.x, and what logs, observers and small commands give them."""

from __future__ import annotations

from typing import Any

from twisted.internet import defer

from buildbot.config import names
from buildbot.config.errors import ConfigErrors
from buildbot.process.results import CANCELLED, SUCCESS
from buildbot.store import testresults
from tests.rig import Built, RigCase

names.install()
from buildbot.plugins import steps  # noqa: E402
from buildbot.process import buildstep  # noqa: E402
from buildbot.process.logreading import LogTooLong, ReadableLog  # noqa: E402


class Tells(buildstep.BuildStep):
    name = "tells"

    @defer.inlineCallbacks
    def addTestResultSets(self) -> Any:
        self.setid = yield self.addTestResultSet("unit tests", "pass_fail", "boolean")

    @defer.inlineCallbacks
    def run(self) -> Any:
        self.addTestResult(self.setid, "1", test_name="one", duration_ns=5)
        yield self.setBuildData("diff", b"{}", "Tells")
        self.setProperty("told", self.build.build_data["diff"][1])
        return SUCCESS


class TestSteps(RigCase):
    async def run_one(self, step: Any) -> Built:
        built = await self.run_steps(step)
        name = built.steps[0].name
        assert built.result == SUCCESS, [built.text(name, log) for log in built.logs(name)]
        return built

    async def test_the_whole_of_a_long_log_is_not_taken_into_memory(self) -> None:
        self.patch(ReadableLog, "most_text", 100)
        found: list[Any] = []

        class Reads(steps.ShellCommand):
            command = ["seq", "100"]

            def createSummary(self, log: Any) -> None:
                lines = log.readlines()
                found.extend([len(lines), lines[-1], sum(1 for line in lines if line.endswith("7\n"))])
                log.getText()

        built = await self.run_steps(Reads())
        assert found == [100, "100\n", 10]
        assert "read it with readlines(), or watch it with addLogObserver()" in built.text("shell", "err.text")
        assert self.flushLoggedErrors(LogTooLong)

    async def test_results_of_tests_and_data_of_the_build(self) -> None:
        built = await self.run_one(Tells())
        assert built.properties["told"] == "Tells"
        (tests,) = testresults.summaries(built.rig.store, built.row.id, 10, 10)
        assert (tests.set.step, tests.set.description, tests.set.counts) == ("tells", "unit tests", (1, 1, 0))
        (one,) = testresults.page(built.rig.store, tests.set.id, 0, 10, failed=False)
        assert (one.name, one.value, one.duration_ns, one.passed) == ("one", "1", 5, 1)

    async def test_a_step_cancels_itself(self) -> None:
        class Cancels(buildstep.BuildStep):
            async def run(self) -> int:
                raise buildstep.BuildStepCancelled

        built = await self.run_steps(Cancels())
        assert (built.result, list(built.results.values())) == (CANCELLED, [CANCELLED])

    async def test_what_is_not_there_says_what_to_write_instead(self) -> None:
        said: list[str] = []

        class Asks(buildstep.BuildStep):
            async def run(self) -> Any:
                try:
                    await self.remote.callRemote("x")
                except AttributeError as wrong:
                    said.append(str(wrong))
                return SUCCESS

        await self.run_one(Asks())
        assert "a step asks its slave by `runCommand(RemoteCommand(name, args))`" in said[0]

    def test_a_command_that_overrides_what_is_not_called_is_a_mistake(self) -> None:
        for name in ("remoteUpdate", "addStderr", "addToLog"):
            with self.assertRaises(ConfigErrors) as raised:
                type("Mine", (buildstep.LoggedRemoteCommand,), {name: lambda self, *given: None})
            assert "watch the log with addLogObserver" in str(raised.exception)
