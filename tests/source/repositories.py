"""Repositories that are built from, and the case that checks them out with the Git step on a real slave."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from buildbot.model import Result
from buildbot.steps.source.git import Git
from tests.rig import Built, RigCase, Source
from tests.tools import require_tool


def git(directory: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(["git", *words], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


class Repository:
    """A repository that others fetch from."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self.path = path
        git(path, "init", "-q", "-b", "main")
        self.url = path.as_uri()

    def commit(self, message: str = "change", **files: str | None) -> str:
        for name, content in files.items():
            path = self.path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_text(content)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self) -> str:
        return git(self.path, "rev-parse", "HEAD")

    def __call__(self, *words: str) -> str:
        return git(self.path, *words)


class GitCase(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        require_tool("git", "git")
        require_tool("patch", "patch")
        await super().setUp()
        self.repository = Repository(self.rig.base / "upstream")
        self.first = self.repository.commit("first", a="one\n", gone="soon\n")

    @property
    def work(self) -> Path:
        return self.rig.slave_dir() / "build"

    async def check_out(self, *sources: Source, **options: Any) -> Built:
        options.setdefault("repourl", self.repository.url)
        options.setdefault("logEnviron", False)
        return await self.run_steps(Git(**options), sources=sources)

    def assert_success(self, built: Built) -> None:
        assert built.result is Result.SUCCESS, built.everything("git") if built.logs("git") else built.row
