"""A disk that does not keep what it is told to: every fsync and fdatasync of a running process fails.

    with Failing(process.pid) as failing:
        ...
    assert failing.count        # so many of them failed

strace does it: the system call is not made at all, and its answer is EIO.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import wait_until
from tests.tools import require_tool
from tests.torture.faults import require_root


class Failing:
    """The calls of this process and of all its threads, while the context lasts. `log` is a file to write to."""

    def __init__(self, pid: int, log: Path, error: str = "EIO") -> None:
        require_root()
        self._pid = pid
        self._log = log
        self._words = [
            require_tool("strace", "strace"), "--quiet=all", "-f", "-p", str(pid), "-o", str(log),
            "-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error={error}",
        ]  # fmt: skip
        self._strace: subprocess.Popen[bytes] | None = None

    @property
    def count(self) -> int:
        """How many calls have failed."""
        return len(re.findall(r"\(INJECTED\)", self._log.read_text(errors="replace")))

    def __enter__(self) -> Self:
        self._strace = subprocess.Popen(self._words, stdin=subprocess.DEVNULL)
        wait_until(self._attached, 20, "strace")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        assert self._strace is not None
        self._strace.terminate()
        self._strace.wait(20)

    def _attached(self) -> bool:
        assert self._strace is not None and self._strace.poll() is None, "strace has ended"
        tasks = Path(f"/proc/{self._pid}/task").iterdir()
        return all(re.search(r"^TracerPid:\s*[1-9]", (task / "status").read_text(), re.MULTILINE) for task in tasks)
