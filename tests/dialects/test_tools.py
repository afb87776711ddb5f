"""Steps that look at output, and at files of the slave, on slaves of other eras."""

from __future__ import annotations

from buildbot.process.factory import BuildFactory
from buildbot.process.results import FAILURE, SUCCESS, WARNINGS
from buildbot.steps.debs import DebPbuilder
from buildbot.steps.dummy import RemoteDummy
from buildbot.steps.python import PyFlakes
from buildbot.steps.rpms import MockBuildSRPM, RpmSpec
from buildbot.steps.shell import SetPropertyFromCommand, ShellCommand, TreeSize
from buildbot.steps.subunit import SubunitShellCommand
from buildbot.steps.warnings import Compile, PerlModuleTest
from tests.dialects.cases import SLAVE_TAC, PeerCase

FILES = """
printf 'a[.]c : known\\n' > quiet
printf 'Name: tiny\\nVersion: 1.2\\n' > tiny.spec
mkdir -p bin out && echo old > out/build.log && touch base
for name in mock sudo pdebuild; do
    printf '#!/bin/sh\\necho "$0 $*" >> calls\\ntest -d out && echo built > out/build.log\\ntrue\\n' > bin/$name
    chmod +x bin/$name
done
touch -t 200001010000 base
"""
PROVE = "Files=2, Tests=5,  0 wallclock secs\\nb.t (Wstat: 0 Tests: 2 Failed: 1)\\n"


class Pbuilder(DebPbuilder):
    pbuilder = "pbuilder"


class Tools(PeerCase):
    async def setUp(self) -> None:
        await super().setUp()
        await self.connect()

    async def test_they_see_what_they_see_on_ours(self) -> None:
        path = {"PATH": f"{self.there / 'build' / 'bin'}:${{PATH}}"}
        steps = [
            ShellCommand(name="files", command=FILES),
            Compile(
                command="echo 'a.c:1: warning: known'; echo 'a.c:2: warning: new' >&2",
                suppressionFile="quiet",
                warningPattern=r"(.*?):(\d+): warning: (.*)",
                warningExtractor=Compile.warnExtractFromRegexpGroups,
            ),
            RpmSpec(specfile="tiny.spec"),
            PyFlakes(command="echo \"a.py:1:1: 'os' imported but unused\"; exit 1"),
            SubunitShellCommand(name="subunit", command="printf 'test: a\\nfailure: a [\\nbad\\n]\\nsuccess: b\\n'"),
            PerlModuleTest(command=f"printf '{PROVE}'"),
            TreeSize(),
            SetPropertyFromCommand(command="echo seen", property="p"),
            MockBuildSRPM(root="r", spec="tiny.spec", resultdir="out", env=path, logEnviron=False),
            Pbuilder(basetgz=str(self.there / "build" / "base"), env=path, logEnviron=False),
            RemoteDummy(timeout=0),
        ]
        self.rig.add_builder("b", BuildFactory(steps))
        built = await self.rig.build("b", timeout=60)
        told = {step.name: (step.result, step.state_text) for step in built.steps}
        assert told["compile"] == (WARNINGS, "compile (warnings)")
        assert built.text("compile", "warnings (1)") == "a.c:2: warning: new\n"
        assert told["rpmspec"] == (SUCCESS, "spec file")
        assert (built.properties["rpm-name"], built.properties["rpm-version"]) == ("tiny", "1.2")
        assert told["pyflakes"] == (WARNINGS, "pyflakes (warnings): 1 unused")
        assert told["subunit"] == (FAILURE, "2 tests 1 passed 1 failed (failure)")
        assert built.text("subunit", "problems") == "a: failure\nbad\n\n"
        assert told["test"] == (FAILURE, "test (failure): 5 tests 4 passed 1 failed")
        assert built.properties["tree-size-KiB"] > 0
        assert built.properties["p"] == "seen"
        assert told["mockbuildsrpm"][0] == SUCCESS, built.everything("mockbuildsrpm")
        assert built.text("mockbuildsrpm", "build.log") == "built\n"
        assert told["pbuilder"][0] == SUCCESS, built.everything("pbuilder")
        assert "--update --basetgz" in (self.there / "build" / "calls").read_text()
        assert told["remote dummy"][0] == SUCCESS


class TestWorker43(Tools):
    pass


class TestSlave08(Tools):
    peer_name = "slave-0.8.14"
    tac = SLAVE_TAC


del Tools, PeerCase
