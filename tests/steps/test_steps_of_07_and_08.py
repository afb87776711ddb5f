"""Custom steps as people wrote them for Buildbot 0.7 and 0.8, on a real slave; many in one build, to be cheap."""

from __future__ import annotations

import re
from typing import Any

from buildbot.config import names
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SUCCESS, WARNINGS
from tests.rig import RigCase, clock

names.install()
from buildbot.process.buildstep import (  # noqa: E402
    BuildStep,
    BuildStepFailed,
)
from buildbot.steps.master import MasterShellCommand  # noqa: E402
from buildbot.steps.shell import ShellCommand  # noqa: E402
from buildbot.steps.transfer import FileUpload  # noqa: E402
from buildbot.steps.warnings import WarningCountingShellCommand  # noqa: E402


class SendsReport(FileUpload):
    """Of a step that has run() by now."""

    def __init__(self, **kwargs: Any) -> None:
        FileUpload.__init__(self, workersrc="report", masterdest="unknown", **kwargs)

    def start(self) -> Any:
        self.masterdest = self.getProperty("where")
        self.addCompleteLog("begun", "begun")
        return FileUpload.start(self)

    def finished(self, result: int) -> Any:
        self.addURL("report", "http://reports/")
        self.setProperty("sent", result, "SendsReport")
        return FileUpload.finished(self, result)


class LetsKnow(MasterShellCommand):
    def finished(self, results: int) -> Any:
        self.setProperty("known", self.getLog("stdio").getText().strip(), "LetsKnow")
        MasterShellCommand.finished(self, WARNINGS)


class TestSubclassesOfStepsThatRun(RigCase):
    async def test_start_and_finished_are_called(self) -> None:
        where = str(self.rig.base / "here")
        built = await self.run_steps(
            ShellCommand(command="echo reported > report"),
            SendsReport(name="sends"),
            LetsKnow(name="known", command="echo known"),
            properties={"where": where},
        )
        assert built.results == {"shell": SUCCESS, "sends": SUCCESS, "known": WARNINGS}
        assert (self.rig.base / "here").read_text() == "reported\n"
        assert built.text("sends", "begun") == "begun"
        assert built.properties["sent"] == SUCCESS
        assert built.properties["known"] == "known"


class Waits(BuildStep):
    """Waits for something of its own, and has its own way of being interrupted."""

    name = "waits"

    def __init__(self, how: str, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.how = how

    def start(self) -> None:
        self.timer = clock.callLater(60, self.finished, SUCCESS)
        self.setProperty("waits", True)

    def interrupt(self, reason: Any) -> Any:
        self.timer.cancel()
        if self.how == "calls its base":
            BuildStep.interrupt(self, reason)
        self.step_status.setText(["waited", "no", "longer"])
        self.finished(FAILURE)
        self.finished(SUCCESS)


class Runs(ShellCommand):
    name = "runs"
    command = ["sh", "-c", "echo begun; sleep 60"]

    def interrupt(self, reason: Any) -> Any:
        self.addCompleteLog("why", str(reason))
        return ShellCommand.interrupt(self, reason)

    def evaluateCommand(self, cmd: Any) -> int:
        self.addCompleteLog("rc", str(cmd.rc))
        return SUCCESS


class TestEnds(RigCase):
    async def stop(self, step: Any) -> Any:
        over = self.run_steps_later(step)
        await self.rig.until_step_runs(step.name, "begun" if isinstance(step, Runs) else "")
        await self.rig.until(lambda: self.rig.running.by_id)
        (build,) = self.rig.running.by_id.values()
        await self.rig.until(lambda: build.currentStep is not None and build.currentStep._running is not None)
        await build.stopBuild("enough")
        return await over

    async def test_steps_are_interrupted_in_their_own_way(self) -> None:
        for how, result in (("calls its base", CANCELLED), ("does not", FAILURE)):
            built = await self.stop(Waits(how))
            assert (built.result, built.results) == (CANCELLED, {"waits": result})
            assert built.step("waits").state_text.startswith("waited no longer")

    async def test_a_command_is_interrupted_and_judged_all_the_same(self) -> None:
        built = await self.stop(Runs())
        assert built.results == {"runs": CANCELLED}
        assert built.text("runs", "why") == "enough"
        assert built.text("runs", "rc") == "-1"

    async def test_methods_that_raise_because_of_a_stop_are_told_of(self) -> None:
        class Parses(Runs):
            def createSummary(self, log: Any) -> None:
                re.search("no such line", log.getText()).group(1)  # type: ignore[union-attr]

        built = await self.stop(Parses())
        assert built.results == {"runs": CANCELLED}
        assert "AttributeError" in built.text("runs", "err.text")
        assert len(self.flushLoggedErrors(AttributeError)) == 1

    async def test_what_raises_is_an_exception_with_its_traceback(self) -> None:
        class InStart(BuildStep):
            def start(self) -> None:
                raise ZeroDivisionError("in start")

        class InSummary(ShellCommand):
            command = ["true"]

            def createSummary(self, log: Any) -> None:
                raise ZeroDivisionError("in createSummary")

        class InFailed(BuildStep):
            def start(self) -> None:
                raise BuildStepFailed("whatever")

            def failed(self, why: Any) -> None:
                raise ZeroDivisionError("in failed")

        for step, where in ((InStart(), "in start"), (InSummary(), "in createSummary"), (InFailed(), "in failed")):
            built = await self.run_steps(step)
            assert built.result == EXCEPTION
            assert where in built.text(built.steps[0].name, "err.text")
            assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    async def test_finished_is_not_for_steps_that_have_run(self) -> None:
        class Mixed(BuildStep):
            async def run(self) -> Any:
                self.finished(SUCCESS)

        built = await self.run_steps(Mixed(name="mixed"))
        assert "Mixed does not run by start(): its run() returns the result" in built.text("mixed", "err.text")
        assert len(self.flushLoggedErrors(RuntimeError)) == 1


class Announces(ShellCommand):
    """Does something around all of its step, as code of 0.7 does."""

    def startStep(self, remote: Any) -> Any:
        self.announced = True
        over = ShellCommand.startStep(self, remote)
        return over.addCallback(lambda result: WARNINGS if result == SUCCESS else result)


class OfItsOwn(ShellCommand):
    """setupEnvironment as 4.x has it."""

    def setupEnvironment(self) -> None:  # type: ignore[override]
        super().setupEnvironment()
        self.env["WHO"] = "itself"


class Chooses(WarningCountingShellCommand):
    def maybeAddWarning(self, warnings: list[str], line: str, match: re.Match[str]) -> None:
        if "known" not in line:
            super().maybeAddWarning(warnings, line, match)


class TestOverridesOfOtherEras(RigCase):
    async def test_they_are_called(self) -> None:
        built = await self.run_steps(
            Announces(name="announces", command="echo yes"),
            OfItsOwn(name="env", command='test "$WHO" = itself'),
            Chooses(name="chooses", command="echo warning: known; echo warning: new"),
        )
        assert built.results == {"announces": WARNINGS, "env": SUCCESS, "chooses": WARNINGS}
        assert built.text("chooses", "warnings (1)") == "warning: new\n"
