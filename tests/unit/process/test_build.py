"""What a builder's settings do to its builds, on a real slave."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, renderer
from buildbot.process.results import FAILURE, RETRY, SUCCESS, WARNINGS
from tests.rig import RigCase, Source


class Passes(BuildStep):
    name = "passes"

    async def run(self) -> int:
        return SUCCESS


class TestBuilderSettings(RigCase):
    async def test_do_build_if_skips_the_whole_build(self) -> None:
        def on_main(build: Any) -> bool:
            return bool(build.getProperty("branch") == "main")

        for do_build_if in (on_main, lambda build: succeed(on_main(build))):
            built = await self.run_steps(Passes(), sources=[Source(branch="other")], do_build_if=do_build_if)
            assert (built.result, built.results) == (Result.SKIPPED, {})
            assert "do_build_if" in built.row.state_text
            built = await self.run_steps(Passes(), sources=[Source(branch="main")], do_build_if=do_build_if)
            assert (built.result, built.results) == (Result.SUCCESS, {"passes": Result.SUCCESS})

    async def test_the_factory_may_skip_the_build(self) -> None:
        def on_other(build: Any) -> bool:
            return bool(build.getProperty("branch") == "other")

        factory = BuildFactory([Passes()])
        for answer in (on_other, lambda build: succeed(on_other(build))):
            factory.setSkipBuildIf(answer)
            self.rig.add_builder("b", factory.clone())
            built = await self.rig.build("b", Source(branch="other"))
            assert (built.result, built.results) == (Result.SKIPPED, {})
            assert "skipBuildIf" in built.row.state_text
            built = await self.rig.build("b", Source(branch="main"))
            assert (built.result, built.results) == (Result.SUCCESS, {"passes": Result.SUCCESS})

    async def test_a_do_build_if_that_raises_is_the_builds_exception(self) -> None:
        built = await self.run_steps(Passes(), do_build_if=lambda build: build.nothing)
        assert (built.result, built.results) == (Result.EXCEPTION, {})
        self.flushLoggedErrors(AttributeError)

    async def test_properties_of_builders_and_slaves_may_be_renderables(self) -> None:
        @renderer
        def number(properties: Any) -> int:
            return int(properties.getProperty("buildnumber")) * 10

        (slave,) = self.rig.config.slaves
        slave.properties = {"here": Interpolate("on %(prop:slavename)s")}
        built = await self.run_steps(Passes(), properties={"ten": number, "plain": "%(prop:x)s", "slavename": "mine"})
        found = built.properties
        assert (found["ten"], found["plain"], found["here"]) == (10, "%(prop:x)s", "on bot")
        assert found["slavename"] == "bot"  # nobody can say otherwise

    async def test_select_next_worker_chooses_where_the_builder_does_not(self) -> None:
        self.rig.add_slaves("second")
        await self.rig.start_slave("second")
        self.rig.config.other["select_next_worker"] = lambda builder, slaves, request: slaves[-1]
        self.rig.add_builder("b", BuildFactory([Passes()]), ["bot", "second"])
        assert (await self.rig.build()).properties["slavename"] == "second"
        own = {"nextWorker": lambda builder, slaves, request: slaves[0]}
        self.rig.add_builder("b", BuildFactory([Passes()]), ["bot", "second"], **own)
        assert (await self.rig.build()).properties["slavename"] == "bot"

    async def test_who_stops_a_build_may_say_what_it_has_come_to(self) -> None:
        class Stops(BuildStep):
            async def run(self) -> int:
                await self.build.stopBuild("not on this one", results=RETRY)
                return SUCCESS

        self.rig.add_builder("b", BuildFactory([Stops(), Passes()]))
        request = self.rig.submit()
        built = await self.rig.built(request)
        assert (built.result, built.row.state_text) == (Result.RETRY, "retry: not on this one")
        assert list(built.results) == ["generic"]

    async def test_a_factory_without_steps_succeeds(self) -> None:
        assert (await self.run_steps()).result is Result.SUCCESS

    async def test_the_builds_text_is_made_of_what_its_steps_say(self) -> None:
        class Says(BuildStep):
            def __init__(self, text: str | None = None, result: int = SUCCESS, **kwargs: Any) -> None:
                self.text, self.result = text, result
                super().__init__(haltOnFailure=False, **kwargs)

            async def run(self) -> int:
                return self.result

            def getResultSummary(self) -> dict[str, str]:
                return {"step": "did it"} | ({} if self.text is None else {"build": self.text})

        class Raises(Says):
            def getBuildResultSummary(self) -> dict[str, str]:
                raise KeyError("build")

        table: tuple[tuple[list[BuildStep], str], ...] = (
            ([Says()], "build successful"),
            ([Says("12 tests")], "build successful 12 tests"),
            ([Says(name="a", result=FAILURE), Says(name="b", result=FAILURE)], "failed a b"),
            ([Says("3 of 12 tests", result=FAILURE), Says(name="b", result=FAILURE)], "failed 3 of 12 tests b"),
            ([Says(updateBuildSummaryPolicy=True)], "build successful did it"),
            ([Says("12 tests", updateBuildSummaryPolicy=False)], "build successful"),
            ([Says(name="a", result=FAILURE, flunkOnFailure=False)], "build successful"),
            ([Says(name="a", result=FAILURE, flunkOnFailure=False, warnOnFailure=True)], "warnings a"),
            ([Says(name="a", result=WARNINGS)], "build successful"),
            ([Says(name="a", result=WARNINGS, warnOnWarnings=True)], "warnings a"),
            ([Says(name="a", result=FAILURE, updateBuildSummaryPolicy=[SUCCESS])], "failed"),
            ([Raises(name="a", result=FAILURE)], "failed a"),
            ([Says(doStepIf=False)], "nothing to do"),
        )
        for given, text in table:
            assert (await self.run_steps(*given)).row.state_text == text
