"""The Git step against real repositories, on a real slave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import inlineCallbacks

from buildbot.config import names
from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.steps.source.git import Git
from tests.processes import Processes
from tests.rig import Source
from tests.source.repositories import GitCase, Repository, git
from tests.source.servers import serve_git

SUCCESS, FAILURE, CANCELLED = Result.SUCCESS, Result.FAILURE, Result.CANCELLED


class TestModes(GitCase):
    async def test_the_first_checkout_has_the_newest_commit_of_the_branch(self) -> None:
        newest = self.repository.commit("second", a="two\n")
        built = await self.check_out()
        self.assert_success(built)
        assert (self.work / "a").read_text() == "two\n"
        assert built.properties["got_revision"] == newest
        assert built.step("git").state_text == "update"

    async def test_incremental_keeps_what_is_not_gits_and_takes_away_what_git_dropped(self) -> None:
        self.repository.commit("ignoring", **{".gitignore": "*.o\n"})
        await self.check_out()
        (self.work / "made.o").write_text("object")
        (self.work / "own").write_text("mine")
        (self.work / "a").write_text("spoiled")
        self.repository.commit("second", gone=None)
        self.assert_success(await self.check_out())
        assert (self.work / "made.o").read_text() == "object"
        assert (self.work / "own").read_text() == "mine"
        assert (self.work / "a").read_text() == "one\n"
        assert not (self.work / "gone").exists()

    async def assert_left(self, method: str | None, *left: str) -> None:
        self.repository.commit("ignoring", **{".gitignore": "*.o\n"})
        await self.check_out(mode="full", method=method)
        (self.work / "made.o").write_text("object")
        (self.work / "own").write_text("mine")
        nested = self.work / "nested"
        nested.mkdir()
        git(nested, "init", "-q")
        (nested / "file").write_text("in a repository of its own")
        self.repository.commit("second", a="two\n")
        self.assert_success(await self.check_out(mode="full", method=method))
        assert {path.name for path in self.work.iterdir()} == {".git", ".gitignore", "a", "gone", *left}
        assert (self.work / "a").read_text() == "two\n"

    async def test_fresh_removes_untracked_and_ignored_files(self) -> None:
        await self.assert_left("fresh")

    async def test_full_alone_means_fresh(self) -> None:
        await self.assert_left(None)

    async def test_clean_leaves_ignored_files(self) -> None:
        await self.assert_left("clean", "made.o")

    async def test_clobber_begins_with_nothing(self) -> None:
        await self.check_out(mode="full", method="clobber")
        (self.work / ".git" / "marker").write_text("old")
        await self.assert_left("clobber")
        assert not (self.work / ".git" / "marker").exists()

    async def test_copy_updates_another_directory_and_copies_it(self) -> None:
        await self.assert_left("copy")
        assert (self.rig.slave_dir() / "source" / "a").read_text() == "two\n"
        assert not (self.rig.slave_dir() / "source" / "own").exists()

    async def test_the_modes_of_old_configurations_are_understood(self) -> None:
        assert (Git("x", mode="update").mode, Git("x", mode="update").method) == ("incremental", None)
        assert (Git("x", mode="copy").mode, Git("x", mode="copy").method) == ("full", "copy")
        assert (Git("x", mode="clobber").mode, Git("x", mode="clobber").method) == ("full", "clobber")

    async def test_repourl_alone_is_enough(self) -> None:
        self.assert_success(await self.run_steps(Git(self.repository.url)))


class TestSources(GitCase):
    async def test_the_revision_of_the_source_stamp_is_built(self) -> None:
        self.repository.commit("second", a="two\n")
        built = await self.check_out(Source("main", self.first))
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        assert (self.work / "a").read_text() == "one\n"

    async def test_the_last_changes_revision_is_built(self) -> None:
        second = self.repository.commit("second", a="two\n")
        self.repository.commit("third", a="three\n")
        changes = [NewChange("me", revision=self.first), NewChange("me", revision=second)]
        built = await self.check_out(Source("main", changes=changes))
        assert built.properties["got_revision"] == second
        assert built.properties["revision"] == second

    async def test_always_use_latest_ignores_the_revision(self) -> None:
        second = self.repository.commit("second", a="two\n")
        built = await self.check_out(Source("main", self.first), alwaysUseLatest=True)
        assert built.properties["got_revision"] == second

    async def test_the_branch_of_the_source_stamp_comes_before_that_of_the_step(self) -> None:
        self.repository("branch", "old")
        self.repository("branch", "stable")
        self.repository.commit("second", a="two\n")
        built = await self.check_out(Source("old"), branch="stable")
        assert built.properties["got_revision"] == self.first
        assert git(self.work, "rev-parse", "--abbrev-ref", "HEAD") == "old"
        built = await self.check_out(Source(), branch="stable")
        assert git(self.work, "rev-parse", "--abbrev-ref", "HEAD") == "stable"

    async def test_a_tag_may_stand_for_a_branch_or_a_revision(self) -> None:
        self.repository("tag", "-a", "-m", "release", "v1")
        self.repository.commit("second", a="two\n")
        built = await self.check_out(Source("v1"))
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        built = await self.check_out(Source("main", "v1"), tags=True, mode="full", method="clobber")
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first

    async def test_a_tag_is_looked_up_each_time(self) -> None:
        self.repository("tag", "nightly")
        second = self.repository.commit("second", a="two\n")
        assert (await self.check_out(Source("main", "nightly"))).properties["got_revision"] == self.first
        self.repository("tag", "-f", "nightly", second)
        assert (await self.check_out(Source("main", "nightly"))).properties["got_revision"] == second

    async def test_a_branch_comes_before_a_tag_of_its_name(self) -> None:
        self.repository("tag", "both")
        second = self.repository.commit("second", a="two\n")
        self.repository("branch", "both")
        built = await self.check_out(Source("both"))
        assert built.properties["got_revision"] == second

    async def test_branch_names_that_grow_into_directories(self) -> None:
        self.repository("branch", "topic")
        self.assert_success(await self.check_out(Source("topic")))
        self.repository("branch", "-D", "topic")
        self.repository("branch", "topic/one")
        self.assert_success(await self.check_out(Source("topic/one")))

    async def test_each_codebase_has_its_directory_and_its_part_of_got_revision(self) -> None:
        other = Repository(self.rig.base / "other")
        second = other.commit("o", b="b\n")
        built = await self.run_steps(
            Git(self.repository.url, codebase="app", workdir="build/app"),
            Git(other.url, codebase="lib", workdir="build/lib"),
            sources=[Source(codebase="app"), Source(codebase="lib")],
        )
        assert built.result is SUCCESS
        assert built.properties["got_revision"] == {"app": self.first, "lib": second}
        assert list(built.results) == ["git-app", "git-lib"]
        assert (self.work / "lib" / "b").exists()

    async def test_a_codebase_that_the_build_has_not_is_a_failure(self) -> None:
        built = await self.run_steps(Git(self.repository.url, codebase="lib"), sources=[Source(codebase="app")])
        assert built.result is FAILURE
        assert "no source stamp of the codebase 'lib'" in built.everything("git-lib")

    async def test_the_url_may_depend_on_the_repository_of_the_source_stamp(self) -> None:
        name = Source(repository="upstream")
        base = self.rig.base.as_uri()
        self.assert_success(await self.check_out(name, repourl=f"{base}/%s"))
        self.assert_success(await self.check_out(name, repourl={"upstream": self.repository.url}))
        self.assert_success(await self.check_out(name, repourl=lambda repository: f"{base}/{repository}"))
        built = await self.check_out(name, repourl={"another": "x"})
        assert built.result is FAILURE
        assert "no URL for the repository 'upstream'" in built.everything("git")


class TestOptions(GitCase):
    async def test_shallow_fetches_one_commit(self) -> None:
        self.repository.commit("second", a="two\n")
        self.repository.commit("third", a="three\n")
        self.assert_success(await self.check_out(shallow=True))
        assert git(self.work, "rev-list", "--count", "HEAD") == "1"
        self.assert_success(await self.check_out(shallow=2, mode="full", method="clobber"))
        assert git(self.work, "rev-list", "--count", "HEAD") == "2"

    async def test_a_shallow_copy_reaches_an_older_revision(self) -> None:
        self.repository.commit("second", a="two\n")
        self.assert_success(await self.check_out(shallow=True))
        built = await self.check_out(Source("main", self.first), shallow=True)
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first

    async def test_a_copy_that_was_shallow_becomes_whole(self) -> None:
        self.repository.commit("second", a="two\n")
        self.assert_success(await self.check_out(shallow=True))
        self.assert_success(await self.check_out())
        assert git(self.work, "rev-list", "--count", "HEAD") == "2"

    async def test_filters_make_a_partial_clone(self) -> None:
        self.repository("config", "uploadpack.allowFilter", "true")
        self.repository.commit("second", a="two\n")
        self.assert_success(await self.check_out(filters=["blob:none"]))
        missing = git(self.work, "rev-list", "--objects", "--all", "--missing=print", "HEAD")
        assert "\n?" in missing
        self.assert_success(await self.check_out(Source("main", self.first), filters=["blob:none"]))
        assert (self.work / "a").read_text() == "one\n"

    async def test_a_reference_lends_its_objects(self) -> None:
        self.assert_success(await self.check_out(reference=str(self.repository.path)))
        alternates = (self.work / ".git/objects/info/alternates").read_text().strip()
        assert Path(alternates) == self.repository.path / ".git/objects"
        assert git(self.work, "count-objects").startswith("0 objects")

    async def test_a_reference_that_is_not_there_does_no_harm(self) -> None:
        self.assert_success(await self.check_out(reference=str(self.rig.base / "nothing")))

    async def test_submodules_come_too_and_are_cleaned(self) -> None:
        library = Repository(self.rig.base / "library")
        library.commit("l", inside="1\n")
        self.repository("submodule", "--quiet", "add", library.url, "sub")
        self.repository.commit("with a submodule")
        self.assert_success(await self.check_out(submodules=True, mode="full"))
        assert (self.work / "sub/inside").read_text() == "1\n"
        (self.work / "sub/untracked").write_text("x")
        (self.work / "sub/inside").write_text("spoiled")
        library.commit("newer", inside="2\n")
        self.assert_success(await self.check_out(submodules=True, mode="full"))
        assert (self.work / "sub/inside").read_text() == "1\n"
        assert not (self.work / "sub/untracked").exists()
        self.assert_success(await self.check_out(submodules=True, remoteSubmodules=True))
        assert (self.work / "sub/inside").read_text() == "2\n"

    async def test_the_description_becomes_a_property(self) -> None:
        self.repository("tag", "-a", "-m", "one", "v1")
        self.repository.commit("second", a="two\n")
        built = await self.check_out(getDescription=True)
        assert built.properties["commit-description"].startswith("v1-1-g")
        built = await self.check_out(getDescription={"match": "v*", "abbrev": 0})
        assert built.properties["commit-description"] == "v1"
        built = await self.check_out(getDescription={"match": "nothing"})
        self.assert_success(built)
        assert "commit-description" not in built.properties

    async def test_configuration_and_the_remotes_name_reach_git(self) -> None:
        self.assert_success(await self.check_out(origin="upstream", config={"core.eol": "crlf", "core.autocrlf": "1"}))
        assert git(self.work, "config", "remote.upstream.url") == self.repository.url
        assert (self.work / "a").read_bytes() == b"one\r\n"

    async def test_progress_is_asked_for_unless_it_is_not_wanted(self) -> None:
        assert "--progress" in (await self.check_out()).everything("git")
        self.repository.commit("second", a="two\n")
        assert "--progress" not in (await self.check_out(progress=False)).everything("git")

    async def test_the_steps_environment_reaches_git(self) -> None:
        built = await self.check_out(env={"GIT_TRACE": "2"})
        assert "trace: built-in: git" in built.text("git")


class TestTroubles(GitCase):
    async def assert_mended(self, **options: Any) -> None:
        newest = self.repository.commit("after the trouble", a="mended\n")
        built = await self.check_out(**options)
        self.assert_success(built)
        assert built.properties["got_revision"] == newest
        assert (self.work / "a").read_text() == "mended\n"
        assert git(self.work, "status", "--porcelain", "--untracked-files=no") == ""

    async def check_out_with_own_file(self) -> None:
        self.assert_success(await self.check_out())
        (self.work / "own").write_text("mine")

    def assert_own_file_is_kept(self) -> None:
        assert (self.work / "own").read_text() == "mine"

    async def test_a_directory_that_git_does_not_know(self) -> None:
        self.work.mkdir(parents=True)
        (self.work / "own").write_text("mine")
        (self.work / "a").write_text("in the way")
        await self.assert_mended()
        self.assert_own_file_is_kept()

    async def test_objects_that_are_lost(self) -> None:
        await self.check_out_with_own_file()
        for path in sorted((self.work / ".git/objects").rglob("*")):
            if path.is_file():
                path.unlink()
        await self.assert_mended()
        self.assert_own_file_is_kept()

    async def test_a_head_that_is_garbage(self) -> None:
        await self.check_out_with_own_file()
        (self.work / ".git/HEAD").write_text("garbage")
        await self.assert_mended()
        self.assert_own_file_is_kept()

    async def test_a_configuration_that_is_garbage(self) -> None:
        await self.check_out_with_own_file()
        (self.work / ".git/config").write_text("[[[")
        await self.assert_mended()
        self.assert_own_file_is_kept()

    async def test_an_index_that_is_garbage(self) -> None:
        await self.check_out_with_own_file()
        (self.work / ".git/index").write_text("garbage")
        (self.work / ".git/marker").touch()
        await self.assert_mended()
        self.assert_own_file_is_kept()
        assert (self.work / ".git/marker").exists()  # all that was fetched before is kept

    async def test_a_repository_into_which_nothing_can_be_fetched(self) -> None:
        await self.check_out_with_own_file()
        (self.work / ".git/FETCH_HEAD").unlink()
        (self.work / ".git/FETCH_HEAD").mkdir()
        await self.assert_mended()
        self.assert_own_file_is_kept()

    async def test_a_repository_that_is_a_file(self) -> None:
        self.work.mkdir(parents=True)
        (self.work / ".git").write_text("gitdir: ../nowhere\n")
        await self.assert_mended()

    async def test_a_repository_in_a_directory_above_is_not_ours(self) -> None:
        git(self.rig.base, "init", "-q")
        await self.assert_mended()
        assert (self.work / ".git").is_dir()

    async def test_a_clone_that_others_made_is_used_as_it_is(self) -> None:
        self.repository("branch", "topic")
        self.work.parent.mkdir(parents=True)
        git(self.work.parent, "clone", "-q", self.repository.url, "build")
        (self.work / ".git/marker").touch()
        self.repository("branch", "-D", "topic")
        self.repository("branch", "topic/one")
        self.assert_success(await self.check_out(Source("topic/one")))
        assert (self.work / ".git/marker").exists()

    async def test_locks_of_a_git_that_was_killed(self) -> None:
        await self.check_out_with_own_file()
        git_dir = self.work / ".git"
        for name in ("index.lock", "HEAD.lock", "config.lock", "shallow.lock", "refs/heads/HEAD.lock"):
            (git_dir / name).write_text("")
        (git_dir / "marker").touch()
        await self.assert_mended()
        assert (git_dir / "marker").exists()
        assert list(git_dir.rglob("*.lock")) == []
        self.assert_own_file_is_kept()

    async def test_a_lock_of_the_index_alone(self) -> None:
        await self.check_out_with_own_file()
        (self.work / ".git/index.lock").touch()
        (self.work / ".git/marker").touch()
        await self.assert_mended()
        assert (self.work / ".git/marker").exists()

    async def test_a_merge_that_was_left_half_done(self) -> None:
        await self.check_out_with_own_file()
        git(self.work, "checkout", "-q", "-b", "mine")
        (self.work / "a").write_text("mine\n")
        git(self.work, "commit", "-q", "-a", "-m", "mine")
        git(self.work, "checkout", "-q", "-b", "theirs", "HEAD~1")
        (self.work / "a").write_text("theirs\n")
        git(self.work, "commit", "-q", "-a", "-m", "theirs")
        git(self.work, "merge", "mine", code=1)
        await self.assert_mended()

    async def test_a_changed_url(self) -> None:
        await self.check_out_with_own_file()
        self.repository = Repository(self.rig.base / "moved")
        self.repository.commit("another history", b="b\n")
        await self.assert_mended()
        assert not (self.work / "gone").exists()
        self.assert_own_file_is_kept()

    async def test_history_that_was_rewritten(self) -> None:
        await self.check_out_with_own_file()
        self.repository("commit", "-q", "--amend", "-m", "rewritten")
        await self.assert_mended()

    async def test_a_revision_that_was_pushed_away_is_fetched_by_its_name(self) -> None:
        second = self.repository.commit("second", a="two\n")
        self.repository("reset", "-q", "--hard", self.first)
        built = await self.check_out(Source("main", second))
        self.assert_success(built)
        assert built.properties["got_revision"] == second

    async def test_the_revision_of_a_deleted_branch(self) -> None:
        self.repository("checkout", "-q", "-b", "short")
        second = self.repository.commit("second", a="two\n")
        self.repository("checkout", "-q", "main")
        self.repository("branch", "-D", "short")
        built = await self.check_out(Source("short", second))
        self.assert_success(built)
        assert built.properties["got_revision"] == second

    async def test_a_revision_on_another_branch_of_a_server_that_gives_only_branches(self) -> None:
        self.repository("checkout", "-q", "-b", "side")
        second = self.repository.commit("second", a="two\n")
        self.repository.commit("third", a="three\n")
        self.repository("checkout", "-q", "main")
        built = await self.check_out(Source("main", second), config={"protocol.version": 0})
        self.assert_success(built)
        assert built.properties["got_revision"] == second

    async def test_a_deleted_branch_without_a_revision_is_a_failure(self) -> None:
        built = await self.check_out(Source("short"))
        assert built.result is FAILURE
        assert f"there is no branch short in {self.repository.url}" in built.everything("git")
        assert "there is no branch short" in built.step("git").state_text

    async def test_a_revision_that_is_nowhere_is_a_failure(self) -> None:
        built = await self.check_out(Source("main", "1" * 40))
        assert built.result is FAILURE
        assert f"there is no revision {'1' * 40}" in built.everything("git")

    async def test_a_server_that_is_away_leaves_the_working_copy_alone(self) -> None:
        await self.check_out_with_own_file()
        self.repository.path.rename(self.rig.base / "away")
        built = await self.check_out()
        assert built.result is FAILURE
        assert "cannot be reached" in built.step("git").state_text
        assert (self.work / "a").read_text() == "one\n"
        self.assert_own_file_is_kept()

    async def test_a_revision_that_is_here_needs_no_server(self) -> None:
        await self.check_out_with_own_file()
        self.repository.path.rename(self.rig.base / "away")
        self.assert_success(await self.check_out(Source("main", self.first)))

    async def test_a_failed_fetch_is_tried_again_when_the_step_says_so(self) -> None:
        for options, fetches in (({}, 1), ({"retryFetch": True}, 2), ({"retry": (0, 2)}, 3)):
            built = await self.check_out(repourl=(self.rig.base / "nothing").as_uri(), **options)
            assert built.result is FAILURE
            assert built.everything("git").count("git fetch --force") == fetches, options

    async def test_clobber_on_failure_begins_anew(self) -> None:
        await self.check_out_with_own_file()
        built = await self.check_out(repourl=(self.rig.base / "nothing").as_uri(), clobberOnFailure=True)
        assert built.result is FAILURE
        assert "beginning anew" in built.everything("git")
        assert not (self.work / "own").exists()

    async def test_names_that_look_like_options_are_only_names(self) -> None:
        self.repository("update-ref", "refs/heads/--upload-pack=touch${IFS}owned", self.first)
        self.assert_success(await self.check_out(Source("--upload-pack=touch${IFS}owned")))
        self.repository("update-ref", "refs/heads/-x", self.first)
        self.assert_success(await self.check_out(Source("-x")))
        assert list(self.rig.base.rglob("owned")) == []

    async def test_what_is_no_branch_and_no_revision_is_refused_before_git_sees_it(self) -> None:
        for source in (
            Source("a b"),
            Source("a..b"),
            Source("+refs/heads/*:refs/heads/*"),
            Source("main", "--output=x"),
            Source("main", "a b"),
            Source("main", ":/first"),
            Source("main\n"),
        ):
            built = await self.check_out(source)
            assert built.result is FAILURE
            assert built.commands("git") == [], source

    async def test_a_slave_without_git_is_told_in_a_sentence(self) -> None:
        built = await self.check_out(env={"PATH": str(self.rig.base)})
        assert built.result is FAILURE
        assert "git cannot be run on the slave" in built.step("git").state_text

    async def test_passwords_are_in_no_log_and_no_row(self) -> None:
        url = "http://me:s3cret-word@127.0.0.1:1/repository"
        built = await self.check_out(repourl=url)
        assert built.result is FAILURE
        assert "s3cret-word" not in built.everything("git")
        assert "s3cret-word" not in repr((built.commands("git"), built.steps, built.row, built.properties))
        assert "me:XXXX@127.0.0.1" in built.everything("git")
        assert git(self.work, "config", "remote.origin.url") == url

    async def test_a_stop_ends_git_and_the_build(self) -> None:
        script = self.rig.base / "bin" / "git"
        script.parent.mkdir()
        script.write_text("#!/bin/sh\necho sleeping; exec sleep 60\n")
        script.chmod(0o755)
        path = os.pathsep.join([str(script.parent), os.environ["PATH"]])
        self.rig_factory = Git(self.repository.url, env={"PATH": path}, clobberOnFailure=True, retry=(60, 3))
        waiting = self.run_steps_later(self.rig_factory)
        await self.rig.until_step_runs("git", "sleeping")
        (build,) = self.rig.running.by_id
        assert self.rig.control.stop_build(build, "tester", "enough")
        built = await waiting
        assert built.result is CANCELLED
        assert len(built.commands("git")) == 1

    async def test_a_stop_while_it_waits_to_try_again(self) -> None:
        waiting = self.run_steps_later(Git((self.rig.base / "nothing").as_uri(), retry=(300, 3)))
        await self.rig.until_step_runs("git", "trying again in 300 s")
        (build,) = self.rig.running.by_id
        self.rig.control.stop_build(build, "tester", "enough")
        assert (await waiting).result is CANCELLED

    async def test_a_lost_slave_sends_the_build_back(self) -> None:
        (self.rig.base / "bin").mkdir()
        script = self.rig.base / "bin" / "git"
        script.write_text("#!/bin/sh\necho sleeping; exec sleep 60\n")
        script.chmod(0o755)
        path = os.pathsep.join([str(script.parent), os.environ["PATH"]])
        waiting = self.run_steps_later(Git(self.repository.url, env={"PATH": path}))
        await self.rig.until_step_runs("git", "sleeping")
        script.unlink()
        await self.rig.lose()
        lost = await waiting
        assert lost.result is Result.RETRY
        again = await self.rig.built(lost.request.id, attempt=2)
        self.assert_success(again)


DIFF = b"""\
--- a/a
+++ b/a
@@ -1 +1 @@
-one
+patched
diff --git a/dir/new b/dir/new
new file mode 100644
--- /dev/null
+++ b/dir/new
@@ -0,0 +1 @@
+new
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-soon
"""


class TestPatches(GitCase):
    async def test_a_patch_is_applied_and_undone_by_the_next_build(self) -> None:
        await self.check_out()
        (self.work / "own").write_text("mine")
        built = await self.check_out(Source("main", self.first, patch=(1, DIFF, "")))
        self.assert_success(built)
        assert (self.work / "a").read_text() == "patched\n"
        assert (self.work / "dir/new").read_text() == "new\n"
        assert not (self.work / "gone").exists()
        assert (self.work / ".buildbot-patched").exists()
        assert not (self.work / ".buildbot-diff").exists()
        self.assert_success(await self.check_out())
        assert (self.work / "a").read_text() == "one\n"
        assert not (self.work / "dir/new").exists()
        assert (self.work / "gone").exists()
        assert not (self.work / ".buildbot-patched").exists()
        assert (self.work / "own").read_text() == "mine"

    async def test_a_patch_for_a_directory_in_the_source(self) -> None:
        self.first = self.repository.commit("deeper", deep__a="one\n", deep__gone="soon\n")
        built = await self.check_out(Source("main", patch=(1, DIFF, "deep")))
        self.assert_success(built)
        assert (self.work / "deep/a").read_text() == "patched\n"
        assert (self.work / "a").read_text() == "one\n"
        await self.check_out()
        assert not (self.work / "deep/dir/new").exists()

    async def test_a_patch_without_a_prefix(self) -> None:
        built = await self.check_out(Source("main", patch=(0, b"--- a\n+++ a\n@@ -1 +1 @@\n-one\n+patched\n", "")))
        self.assert_success(built)
        assert (self.work / "a").read_text() == "patched\n"

    async def test_a_patch_with_binary_files(self) -> None:
        made = bytes(range(256)) * 40
        (self.repository.path / "picture").write_bytes(made)
        git(self.repository.path, "add", "picture")
        diff = git(self.repository.path, "diff", "--cached", "--binary", "--full-index").encode() + b"\n\n" + DIFF
        git(self.repository.path, "reset", "--hard")
        built = await self.check_out(Source("main", patch=(1, diff, "")))
        self.assert_success(built)
        assert (self.work / "picture").read_bytes() == made
        assert (self.work / "a").read_text() == "patched\n"
        await self.check_out()
        assert not (self.work / "picture").exists()
        assert (self.work / "a").read_text() == "one\n"

    async def test_a_patch_that_does_not_apply_is_a_failure_and_leaves_nothing(self) -> None:
        diff = DIFF.replace(b"-one", b"-other")
        built = await self.check_out(Source("main", patch=(1, diff, "")))
        assert built.result is FAILURE
        assert "the patch does not apply" in built.step("git").state_text
        self.assert_success(await self.check_out(mode="full"))
        assert not (self.work / "dir").exists()

    async def test_a_patch_cannot_leave_the_source(self) -> None:
        for subdir in ("..", "/tmp", "a/../../.."):
            built = await self.check_out(Source("main", patch=(1, DIFF, subdir)))
            assert built.result is FAILURE
            assert "which is not in the source" in built.step("git").state_text

    async def test_a_patch_of_several_megabytes(self) -> None:
        lines = b"".join(b"+line %d\n" % number for number in range(300_000))
        diff = b"--- /dev/null\n+++ b/big\n@@ -0,0 +1,300000 @@\n" + lines
        built = await self.check_out(Source("main", patch=(1, diff, "")))
        self.assert_success(built)
        assert (self.work / "big").read_text().count("\n") == 300_000

    async def test_a_patch_in_the_copied_directory(self) -> None:
        built = await self.check_out(Source("main", patch=(1, DIFF, "")), mode="full", method="copy")
        self.assert_success(built)
        assert (self.work / "a").read_text() == "patched\n"
        assert (self.rig.slave_dir() / "source/a").read_text() == "one\n"


class TestDaemon(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.daemon_url = f"{serve_git(self.processes, self.rig.base)}/upstream"

    async def test_every_mode_over_the_network(self) -> None:
        for number, (mode, method) in enumerate(
            [("incremental", None), ("full", "fresh"), ("full", "clean"), ("full", "clobber"), ("full", "copy")]
        ):
            newest = self.repository.commit(f"change {number}", a=f"{number}\n")
            built = await self.check_out(repourl=self.daemon_url, mode=mode, method=method)
            self.assert_success(built)
            assert built.properties["got_revision"] == newest
            assert (self.work / "a").read_text() == f"{number}\n"

    async def test_a_server_that_gives_no_single_commits(self) -> None:
        second = self.repository.commit("second", a="two\n")
        self.repository.commit("third", a="three\n")
        built = await self.check_out(
            Source("main", second), repourl=self.daemon_url, shallow=True, config={"protocol.version": 0}
        )
        self.assert_success(built)
        assert built.properties["got_revision"] == second


class TestArguments(GitCase):
    with_slave = False

    def assert_refused(self, sentence: str, *args: Any, **options: Any) -> None:
        with self.assertRaises(ConfigErrors) as caught:
            Git(*(args or ("x",)), **options)
        assert sentence in str(caught.exception)

    def test_mistakes_are_said_when_the_configuration_is_read(self) -> None:
        self.assert_refused("Git needs a repourl", None)
        self.assert_refused("mode is 'incremental' or 'full', not 'sometimes'", mode="sometimes")
        self.assert_refused("method is one of fresh, clean, clobber, copy", mode="full", method="frsh")
        self.assert_refused("sshPrivateKey is a string, the text of the file", sshPrivateKey=b"x")
        self.assert_refused("sshHostKey and sshKnownHosts are two ways", sshHostKey="x", sshKnownHosts="y")
        self.assert_refused("auth_credentials is (user name, password)", auth_credentials="a:b")
        self.assert_refused("git_credentials is util.GitCredentialOptions", git_credentials=["url=x"])
        self.assert_refused("port is a number from 1 to 65535, not '22'", port="22")
        self.assert_refused("config is a dictionary", config=["a=b"])
        self.assert_refused("Git has no argument 'branhc'", branhc="x")
        self.assert_refused("shallow is True or a number", shallow=0)
        self.assert_refused("shallow is True or a number", shallow="1")
        self.assert_refused("filters is a list of strings", filters="blob:none")
        self.assert_refused("getDescription has no option 'mtach'", getDescription={"mtach": "v*"})
        self.assert_refused("retry is", retry=5)


OLD = """
from buildbot.process.factory import BuildFactory, s
from buildbot.steps.source import Git, Source
from buildbot.steps.source.oldsource import SlaveSource
f = BuildFactory([
    s(Git, repourl={url!r}, branch='main', mode='copy', progress=True, submodules=False, shallow=1, timeout=3600),
    Git(repourl={url!r}, mode='export', workdir='exported', ignore_ignores=False, retry=(1, 1)),
])
f.addStep(Git, repourl={base!r} + '/%s', mode='update', workdir='updated', alwaysUseLatest=True, reference=None)
f.addStep(Git({url!r}, 'main', mode='clobber', workdir='clobbered', haltOnFailure=True))
assert issubclass(Git, Source) and Source is SlaveSource
"""


class TestOldConfigurations(GitCase):
    async def test_the_arguments_of_steps_on_the_slaves_side(self) -> None:
        names.install()
        found: dict[str, Any] = {}
        exec(OLD.format(url=self.repository.url, base=self.rig.base.as_uri()), found)
        newest = self.repository.commit("second", a="two\n")
        self.rig.add_builder("b", found["f"])
        built = await self.rig.build("b", Source("main", self.first, repository="upstream"))
        assert built.result is SUCCESS, built.everything("git")
        read = {name: (self.rig.slave_dir() / name / "a").read_text() for name in ("build", "exported", "clobbered")}
        assert read == {"build": "one\n", "exported": "one\n", "clobbered": "one\n"}
        assert (self.rig.slave_dir() / "source/a").exists()
        assert (self.rig.slave_dir() / "updated/a").read_text() == "two\n"
        assert built.properties["got_revision"] in (self.first, newest)


class OfEight(Git):
    """As people wrote it for 0.8."""

    def startVC(self, branch: Any, revision: Any, patch: Any) -> None:
        if not revision and self.sourcestamp.branch is None:
            branch = self.getProperty("wanted")
        Git.startVC(self, branch, revision, patch)


class OfFour(Git):
    """As people wrote it for 4.x."""

    @inlineCallbacks
    def run_vc(self, branch: Any, revision: Any, patch: Any) -> Any:  # type: ignore[override]
        result = yield super().run_vc(branch.replace("topic", "stable"), revision, patch)
        count = yield self._dovccmd(["rev-list", "--count", "HEAD"], collectStdout=True)
        self.updateSourceProperty("count", count.strip())
        gone = yield self._dovccmd(["cat-file", "-e", "0" * 40], abandonOnFailure=False)
        self.updateSourceProperty("gone", str(gone))
        return result


class TestPeoplesSubclasses(GitCase):
    async def test_what_is_built_may_be_changed_by_either_method(self) -> None:
        self.repository("branch", "stable")
        self.repository.commit("second", a="two\n")
        self.rig.add_builder("b", BuildFactory([OfEight(self.repository.url)]))
        built = await self.rig.build("b", given={"wanted": "stable"})
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        built = await self.run_steps(OfFour(self.repository.url), sources=[Source("topic")])
        self.assert_success(built)
        assert built.properties["got_revision"] == self.first
        assert (built.properties["count"], built.properties["gone"]) == ("1", "1")

    async def test_their_failures_are_those_of_the_step(self) -> None:
        for kind in (OfEight, OfFour):
            built = await self.run_steps(kind((self.rig.base / "nothing").as_uri()), sources=[Source("main")])
            assert built.result is FAILURE
            assert "cannot be reached" in built.step("git").state_text


class TestWithOtherSteps(GitCase):
    async def test_a_failed_checkout_stops_the_build(self) -> None:
        built = await self.run_steps(Git((self.rig.base / "nothing").as_uri()), ShellCommand(command=["true"]))
        assert built.results == {"git": FAILURE}
