"""The PID file survives a stale number and keeps a second master out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildbot.scripts.pidfile import AlreadyRunning, PidFile


def test_without_a_file_nobody_runs(tmp_path: Path) -> None:
    assert PidFile(tmp_path).running() is None


def test_whoever_holds_it_runs(tmp_path: Path) -> None:
    held = PidFile(tmp_path)
    held.acquire()
    assert PidFile(tmp_path).running() == os.getpid()
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        PidFile(tmp_path).acquire()
    held.release()
    assert PidFile(tmp_path).running() is None
    assert not (tmp_path / "twistd.pid").exists()


@pytest.mark.parametrize("number", ["999999999", "1", str(os.getppid()), "", "garbage", "-5"])
def test_a_stale_number_counts_for_nothing(tmp_path: Path, number: str) -> None:
    """Not even when another program has that number now."""
    (tmp_path / "twistd.pid").write_text(number)
    pid_file = PidFile(tmp_path)
    assert pid_file.running() is None
    pid_file.acquire()
    assert (tmp_path / "twistd.pid").read_text() == f"{os.getpid()}\n"
    pid_file.release()


def test_release_leaves_somebody_elses_file(tmp_path: Path) -> None:
    pid_file = PidFile(tmp_path)
    pid_file.acquire()
    (tmp_path / "twistd.pid").unlink()
    (tmp_path / "twistd.pid").write_text("7\n")
    pid_file.release()
    assert (tmp_path / "twistd.pid").read_text() == "7\n"
