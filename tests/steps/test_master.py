"""Steps that work on the master: real processes, which end with their step."""

from __future__ import annotations

import os
import sys
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Interpolate, Property, renderer
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SUCCESS, WARNINGS
from buildbot.status.web.slaves_page import details_of
from buildbot.steps.master import Assert, LogRenderable, MasterShellCommand, SetProperties, SetProperty, SetSlaveInfo
from buildbot.steps.shell import ShellCommand
from buildbot.store import slaves
from buildbot.store.logfiles import Channel
from tests.processes import pid_alive
from tests.rig import Built
from tests.steps.case import StepsCase


def channel(built: Built, step: str, channel: Channel) -> bytes:
    """What one channel of its log holds."""
    with built.rig.log_files.read(built.logs(step)["stdio"].path) as reader:
        return b"".join(data for run, data in reader.pieces(0, reader.size) if run.channel == channel)


class TestMasterShellCommand(StepsCase):
    async def test_both_channels_and_the_code(self) -> None:
        (self.rig.base / "sub").mkdir()
        built = await self.run_steps(
            SetProperty("word", "hello"),
            MasterShellCommand(["sh", "-c", ["pwd; echo $0; echo bad >&2; exit 3"], Interpolate("%(prop:word)s")],
                               path="sub", decodeRC={0: SUCCESS, 3: WARNINGS}, name="first", logEnviron=False),
            MasterShellCommand("echo $PATH:$HERE; echo $HOME; cat", env={
                "HERE": ["a", "${USER_OF_TEST}b"], "HOME": None}, name="second"),
        )  # fmt: skip
        assert built.results == {"SetProperty": SUCCESS, "first": WARNINGS, "second": SUCCESS}
        assert channel(built, "first", Channel.STDOUT) == f"{self.rig.base / 'sub'}\nhello\n".encode()
        assert channel(built, "first", Channel.STDERR) == b"bad\n"
        header = channel(built, "first", Channel.HEADER).decode()
        assert "in directory" in header
        assert header.endswith("exit code 3\n")
        assert "PATH=" not in header
        assert channel(built, "second", Channel.STDOUT).decode() == f"{os.environ['PATH']}:a:b\n\n"
        assert f"  PATH={os.environ['PATH']}\n" in channel(built, "second", Channel.HEADER).decode()
        assert built.step("second").state_text == "'echo $PATH:$HERE; ...'"

    async def test_it_halts_the_build_and_says_what_is_missing(self) -> None:
        built = await self.run_steps(
            MasterShellCommand(["no-such-program-here"], name="none"), MasterShellCommand("true", name="never")
        )
        assert built.results == {"none": EXCEPTION}
        assert "there is no such program on the master: 'no-such-program-here'" in built.everything("none")
        built = await self.run_steps(MasterShellCommand("true", workdir="nowhere", name="no directory"))
        assert "there is no such directory on the master" in built.everything("no directory")

    async def test_a_stop_ends_it_and_all_that_it_has_started(self) -> None:
        pids = self.rig.base / "pids"
        program = f"trap '' TERM; sleep 600 & echo $! > {pids}.new; echo $$ >> {pids}.new; mv {pids}.new {pids}; wait"
        going = self.run_steps_later(MasterShellCommand(program, interruptSignal="TERM", usePTY=True))
        await self.rig.until(pids.exists, "it runs")
        for build in list(self.rig.running.by_id):
            assert self.rig.control.stop_build(build, "ada", "enough")
        built = await going
        assert built.results == {"MasterShellCommand": CANCELLED}
        await self.rig.until(
            lambda: not any(pid_alive(int(pid)) for pid in pids.read_text().split()), "its processes are gone"
        )

    async def test_it_takes_too_long(self) -> None:
        built = await self.run_steps(MasterShellCommand("echo on; sleep 600", runtime_timeout=0.3))
        assert built.results == {"MasterShellCommand": FAILURE}
        assert built.step("MasterShellCommand").state_text.endswith("(timed out)")
        assert "ended after 0.3 seconds (runtime_timeout)" in built.everything("MasterShellCommand")

    async def test_much_output_comes_whole(self) -> None:
        program = f"import sys\nfor n in range(200000): print(n)\nsys.stdout.flush()\nprint({'x' * 10!r})"
        built = await self.run_steps(MasterShellCommand([sys.executable, "-c", program], logEnviron=False))
        wanted = "".join(f"{number}\n" for number in range(200000)) + "x" * 10 + "\n"
        assert channel(built, "MasterShellCommand", Channel.STDOUT).decode() == wanted

    async def test_bad_arguments_are_said(self) -> None:
        for wrong, said in (
            ({"command": ""}, "needs a command"),
            ({"command": "a", "interruptSignal": "NOSUCH"}, "interruptSignal is the name of a signal"),
            ({"command": "a", "env": "b"}, "env is a dictionary"),
            ({"command": "a", "evn": {}}, "did you mean 'env'"),
        ):
            with self.assertRaises(ConfigErrors) as raised:
                MasterShellCommand(**wrong)
            self.assertIn(said, str(raised.exception))


class TestProperties(StepsCase):
    async def test_what_is_set_shown_and_checked(self) -> None:
        @renderer
        def both(props: Any) -> dict[str, Any]:
            return {"two": props.getProperty("one") * 2, "three": [3]}

        built = await self.run_steps(
            SetProperty(property="one", value=Interpolate("%(prop:buildername)s")),
            SetProperties(both),
            SetProperties({"four": Property("three")}, name="more"),
            LogRenderable({"all": [Property("two"), Property("none", default="-")]}),
            Assert(Property("three")),
            Assert(Property("none"), name="fails", haltOnFailure=True),
            SetProperty("never", 1),
        )
        assert built.properties["one"] == "b"
        assert built.properties["two"] == "bb"
        assert built.properties["four"] == [3]
        assert built.text("LogRenderable", "Output") == "{'all': ['bb', '-']}"
        assert (built.results["Assert"], built.results["fails"]) == (SUCCESS, FAILURE)
        assert "never" not in built.properties

    async def test_what_is_no_dictionary_is_an_exception(self) -> None:
        built = await self.run_steps(SetProperties(Property("none", default=[1])))
        assert built.results == {"SetProperties": EXCEPTION}
        assert "[1], and not as a dictionary" in built.text("SetProperties", "err.text")
        assert len(self.flushLoggedErrors(TypeError)) == 1


class Found(SetSlaveInfo):
    """Gives what the property `found` has."""

    async def getSlaveInfoUpdate(self) -> Any:
        return self.getProperty("found")


class TestSlaveInfo(StepsCase):
    def known(self) -> dict[str, str]:
        """What the slave's page says."""
        slave = slaves.by_name(self.rig.store, "bot")
        assert slave is not None
        return dict(details_of(slave))

    async def find(self, found: Any) -> int:
        return (await self.run_steps(SetProperty("found", found), Found())).results["SetSlaveInfo"]

    async def restart_slave(self) -> None:
        await self.rig.stop_slave()
        await self.rig.until(lambda: "bot" not in self.rig.sessions.here, "the slave is away")
        await self.rig.start_slave()

    async def asked(self) -> str:
        built = await self.run_steps(ShellCommand(command=["echo", Interpolate("%(worker:cc)s/%(slave:host)s")]))
        return built.text("shell")

    async def test_it_is_known_from_then_on(self) -> None:
        (self.rig.base / "bot" / "info").mkdir()
        (self.rig.base / "bot" / "info" / "host").write_text("a host")
        await self.restart_slave()
        assert await self.find({"cc": "gcc", "cores": [1, 2], "host": "another"}) == SUCCESS
        assert await self.find(None) == SUCCESS
        assert await self.asked() == "gcc/another\n"
        assert await self.find({"cc": "<clang>"}) == SUCCESS
        assert (self.known()["cc"], self.known()["cores"], self.known()["host"]) == ("<clang>", "[1, 2]", "another")
        await self.restart_slave()
        assert await self.asked() == "<clang>/a host\n"
        assert (self.known()["cc"], self.known()["host"]) == ("<clang>", "a host")

    async def test_within_one_build_and_without_secrets(self) -> None:
        self.rig.store.hide = lambda text: text.replace("s3cr3t", "<hidden>")

        class Told(SetSlaveInfo):
            def getSlaveInfoUpdate(self) -> Any:
                assert self.build.slavebuilder.slave.getSlaveInfo("none", "-") == "-"
                return {"token": ["it is s3cr3t"]}

        built = await self.run_steps(Told(), LogRenderable(Interpolate("%(worker:token)s")))
        assert built.text("LogRenderable", "Output") == "\"['it is <hidden>']\""
        assert self.known()["token"] == "['it is <hidden>']"

    async def test_what_cannot_be_kept_is_an_exception(self) -> None:
        for found in ([1], {"much": "x" * (64 << 10)}):
            assert await self.find(found) == EXCEPTION
        assert "much" not in self.known()
        problems = self.flushLoggedErrors(TypeError, ValueError)
        assert [str(each.value) for each in problems] == [
            "getSlaveInfoUpdate gave [1], and not a dictionary",
            "steps have found out more than 65536 bytes about one slave",
        ]
