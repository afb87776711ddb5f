"""What `buildbot try` sends, for every version control system: applied to a fresh checkout, the patch gives the working
copy. The systems that Debian has are real ones; the others are programs that answer as they would.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from buildbot.clients.tryclient import job_of
from buildbot.clients.tryvc import TAKERS, Asked, CannotTell, Taken
from tests.tools import require_tool

FIRST = {"a.txt": "one\ntwo\nthree\n", "sub/gone.txt": "will go\n", "sub/kept b.txt": "kept\n"}
LAST = {"a.txt": "one\n2\nthree\n", "sub/kept b.txt": "kept\nand more", "sub/new.txt": "ü\nnew\n"}


def run(cwd: Path, *words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout.strip()


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def change(top: Path, command: str, add: str = "add", remove: str = "rm") -> None:
    """Bring the working copy from FIRST to LAST."""
    run(top, command, remove, "sub/gone.txt")
    write(top, LAST)
    run(top, command, add, "sub/new.txt")


def files_of(top: Path) -> dict[str, str]:
    found = {}
    for path in top.rglob("*"):
        name = path.relative_to(top)
        if path.is_file() and not any(part.startswith((".", "_", "CVS")) for part in name.parts):
            found[str(name)] = path.read_text()
    return found


def applied(taken: Taken, fresh: Path) -> dict[str, str]:
    """The fresh checkout of the base with the patch, applied as the source steps do."""
    words = ["patch", f"-p{taken.level}", "--remove-empty-files", "--force", "--forward", "--quiet"]
    done = subprocess.run(words, cwd=fresh, input=taken.patch, capture_output=True, check=False)
    assert done.returncode == 0, done
    return files_of(fresh)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_tool("patch", "patch")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("EMAIL", "BRZ_EMAIL", "DARCS_EMAIL", "HGUSER"):
        monkeypatch.setenv(name, "Ann <ann@example.org>")


class TestGit:
    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        require_tool("git", "git")
        run(tmp_path, "git", "init", "-q", "origin")
        origin = tmp_path / "origin"
        write(origin, FIRST)
        run(origin, "git", "add", ".")
        run(origin, "git", "commit", "-qm", "first")
        run(tmp_path, "git", "clone", "-q", "origin", "clone")
        return tmp_path / "clone"

    def taken(self, clone: Path, **asked: str) -> Taken:
        return TAKERS["git"](clone / "sub", Asked(**asked))

    def fresh(self, clone: Path, revision: str | None) -> Path:
        where = clone.with_name("fresh")
        run(clone.parent, "git", "clone", "-q", "origin", where)
        run(where, "git", "checkout", "-q", str(revision))
        return where

    def test_what_is_not_committed(self, clone: Path) -> None:
        change(clone, "git")
        taken = self.taken(clone)
        assert (taken.branch, taken.note) == ("main", "")
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_what_is_committed_and_not_pushed_on_a_branch_of_another_name(self, clone: Path) -> None:
        run(clone, "git", "checkout", "-q", "-b", "mine", "--track", "origin/main")
        change(clone, "git")
        run(clone, "git", "commit", "-qam", "second")
        taken = self.taken(clone)
        assert taken.branch == "main"
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_the_server_being_ahead_does_not_undo_its_commits(self, clone: Path) -> None:
        origin = clone.with_name("origin")
        write(origin, {"other.txt": "theirs\n"})
        run(origin, "git", "add", ".")
        run(origin, "git", "commit", "-qm", "theirs")
        run(clone, "git", "fetch", "-q")
        change(clone, "git")
        taken = self.taken(clone)
        assert b"theirs" not in taken.patch
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_a_topic_branch_that_was_never_pushed(self, clone: Path) -> None:
        run(clone, "git", "checkout", "-q", "-b", "topic", "--no-track")
        change(clone, "git")
        run(clone, "git", "commit", "-qam", "second")
        taken = self.taken(clone)
        assert taken.branch == "topic"
        assert taken.revision == run(clone, "git", "rev-parse", "origin/main")
        assert self.taken(clone, branch="main").branch == "main"
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_a_detached_head_and_a_base_that_is_said(self, clone: Path) -> None:
        change(clone, "git")
        run(clone, "git", "commit", "-qam", "second")
        run(clone, "git", "checkout", "-q", "--detach")
        assert self.taken(clone).branch is None
        assert self.taken(clone, baserev="HEAD").patch == b""
        with pytest.raises(CannotTell, match="no commit 'nonsense'"):
            self.taken(clone, baserev="nonsense")

    def test_without_a_remote_the_last_commit_is_the_base(self, clone: Path) -> None:
        run(clone, "git", "remote", "remove", "origin")
        assert "the last commit is the base" in self.taken(clone).note

    def test_the_users_settings_do_not_bend_the_diff(self, clone: Path) -> None:
        for setting in ("diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "diff.external=false"):
            run(clone, "git", "config", *setting.split("="))
        change(clone, "git")
        taken = self.taken(clone)
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_not_a_working_copy(self, tmp_path: Path) -> None:
        with pytest.raises(CannotTell, match="not a git repository"):
            TAKERS["git"](tmp_path, Asked())


class TestMercurial:
    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        require_tool("hg", "mercurial")
        run(tmp_path, "hg", "init", "origin")
        write(tmp_path / "origin", FIRST)
        run(tmp_path / "origin", "hg", "commit", "-A", "-q", "-m", "first")
        run(tmp_path, "hg", "clone", "-q", "origin", "clone")
        return tmp_path / "clone"

    def fresh(self, clone: Path, revision: str | None) -> Path:
        run(clone.parent, "hg", "clone", "-q", "--rev", str(revision), "origin", "fresh")
        return clone.with_name("fresh")

    def test_local_commits_are_in_the_patch(self, clone: Path) -> None:
        run(clone, "hg", "rm", "sub/gone.txt")
        run(clone, "hg", "commit", "-q", "-m", "second")
        write(clone, LAST)
        run(clone, "hg", "add", "sub/new.txt")
        taken = TAKERS["hg"](clone / "sub", Asked())
        assert (taken.branch, taken.note) == ("default", "")
        assert applied(taken, self.fresh(clone, taken.revision)) == LAST

    def test_what_was_never_shared(self, clone: Path) -> None:
        run(clone, "hg", "phase", "--force", "--draft", "0")
        assert "was ever pushed or pulled" in TAKERS["hg"](clone, Asked()).note
        assert TAKERS["hg"](clone, Asked(baserev="0", branch="b")).branch == "b"


class TestSubversion:
    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        require_tool("svn", "subversion")
        run(tmp_path, "svnadmin", "create", "repository")
        (tmp_path / "import").mkdir()
        write(tmp_path / "import" / "trunk", FIRST)
        run(tmp_path, "svn", "import", "-q", "-m", "first", "import", f"file://{tmp_path}/repository")
        run(tmp_path, "svn", "checkout", "-q", f"file://{tmp_path}/repository/trunk", "copy")
        return tmp_path / "copy"

    def fresh(self, copy: Path, revision: str | None) -> Path:
        url = f"file://{copy.parent}/repository/trunk"
        run(copy.parent, "svn", "checkout", "-q", "-r", str(revision), url, "fresh")
        return copy.with_name("fresh")

    def test_a_working_copy(self, copy: Path) -> None:
        change(copy, "svn")
        taken = TAKERS["svn"](copy / "sub", Asked(branch="trunk"))
        assert (taken.branch, taken.revision) == ("trunk", "1")
        assert applied(taken, self.fresh(copy, taken.revision)) == LAST

    def test_files_of_different_revisions(self, copy: Path) -> None:
        write(copy, {"a.txt": "one\ntwo\nthree\nfour\n"})
        run(copy, "svn", "commit", "-q", "-m", "second", "a.txt")
        change(copy, "svn")
        taken = TAKERS["svn"](copy, Asked())
        assert taken.revision == "2"
        assert applied(taken, self.fresh(copy, "2")) == LAST

    def test_what_is_not_in_the_patch_is_told(self, copy: Path) -> None:
        for name in ("one", "two"):
            (copy / name).write_bytes(bytes(range(256)))
            run(copy, "svn", "add", "-q", name)
        _, note = job_of({"vc": "svn"}, copy, BytesIO())
        assert note == "2 binary files are not in the patch: the builds take what the server has"
        run(copy, "svn", "revert", "-q", "one", "two")
        write(copy, {"a.txt": "Binary files a and b differ\n"})
        assert job_of({"vc": "svn"}, copy, BytesIO())[1] == ""

    def test_the_top_by_a_file_or_a_directory(self, copy: Path) -> None:
        change(copy, "svn")
        whole = TAKERS["svn"](copy, Asked()).patch
        assert TAKERS["svn"](copy / "sub", Asked(topfile="a.txt")).patch == whole
        assert TAKERS["svn"](copy / "sub", Asked(topdir="..")).patch == whole
        with pytest.raises(CannotTell, match="there is no 'nowhere'"):
            TAKERS["svn"](copy, Asked(topfile="nowhere"))


def test_cvs(tmp_path: Path) -> None:
    require_tool("cvs", "cvs")
    root = f"-d{tmp_path}/repository"
    run(tmp_path, "cvs", root, "init")
    write(tmp_path / "import", FIRST)
    run(tmp_path / "import", "cvs", "-Q", root, "import", "-m", "first", "module", "vendor", "start")
    run(tmp_path, "cvs", "-Q", root, "checkout", "-d", "copy", "module")
    copy = tmp_path / "copy"
    (copy / "sub" / "gone.txt").unlink()
    change(copy, "cvs")
    taken = TAKERS["cvs"](copy / "sub", Asked())
    assert taken.branch is None
    assert str(taken.revision).endswith(" +0000")
    run(tmp_path, "cvs", "-Q", root, "checkout", "-D", str(taken.revision), "-d", "fresh", "module")
    assert applied(taken, tmp_path / "fresh") == LAST
    run(copy, "cvs", "-Q", "commit", "-m", "second")
    run(copy, "cvs", "-Q", "tag", "-b", "topic")
    run(copy, "cvs", "-Q", "update", "-r", "topic")
    assert TAKERS["cvs"](copy, Asked()).branch == "topic"


def test_bzr(tmp_path: Path) -> None:
    require_tool("bzr", "brz")
    run(tmp_path, "bzr", "init", "-q", "origin")
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    write(origin, FIRST)
    run(origin, "bzr", "add", "-q")
    run(origin, "bzr", "commit", "-q", "-m", "first")
    run(tmp_path, "bzr", "branch", "-q", "origin", "clone")
    run(clone, "bzr", "rm", "-q", "sub/gone.txt")
    run(clone, "bzr", "commit", "-q", "-m", "second")
    write(clone, LAST)
    run(clone, "bzr", "add", "-q")
    taken = TAKERS["bzr"](clone / "sub", Asked(branch="trunk"))
    assert (taken.branch, taken.revision) == ("trunk", "1")
    run(tmp_path, "bzr", "branch", "-q", "-r", "1", "origin", "fresh")
    assert applied(taken, tmp_path / "fresh") == LAST


def test_darcs(tmp_path: Path) -> None:
    require_tool("darcs", "darcs")
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    write(origin, FIRST)
    run(origin, "darcs", "initialize", "-q")
    run(origin, "darcs", "record", "-q", "-a", "-l", "-m", "first")
    run(tmp_path, "darcs", "clone", "-q", "origin", "clone")
    (clone / "sub" / "gone.txt").unlink()
    write(clone, LAST)
    run(clone, "darcs", "add", "-q", "sub/new.txt")
    taken = TAKERS["darcs"](clone / "sub", Asked())
    (tmp_path / "context").write_text(str(taken.revision))
    run(tmp_path, "darcs", "clone", "-q", "--context", tmp_path / "context", "origin", "fresh")
    assert applied(taken, tmp_path / "fresh") == LAST


# -- those of which there is no program here

Fake = Callable[[str, dict[str, str]], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a program into the path that writes down its words and gives the answer to the first ones that fit."""

    def make(name: str, answers: dict[str, str]) -> Path:
        where = tmp_path / "bin"
        where.mkdir(exist_ok=True)
        lines = ["#!/bin/sh", f'printf "%s\\n" "$*" >> {tmp_path}/said', 'case "$*" in']
        for number, (words, answer) in enumerate(answers.items()):
            (where / f"{name}.{number}").write_text(answer)
            lines.append(f'"{words}") cat {where}/{name}.{number};;')
        (where / name).write_text("\n".join([*lines, "*) echo unexpected >&2; exit 9;;", "esac", ""]))
        (where / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{where}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "said"

    return make


def test_monotone(tmp_path: Path, fake: Fake) -> None:
    (tmp_path / "copy" / "_MTN").mkdir(parents=True)
    fake("mtn", {"automate get_base_revision_id": "abc123\n", "diff -r abc123": "--- a\n"})
    assert TAKERS["mtn"](tmp_path / "copy", Asked(branch="b")) == Taken("b", "abc123", 0, b"--- a\n")
    with pytest.raises(CannotTell, match="no working copy of Monotone"):
        TAKERS["mtn"](tmp_path, Asked())


def test_repo(tmp_path: Path, fake: Fake) -> None:
    (tmp_path / "copy" / ".repo").mkdir(parents=True)
    (tmp_path / "copy" / "project").mkdir()
    fake("repo", {"--color=never diff -u": "project project/\n--- a/project/x\n"})
    taken = TAKERS["repo"](tmp_path / "copy" / "project", Asked())
    assert (taken.level, taken.patch) == (1, b"project project/\n--- a/project/x\n")
    with pytest.raises(CannotTell, match="no working copy of repo"):
        TAKERS["repo"](tmp_path, Asked())


P4_DIFF = """\
==== //depot/proj/a.txt#4 - /home/ann/proj/a.txt ====
--- //depot/proj/a.txt\t2024-01-01 00:00:00.000000000 0000
+++ /home/ann/proj/a.txt\t2024-01-02 00:00:00.000000000 0000
@@ -1,3 +1,3 @@
 one
-two
+2
 three
==== //depot/proj/sub/kept b.txt#1 - /home/ann/proj/sub/kept b.txt ====
@@ -1 +1,2 @@
 kept
+and more
\\ No newline at end of file
"""
P4_OPENED = """\
//depot/proj/a.txt#4 - edit default change (text)
//depot/proj/sub/new.txt#1 - add default change (text)
//depot/proj/sub/gone.txt#2 - delete default change (text)
"""


def test_perforce(tmp_path: Path, fake: Fake) -> None:
    said = fake(
        "p4",
        {
            "where ./...": "//depot/proj/... //ann/proj/... /home/ann/proj/...\n",
            "changes -m1 ./...#have": "Change 123 on 2024/01/01 by ann@client 'first'\n",
            "diff -du ./...@123": P4_DIFF,
            "opened ./...": P4_OPENED,
            "print -q //depot/proj/sub/gone.txt#have": "will go\n",
        },
    )
    copy, fresh = tmp_path / "copy", tmp_path / "fresh"
    write(copy, LAST)
    write(fresh, FIRST)
    taken = TAKERS["p4"](copy, Asked())
    assert (taken.branch, taken.revision, taken.level) == ("//depot/proj", "123", 0)
    assert applied(taken, fresh) == LAST
    assert "where" in said.read_text()
    with pytest.raises(CannotTell, match="not below //depot/other"):
        TAKERS["p4"](copy, Asked(branch="//depot/other", baserev="123"))


def test_a_program_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotTell, match="hg cannot be run"):
        TAKERS["hg"](tmp_path, Asked())
