"""What the steps that transfer files share: their arguments, and how a command of theirs is run over restarts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.journal import Diverged
from buildbot.process.properties import needs_rendering
from buildbot.process.remotecommand import DownloadSource, RemoteCommand
from buildbot.process.stepmixins import BuildStepFailed

BLOCK = 64 * 1024
"""The default of blocksize, which is also the most that a message takes."""


class StringContent:
    """Bytes in memory (DownloadSource)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class TransferStep(BuildStep):
    """Base of all transfers. maxsize, blocksize: bytes. workdir: as every step has it."""

    haltOnFailure = True
    flunkOnFailure = True
    renderables: ClassVar[Any] = ("maxsize", "blocksize")

    def __init__(self, *, maxsize: Any, blocksize: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maxsize = maxsize
        self.blocksize = blocksize
        for name, value in (("maxsize", maxsize), ("blocksize", blocksize)):
            if (value is None and name == "maxsize") or needs_rendering(value):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
                self._wrong(f"{name} is a number of bytes, not {value!r}")

    def _wrong(self, sentence: str, hint: str | None = None) -> None:
        error(f"{type(self).__name__}: {sentence}", hint)

    def _one_of(self, *names: str, given: Iterable[Any]) -> Any:
        """The value of an argument that has a name in each era."""
        values = dict(zip(names, given, strict=True))
        said = {name: value for name, value in values.items() if value is not None}
        if len(said) > 1:
            self._wrong(f"{' and '.join(said)} are names of one argument")
        elif not said:
            self._wrong(f"it needs {' (or '.join(names)}{')' * (len(names) - 1)}")
        return next(iter(said.values()), None)

    def _is_path(self, name: str, value: Any) -> None:
        if value is not None and not needs_rendering(value) and (not isinstance(value, str) or not value):
            self._wrong(f"{name} is a path, not {value!r}")

    def _is_mode(self, mode: Any) -> None:
        if mode is not None and (not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o7777):
            self._wrong(f"mode is a number such as 0o644, not {mode!r}")

    def on_master(self, path: str) -> Path:
        """A path on the master, relative to its base directory."""
        return Path(self.build.services.basedir) / Path(path).expanduser()

    async def in_thread(self, work: Any, *args: Any) -> Any:
        return await self.build.services.in_thread(work, *args)

    def limits(self) -> dict[str, Any]:
        """Arguments that all transfers give to the slave."""
        return {"workdir": self.workdir, "maxsize": self.maxsize, "blocksize": self.blocksize}

    async def send(self, source: DownloadSource, size: int, target: str, mode: int | None) -> bool:
        """Make a file of the slave's of what `source` gives, which is so many bytes; whether all of it came there.
        What is too big is not begun: a slave of another era would keep the beginning in place of what was there, and
        some of them take a file of just `maxsize` for too big."""
        if self.maxsize is not None and size > self.maxsize:
            raise await self.fail(f"the file has {size} bytes, which is more than maxsize={self.maxsize}")
        args = {**self.limits(), "slavedest": target, "mode": mode, "maxsize": None}
        command = RemoteCommand("downloadFile", args)
        command.download = source
        await self.runCommand(command)
        return await self.ended_well(command)

    async def send_text(self, text: str | bytes, target: str, mode: int | None) -> bool:
        """Make a file of the slave's of this text; whether all of it came there. Raises Diverged when it was another
        text before a restart."""
        data = text.encode() if isinstance(text, str) else text
        shown = self.build.secrets.mask_data(data)  # a digest of a secret could be guessed from
        digest = hashlib.sha256(shown).hexdigest()
        if self.remember("text", lambda _: digest) != digest:
            raise Diverged("the text that is sent is another one now")
        return await self.send(StringContent(data), len(data), target, mode)

    async def fail(self, why: str) -> BuildStepFailed:
        """To be raised: the step fails, and says why."""
        await self.say(f"{why}\n")
        self.stop_reason = self.stop_reason or why
        return BuildStepFailed(why)

    async def say(self, text: str) -> None:
        """A line of the step's own, beside what the slave says."""
        log = self.logs.get("stdio") or self.new_log("stdio")
        await log.addHeader(text)

    async def ended_well(self, command: RemoteCommand) -> bool:
        """Whether the command came to its end without a complaint; what it complains of is in the log."""
        if command.outcome.get("error"):
            await self.say(f"{command.outcome['error']}\n")
        return not command.didFail()


def number_of(outcome: dict[str, Any], name: str) -> float | None:
    """A number of the slave's outcome, which may hold anything."""
    result = outcome.get("result")
    value = result.get(name) if isinstance(result, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
