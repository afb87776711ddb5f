"""Steps that do their work on the master, in a build of a slave of any dialect."""

from __future__ import annotations

from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, Property
from buildbot.process.results import SUCCESS
from buildbot.schedulers.triggerable import Triggerable
from buildbot.steps.dummy import Dummy, FailingDummy, RemoteDummy
from buildbot.steps.master import Assert, LogRenderable, MasterShellCommand, SetProperties, SetProperty, SetSlaveInfo
from buildbot.steps.shell import ShellCommand
from buildbot.steps.trigger import Trigger
from tests.dialects.catalogue.case import Here, case


@case(
    Assert, Dummy, FailingDummy, LogRenderable, MasterShellCommand, RemoteDummy, SetProperties, SetProperty,
)  # fmt: skip
async def on_the_master(here: Here) -> None:
    built = await here.run_steps(
        SetProperty("one", Interpolate("%(prop:slavename)s")),
        SetProperties({"two": Interpolate("%(prop:one)s/2")}),
        LogRenderable([Property("two")]),
        Assert(Property("two")),
        Assert(Property("three"), name="fails", haltOnFailure=False, flunkOnFailure=False),
        MasterShellCommand(["sh", "-c", "pwd; echo $0", Property("two")]),
        Dummy(timeout=0.01),
        RemoteDummy(timeout=0),
        FailingDummy(timeout=0),
    )
    assert [name for name, result in built.results.items() if result != SUCCESS] == ["fails", "failing dummy"]
    assert built.text("LogRenderable", "Output") == "['bot/2']"
    assert built.text("MasterShellCommand") == f"{here.rig.base}\nbot/2\n"
    assert built.step("remote dummy").state_text == "remote delay 0 s"


class Found(SetSlaveInfo):
    def getSlaveInfoUpdate(self) -> dict[str, str]:
        return {"found": f"<{self.getProperty('slavename')}>"}


@case(SetSlaveInfo)
async def found_out_of_the_slave(here: Here) -> None:
    asked = Interpolate("%(worker:found)s %(slave:basedir)s")
    built = await here.run_steps(Found(), ShellCommand(command=["echo", asked]))
    assert built.text("shell") == f"<bot> {here.rig.base / 'bot'}\n"
    again = await here.run_steps(ShellCommand(command=["echo", asked]))
    assert again.text("shell") == built.text("shell")


@case(Trigger)
async def others_are_triggered(here: Here) -> None:
    here.rig.add_builder("other", BuildFactory([ShellCommand(command="echo on $0; pwd")]))
    here.rig.config.schedulers.append(Triggerable("others", ["other"]))
    built = await here.run_steps(
        Trigger(schedulerNames=["others"], waitForFinish=True, set_properties={"given": Property("buildername")}),
        ShellCommand(command="echo after"),
    )
    assert set(built.results.values()) == {SUCCESS}
    child = here.rig.store.column("SELECT result FROM build_requests WHERE waited_for = 1")
    assert child[-1] == SUCCESS
