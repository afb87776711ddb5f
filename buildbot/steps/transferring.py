"""The base of custom steps that transfer files through objects of their own, under its names of 0.7 to 2."""

from __future__ import annotations

from typing import Any

from buildbot.process.buildstep import BuildStep
from buildbot.process.deferring import gives_deferred
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS


class StatusRemoteCommand(RemoteCommand):
    """A command that transfers a file: a `writer` among its arguments takes it, or a `reader` gives it."""

    def __init__(self, remote_command: str, args: dict[str, Any]) -> None:
        super().__init__(remote_command, args)


def makeStatusRemoteCommand(step: BuildStep, remote_command: str, args: dict[str, Any]) -> RemoteCommand:
    """The same; what it says goes into the step's `stdio`."""
    return StatusRemoteCommand(remote_command, args)


class TransferBuildStep(BuildStep):
    """Base of such steps; its older name is `_TransferBuildStep`. workdir: as every step has it.

    After a restart of the master its code begins anew, because what its objects held is gone.
    """

    haltOnFailure = True
    flunkOnFailure = True
    resumable = False
    idempotent = True

    def __init__(self, workdir: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if workdir is not None:
            self.workdir = workdir

    def _getWorkdir(self) -> Any:
        return self.workdir

    def checkSlaveVersion(self, command: str) -> None:
        """Raises SlaveTooOld when the slave does not know the command."""
        self.checkSlaveHasCommand(command)

    checkWorkerVersion = checkSlaveVersion

    @gives_deferred
    async def runTransferCommand(self, cmd: RemoteCommand, writer: Any = None) -> int:
        """Run it; the result. A writer with a method `cancel` is told when it fails."""
        await self.runCommand(cmd)
        if cmd.didFail() and hasattr(writer, "cancel"):
            writer.cancel()
        if self.stopped:
            return CANCELLED
        return FAILURE if cmd.didFail() else SUCCESS
