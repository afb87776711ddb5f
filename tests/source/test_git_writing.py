"""GitCommit, GitTag and GitPush, against repositories behind git daemon, ssh and a web server with a password."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import Result
from buildbot.process.properties import Interpolate
from buildbot.steps.shell import ShellCommand
from buildbot.steps.source.git import Git
from buildbot.steps.source.gitwriting import GitCommit, GitPush, GitTag
from tests.processes import Processes
from tests.rig import Built, Source
from tests.source.repositories import GitCase, Repository, git
from tests.source.servers import SSHServer, WebServer, serve_git

SUCCESS, FAILURE = Result.SUCCESS, Result.FAILURE
WHO = {"user.name": "The Robot", "user.email": "robot@example.org"}


class WritingCase(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.bare = self.rig.base / "bare.git"
        git(self.rig.base, "clone", "-q", "--bare", str(self.repository.path), str(self.bare))
        git(self.bare, "config", "http.receivepack", "true")

    async def after_checkout(self, *steps: Any, change: str = "echo made > made") -> Built:
        prepare = [Git(self.bare.as_uri(), branch="main"), ShellCommand(name="change", command=change)]
        return await self.run_steps(*prepare, *steps, sources=[Source("main")])

    def pushed(self, ref: str = "main") -> str:
        return git(self.bare, "rev-parse", ref)

    def local(self, what: str) -> str:
        return git(self.work, "rev-parse", what)


class TestCommit(WritingCase):
    async def test_added_files_become_a_commit_on_the_branch(self) -> None:
        message = Interpolate("%(prop:buildername)s was here")
        built = await self.after_checkout(GitCommit(paths=["made"], messages=[message, "More."], config=WHO))
        assert built.result is SUCCESS, built.everything("gitcommit")
        assert self.local("main~1") == self.first
        assert git(self.work, "log", "-1", "--format=%an %ae %B") == "The Robot robot@example.org b was here\n\nMore."
        assert git(self.work, "show", "--name-only", "--format=", "main") == "made"
        assert built.step("gitcommit").state_text == "commit"

    async def test_nothing_to_commit(self) -> None:
        for given, result, made in (
            ("disallow", FAILURE, False),
            ("ignore", SUCCESS, False),
            ("create-empty-commit", SUCCESS, True),
        ):
            step = GitCommit(paths=["a"], messages=["m"], emptyCommits=given, config=WHO)
            built = await self.after_checkout(step, change="true")
            assert built.results["gitcommit"] is result, given
            assert (self.local("main") != self.first) == made

    async def test_ignoring_emptiness_still_commits_what_there_is(self) -> None:
        step = GitCommit(paths=["a"], messages=["m"], emptyCommits="ignore", config=WHO)
        built = await self.after_checkout(step, change="echo new > a")
        assert built.result is SUCCESS
        assert self.local("main~1") == self.first

    async def test_hooks_can_be_left_out(self) -> None:
        hook = "echo new > a; printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
        step: dict[str, Any] = {"paths": ["a"], "messages": ["m"], "config": WHO}
        built = await self.after_checkout(GitCommit(**step), change=hook)
        assert built.results["gitcommit"] is FAILURE
        built = await self.after_checkout(GitCommit(**step, no_verify=True), change=hook)
        assert built.result is SUCCESS

    async def test_without_a_branch_it_says_what_to_do(self) -> None:
        built = await self.run_steps(
            Git(self.bare.as_uri()), GitCommit(paths=["a"], messages=["m"], config=WHO), sources=[Source()]
        )
        assert built.result is FAILURE
        assert "no branch is checked out; name one" in built.step("gitcommit").state_text

    async def test_a_path_that_looks_like_an_option(self) -> None:
        step = GitCommit(paths=["--all-is-well"], messages=["m"], config=WHO)
        built = await self.after_checkout(step, change="echo x > ./--all-is-well")
        assert built.result is SUCCESS


class TestTag(WritingCase):
    async def test_tags_with_and_without_a_message(self) -> None:
        annotated = GitTag(tagName="v2", annotated=True, messages=["Two.", "It is newer."], config=WHO)
        built = await self.after_checkout(GitTag(tagName=Interpolate("b%(prop:buildnumber)s")), annotated)
        assert built.result is SUCCESS, built.everything("gittag")
        assert self.local("b1") == self.first
        assert git(self.work, "for-each-ref", "--format=%(objecttype) %(contents)", "refs/tags/v2") == (
            "tag Two.\n\nIt is newer."
        )

    async def test_a_tag_that_is_there_is_moved_by_force_alone(self) -> None:
        git(self.bare, "tag", "v1", self.first)
        fetched = Git(self.bare.as_uri(), branch="main", tags=True)
        commit = GitCommit(paths=["a"], messages=["m"], emptyCommits="create-empty-commit", config=WHO)
        built = await self.run_steps(fetched, commit, GitTag(tagName="v1"), sources=[Source("main")])
        assert built.results["gittag"] is FAILURE
        assert "the tag v1 cannot be made" in built.step("gittag").state_text
        built = await self.run_steps(fetched, commit, GitTag(tagName="v1", force=True), sources=[Source("main")])
        assert built.result is SUCCESS
        assert self.local("v1") == self.local("main") != self.first


class TestPush(WritingCase):
    def steps(self, **push: Any) -> tuple[Any, ...]:
        return GitCommit(paths=["made"], messages=["m"], config=WHO), GitPush(**{"branch": "main"} | push)

    async def test_over_git_daemon(self) -> None:
        url = f"{serve_git(self.processes, self.rig.base, push=True)}/bare.git"
        built = await self.after_checkout(*self.steps(repourl=url))
        assert built.result is SUCCESS, built.everything("gitpush")
        assert self.pushed() == self.local("main") != self.first

    async def test_over_ssh_with_a_key(self) -> None:
        ssh = SSHServer(self.processes, self.rig.base / "sshd")
        login = {"sshPrivateKey": ssh.private_key, "sshHostKey": ssh.host_key}
        built = await self.after_checkout(*self.steps(repourl=f"{ssh.url}{self.bare}", branch="HEAD:new", **login))
        assert built.result is SUCCESS, built.everything("gitpush")
        assert self.pushed("new") == self.local("main")
        assert list((self.rig.base / "bot/.secrets").iterdir()) == []

    async def test_over_the_web_with_a_password(self) -> None:
        web = WebServer(self.processes, self.rig.base / "web", self.rig.base)
        url = f"{web.private}/bare.git"
        built = await self.after_checkout(*self.steps(repourl=url, auth_credentials=(web.user, web.password)))
        assert built.result is SUCCESS, built.everything("gitpush")
        assert self.pushed() == self.local("main")
        assert web.password not in built.everything("gitpush")
        built = await self.after_checkout(*self.steps(repourl=url, auth_credentials=(web.user, "mis-taken")),
                                          change="echo again > made")  # fmt: skip
        assert built.results["gitpush"] is FAILURE
        assert "mis-taken" not in built.everything("gitpush")

    async def test_a_password_in_the_url_is_not_shown(self) -> None:
        web = WebServer(self.processes, self.rig.base / "web", self.rig.base)
        url = f"{web.private}/bare.git".replace("//", f"//{web.user}:{web.password}@")
        built = await self.after_checkout(*self.steps(repourl=url))
        assert built.result is SUCCESS, built.everything("gitpush")
        assert web.password not in built.everything("gitpush")
        assert f"{web.user}:XXXX@" in built.everything("gitpush")

    async def test_what_would_lose_commits_needs_force(self) -> None:
        other = Repository(self.rig.base / "other")
        git(other.path, "pull", "-q", str(self.bare), "main")
        other.commit("meanwhile", b="b\n")
        commit, push = self.steps(repourl=self.bare.as_uri())
        meanwhile = f"echo made > made; git -C {other.path} push -q --force {self.bare} main"
        built = await self.after_checkout(commit, push, change=meanwhile)
        assert built.results["gitpush"] is FAILURE
        assert f"main cannot be pushed to {self.bare.as_uri()}" in built.step("gitpush").state_text
        assert self.pushed() == other.head()
        git(self.bare, "update-ref", "refs/heads/main", self.first)
        forced = GitPush(repourl=self.bare.as_uri(), branch="main", force=True)
        built = await self.after_checkout(commit, forced, change=meanwhile)
        assert built.result is SUCCESS, built.everything("gitpush")
        assert self.pushed() == self.local("main")


class TestArguments(GitCase):
    with_slave = False

    def assert_refused(self, sentence: str, kind: Any, **options: Any) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            kind(**options)
        assert sentence in str(caught.exception)

    def test_mistakes_are_said_when_the_configuration_is_read(self) -> None:
        commit: dict[str, Any] = {"paths": ["a"], "messages": ["m"]}
        self.assert_refused("GitCommit needs paths", GitCommit, messages=["m"])
        self.assert_refused("GitCommit: messages is a list of strings", GitCommit, paths=["a"], messages="m")
        self.assert_refused("emptyCommits is one of disallow,", GitCommit, **commit, emptyCommits="maybe")
        self.assert_refused("GitCommit has no argument 'path'", GitCommit, **commit, path=["a"])
        self.assert_refused("GitCommit has no argument 'sshPrivateKey'", GitCommit, **commit, sshPrivateKey="x")
        self.assert_refused("GitTag needs a tagName", GitTag)
        self.assert_refused("GitTag needs messages", GitTag, tagName="v", annotated=True)
        self.assert_refused("messages belong to annotated=True", GitTag, tagName="v", messages=["m"])
        self.assert_refused("GitPush needs a repourl", GitPush, branch="main")
        self.assert_refused("GitPush needs a branch", GitPush, repourl="x")
