"""Steps that work in a checkout of git: what is committed, tagged and pushed by a slave, and what has changed."""

from __future__ import annotations

import json

from buildbot.process.properties import Interpolate
from buildbot.process.results import SUCCESS
from buildbot.steps.gitdiffinfo import GitDiffInfo
from buildbot.steps.shell import ShellCommand
from buildbot.steps.source.gerrit import Gerrit
from buildbot.steps.source.git import Git
from buildbot.steps.source.github import GitHub
from buildbot.steps.source.gitlab import GitLab
from buildbot.steps.source.gitwriting import GitCommit, GitPush, GitTag
from tests.dialects.catalogue.case import Here, case
from tests.rig import Source
from tests.source.repositories import Repository, git

WHO = {"user.name": "The Robot", "user.email": "robot@example.org"}


@case(Git, GitCommit, GitPush, GitTag)
async def a_commit_is_made_and_pushed(here: Here) -> None:
    repository = Repository(here.rig.base / "written")
    first = repository.commit("first", a="one\n")
    bare = here.rig.base / "written.git"
    git(here.rig.base, "clone", "-q", "--bare", str(repository.path), str(bare))
    built = await here.run_steps(
        Git(bare.as_uri(), branch="main"),
        ShellCommand(command="echo made > made"),
        GitCommit(paths=["made"], messages=[Interpolate("%(prop:buildername)s was here"), "More."], config=WHO),
        GitTag(tagName="v1", annotated=True, messages=["the first"], config=WHO),
        GitPush(repourl=bare.as_uri(), branch="main"),
        sources=[Source("main")],
    )
    assert set(built.results.values()) == {SUCCESS}, built.results
    assert git(bare, "rev-parse", "main~1") == first == built.properties["got_revision"]
    assert git(bare, "log", "-1", "--format=%an %ae %B", "main") == "The Robot robot@example.org b was here\n\nMore."
    assert git(bare, "show", "--name-only", "--format=", "main") == "made"
    assert git(here.work, "rev-parse", "v1^{commit}") == git(bare, "rev-parse", "main")


@case(Gerrit, GitHub, GitLab)
async def what_forges_propose(here: Here) -> None:
    repository = Repository(here.rig.base / "forge")
    repository.commit("first", a="one\n")
    repository("checkout", "-q", "-b", "feature")
    proposed = repository.commit("proposed", a="proposed\n")
    for ref in ("refs/pull/7/head", "refs/changes/05/1205/3"):
        repository("update-ref", ref, proposed)
    repository("checkout", "-q", "main")
    url = repository.url
    request = {"target_branch": "main", "target_git_ssh_url": url, "source_git_ssh_url": url}
    for step, branch, given in (
        (GitHub(url, mode="full", method="clobber"), "refs/pull/7/head", {}),
        (GitLab(url), "main", {**request, "source_branch": "feature"}),
        (Gerrit(url), "main", {"event.patchSet.ref": "refs/changes/05/1205/3"}),
    ):
        built = await here.run_steps(step, sources=[Source(branch)], properties=given)
        assert built.results == {"git": SUCCESS}, built.everything("git")
        assert built.properties["got_revision"] == proposed
        assert (here.work / "a").read_text() == "proposed\n"


@case(GitDiffInfo)
async def what_has_changed_is_told(here: Here) -> None:
    repository = Repository(here.rig.base / "compared")
    repository.commit("first", a="one\n", gone="soon\n")
    repository("checkout", "-q", "-b", "topic")
    repository.commit("change", a="two\n", gone=None)
    built = await here.run_steps(Git(repository.url), GitDiffInfo(compareToRef="main"), sources=[Source("topic")])
    assert set(built.results.values()) == {SUCCESS}, built.everything("GitDiffInfo")
    found = {
        file["source_file"]: file["target_file"] for file in json.loads(built.text("GitDiffInfo", "diffinfo-master"))
    }
    assert found == {"a": "a", "gone": "/dev/null"}
