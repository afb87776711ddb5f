"""The Repo step with real repositories; `repo` itself is a stub that reads the manifest (see repo_stub.py)."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import NewChange, Result
from buildbot.process.factory import BuildFactory
from buildbot.steps.source.repo import Repo, RepoDownloadsFromChangeSource, RepoDownloadsFromProperties
from tests.processes import Processes
from tests.rig import Built, Source
from tests.source.repositories import GitCase, Repository
from tests.source.servers import WebServer, serve_git

SUCCESS, FAILURE = Result.SUCCESS, Result.FAILURE
MANIFEST = '<manifest><default revision="main"/><project name="upstream" path="src/app"/>{}</manifest>\n'
STUB = Path(__file__).with_name("repo_stub.py")


class Impatient(Repo):
    mirror_sync_sleep = 0.01
    mirror_sync_retry = 2


class RepoCase(GitCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.processes = Processes(self.rig.base / "processes")
        self.addCleanup(self.processes.stop_all)
        self.library = Repository(self.rig.base / "library")
        self.library.commit("l", inside="1\n")
        self.manifests = Repository(self.rig.base / "manifests")
        self.manifests.commit("m", **{"default.xml": MANIFEST.format('<project name="library"/>')})
        self.url = serve_git(self.processes, self.rig.base)
        bin = self.rig.base / "bin"
        bin.mkdir()
        (bin / "repo").write_text(f'#!/bin/sh\nexec {sys.executable} -I {STUB} "$@"\n')
        (bin / "repo").chmod(0o755)
        self.said = self.rig.base / "said"
        self.env = {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "REPO_SAID": str(self.said),
            "GIT_AUTHOR_NAME": "r", "GIT_AUTHOR_EMAIL": "r@r", "GIT_COMMITTER_NAME": "r", "GIT_COMMITTER_EMAIL": "r@r",
        }  # fmt: skip

    async def build(self, *sources: Source, kind: Any = Impatient, given: Any = None, **options: Any) -> Built:
        options = {"manifestURL": f"{self.url}/manifests", "manifestBranch": "main", "env": self.env} | options
        self.rig.add_builder("b", BuildFactory([kind(**options, logEnviron=False)]))
        return await self.rig.build("b", *sources, given=given)

    def assert_well(self, built: Built) -> None:
        assert built.result is SUCCESS, built.everything("repo")

    def commands(self) -> list[str]:
        lines = self.said.read_text().splitlines()
        self.said.unlink()
        return lines

    def propose(self, repository: Repository, number: int, **files: str) -> str:
        repository("checkout", "-q", "--detach")
        commit = repository.commit("proposed", **files)
        repository("update-ref", f"refs/changes/{number % 100:02d}/{number}/1", commit)
        repository("checkout", "-q", "main")
        return commit


class TestSync(RepoCase):
    async def test_all_projects_of_the_manifest_are_there(self) -> None:
        built = await self.build()
        self.assert_well(built)
        assert (self.work / "src/app/a").read_text() == "one\n"
        assert (self.work / "library/inside").read_text() == "1\n"
        assert self.commands() == [
            f"init -u {self.url}/manifests -b main -m default.xml --depth 0",
            "sync --force-sync -c",
            "manifest -r -o manifest-original.xml",
        ]
        assert f'path="src/app" revision="{self.first}"' in built.text("repo")  # what was built, in the log
        assert "got_revision" not in built.properties

    async def test_the_next_build_is_clean_and_newer(self) -> None:
        self.assert_well(await self.build())
        (self.work / "src/app/a").write_text("spoiled")
        (self.work / "src/app/made").write_text("made")
        (self.work / ".repo/manifests/default.xml").write_text("spoiled")
        (self.work / ".repo/manifests/.git/index.lock").touch()
        (self.work / ".repo/projects/library.git/index.lock").touch()
        (self.work / "own").touch()
        self.library.commit("newer", inside="2\n")
        self.assert_well(await self.build())
        assert (self.work / "src/app/a").read_text() == "one\n"
        assert not (self.work / "src/app/made").exists()
        assert (self.work / "library/inside").read_text() == "2\n"
        assert (self.work / "own").exists()

    async def test_options_reach_repo(self) -> None:
        self.manifests.commit("other", **{"other.xml": MANIFEST.format("")})
        self.assert_well(
            await self.build(manifestFile="other.xml", jobs=3, syncAllBranches=True, depth=5, submodules=True,
                             syncQuietly=True)
        )  # fmt: skip
        assert self.commands()[:2] == [
            f"init -u {self.url}/manifests -b main -m other.xml --depth 5 --submodules",
            "sync --force-sync -j3 -q",
        ]
        assert not (self.work / "library").exists()

    async def test_what_cannot_be_mended_is_made_anew(self) -> None:
        self.assert_well(await self.build())
        shutil.rmtree(self.work / ".repo/manifests/.git")
        (self.work / "own").touch()
        built = await self.build()
        self.assert_well(built)
        assert "beginning anew" in built.everything("repo")
        assert not (self.work / "own").exists()

    async def test_full_begins_with_nothing(self) -> None:
        self.assert_well(await self.build())
        (self.work / "own").touch()
        self.assert_well(await self.build(mode="full"))
        assert not (self.work / "own").exists()

    async def test_a_manifest_that_is_not_there_is_a_failure(self) -> None:
        built = await self.build(manifestURL=f"{self.url}/nothing")
        assert built.result is FAILURE
        assert built.step("repo").state_text == "repo: repo init failed (failure)"

    async def test_another_manifest_in_its_place(self) -> None:
        web = WebServer(self.processes, self.rig.base / "web", self.rig.base)
        (self.rig.base / "override.xml").write_text(MANIFEST.format(""))
        self.assert_well(await self.build(manifestOverrideUrl=f"{web.files}/override.xml"))
        assert not (self.work / "library").exists()
        (self.work / "mine.xml").write_text(MANIFEST.format('<project name="library" path="lib"/>'))
        self.assert_well(await self.build(manifestOverrideUrl="mine.xml"))
        assert (self.work / "lib/inside").exists()


class TestTarball(RepoCase):
    async def test_a_new_directory_begins_with_it(self) -> None:
        tarball = self.rig.base / "cache.tar.gz"
        self.assert_well(await self.build(tarball=str(tarball)))
        assert tarball.read_bytes()[:2] == b"\x1f\x8b"
        made = tarball.stat().st_mtime_ns
        shutil.rmtree(self.work)
        built = await self.build(tarball=str(tarball))
        self.assert_well(built)
        assert (self.work / "src/app/a").exists()
        assert tarball.stat().st_mtime_ns == made
        os.utime(tarball, (0, 0))
        self.assert_well(await self.build(tarball=str(tarball)))
        assert tarball.stat().st_mtime_ns >= made
        os.utime(tarball, (0, 0))
        self.assert_well(await self.build(tarball=str(tarball), updateTarballAge=None))
        assert tarball.stat().st_mtime_ns == 0

    async def test_a_damaged_one_is_replaced(self) -> None:
        tarball = self.rig.base / "cache.tar"
        tarball.write_bytes(b"garbage" * 1000)
        self.assert_well(await self.build(tarball=str(tarball)))
        assert b".repo/" in tarball.read_bytes()


class TestDownloads(RepoCase):
    async def test_changes_under_review(self) -> None:
        proposed = self.propose(self.repository, 1205, a="proposed\n")
        self.propose(self.library, 7, inside="review\n")
        built = await self.build(repoDownloads=["upstream 1205/1", "-c library 7/1"])
        self.assert_well(built)
        assert (self.work / "src/app/a").read_text() == "proposed\n"
        assert (self.work / "library/inside").read_text() == "review\n"
        first, commit, second, _ = built.properties["repo_downloaded"].split()
        assert (first, second) == ("1205/1", "7/1")
        assert proposed.startswith(commit)

    async def test_a_change_of_the_manifest_itself(self) -> None:
        self.propose(self.manifests, 9, **{"default.xml": MANIFEST.format("")})
        self.assert_well(await self.build(repoDownloads=["manifests 9/1"]))
        assert not (self.work / "library").exists()
        assert not [line for line in self.commands() if line.startswith("download")]

    async def test_a_change_that_is_not_there_is_asked_for_again(self) -> None:
        built = await self.build(repoDownloads=["upstream 99/1"])
        assert built.result is FAILURE
        assert built.step("repo").state_text == "repo: the change upstream 99/1 does not exist (failure)"
        assert len([line for line in self.commands() if line.startswith("download")]) == 3

    async def test_a_change_in_conflict_shows_it(self) -> None:
        self.propose(self.repository, 3, a="proposed\n")
        self.repository.commit("meanwhile", a="another\n")
        built = await self.build(repoDownloads=["-c upstream 3/1"])
        assert built.result is FAILURE
        assert built.step("repo").state_text == "repo: download failed: -c upstream 3/1 (failure)"
        assert "+<<<<<<< HEAD" in built.text("repo")

    async def test_those_that_a_property_names(self) -> None:
        self.propose(self.library, 7, inside="review\n")
        downloads = RepoDownloadsFromProperties(["wanted", "none"])
        built = await self.build(repoDownloads=downloads, given={"wanted": "repo download library 7/1"})
        self.assert_well(built)
        assert (self.work / "library/inside").read_text() == "review\n"

    async def test_those_of_the_changes_that_are_built(self) -> None:
        self.propose(self.library, 7, inside="review\n")
        event = {"event.type": "patchset-created", "event.change.project": "library", "event.change.number": "7"}
        change = NewChange("me", properties=tuple((event | {"event.patchSet.number": "1"}).items()))
        other = NewChange("me", properties=(("event.type", "ref-updated"),))
        downloads = RepoDownloadsFromChangeSource()
        self.assert_well(await self.build(Source("main", changes=[change, other]), repoDownloads=downloads))
        assert (self.work / "library/inside").read_text() == "review\n"

    def test_texts_that_name_downloads(self) -> None:
        parse = RepoDownloadsFromProperties(["x"]).parseDownloadProperty
        assert parse("repo download a/b 1/2 and repo download c 3/4") == ["a/b 1/2", "c 3/4"]
        assert parse("a/b 1/2\nc 3/4") == ["a/b 1/2", "c 3/4"]
        assert parse("a/b/1/2") == ["a/b 1/2"]
        assert parse("--upload-pack=evil 1/2") == []
        assert parse("nothing") == parse(None) == []

    def test_the_old_and_the_wrong_arguments(self) -> None:
        old = Repo(manifest_url="x", manifest_branch="b", manifest_file="f")
        assert (old.manifestURL, old.manifestBranch, old.manifestFile) == ("x", "b", "f")
        for options, text in (
            ({}, "Repo needs a manifestURL"),
            ({"manifestURL": "x", "tarball": "relative.tgz"}, "tarball is an absolute path"),
            ({"manifestURL": "x", "repoDownloads": "a 1/2"}, "repoDownloads is a list"),
            ({"manifestURL": "x", "repoDownloads": ["--evil a 1/2"]}, "a download is 'PROJECT NUMBER/PATCHSET'"),
            ({"manifestURL": "x", "job": 3}, "Repo has no argument 'job'"),
        ):
            with self.assertRaises(ConfigErrors) as caught:
                Repo(**options)
            assert text in str(caught.exception)
