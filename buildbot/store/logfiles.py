"""The bytes of the logs: one plain file a log, and beside it a small index that says who wrote what when.

The text file holds exactly the bytes that were written, in the order in which they came. The index (`.idx`,
buildbot.store.logindex) says whose they are; buildbot.store.logwriter writes both, buildbot.store.loglimit bounds
them, buildbot.store.logpack compresses them, buildbot.store.logreader reads them. Whoever works with logs needs this
module alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from buildbot.store.logindex import STEP_ITSELF, Channel, Run
from buildbot.store.loglimit import THE_LIMIT, Limit, LimitedWriter
from buildbot.store.logpack import pack, packed_path
from buildbot.store.logreader import Line, LogReader
from buildbot.store.logtail import tail_paths
from buildbot.store.logwriter import LogWriter

__all__ = [
    "STEP_ITSELF",
    "THE_LIMIT",
    "Channel",
    "Limit",
    "Line",
    "LogFiles",
    "LogReader",
    "LogWriter",
    "Run",
    "aside_path",
    "file_name",
    "log_path",
]

_ASIDE = re.compile(r"-\.[0-9]+\.(txt|idx)$")


def file_name(text: str, most: int = 80) -> str:
    """`text` as one safe component of a path: no separators, no dots alone, of bounded length, still readable."""
    safe = quote(text, safe=" +,=@()[]{}!'~-_.")
    if len(safe) > most:
        safe = f"{safe[: most - 13]}~{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return safe.replace(".", "%2E") or "%" if not safe.strip(".") else safe


def log_path(builder: str, build: int, step: str, slug: str) -> str:
    """Where a log lies below the logs directory."""
    return f"{file_name(builder)}/{build}/{file_name(step)}-{file_name(slug)}.txt"


def aside_path(builder: str, build: int, step: str, command: int) -> str:
    """Where output of a running command lies that goes into no log. No slug begins with a dot, so no log is there."""
    return f"{file_name(builder)}/{build}/{file_name(step)}-{file_name(f'.{command}')}.txt"


def parts_of(log: Path) -> list[Path]:
    """Every file that a log may consist of: the text first."""
    plain = [log, log.with_suffix(".idx"), *tail_paths(log)]
    packed = [packed_path(path) for path in plain[:2]]
    return [*plain, *packed, *(path.with_name(path.name + ".part") for path in packed)]


class LogFiles:
    """The logs directory: open files to write, readers, and who wants to hear of growth."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._watchers: dict[str, list[Callable[[], object]]] = {}

    def write(self, path: str, limit: Limit | None = None) -> LogWriter:
        """Open a log for appending, made when missing; what a crash left torn is cut. `limit`: how long it may get."""
        full = self.root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        if limit is not None:
            return LimitedWriter(full, lambda: self._tell(path), limit)
        return LogWriter(full, lambda: self._tell(path))

    def read(self, path: str) -> LogReader:
        """Raises FileNotFoundError when the file is not there (removed, or on another disk)."""
        return LogReader(self.root / path)

    def held(self, path: str, producer: int) -> int:
        """How many bytes of a producer a log has taken that nobody writes at present; 0 when there is no such file."""
        if not (self.root / path).exists():
            return 0
        writer = self.write(path)
        try:
            return writer.held(producer)
        finally:
            writer.close()

    def sync(self, paths: Iterable[str]) -> None:
        """Have these logs on the disk. Takes its time: to be called in a thread. Raises OSError."""
        for path in paths:
            full = self.root / path
            for part in (full, full.with_suffix(".idx")):
                descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def remove(self, path: str) -> None:
        """Take a log away, with all that lies beside it; harmless when it is not there."""
        full = self.root / path
        for part in parts_of(full):
            part.unlink(missing_ok=True)
        with suppress(OSError):  # it is not the last log of its build, or there is no such directory
            if all(_ASIDE.search(left) for left in os.listdir(full.parent)):
                self._remove_asides(full.parent)
            full.parent.rmdir()

    def remove_asides(self, builder: str, build: int) -> None:
        """Take away what lies beside the logs of a build that has ended. What is not there is well."""
        with suppress(OSError):
            self._remove_asides(self.root / file_name(builder) / str(build))

    def _remove_asides(self, directory: Path) -> None:
        for name in filter(_ASIDE.search, os.listdir(directory)):
            (directory / name).unlink(missing_ok=True)

    def pack(self, path: str) -> bool:
        """Compress a finished log, and take away what was not compressed. False when there is no such log.

        Takes its time: to be called in a thread. Raises OSError; then the log is as it was, or compressed.
        """
        text, index = self.root / path, (self.root / path).with_suffix(".idx")
        done = [each for each in (index, text) if pack(each)]
        for each in done:
            each.unlink(missing_ok=True)
        return packed_path(text).exists()

    def watch(self, path: str, call: Callable[[], object]) -> Callable[[], None]:
        """Call this after every append and at the end. Returns what ends the watch."""
        self._watchers.setdefault(path, []).append(call)

        def forget() -> None:
            watchers = self._watchers.get(path, [])
            if call in watchers:
                watchers.remove(call)
            if not watchers:
                self._watchers.pop(path, None)

        return forget

    def _tell(self, path: str) -> None:
        for call in list(self._watchers.get(path, ())):
            call()
