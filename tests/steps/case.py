"""Steps that look at files of their directory, on a real slave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.rig import Built, RigCase


class StepsCase(RigCase):
    @property
    def work(self) -> Path:
        directory = self.rig.slave_dir() / "build"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def put(self, files: dict[str, str]) -> None:
        """Files of the steps' directory, by their paths."""
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def program(self, name: str, output: str = "", code: int = 0, errors: str = "") -> str:
        """The path of a program that notes its arguments for `argv`, prints, and ends with the code."""
        path = self.work.parent / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / f"{name}.out").write_text(output)
        (path.parent / f"{name}.err").write_text(errors)
        path.write_text(
            f'#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done >> "{path}.argv"\n'
            f'cat "{path}.out"\ncat "{path}.err" >&2\nexit {code}\n'
        )
        path.chmod(0o755)
        return str(path)

    def argv(self, name: str) -> list[str]:
        """What `program` was called with."""
        return (self.work.parent / "bin" / f"{name}.argv").read_text().splitlines()

    @property
    def path(self) -> dict[str, str]:
        """The environment in which the programs are found."""
        return {"PATH": f"{self.work.parent / 'bin'}:${{PATH}}"}

    async def run_step(self, step: Any, **options: Any) -> Built:
        return await self.run_steps(step, **options)
