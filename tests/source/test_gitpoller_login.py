"""GitPoller logs in as the Git step does, with a real sshd and a real web server."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from twisted.internet import reactor

from buildbot.changes.base import SourceContext
from buildbot.changes.git import GitFailed
from buildbot.changes.gitpoller import GitPoller
from buildbot.config.errors import ConfigErrors
from buildbot.process.properties import Secret
from buildbot.secrets.base import SecretProviderBase
from buildbot.secrets.lookup import Secrets
from tests.integration.test_gitpoller import PollerCase
from tests.processes import Processes
from tests.source.servers import SSHServer, WebServer


class OfThisTest(SecretProviderBase):
    name = "of this test"
    values: ClassVar[dict[str, str]] = {}

    def get(self, entry: str) -> Any:
        return self.values.get(entry)


class TestLogin(PollerCase):
    def setUp(self) -> None:
        super().setUp()
        self.processes = Processes(self.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.secrets = Secrets(reactor)
        self.secrets.use([OfThisTest()])
        self.upstream.commit("one")

    def context(self) -> SourceContext:
        context = super().context()
        return SourceContext(**{name: getattr(context, name) for name in vars(SourceContext)["__dataclass_fields__"]}
                             | {"secrets": self.secrets})  # fmt: skip

    def keys(self) -> list[str]:
        found = [name for _, names, files in os.walk(self.base / "gitpoller-work") for name in (*names, *files)]
        return [name for name in found if name.endswith(".keys") or name in ("key", "credentials")]

    async def assert_polls(self, **options: Any) -> None:
        poller = await self.poller(branch="main", **options)
        await poller.poll()
        self.upstream.commit("two")
        await poller.poll()
        assert self.told() == [("main", "two")]
        assert self.keys() == []

    async def test_with_a_key(self) -> None:
        server = SSHServer(self.processes, self.base / "sshd")
        OfThisTest.values = {"key": server.private_key.strip()}
        url = f"{server.url}{self.upstream.path}"
        await self.assert_polls(repourl=url, sshPrivateKey=Secret("key"), sshHostKey=server.host_key)
        refused = await self.poller(repourl=url, sshPrivateKey=Secret("key"), sshHostKey=server.other_host_key)
        with self.assertRaises(GitFailed) as caught:
            await refused.poll()
        assert "Host key verification failed" in str(caught.exception)
        assert self.keys() == []

    async def test_with_a_password(self) -> None:
        server = WebServer(self.processes, self.base / "web", self.base)
        OfThisTest.values = {"word": server.password}
        url = f"{server.private}/upstream"
        await self.assert_polls(repourl=url, auth_credentials=(server.user, Secret("word")))
        refused = await self.poller(repourl=url, auth_credentials=(server.user, "mis-taken"))
        with self.assertRaises(GitFailed) as caught:
            await refused.poll()
        assert "Authentication failed" in str(caught.exception)
        assert "mis-taken" not in str(caught.exception)
        assert self.keys() == []

    def test_mistakes_are_said_when_the_configuration_is_read(self) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            GitPoller("x", auth_credentials="a:b")
        assert "GitPoller(): auth_credentials is (user name, password)" in str(caught.exception)
        key = {"sshPrivateKey": Secret("key")}
        assert GitPoller("x", **key) == GitPoller("x", **key)
        assert GitPoller("x", **key) != GitPoller("x", sshPrivateKey=Secret("other"))
