"""The Git step with a key on slaves of other eras: what it asks of them, they have."""

from __future__ import annotations

from typing import ClassVar

from buildbot.model import Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.steps.source.git import Git
from tests.dialects.cases import SLAVE_TAC, PeerCase
from tests.rig import Source
from tests.source.repositories import Repository
from tests.source.servers import SSHServer

DIFF = b"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-one\n+patched\n"


class TestWorker(PeerCase):
    """buildbot-worker 4.3."""

    async def test_a_checkout_over_ssh_with_a_submodule_and_a_patch(self) -> None:
        await self.connect()
        server = SSHServer(self.processes, self.rig.base / "sshd")
        library = Repository(self.rig.base / "library")
        library.commit("l", inside="1\n")
        upstream = Repository(self.rig.base / "upstream")
        first = upstream.commit("first", a="one\n")
        upstream("submodule", "--quiet", "add", library.url, "sub")
        upstream("config", "-f", ".gitmodules", "submodule.sub.url", "../library")
        upstream.commit("with a submodule")
        step = Git(
            f"{server.url}{upstream.path}", mode="full", submodules=True,
            sshPrivateKey=server.private_key, sshHostKey=server.host_key,
        )  # fmt: skip
        secrets = ["sh", "-c", "find ../../.secrets -type f; cat a"]
        self.rig.add_builder("b", BuildFactory([step, ShellCommand(name="look", command=secrets)]))
        for source, expected in ((Source("main"), "one\n"), (Source("main", patch=(1, DIFF, "")), "patched\n")):
            built = await self.rig.build("b", source)
            assert built.result is Result.SUCCESS, built.everything("git")
            assert built.text("look") == expected
            assert (self.there / "build/sub/inside").read_text() == "1\n"
        (self.there / "build/.git/index.lock").touch()
        (self.there / "build/made").touch()
        built = await self.rig.build("b", Source("main", first))
        assert built.result is Result.SUCCESS, built.everything("git")
        assert built.properties["got_revision"] == first
        assert not (self.there / "build/made").exists()
        refused = Git(
            f"{server.url}{upstream.path}", sshPrivateKey=server.other_key, sshHostKey=server.host_key, workdir="other"
        )
        self.rig.add_builder("b", BuildFactory([refused]))
        built = await self.rig.build("b")
        assert built.result is Result.FAILURE
        assert not [path for path in (self.rig.base / "bot/.secrets").rglob("*") if path.is_file()]


class TestOldSlave(TestWorker):
    """buildslave 0.8."""

    peer_name: ClassVar[str] = "slave-0.8.14"
    tac: ClassVar[str] = SLAVE_TAC
