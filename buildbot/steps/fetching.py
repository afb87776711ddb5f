"""Reading a small file of the slave's into memory."""

from __future__ import annotations

from typing import Any

from buildbot.process.buildstep import BuildStepFailed
from buildbot.process.compositemixin import KeptUpload
from buildbot.process.remotecommand import RemoteCommand

MOST_FETCHED = 1 << 20


async def fetch(step: Any, path: str) -> tuple[RemoteCommand, str]:
    """The text of a file, relative to the step's workdir. Raises BuildStepFailed when it cannot be read, or is bigger
    than 1 MiB; the log says why."""
    args = {"slavesrc": path, "workdir": step.workdir, "maxsize": MOST_FETCHED, "blocksize": 32768, "keepstamp": False}
    command = RemoteCommand("uploadFile", args)
    kept = command.upload = KeptUpload(step, command)
    await step.runCommand(command)
    if command.rc != 0:
        raise BuildStepFailed(f"{path} cannot be read")
    return command, kept.content().decode("utf-8", "replace")
