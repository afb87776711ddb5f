"""What a remote command needs of others: its step, and whoever takes or gives a file."""

from __future__ import annotations

from typing import Any, Protocol

from buildbot.model import CommandID
from buildbot.process.journal import Journal
from buildbot.process.steplog import StepLog
from buildbot.store.logfiles import LogReader, LogWriter


class UploadTarget(Protocol):
    """Takes a file from the slave, in pieces that may come twice."""

    def write(self, offset: int, data: bytes) -> int:
        """Take a piece; returns how much of the file is held."""


class DownloadSource(Protocol):
    """Gives a file to the slave."""

    def read(self, offset: int, length: int) -> bytes: ...


class CommandHome(Protocol):
    """What a running command needs of its step."""

    build: Any
    logs: dict[str, StepLog]
    journal: Journal

    def aside(self, command: CommandID) -> tuple[LogWriter, LogReader]:
        """A file for output that goes into no log, and what is in it already."""

    @property
    def over(self) -> bool:
        """Whether the step's code has ended."""

    def new_log(self, name: str, kind: str = "stream") -> StepLog: ...

    @property
    def step_id(self) -> Any: ...
