"""What scripts of people find in a working copy of the Git step: that of a clone, whatever happens at the server."""

from __future__ import annotations

from buildbot.model import Result
from tests.rig import Source
from tests.source.repositories import GitCase, Repository, git


class TestWhatScriptsFind(GitCase):
    def refs(self, pattern: str = "refs/remotes/") -> dict[str, str]:
        lines = git(self.work, "for-each-ref", "--format=%(refname) %(objectname)", pattern).splitlines()
        return {name.removeprefix(pattern): id for name, id in map(str.split, lines)}

    async def test_branches_tags_and_an_upstream(self) -> None:
        self.repository("tag", "-a", "-m", "1.0", "v1")
        self.repository("branch", "side/one")
        newest = self.repository.commit("second", a="two\n")
        self.assert_success(await self.check_out(mode="full", method="clobber"))
        wanted = {"origin/HEAD": newest, "origin/main": newest, "origin/side/one": self.first}
        assert self.refs() == wanted
        assert git(self.work, "describe", "--tags") == f"v1-1-g{newest[:7]}"
        self.assert_success(await self.check_out(Source("side/one"), mode="full"))
        assert git(self.work, "diff", "--name-only", "HEAD...origin/main") == "a"
        assert git(self.work, "rev-parse", "--abbrev-ref", "side/one@{upstream}") == "origin/side/one"
        git(self.work, "fetch", "origin")
        git(self.work, "pull", "--quiet")
        assert self.refs() == wanted

    async def test_they_are_those_of_the_newest_fetch(self) -> None:
        self.repository("branch", "gone")
        self.repository("branch", "dir")
        await self.check_out()
        self.repository("branch", "-D", "gone", "dir")
        self.repository("branch", "dir/below")
        rewritten = self.repository.commit("one way", a="two\n")
        self.assert_success(await self.check_out(Source("main", rewritten)))
        self.repository("reset", "--hard", self.first)
        other = self.repository.commit("another way", a="three\n")
        self.assert_success(await self.check_out())
        assert self.refs("refs/remotes/origin/") == {"HEAD": other, "dir/below": self.first, "main": other}
        elsewhere = Repository(self.rig.base / "elsewhere")
        there = elsewhere.commit("there")
        self.assert_success(await self.check_out(repourl=elsewhere.url))
        assert self.refs("refs/remotes/origin/") == {"HEAD": there, "main": there}

    async def test_a_shallow_copy_has_that_of_its_branch(self) -> None:
        self.repository("branch", "other")
        newest = self.repository.commit("second", a="two\n")
        for source in (Source("main"), Source("main", newest)):
            self.assert_success(await self.check_out(source, shallow=True, mode="full", method="clobber"))
            assert self.refs() == {"origin/main": newest}
            assert git(self.work, "rev-list", "--count", "origin/main") == "1"

    async def test_what_cannot_be_noted_does_no_harm(self) -> None:
        await self.check_out(origin="upstream")
        assert set(self.refs()) == {"upstream/HEAD", "upstream/main"}
        (self.work / "keep").write_text("mine")
        log = self.work / ".git" / "logs" / "refs" / "remotes" / "upstream" / "main"
        log.unlink()
        (log / "in" / "the way").mkdir(parents=True)
        (log / "in" / "the way" / "file").touch()
        newest = self.repository.commit("second", a="two\n")
        built = await self.check_out(origin="upstream")
        assert (built.result, built.properties["got_revision"]) == (Result.SUCCESS, newest)
        assert (self.work / "keep").exists()
        assert "is damaged" not in built.everything("git")
        assert self.refs("refs/remotes/upstream/")["main"] == self.first
