"""A time of day that jumps, for the processes that are started with it; how long something lasts stays real.

    clock = Clock(directory)
    start([*clock.words, "buildbot", ...])      # the words before a command line
    clock.jump(86400)                           # it is a day later now, for every process that was started so

libfaketime does it: it reads a file anew at each look at the clock. `time.monotonic` is not changed, as it is not when
somebody sets the clock of a machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

_LIBRARY = "faketime/libfaketime.so.1"


class Clock:
    """Real time, and so many seconds more. Its file is in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "faketime"
        self.ahead = 0.0
        self.jump(0)
        self.words = (
            "env",
            f"LD_PRELOAD={_library()}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def now(self) -> float:
        """What the processes take for the time of day."""
        return time.time() + self.ahead

    def jump(self, seconds: float) -> None:
        """Set it forward, or back."""
        self.ahead += seconds
        half = self._file.with_suffix(".new")
        half.write_text(f"{self.ahead:+.0f}\n")
        os.replace(half, self._file)


def _library() -> Path:
    for found in Path("/usr/lib").glob(f"*/{_LIBRARY}"):
        return found
    message = "libfaketime is not installed: apt-get install libfaketime"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
