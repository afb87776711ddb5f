"""GitHub, GitLab and Gerrit: which commit of a pull request, merge request or review is built."""

from __future__ import annotations

from typing import Any

from buildbot.model import Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.source.gerrit import Gerrit
from buildbot.steps.source.github import GitHub
from buildbot.steps.source.gitlab import GitLab
from tests.processes import Processes
from tests.rig import Built, Source
from tests.source.repositories import GitCase, Repository
from tests.source.servers import WebServer, serve_git

SUCCESS, FAILURE = Result.SUCCESS, Result.FAILURE


class ForgeCase(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)

    async def build(self, step: Any, *sources: Source, **given: Any) -> Built:
        self.rig.add_builder("b", BuildFactory([step]))
        return await self.rig.build("b", *sources, given=given)

    def propose(self, repository: Repository, ref: str, **files: str) -> str:
        """A commit on top of the repository's branch that only `ref` names."""
        repository("checkout", "-q", "--detach")
        commit = repository.commit("proposed", **files)
        repository("update-ref", ref, commit)
        repository("checkout", "-q", "main")
        return commit


class TestGitHub(ForgeCase):
    async def test_a_pull_request_as_proposed_and_as_merged(self) -> None:
        url = f"{serve_git(self.processes, self.rig.base)}/upstream"
        head = self.propose(self.repository, "refs/pull/7/head", a="proposed\n")
        self.repository.commit("meanwhile", b="b\n")
        merge = self.propose(self.repository, "refs/pull/7/merge", a="proposed\n")
        for branch, revision, expected in (
            ("refs/pull/7/head", head, head),
            ("pull/7/head", head, head),
            ("refs/pull/7/merge", head, merge),  # the change names the head
            ("pull/7/merge", None, merge),
            ("main", self.first, self.first),
        ):
            built = await self.build(GitHub(url), Source(branch, revision))
            self.assert_success(built)
            assert built.properties["got_revision"] == expected, branch

    async def test_a_pull_request_that_cannot_be_merged(self) -> None:
        built = await self.build(GitHub(self.repository.url), Source("refs/pull/8/merge", self.first))
        assert built.result is FAILURE
        assert "there is no branch refs/pull/8/merge" in built.step("git").state_text


class TestGitLab(ForgeCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.fork = Repository(self.rig.base / "fork")
        self.fork("fetch", "-q", self.repository.url, "main")
        self.fork("reset", "-q", "--hard", "FETCH_HEAD")
        self.fork("checkout", "-q", "-b", "feature")
        self.proposed = self.fork.commit("proposed", a="proposed\n")
        self.target = {"target_branch": "main", "target_git_ssh_url": self.repository.url}
        self.request = self.target | {"source_branch": "feature", "source_git_ssh_url": self.fork.url}

    async def test_a_merge_request_comes_from_its_own_project(self) -> None:
        built = await self.build(GitLab(self.repository.url), Source("main"), **self.request)
        self.assert_success(built)
        assert built.properties["got_revision"] == self.proposed
        newer = self.fork.commit("more", a="more\n")
        built = await self.build(GitLab(self.repository.url), Source("main", self.proposed), **self.request)
        assert built.properties["got_revision"] == self.proposed
        built = await self.build(GitLab(self.repository.url), Source("main"), **self.request)
        assert built.properties["got_revision"] == newer
        built = await self.build(GitLab(self.repository.url), Source("main"))
        assert built.properties["got_revision"] == self.first

    async def test_over_the_web_it_comes_over_the_web(self) -> None:
        web = WebServer(self.processes, self.rig.base / "web", self.rig.base)
        request = self.request | {"source_repository": f"{web.private}/fork", "source_git_ssh_url": "ssh://nowhere/x"}
        step = GitLab(f"{web.private}/upstream", auth_credentials=(web.user, web.password))
        built = await self.build(step, Source("main"), **request)
        self.assert_success(built)
        assert built.properties["got_revision"] == self.proposed
        assert "/private/fork" in web.seen()

    async def test_of_several_codebases_the_requests_target_alone_is_replaced(self) -> None:
        other = Repository(self.rig.base / "other")
        second = other.commit("o", b="b\n")
        steps = [
            GitLab(self.repository.url, codebase="app", workdir="build/app"),
            GitLab(other.url, codebase="lib", workdir="build/lib"),
        ]
        self.rig.add_builder("b", BuildFactory(steps))
        built = await self.rig.build("b", Source(codebase="app"), Source(codebase="lib"), given=self.request)
        assert built.result is SUCCESS
        assert built.properties["got_revision"] == {"app": self.proposed, "lib": second}

    async def test_a_merge_request_from_nowhere(self) -> None:
        built = await self.build(GitLab(self.repository.url), Source("main"), **self.target)
        assert built.result is FAILURE
        assert "its property source_git_ssh_url names no repository" in built.step("git").state_text


class TestGerrit(ForgeCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.ref = "refs/changes/05/1205/3"
        self.proposed = self.propose(self.repository, self.ref, a="proposed\n")
        self.url = f"{serve_git(self.processes, self.rig.base)}/upstream"

    async def got(self, **given: Any) -> Any:
        built = await self.build(Gerrit(self.url), Source("main"), **given)
        self.assert_success(built)
        properties = built.properties
        assert properties.get("gerrit_branch") == (None if properties["got_revision"] == self.first else self.ref)
        return properties["got_revision"]

    async def test_each_way_to_name_a_change(self) -> None:
        assert await self.got() == self.first
        assert await self.got(**{"event.patchSet.ref": self.ref}) == self.proposed
        assert await self.got(gerrit_change="1205/3") == self.proposed
        assert await self.got(gerrit_changes=[{"change_id": 1205, "revision_id": 3}]) == self.proposed
        assert await self.got(gerrit_changes=["1205/3"]) == self.proposed

    async def test_with_its_revision(self) -> None:
        given = {"event.patchSet.ref": self.ref}
        built = await self.build(Gerrit(self.url), Source("main", self.proposed), **given)
        assert built.properties["got_revision"] == self.proposed

    async def test_what_is_no_change_is_told(self) -> None:
        for given, text in (
            ({"gerrit_change": "1205"}, "'1205' is not a change: write NUMBER/PATCHSET"),
            ({"gerrit_changes": ["1/1", "2/1"]}, "gerrit_changes has several changes"),
            ({"event.patchSet.ref": "main"}, "'main' is not the ref of a change"),
        ):
            built = await self.build(Gerrit(self.url), Source("main"), **given)
            assert built.result is FAILURE
            assert text in built.step("git").state_text

    async def test_a_change_of_another_project_is_not_this_steps(self) -> None:
        self.rig.add_builder("b", BuildFactory([Gerrit(self.url)]))
        given = {"event.patchSet.ref": self.ref, "event.change.project": "elsewhere"}
        built = await self.rig.build("b", Source("main", project="here"), given=given)
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        built = await self.rig.build("b", Source("main", project="elsewhere"), given=given)
        assert built.properties["got_revision"] == self.proposed
