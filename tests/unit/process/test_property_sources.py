"""Where a build's properties come from, which source wins, and what each build has without being asked."""

from __future__ import annotations

from typing import Any

from buildbot.model import NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, Property, URLForBuild, renderer
from buildbot.steps.shell import ShellCommand
from buildbot.store import properties
from tests.rig import RigCase, Source
from tests.unit.process.test_step_contract import Asks

# Lowest first: what is set there, and what stands as its source.
SOURCES = (
    ("worker default", "Worker default"),
    ("builder default", "Builder default"),
    ("master", "master.cfg"),
    ("change", "Change"),
    ("request", "test"),
    ("builder", "Builder"),
    ("slave", "BuildSlave"),
    ("step", "sets"),
)
NAMES = [name for name, _ in SOURCES]


def given(source: str) -> dict[str, Any]:
    """What this source sets: for each source above it a property that it sets too, and one of its own."""
    return {f"up to {upper}": source for upper in NAMES[NAMES.index(source) :]}


class TestSources(RigCase):
    async def built(self) -> Any:
        (slave,) = self.rig.config.slaves
        slave.defaultProperties.update(given("worker default"))
        slave.properties.update(given("slave"))
        self.rig.config.properties.update(given("master"))
        change = NewChange(author="ann", branch="b", revision="1", properties=tuple(given("change").items()))

        async def sets(step: Asks) -> None:
            for name, value in given("step").items():
                step.setProperty(name, value)

        self.rig.add_builder(
            "b",
            BuildFactory([Asks(sets, name="sets")]),
            defaultProperties=given("builder default"),
            properties=given("builder"),
        )
        return await self.rig.build("b", Source(branch="b", revision="1", changes=[change]), given=given("request"))

    async def test_each_source_wins_over_those_before_it(self) -> None:
        built = await self.built()
        found = {each.name: (each.value, each.source) for each in properties.of(self.rig.store, "build", built.row.id)}
        for name, source in SOURCES:
            self.assertEqual(found[f"up to {name}"], (name, source))

    async def test_nobody_overrides_what_every_build_has(self) -> None:
        ours = ("buildername", "buildnumber", "slavename", "workername", "builderid", "basedir", "builddir", "branch")
        wrong = dict.fromkeys(ours, "wrong")
        (slave,) = self.rig.config.slaves
        slave.properties.update(wrong)
        self.rig.add_builder("b", BuildFactory(), properties=wrong)
        built = await self.rig.build("b", Source(branch="main"), given=wrong)
        self.assertEqual(
            {name: built.properties[name] for name in ours},
            {
                "buildername": "b",
                "buildnumber": 1,
                "slavename": "bot",
                "workername": "bot",
                "builderid": built.row.builder_id,
                "basedir": str(self.rig.base / "bot"),
                "builddir": str(self.rig.base / "bot" / "b"),
                "branch": "main",
            },
        )

    async def test_a_build_of_several_codebases_has_them_by_name(self) -> None:
        self.rig.add_builder("b", BuildFactory())
        built = await self.rig.build("b", Source("main", "1", "lib"), Source("next", "2", "app"))
        self.assertEqual(built.properties["branch"], {"lib": "main", "app": "next"})
        self.assertEqual(built.properties["revision"], {"lib": "1", "app": "2"})

    async def test_renderables_among_them_see_those_before_them(self) -> None:
        (slave,) = self.rig.config.slaves
        slave.properties["where"] = Interpolate("%(prop:asked)s of %(prop:buildername)s")
        self.rig.add_builder("b", BuildFactory(), properties={"doubled": Property("asked") * 2})
        built = await self.rig.build("b", given={"asked": "x"})
        self.assertEqual((built.properties["where"], built.properties["doubled"]), ("x of b", "xx"))

    async def test_a_build_knows_the_address_of_its_page(self) -> None:
        built = await self.run_steps(ShellCommand(command=["echo", URLForBuild]))
        self.assertIn("http://rig/builders/b/builds/1", built.text("shell"))

    async def test_a_rebuild_repeats_what_was_asked_and_nothing_that_was_set_meanwhile(self) -> None:
        built = await self.built()
        again = self.rig.control.rebuild(built.row.id, "me", "")
        repeated = {each.name: each.value for each in properties.of(self.rig.store, "buildset", again)}
        self.assertEqual(repeated, given("request"))


class TestWhatFunctionsAreGiven(RigCase):
    async def test_functions_everywhere_get_properties_by_name(self) -> None:
        """As users write them: props["x"], "x" in props, props.getBuild()."""
        seen: dict[str, str] = {}

        def told(where: str) -> Any:
            @renderer
            def function(props: Any) -> str:
                assert "color" in props
                seen[where] = f"{props['color']} of {props.getBuild().builder_name}"
                return "true"

            return function

        self.rig.config.properties["color"] = "red"
        step = ShellCommand(command=["true"], env={"A": told("env")}, name=told("name"), doStepIf=told("doStepIf"))
        factory = BuildFactory([step])
        factory.workdir = told("workdir")
        self.rig.add_builder("b", factory, properties={"p": told("properties")}, env={"B": told("builder's env")})
        built = await self.rig.build("b")
        self.assertEqual(built.row.result, Result.SUCCESS)
        everywhere = ("env", "name", "doStepIf", "workdir", "properties", "builder's env")
        self.assertEqual(seen, dict.fromkeys(everywhere, "red of b"))
