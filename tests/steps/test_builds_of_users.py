"""Classes of build and factories that people wrote, and what steps of every era reach by way of `self.build`."""

from __future__ import annotations

from typing import Any

from buildbot.config import names
from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange
from buildbot.process.build import Build
from buildbot.process.factory import BuildFactory
from buildbot.process.results import EXCEPTION, FAILURE, SKIPPED, SUCCESS, WARNINGS
from buildbot.steps.shell import ShellCommand
from tests.rig import Built, RigCase, Source

names.install()
from buildbot.process.buildstep import BuildStep  # noqa: E402
from buildbot.status.builder import TestResult  # noqa: E402

CHANGES = [
    NewChange(author="ann <ann@x>", files=("a.c", "b.c"), comments="one", revision="r1", branch="main"),
    NewChange(author="bob", files=("doc/x",), comments="two", revision="r2", branch="main"),
]
SOURCE = Source(branch="main", revision="r2", changes=CHANGES)


class Asks(BuildStep):
    """Calls a function with itself in start(); its answer is kept."""

    name = "asks"

    def __init__(self, what: Any, result: int = SUCCESS, **kwargs: Any) -> None:
        BuildStep.__init__(self, **kwargs)
        self.what, self.result = what, result

    def start(self) -> None:
        self.what(self)
        self.finished(self.result)


class Gives(ShellCommand):
    def __init__(self, result: int, **kwargs: Any) -> None:
        ShellCommand.__init__(self, command=["true"], **kwargs)
        self.result = result

    def evaluateCommand(self, cmd: Any) -> int:
        return self.result


class TestWhatStepsReach(RigCase):
    async def ask(self, *questions: Any, **options: Any) -> tuple[Built, list[Any]]:
        """The answers of these functions of a step."""
        answers: list[Any] = []

        def asks(step: Any) -> None:
            answers.extend(question(step) for question in questions)

        built = await self.run_steps(Asks(asks), sources=[SOURCE], **options)
        assert built.result == SUCCESS, built.text("asks", "err.text")
        return built, answers

    async def test_attributes_of_every_era(self) -> None:
        table: list[tuple[Any, Any]] = [
            (lambda step: step.build.builder.name, "b"),
            (lambda step: step.build.builder.config.name, "b"),
            (lambda step: step.build.builder.builddir, "b"),
            (lambda step: step.build.builder.slavenames, ("bot",)),
            (lambda step: step.build.builder.builder_status.getName(), "b"),
            (lambda step: step.build.slavebuilder.slave.slavename, "bot"),
            (lambda step: step.build.workerforbuilder.worker.workername, "bot"),
            (lambda step: step.buildslave.slavename, "bot"),
            (lambda step: step.worker.worker_basedir, str(self.rig.base / "bot")),
            (lambda step: step.worker.worker_system, "posix"),
            (lambda step: step.worker.slave_environ["PATH"] != "", True),
            (lambda step: step.getSlaveName(), "bot"),
            (lambda step: step.getWorkerName(), "bot"),
            (lambda step: step.build.slavename, "bot"),
            (lambda step: step.build.path_module.join("a", "b"), "a/b"),
            (lambda step: step.build.number, 1),
            (lambda step: step.build.buildid, 1),
            (lambda step: step.build.reason, "test"),
            (lambda step: step.build.source.revision, "r2"),
            (lambda step: [change.who for change in step.build.source.changes], ["ann <ann@x>", "bob"]),
            (lambda step: step.build.getSourceStamp().branch, "main"),
            (lambda step: len(step.build.getAllSourceStamps()), 1),
            (lambda step: step.build.requests[0].source.revision, "r2"),
            (lambda step: step.build.requests[0].reason, "test"),
            (lambda step: step.build.requests[0].buildername, "b"),
            (lambda step: step.build.requests[0].getSubmitTime() > 0, True),
            (lambda step: step.build.allFiles(), ["a.c", "b.c", "doc/x"]),
            (lambda step: [change.revision for change in step.build.allChanges()], ["r1", "r2"]),
            (lambda step: step.build.blamelist(), ["ann <ann@x>", "bob"]),
            (lambda step: step.build.getProperties().getProperty("slavename"), "bot"),
            (lambda step: step.build.getProperties()["buildnumber"], 1),
            (lambda step: step.build.properties.has_key("nothing"), False),
            (lambda step: step.build.hasProperty("branch"), True),
            (lambda step: step.build.slaveEnvironment, {"A": "b"}),
            (lambda step: step.build.results, SUCCESS),
            (lambda step: step.build.result, SUCCESS),
            (lambda step: step.build.currentStep is step, True),
            (lambda step: list(step.build.executedSteps), []),
            (lambda step: step.build.getUrl(), "http://rig/builders/b/builds/1"),
            (lambda step: step.build.build_status.reason, "test"),
            (lambda step: step.build.build_status.getNumber(), 1),
            (lambda step: step.build.build_status.getBuilder().getName(), "b"),
            (lambda step: step.build.build_status.getSourceStamps()[0].revision, "r2"),
            (lambda step: step.build.getStatus().getSlavename(), "bot"),
            (lambda step: step.build.getStatus().getResponsibleUsers(), ["ann <ann@x>", "bob"]),
            (lambda step: step.build.getStatus().getPreviousBuild(), None),
            (lambda step: step.build.getStatus().getProperty("buildername"), "b"),
            (lambda step: step.build.getStatus().master.getBuildbotURL(), "http://rig/"),
            (lambda step: [each.getName() for each in step.build.getStatus().getSteps()], ["asks"]),
            (lambda step: len(step.step_status.getBuild().getChanges()), 2),
            (lambda step: len(step.step_status.build.getChanges()), 2),
            (lambda step: step.step_status.isStarted(), True),
            (lambda step: step.step_status.isFinished(), False),
            (lambda step: step.step_status.getTimes()[1], None),
            (lambda step: step.step_status.getLogs(), []),
            (lambda step: step.master.config.title, "Rig"),
            (lambda step: step.build.master.data.get(("builds", step.build.buildid)).result["number"], 1),
            (lambda step: step.slaveVersion("shell") is not None, True),
            (lambda step: step.slaveVersion("no such command", "old"), "old"),
            (lambda step: step.slaveVersionIsOlderThan("shell", "0.1"), False),
            (lambda step: step.workerVersionIsOlderThan("shell", "99.0"), True),
        ]
        _, answers = await self.ask(*(question for question, _ in table), env={"A": "b"})
        assert answers == [wanted for _, wanted in table]

    async def test_what_is_not_served_says_what_to_write_instead(self) -> None:
        def raised(question: Any) -> Any:
            def ask(step: Any) -> str:
                try:
                    question(step)
                except AttributeError as wrong:
                    return str(wrong)
                return "nothing"

            return ask

        def sets_the_result(step: Any) -> None:
            step.build.result = FAILURE

        _, said = await self.ask(
            raised(lambda step: step.build.builder.botmaster),
            raised(lambda step: step.build.remote.callRemote("x")),
            raised(lambda step: step.master.db.builds),
            raised(lambda step: step.build.no_such_thing),
            raised(sets_the_result),
        )
        assert "in this version: trigger other builders with steps.Trigger" in said[0]
        assert "a step asks its slave by `runCommand(" in said[1]
        assert "there is no such database here" in said[2]
        assert said[3] == "Build has no attribute 'no_such_thing'"
        assert "call build.buildFinished(text, results)" in said[4]

    async def test_results_so_far_are_known_to_conditions(self) -> None:
        def so_far(step: Any) -> bool:
            seen.append(step.build.results)
            return bool(step.build.results == SUCCESS)

        seen: list[int] = []
        built = await self.run_steps(
            Gives(SKIPPED, name="a"),
            Gives(SUCCESS, name="b", doStepIf=so_far),
            Gives(WARNINGS, name="c", warnOnWarnings=True),
            Gives(SUCCESS, name="d", doStepIf=so_far),
        )
        assert seen == [SUCCESS, WARNINGS]
        assert built.results["d"] == SKIPPED

    async def test_results_of_tests_are_known_to_later_steps(self) -> None:
        def tells(step: Any) -> None:
            step.build.build_status.addTestResult(TestResult(("mod", "one"), FAILURE, ["bad"], {"out": "x"}))

        found: list[Any] = []
        await self.run_steps(Asks(tells), Asks(lambda step: found.extend(step.build.getStatus().getTestResultsOrd())))
        assert [(each.getName(), each.getResults(), each.getLogs()) for each in found] == [
            (("mod", "one"), FAILURE, {"out": "x"})
        ]


class OldBuild(Build):
    """With the signatures of 0.8."""

    def __init__(self, requests: Any) -> None:
        Build.__init__(self, requests)
        self.seen: list[Any] = [self.source.branch]
        self.reason = "reason of mine"

    def setupProperties(self) -> None:
        Build.setupProperties(self)
        self.getProperties().setProperty("mine", "here " + self.getProperty("slavename"), "OldBuild")

    def setupBuild(self, expectations: Any) -> None:
        Build.setupBuild(self, expectations)
        self.steps = [step for step in self.steps if step.name != "left out"]

    def getSourceStamp(self, codebase: str = "") -> Any:
        stamp = Build.getSourceStamp(self, codebase)
        self.seen.append("stamp")
        return stamp

    def blamelist(self) -> list[str]:
        return ["carl"]

    def stepDone(self, result: int, step: Any) -> Any:
        terminate = Build.stepDone(self, result, step)
        self.seen.append((step.name, result))
        return terminate or step.name == "last"

    def buildFinished(self, text: Any, results: int) -> None:
        self.seen.append(results)
        Build.buildFinished(self, [*text, "indeed"], results)


def uses_any_name(step: Any) -> None:
    step.master, step.worker, step.buildslave = "names", "of", "mine"
    assert (step.master, step.worker, step.buildslave) == ("names", "of", "mine")
    assert step.build.getSourceStamp() is not None
    assert step.build.reason == "reason of mine"


class OldFactory(BuildFactory):
    buildClass = OldBuild
    made: list[Any] = []

    def newBuild(self, requests: Any) -> Any:
        build = BuildFactory.newBuild(self, requests)
        self.made.append(build)
        return build


class TestClassesOfBuild(RigCase):
    async def run_factory(self, factory: BuildFactory) -> Built:
        self.rig.add_builder("b", factory)
        return await self.rig.build("b", SOURCE)

    async def test_one_of_08_is_asked_at_its_points(self) -> None:
        factory = OldFactory()
        factory.addStep(Asks(uses_any_name, name="first"))
        factory.addStep(Gives(SUCCESS, name="left out"))
        factory.addStep(Gives(WARNINGS, name="last", warnOnWarnings=True))
        factory.addStep(Gives(SUCCESS, name="not any more"))
        factory.addStep(Gives(SUCCESS, name="always", alwaysRun=True))
        built = await self.run_factory(factory)
        assert list(built.results) == ["first", "last", "always"]
        assert built.result == WARNINGS
        assert built.row.state_text == "warnings last indeed"
        assert built.properties["mine"] == "here bot"
        assert built.properties["owners"] == ["carl"]
        (build,) = OldFactory.made
        ends = [("first", SUCCESS), ("last", WARNINGS), ("always", SUCCESS), WARNINGS]
        assert build.seen == ["main", "stamp", *ends]

    async def test_one_of_4_has_other_signatures(self) -> None:
        class NewBuild(Build):
            def __init__(self, requests: Any, builder: Any) -> None:
                super().__init__(requests, builder)
                self.told = builder.name

            def setupBuild(self) -> None:  # type: ignore[override]
                super().setupBuild()
                self.addStepsAfterLastStep([Asks(lambda step: told.append(step.build.told))])

        told: list[str] = []
        factory = BuildFactory()
        factory.buildClass = NewBuild
        assert (await self.run_factory(factory)).result == SUCCESS
        assert told == ["b"]

    async def test_one_that_fails_ends_its_build(self) -> None:
        class Bad(Build):
            def __init__(self, requests: Any) -> None:
                raise ZeroDivisionError("in the constructor")

        class BadFactory(BuildFactory):
            def newBuild(self, requests: Any) -> Any:
                return "no build"

        bad = BuildFactory()
        bad.buildClass = Bad
        for factory, why in ((bad, "in the constructor"), (BadFactory(), "which is no Build")):
            built = await self.run_factory(factory)
            assert built.result == EXCEPTION
            assert why in built.row.state_text
            assert len(self.flushLoggedErrors(ZeroDivisionError, TypeError)) == 1

    def test_a_point_that_is_not_called_is_a_mistake(self) -> None:
        with self.assertRaises(ConfigErrors) as raised:
            type("Mine", (Build,), {"startNextStep": lambda self: None})
        assert "override getNextStep(self)" in str(raised.exception)

    async def test_a_step_ends_its_build(self) -> None:
        built = await self.run_steps(
            Asks(lambda step: step.build.buildFinished(["nothing", "changed"], SKIPPED), name="ends"),
            Gives(SUCCESS, name="left out"),
            Gives(FAILURE, name="always", alwaysRun=True),
        )
        assert list(built.results) == ["ends", "always"]
        assert (built.result, built.row.state_text) == (SKIPPED, "skipped: nothing changed")

    async def test_numbers_of_steps_are_summed_up(self) -> None:
        def count(step: Any) -> None:
            step.setStatistic("passed", 4)

        def sums(step: Any) -> None:
            found.append(step.build.getSummaryStatistic("passed", lambda a, b: a + b, 0))
            found.append(step.build.getSummaryStatistic("failed", lambda a, b: a + b))

        found: list[Any] = []
        await self.run_steps(Asks(count), Asks(count), Asks(sums))
        assert found == [8, None]
