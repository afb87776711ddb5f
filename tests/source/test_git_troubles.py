"""What goes wrong around the Git step: names that are no text, hooks and servers that hang, git-lfs, submodules that
move or break, fetches that were killed half-way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from buildbot.model import Result
from buildbot.steps.source.git import Git
from tests.processes import Processes
from tests.rig import Source
from tests.source.repositories import GitCase, Repository, git
from tests.source.servers import SilentServer, serve_git
from tests.tools import require_tool

SUCCESS, FAILURE, CANCELLED = Result.SUCCESS, Result.FAILURE, Result.CANCELLED
LATIN = b"caf\xe9 \xfc"
LFS = {
    "filter.lfs.process": "git-lfs filter-process",
    "filter.lfs.smudge": "git-lfs smudge -- %f",
    "filter.lfs.required": "true",
}


class TestNames(GitCase):
    @property
    def latin(self) -> Path:
        return self.work / os.fsdecode(LATIN)

    async def test_a_file_name_in_latin_1(self) -> None:
        (self.repository.path / os.fsdecode(LATIN)).write_text("one\n")
        self.repository.commit("a name that is no text")
        self.assert_success(await self.check_out())
        assert self.latin.read_text() == "one\n"
        self.latin.write_text("spoiled")
        (self.work / os.fsdecode(b"other \xff")).write_text("untracked")
        built = await self.check_out(mode="full")
        self.assert_success(built)
        assert self.latin.read_text() == "one\n"
        assert not (self.work / os.fsdecode(b"other \xff")).exists()

    async def test_a_patch_that_makes_such_a_file_is_undone(self) -> None:
        (self.repository.path / os.fsdecode(LATIN)).write_text("new\n")
        (self.repository.path / "with space").write_text("new\n")
        git(self.repository.path, "add", "-A")
        diff = git(self.repository.path, "diff", "--cached").encode() + b"\n"
        git(self.repository.path, "reset", "-q", "--hard")
        assert b'"b/caf\\351 \\374"' in diff
        self.assert_success(await self.check_out(Source("main", patch=(1, diff, ""))))
        assert self.latin.read_text() == "new\n"
        assert (self.work / "with space").exists()
        self.assert_success(await self.check_out())
        assert {path.name for path in self.work.iterdir()} == {".git", "a", "gone"}


class TestHangs(GitCase):
    def hook(self, text: str) -> dict[str, str]:
        """Settings with which this script runs after each checkout."""
        hooks = self.rig.base / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / "post-checkout").write_text(f"#!/bin/sh\n{text}\n")
        (hooks / "post-checkout").chmod(0o755)
        return {"core.hooksPath": str(hooks)}

    async def test_a_hook_that_hangs_runs_into_the_limit_of_time(self) -> None:
        built = await self.check_out(config=self.hook("exec sleep 600"), timeout=2)
        assert built.result is FAILURE
        assert "git timed out" in built.step("git").state_text
        self.assert_success(await self.check_out())  # and leaves nothing that is in the way

    async def test_a_hook_that_fails_is_told_as_that(self) -> None:
        self.assert_success(await self.check_out())
        (self.work / ".git/marker").touch()
        built = await self.check_out(config=self.hook("echo no; exit 1"))
        assert built.result is FAILURE
        assert "git checkout fails in a hook or in git-lfs" in built.step("git").state_text
        assert (self.work / ".git/marker").exists()  # it is not the repository's fault

    async def test_a_server_that_says_nothing(self) -> None:
        silent = SilentServer()
        self.addCleanup(silent.stop)
        for scheme in ("git", "http"):
            built = await self.check_out(repourl=f"{scheme}://127.0.0.1:{silent.port}/x", timeout=1)
            assert built.result is FAILURE
            assert "git timed out" in built.step("git").state_text

    async def test_a_fetch_that_is_stopped_half_way_leaves_nothing_in_the_way(self) -> None:
        script = self.rig.base / "half"
        script.write_text('#!/bin/sh\n(git-upload-pack "$@" | dd bs=1 count=150000 status=none) ; exec sleep 600\n')
        script.chmod(0o755)
        self.repository.commit("big", big=os.urandom(200_000).hex())
        config = {"remote.origin.uploadpack": str(script), "protocol.version": "0", "fetch.unpackLimit": "1"}
        building = self.run_steps_later(Git(self.repository.url, config=config))
        await self.rig.until(lambda: list(self.work.glob(".git/objects/pack/tmp_pack_*")), "a part has come")
        (build,) = self.rig.running.by_id.values()
        await build.stopBuild("enough")
        assert (await building).result is CANCELLED
        self.assert_success(await self.check_out())
        assert git(self.work, "fsck", "--no-dangling") == ""

    async def test_a_port_on_which_nobody_listens(self) -> None:
        silent = SilentServer()
        silent.stop()
        built = await self.check_out(repourl=f"git://127.0.0.1:{silent.port}/x", retry=(0.01, 2))
        assert built.result is FAILURE
        assert "cannot be reached" in built.step("git").state_text
        assert built.everything("git").count("trying again") == 2


class TestLFS(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        require_tool("git-lfs", "git-lfs")
        git(self.repository.path, "lfs", "install", "--local")
        git(self.repository.path, "lfs", "track", "*.bin")
        self.content = os.urandom(5000)
        (self.repository.path / "large.bin").write_bytes(self.content)
        self.repository.commit("large")

    async def test_files_that_git_lfs_keeps_are_brought(self) -> None:
        assert "git-lfs" in self.repository("show", "HEAD:large.bin")
        for mode, method in (("incremental", None), ("full", "fresh"), ("full", "clobber"), ("full", "copy")):
            built = await self.check_out(mode=mode, method=method, config=LFS)
            self.assert_success(built)
            assert (self.work / "large.bin").read_bytes() == self.content, (mode, method)

    async def test_without_git_lfs_there_are_its_pointers(self) -> None:
        config = {"filter.lfs.process": "", "filter.lfs.smudge": "", "filter.lfs.required": "false"}
        self.assert_success(await self.check_out(config=config))
        assert (self.work / "large.bin").read_text().startswith("version https://git-lfs")

    async def test_what_the_server_lost_is_told_and_breaks_nothing(self) -> None:
        self.assert_success(await self.check_out(config=LFS))
        (self.work / ".git/marker").touch()
        (self.repository.path / "large.bin").write_bytes(b"newer" * 1000)
        self.repository.commit("larger")
        shutil.rmtree(self.repository.path / ".git/lfs/objects")
        built = await self.check_out(config=LFS)
        assert built.result is FAILURE
        assert "in a hook or in git-lfs" in built.step("git").state_text
        assert (self.work / ".git/marker").exists()


class TestSubmodules(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.url = serve_git(self.processes, self.rig.base)
        self.inner = Repository(self.rig.base / "inner")
        self.inner.commit("i", deep="1\n")
        self.library = Repository(self.rig.base / "library")
        self.library.commit("l", inside="1\n")
        self.library("submodule", "--quiet", "add", f"{self.url}/inner", "inner")
        self.library.commit("nested")
        self.repository("submodule", "--quiet", "add", f"{self.url}/library", "sub")
        self.repository.commit("with a submodule")
        self.assert_success(await self.built())

    async def built(self, **options: Any) -> Any:
        return await self.check_out(repourl=f"{self.url}/upstream", submodules=True, **options)

    def assert_there(self, inside: str, deep: str) -> None:
        assert (self.work / "sub/inside").read_text() == inside
        assert (self.work / "sub/inner/deep").read_text() == deep

    async def test_a_submodule_whose_url_has_changed(self) -> None:
        self.assert_there("1\n", "1\n")
        shutil.move(self.library.path, self.rig.base / "moved")
        self.repository("config", "-f", ".gitmodules", "submodule.sub.url", f"{self.url}/moved")
        moved = Repository(self.rig.base / "library")  # something else is at the old place
        moved.commit("not it", inside="wrong\n")
        git(self.rig.base / "moved", "commit", "-q", "--allow-empty", "-m", "newer")
        (self.rig.base / "moved/inside").write_text("2\n")
        git(self.rig.base / "moved", "commit", "-q", "-a", "-m", "newer")
        git(self.repository.path / "sub", "fetch", "-q", f"{self.url}/moved", "main")
        git(self.repository.path / "sub", "checkout", "-q", "FETCH_HEAD")
        self.repository.commit("the submodule has moved")
        self.assert_success(await self.built())
        self.assert_there("2\n", "1\n")

    async def test_a_submodule_of_a_submodule_whose_url_has_changed(self) -> None:
        shutil.move(self.inner.path, self.rig.base / "deeper")
        (self.rig.base / "deeper/deep").write_text("2\n")
        git(self.rig.base / "deeper", "commit", "-q", "-a", "-m", "newer")
        self.library("config", "-f", ".gitmodules", "submodule.inner.url", f"{self.url}/deeper")
        git(self.library.path / "inner", "fetch", "-q", f"{self.url}/deeper", "main")
        git(self.library.path / "inner", "checkout", "-q", "FETCH_HEAD")
        self.library.commit("the inner one has moved")
        git(self.repository.path / "sub", "fetch", "-q", f"{self.url}/library", "main")
        git(self.repository.path / "sub", "checkout", "-q", "FETCH_HEAD")
        self.repository.commit("newer library")
        self.assert_success(await self.built())
        self.assert_there("1\n", "2\n")

    async def test_a_submodule_that_is_damaged_is_made_anew(self) -> None:
        for path in sorted((self.work / ".git/modules/sub/objects").rglob("*")):
            if path.is_file():
                path.unlink()
        (self.work / ".git/marker").touch()
        built = await self.built(mode="full")
        self.assert_success(built)
        self.assert_there("1\n", "1\n")
        assert (self.work / ".git/marker").exists()

    async def test_a_submodule_that_cannot_be_reached_leaves_what_is_there(self) -> None:
        shutil.move(self.library.path, self.rig.base / "away")
        (self.rig.base / "away/inside").write_text("2\n")
        git(self.rig.base / "away", "commit", "-q", "-a", "-m", "newer")
        git(self.repository.path / "sub", "fetch", "-q", f"{self.url}/away", "main")
        git(self.repository.path / "sub", "checkout", "-q", "FETCH_HEAD")
        self.repository.commit("newer library")
        built = await self.built()
        assert built.result is FAILURE
        assert "git submodule update failed" in built.step("git").state_text
        assert (self.work / ".git/modules/sub/objects").is_dir()
        shutil.move(self.rig.base / "away", self.library.path)
        self.assert_success(await self.built())
        self.assert_there("2\n", "1\n")
