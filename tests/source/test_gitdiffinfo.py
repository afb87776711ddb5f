"""GitDiffInfo: what it says of real diffs of a real repository."""

from __future__ import annotations

import json
from typing import Any

from buildbot.config.errors import ConfigErrors
from buildbot.model import Result
from buildbot.process.observers import MOST_LINE_LENGTH
from buildbot.steps.gitdiffinfo import Diff, GitDiffInfo
from buildbot.steps.source.git import Git
from tests.processes import Processes
from tests.rig import Built, Source
from tests.source.repositories import GitCase, git
from tests.source.servers import WebServer


class DiffCase(GitCase):
    async def told(self, *, login: dict[str, Any] | None = None, url: str | None = None, **options: Any) -> Built:
        options.setdefault("compareToRef", "main")
        checkout = Git(url or self.repository.url, **login or {})
        return await self.run_steps(checkout, GitDiffInfo(**options, **login or {}), sources=[Source("topic")])

    def found(self, built: Built, name: str = "diffinfo-master") -> dict[tuple[str, str], dict[str, Any]]:
        assert built.result is Result.SUCCESS, built.everything("GitDiffInfo")
        files = json.loads(built.text("GitDiffInfo", name))
        return {(file.pop("source_file"), file.pop("target_file")): file for file in files}


class TestDiffs(DiffCase):
    async def test_each_kind_of_change(self) -> None:
        path = self.repository.path
        lines = "".join(f"line {number}\n" for number in range(40))
        self.repository.commit("more", long=lines, moved=lines, bare="x")
        (path / "picture").write_bytes(bytes(range(256)))
        base = self.repository.commit("a picture")
        self.repository("checkout", "-q", "-b", "topic")
        changed = lines.replace("line 3\n", "-- three\n").replace("line 20\n", "")
        changed = changed.replace("line 30\n", "++ x\nline 30\n")
        (path / "picture").write_bytes(bytes(range(255)))
        (path / "caf\u00e9 au lait").write_text("new\n")
        (path / b"latin-\xe9".decode("utf-8", "surrogateescape")).write_text("new\n")
        (path / "moved").rename(path / "to here")
        (path / "empty").touch()
        (path / "bare").chmod(0o755)
        self.repository.commit("all of it", long=changed, gone=None)
        self.repository("checkout", "-q", "main")
        self.repository.commit("meanwhile", a="another\n")
        built = await self.told()
        found = self.found(built)
        usual = {"is_binary": False, "is_rename": False}
        new = {"ss": 0, "sl": 0, "ts": 1, "tl": 1}
        assert found == {
            ("long", "long"): usual | {"hunks": [
                {"ss": 4, "sl": 1, "ts": 4, "tl": 1}, {"ss": 21, "sl": 1, "ts": 20, "tl": 0},
                {"ss": 30, "sl": 0, "ts": 30, "tl": 1}]},
            ("gone", "/dev/null"): usual | {"hunks": [{"ss": 1, "sl": 1, "ts": 0, "tl": 0}]},
            ("/dev/null", "caf\u00e9 au lait"): usual | {"hunks": [new]},
            ("/dev/null", "latin-\\xe9"): usual | {"hunks": [new]},
            ("/dev/null", "empty"): usual | {"hunks": []},
            ("bare", "bare"): usual | {"hunks": []},
            ("picture", "picture"): {"is_binary": True, "is_rename": False, "hunks": []},
            ("moved", "to here"): {"is_binary": False, "is_rename": True, "hunks": []},
        }  # fmt: skip
        assert built.properties["diffinfo-merge-base-commit"] == base

    async def test_the_other_branch_is_as_the_server_has_it(self) -> None:
        self.repository("checkout", "-q", "-b", "topic")
        self.repository.commit("mine", b="b\n")
        for name in ("main", "origin/main", self.first):
            built = await self.told(compareToRef=name, dataName="what")
            assert list(self.found(built, "what")) == [("/dev/null", "b")]
        self.repository("checkout", "-q", "main")
        self.repository("merge", "-q", "topic")
        assert self.found(await self.told()) == {}

    async def test_a_branch_that_is_not_there(self) -> None:
        self.repository("branch", "topic")
        built = await self.told(compareToRef="nowhere")
        assert built.result is Result.FAILURE
        assert "nothing here comes from where nowhere comes from" in built.step("GitDiffInfo").state_text

    async def test_a_server_that_wants_a_password(self) -> None:
        processes = Processes(self.rig.base / "processes")
        self.addCleanup(processes.stop_all)
        web = WebServer(processes, self.rig.base / "web", self.rig.base)
        self.repository("checkout", "-q", "-b", "topic")
        self.repository.commit("mine", b="b\n")
        login = {"auth_credentials": (web.user, web.password)}
        built = await self.told(url=f"{web.private}/upstream", login=login)
        assert list(self.found(built)) == [("/dev/null", "b")]
        assert git(self.work, "status", "--porcelain") == ""


class TestReading(GitCase):
    with_slave = False

    def test_lines_that_come_in_parts_and_look_like_headers(self) -> None:
        diff = Diff()
        for line in ("diff --git a a", "--- a", "+++ a", "@@ -1 +1,2 @@", "--- b", "+" + "x" * (MOST_LINE_LENGTH - 1),
                     "@@ -1 +1 @@", "+++ c", "@@ -9,2 +10,0 @@ def", "-", "--"):  # fmt: skip
            diff.feed(line)
        (file,) = diff.files
        assert (file["source_file"], file["target_file"]) == ("a", "a")
        assert file["hunks"] == [{"ss": 1, "sl": 1, "ts": 1, "tl": 2}, {"ss": 9, "sl": 2, "ts": 10, "tl": 0}]

    def test_mistakes_are_said(self) -> None:
        for options in ({"compareToRef": ""}, {"dataName": 3}, {"comparetoref": "x"}):
            with self.assertRaises(ConfigErrors):
                GitDiffInfo(**options)
