"""What every command of the slave is, and what it is given to work with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from buildslave.arguments import Arguments
from buildslave.started import StartedProcesses
from buildslave.window import Source


class Reason(StrEnum):
    """Why the slave ended a command itself. The words are the wire's."""

    TIMEOUT = "timeout"
    SILENT = "timeout_without_output"
    MAX_LINES = "max_lines_failure"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended.

    `rc` is the exit code, -1 when a signal or the slave ended it, an errno for file commands.
    """

    rc: int | None
    reason: Reason | None = None
    signal: int | None = None
    error: str | None = None
    result: Any = None

    def to_wire(self, elapsed_seconds: float) -> dict[str, Any]:
        return {
            "rc": self.rc,
            "elapsed": elapsed_seconds,
            "reason": None if self.reason is None else self.reason.value,
            "signal": self.signal,
            "error": self.error,
            "result": self.result,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all commands of one slave share."""

    basedir: Path
    reactor: Any
    """IReactorFDSet, IReactorThreads, and IReactorTime for what should not wait for anybody."""
    clock: IReactorTime
    """Leaves out the time in which this process stood still; for all limits."""
    environ: Mapping[str, str] = field(default_factory=dict)
    use_pty: bool = False
    """What `usePTY: "slave-config"` means here."""
    umask: int | None = None
    processes: StartedProcesses


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the master ordered."""

    name: str
    builddir: Path
    args: Arguments


class Channel(Protocol):
    """A command's way to the master. It outlives connections."""

    command_id: str
    paused: bool
    """True while the command should not read more than it has."""

    def write(self, stream: str, data: bytes) -> None:
        """Send output. Never waits; it may pause the command."""

    def header(self, text: str) -> None:
        """Send a line of the slave's own."""

    async def ask(self, method: str, *args: Any) -> Any:
        """Call the master, again on the next connection if this one is lost, until it answers. Its error is raised."""

    def upload(self, source: Source) -> "Deferred[None]":
        """Send `source` with the master's `write` call; fires when the master holds all of it."""

    def upload_grew(self) -> None:
        """The source of the upload has more, or is complete now."""


class Command:
    """One ordered command. Its constructor checks the arguments and starts nothing."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        self.order = order
        self.site = site
        self.channel = channel

    async def run(self) -> Outcome:
        """Do it. An OSError that gets out becomes the outcome's `error` with its errno as `rc`."""
        raise AssertionError(f"{type(self).__name__} does not say how it runs")

    def interrupt(self, why: str) -> None:
        """The master wants it to end: end it soon, with Reason.INTERRUPTED."""

    def kill(self) -> None:
        """End it now, with all its processes; nobody waits for the outcome."""
        self.interrupt("the command is no longer wanted")

    def pause(self) -> None:
        """Too much output is unsent: stop reading more."""

    def resume(self) -> None:
        """Output is wanted again."""
