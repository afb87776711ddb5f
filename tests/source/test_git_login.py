"""Keys and passwords of the Git step, with a real sshd and a real web server: what they open, and where they stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from buildbot.model import Result
from buildbot.process import gitlogin
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, Property, Secret
from buildbot.secrets.base import SecretProviderBase
from buildbot.secrets.lookup import Secrets
from buildbot.steps.shell import ShellCommand
from buildbot.steps.source.git import Git
from buildbot.store import commands
from tests.processes import Processes
from tests.rig import Built, clock
from tests.source.repositories import GitCase, Repository, git
from tests.source.servers import SilentServer, SSHServer, WebServer

SUCCESS, FAILURE, CANCELLED = Result.SUCCESS, Result.FAILURE, Result.CANCELLED

# Stands before the real ssh on PATH: writes down which key it is given, and the rights on it.
SEEING_SSH = """#!/bin/bash
for word in "$@"; do
    [ "$before" = -i ] && stat -c '%a %n' "$word" >> {seen}
    before=$word
done
exec /usr/bin/ssh "$@"
"""

# Stands before the real git-upload-pack on the server: hangs the first time.
HANGS_ONCE = """#!/bin/sh
[ -e {marker} ] || {{ touch {marker}; exec cat >&2; }}
exec git-upload-pack "$@"
"""


class OfThisTest(SecretProviderBase):
    name = "of this test"
    values: ClassVar[dict[str, str]] = {}

    def get(self, entry: str) -> Any:
        return self.values.get(entry)


class LoginCase(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)

    @property
    def secrets(self) -> Path:
        return self.rig.base / "bot" / ".secrets"

    def assert_no_secret_is_left(self) -> None:
        assert not self.secrets.exists() or os.listdir(self.secrets) == []

    def assert_told_nowhere(self, built: Built, *values: str) -> None:
        """Not in the logs, the store, or what the slave keeps."""
        told = [built.everything(name) for name in built.results if built.logs(name)]
        told += [repr(each) for step in built.steps for each in commands.of_step(self.rig.store, step.id)]
        told += [repr(built.steps), repr(built.properties), repr(built.row)]
        told += [path.read_text("latin-1") for path in self.rig.base.glob("bot/b/build/.git/config")]
        for value in values:
            assert not [text for text in told if value in text]

    def provide(self, **values: str) -> None:
        OfThisTest.values = values
        secrets = Secrets(clock)
        secrets.use([OfThisTest()])
        self.rig.secrets = secrets


class TestSSH(LoginCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.server = SSHServer(self.processes, self.rig.base / "sshd")
        self.url = f"{self.server.url}{self.repository.path}"
        self.login: dict[str, Any] = {
            "repourl": self.url,
            "sshPrivateKey": self.server.private_key,
            "sshHostKey": self.server.host_key,
        }

    async def test_a_key_opens_the_repository_and_is_gone_afterwards(self) -> None:
        seen = self.rig.base / "seen"
        bin = self.rig.base / "bin"
        bin.mkdir()
        (bin / "ssh").write_text(SEEING_SSH.format(seen=seen))
        (bin / "ssh").chmod(0o755)
        env = {"PATH": f"{bin}:{os.environ['PATH']}"}
        built = await self.check_out(**self.login, env=env)
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        rights, path = seen.read_text().splitlines()[0].split()
        assert rights == "600"
        assert Path(path).parent.parent == self.secrets
        self.assert_no_secret_is_left()
        self.assert_told_nowhere(built, *self.server.private_key.split("\n")[1:-2])
        assert "Accepted publickey" in self.server.seen()

    async def test_a_secret_without_its_last_newline_and_known_hosts(self) -> None:
        self.provide(key=self.server.private_key.strip().replace("\n", "\r\n"))
        hosts = f"[127.0.0.1]:{self.server.port} {self.server.host_key}"
        built = await self.check_out(repourl=self.url, sshPrivateKey=Secret("key"), sshKnownHosts=hosts)
        self.assert_success(built)
        self.assert_told_nowhere(built, *self.server.private_key.split("\n")[1:-2])

    async def test_another_host_key_than_the_right_one_ends_it(self) -> None:
        built = await self.check_out(**self.login | {"sshHostKey": self.server.other_host_key})
        assert built.result is FAILURE
        assert "cannot be reached" in built.step("git").state_text
        assert "Host key verification failed" in built.text("git")
        assert "Accepted publickey" not in self.server.seen()
        self.assert_no_secret_is_left()

    async def test_a_host_that_nobody_knows_is_not_trusted(self) -> None:
        built = await self.check_out(repourl=self.url, sshPrivateKey=self.server.private_key)
        assert built.result is FAILURE
        assert "Host key verification failed" in built.text("git")

    async def test_a_wrong_key_ends_it(self) -> None:
        built = await self.check_out(**self.login | {"sshPrivateKey": self.server.other_key})
        assert built.result is FAILURE
        assert "Permission denied" in built.text("git")
        self.assert_no_secret_is_left()

    async def test_submodules_are_fetched_with_the_same_key(self) -> None:
        library = Repository(self.rig.base / "library")
        library.commit("l", inside="1\n")
        self.repository("submodule", "--quiet", "add", library.url, "sub")
        self.repository("config", "-f", ".gitmodules", "submodule.sub.url", "../library")
        self.repository.commit("with a submodule")
        self.assert_success(await self.check_out(**self.login, submodules=True))
        assert (self.work / "sub/inside").read_text() == "1\n"
        assert git(self.work / "sub", "config", "remote.origin.url").startswith("ssh://")

    async def test_an_address_as_scp_writes_it_and_another_port(self) -> None:
        url = f"{self.server.user}@127.0.0.1:{self.repository.path}"
        self.assert_success(await self.check_out(**self.login | {"repourl": url, "port": self.server.port}))

    async def test_what_a_former_run_left_is_removed_first(self) -> None:
        self.assert_success(await self.check_out(**self.login))
        (directory,) = self.secrets.parent.glob(".secrets")
        (directory / "b-00000000").mkdir()
        await self.rig.stop_slave()
        await self.rig.start_slave()
        self.assert_no_secret_is_left()

    async def test_a_stop_in_the_middle_takes_the_key_away(self) -> None:
        silent = SilentServer()
        self.addCleanup(silent.stop)
        building = self.run_steps_later(Git(**self.login | {"repourl": f"ssh://127.0.0.1:{silent.port}/x"}))
        await self.rig.until_step_runs("git", "fetch")
        await self.rig.until(lambda: list(self.secrets.glob("*/key")))
        (build,) = self.rig.running.by_id.values()
        await build.stopBuild("enough")
        assert (await building).result is CANCELLED
        self.assert_no_secret_is_left()

    async def test_a_server_that_says_nothing_runs_into_the_limit_of_time(self) -> None:
        silent = SilentServer()
        self.addCleanup(silent.stop)
        built = await self.check_out(**self.login | {"repourl": f"ssh://127.0.0.1:{silent.port}/x"}, timeout=1)
        assert built.result is FAILURE
        assert "git timed out" in built.step("git").state_text
        self.assert_no_secret_is_left()

    def hanging_once(self) -> dict[str, str]:
        """Settings for git with which the server hangs the first time it is asked."""
        script = self.rig.base / "upload-pack"
        script.write_text(HANGS_ONCE.format(marker=self.rig.base / "marker"))
        script.chmod(0o755)
        return {"remote.origin.uploadpack": str(script)}

    async def test_after_a_limit_of_time_it_may_try_again(self) -> None:
        config = self.hanging_once()
        built = await self.check_out(**self.login, timeout=6, retry=(0.01, 1), config=config)
        self.assert_success(built)
        assert "git timed out" in built.everything("git")
        self.assert_no_secret_is_left()

    async def test_what_a_lost_build_left_goes_with_the_next_one(self) -> None:
        config = self.hanging_once()
        step = Git(**self.login, config=config)
        self.rig.add_builder("b", BuildFactory([step, ShellCommand(command=["true"])]))
        request = self.rig.submit("b")
        await self.rig.until((self.rig.base / "marker").exists)
        await self.rig.lose()
        first = await self.rig.built(request)
        second = await self.rig.built(request, attempt=2)
        assert [first.result, second.result] == [Result.RETRY, SUCCESS]
        self.assert_no_secret_is_left()


class TestHTTP(LoginCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.server = WebServer(self.processes, self.rig.base / "web", self.rig.base)
        self.url = f"{self.server.private}/upstream"

    async def test_a_password_opens_the_repository(self) -> None:
        self.provide(word=self.server.password)
        word = Interpolate("%(secret:word)s")
        built = await self.check_out(repourl=self.url, auth_credentials=(self.server.user, word))
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        self.assert_told_nowhere(built, self.server.password)
        self.assert_no_secret_is_left()

    async def test_a_password_in_the_configuration_itself_is_hidden_too(self) -> None:
        built = await self.check_out(
            repourl=self.url, auth_credentials=(self.server.user, self.server.password), env={"GIT_CURL_VERBOSE": "1",
            "GIT_TRACE_REDACT": "0"},
        )  # fmt: skip
        self.assert_success(built)
        self.assert_told_nowhere(built, self.server.password)

    async def test_a_wrong_password_ends_it_and_is_hidden(self) -> None:
        built = await self.check_out(repourl=self.url, auth_credentials=(self.server.user, "mis-taken"))
        assert built.result is FAILURE
        assert "cannot be reached" in built.step("git").state_text
        assert "Authentication failed" in built.text("git")
        self.assert_told_nowhere(built, "mis-taken")
        self.assert_no_secret_is_left()

    async def test_no_password_is_asked_of_nobody(self) -> None:
        built = await self.check_out(repourl=self.url)
        assert built.result is FAILURE
        assert "terminal prompts disabled" in built.text("git")

    async def test_git_credentials_by_path(self) -> None:
        self.provide(word=self.server.password)
        credentials = [
            gitlogin.GitCredentialInputRenderer(
                username=self.server.user, password=Secret("word"), url=Property("from", default=self.url)
            ),
            f"url={self.server.private}/another\nusername=bob\npassword=no-such-word\n",
        ]
        options = gitlogin.GitCredentialOptions(credentials=credentials, use_http_path=True)
        built = await self.check_out(repourl=self.url, git_credentials=options)
        self.assert_success(built)
        self.assert_told_nowhere(built, self.server.password, "no-such-word")
        assert " bob " not in self.server.seen()

    async def test_a_password_of_two_lines_is_refused(self) -> None:
        built = await self.check_out(repourl=self.url, auth_credentials=("alice", "one\nhost=evil"))
        assert built.result is FAILURE
        assert "the password of a git credential has a newline in it" in built.everything("git")

    async def test_the_helpers_of_the_slaves_user_are_not_asked(self) -> None:
        asked = self.rig.base / "asked"
        config = {"credential.helper": f"!touch {asked}; false"}
        built = await self.check_out(
            repourl=self.url, auth_credentials=(self.server.user, self.server.password), config=config
        )
        self.assert_success(built)
        assert not asked.exists()
