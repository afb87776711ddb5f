"""`.spool/` in the slave's directory: output that no master has taken, and ends of commands that none has heard of.

    COMMAND.POSITION.out   a part of a command's output (see `segment`)
    COMMAND.end            how a command ended, as JSON, with what is to be known of its output's files
    PID.process, alive     what runs (see `started`)
    lock                   held by the slave's process to which all of this belongs

An end is written beside and renamed, after the output; what no end names is removed at the next start. All of it
outlives the slave's process, and may not outlive a power failure.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from twisted.logger import Logger

from buildslave.arguments import is_int
from buildslave.defaults import SPOOL_BYTES
from buildslave.platform import lock_file
from buildslave.segment import Segment
from buildslave.spool import Spool

DIRECTORY = ".spool"
LOCK = "lock"
OUTPUT, END, HALF_WRITTEN = ".out", ".end", ".tmp"
VERSION = 1
LONGEST_NAME = 150


class SpoolInUse(Exception):
    """Another process of this slave runs in the same directory."""


class Bound:
    """How many bytes all files of output may take together."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.used_bytes = 0

    def reserve(self, size: int, *, whatever: bool) -> None:
        if self.used_bytes + size > self.most_bytes and not whatever:
            raise OSError(errno.ENOSPC, "the spool of this slave is full")
        self.used_bytes += size

    def release(self, size: int) -> None:
        self.used_bytes -= size


class CommandFiles:
    """The files of one command. None is there before it is needed."""

    def __init__(self, directory: Path, command_id: str, bound: Bound) -> None:
        self._directory = directory
        self._command_id = command_id
        self._bound = bound
        self._name = _file_name(command_id)
        self._kept = False

    @property
    def _end(self) -> Path:
        return self._directory / f"{self._name}{END}"

    def segment(self, start: int) -> Segment:
        """A new file for output from `start` on. Raises OSError."""
        self._directory.mkdir(mode=0o700, exist_ok=True)  # somebody may have removed it
        return Segment(self._directory / f"{self._name}.{start}{OUTPUT}", start, self._bound)

    def keep(self, outcome: dict[str, Any], spool: Spool) -> None:
        """Let outcome and unacknowledged output outlive this process. Raises OSError or ValueError."""
        if self._kept:
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        spool.persist()
        known = {
            "version": VERSION,
            "id": self._command_id,
            "outcome": outcome,
            "end": spool.end,
            "segments": [segment.to_json() for segment in spool.segments],
        }
        try:
            text = json.dumps(known)
        except TypeError as error:
            raise ValueError(f"its result cannot be stored: {error}") from None
        half_written = self._end.with_suffix(HALF_WRITTEN)
        with open(os.open(half_written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        os.replace(half_written, self._end)
        self._kept = True

    def forget(self) -> None:
        """Nobody needs the outcome any more."""
        if self._kept:
            with contextlib.suppress(OSError):
                self._end.unlink(missing_ok=True)

    def found(self) -> None:
        """The outcome is here from an earlier process."""
        self._kept = True


class Kept(NamedTuple):
    """A command that ended in an earlier process of the slave."""

    command_id: str
    outcome: dict[str, Any]
    files: CommandFiles
    spool: Spool


class SpoolDirectory:
    """The directory, while this process owns it."""

    _log = Logger()

    def __init__(self, basedir: Path, most_bytes: int = SPOOL_BYTES) -> None:
        """`most_bytes` is the bound of all commands' output on disk together."""
        self.path = basedir / DIRECTORY
        self._bound = Bound(most_bytes)
        self._lock: int | None = None

    @property
    def used_bytes(self) -> int:
        """How many bytes the files of output take."""
        return self._bound.used_bytes

    def open(self) -> None:
        """Make it ours. Raises SpoolInUse. If it cannot be made, commands will wait instead of spooling."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            self._log.error("cannot use {path}: {why}. Without it output is kept in memory alone.",
                            path=str(self.path), why=str(error))  # fmt: skip
            return
        if not lock_file(lock):
            os.close(lock)
            raise SpoolInUse(f"another buildslave is running in {self.path.parent}: it holds {self.path / LOCK}")
        self._lock = lock

    def close(self) -> None:
        """It belongs to nobody."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    @property
    def ours(self) -> bool:
        """True while it is this process's."""
        return self._lock is not None

    def of(self, command_id: str) -> CommandFiles:
        """Where the files of a command go."""
        return CommandFiles(self.path, command_id, self._bound)

    def kept(self) -> list[Kept]:
        """What an earlier process has left to be told. All other output is removed; what is damaged is logged too."""
        if not self.ours:
            return []
        kept = list(self._kept())
        needed = {segment.path for each in kept for segment in each.spool.segments}
        needed |= {self.path / f"{_file_name(each.command_id)}{END}" for each in kept}
        for path in self.path.iterdir():
            if path.suffix in (OUTPUT, END, HALF_WRITTEN) and path not in needed:
                with contextlib.suppress(OSError):
                    path.unlink()
        return kept

    def _kept(self) -> Iterator[Kept]:
        for path in sorted(self.path.glob(f"*{END}")):
            try:
                yield self._read(path)
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                self._log.error(
                    "{path} cannot be used: {why}. Its command is unknown from now on.", path=str(path), why=str(error)
                )

    def _read(self, path: Path) -> Kept:
        known = json.loads(path.read_bytes())
        command_id, outcome, end = known["id"], known["outcome"], known["end"]
        if known["version"] != VERSION or _file_name(command_id) + END != path.name:
            raise ValueError("it is of another version or of another command")
        if not isinstance(outcome, dict) or not is_int(end):
            raise ValueError("it tells no outcome")
        files = self.of(command_id)
        files.found()
        return Kept(command_id, outcome, files, Spool.restored(self._segments(known["segments"], end), end, files))

    def _segments(self, known: list[dict[str, Any]], end: int) -> list[Segment]:
        """Those that are still there: the first ones may have been acknowledged, and be gone."""
        made: list[Segment] = []
        for each in known:
            if made or (self.path / os.path.basename(each["file"])).exists():
                made.append(Segment.from_json(each, self.path, self._bound))
        edges = [segment.start for segment in made[1:]] + [end]
        if [segment.end for segment in made] != (edges if made else []):
            raise ValueError("a part of its output is missing")
        for segment in made:
            self._bound.reserve(segment.size, whatever=True)
        return made


def _file_name(command_id: str) -> str:
    """A name that any id can have in a file system."""
    name = quote(command_id, safe="", errors="backslashreplace")
    if len(name) <= LONGEST_NAME:
        return name
    return hashlib.sha256(name.encode()).hexdigest()
