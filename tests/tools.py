"""Programs that tests need and pip cannot bring, and the reference Buildbot in its own environment."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def require_tool(name: str, debian_package: str) -> str:
    """The path of the program, or of the file that a path names. Without it the test is skipped, naming the Debian
    package; in CI it fails."""
    found = shutil.which(name, os.F_OK if "/" in name else os.F_OK | os.X_OK)
    if found:
        return found
    message = f"{name} is not installed: apt-get install {debian_package}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@dataclass(frozen=True, slots=True)
class Peer:
    """Buildbot 4.3.0, installed in .venv-peer."""

    bin: Path

    @property
    def python(self) -> Path:
        return self.bin / "python"

    @property
    def buildbot(self) -> Path:
        return self.bin / "buildbot"

    @property
    def worker(self) -> Path:
        return self.bin / "buildbot-worker"


def make_peer() -> Peer:
    """See to it that .venv-peer is as its lock file says. Several test processes may ask at once."""
    _make(".venv-peer/.stamp", ".venv-peer.lock")
    return Peer(ROOT / ".venv-peer" / "bin")


def make_old_peer(name: str) -> Path:
    """The programs of a slave or master of another era, as requirements/peers/NAME.txt says. Several test processes may
    ask at once. Where its old Python is missing the test is skipped; in CI it fails."""
    wanted = (ROOT / "requirements" / "peers" / f"{name}.txt").read_text().splitlines()[0].removeprefix("# python ")
    found = subprocess.run([ROOT / "contrib" / "old-python", wanted], capture_output=True, text=True, check=False)
    if found.returncode != 0 and os.environ.get("CI") != "true":
        pytest.skip(found.stderr.strip())
    _make(f".venv-peers/{name}/.stamp", ".venv-peers.lock")
    return ROOT / ".venv-peers" / name / "bin"


def _make(target: str, lock_name: str) -> None:
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    with (ROOT / lock_name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        pytest.fail(f"make {target} failed:\n{done.stdout}")
