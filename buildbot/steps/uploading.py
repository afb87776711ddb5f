"""How a file or a directory of the slave's comes to the master, once and whole, over restarts of the master.

The slave sends to a `PartFile`. When its command has ended and all is on the disk, that is written into the step's
journal ("arrived"); from then on nothing is sent again, and what is left to be done may be done twice.
"""

from __future__ import annotations

import errno
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.task import deferLater

from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.steps import partfile
from buildbot.steps.partfile import PartFile
from buildbot.steps.transferbase import TransferStep, number_of
from buildbot.steps.unpacking import BadStream, Stopped, unpack
from buildbot.store import commands

MOST_ATTEMPTS = 3
FULL_DISK_SECONDS = 1.0  # then it is looked again whether there is room


class UploadStep(TransferStep):
    """Base of the steps that bring something of the slave's to the master.

    url: address of what was uploaded, shown as a link called urlText (default: the name of masterdest).
    """

    renderables = ("url", "urlText")

    def __init__(self, *, url: Any = None, urlText: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url
        self.urlText = urlText
        self._stop = Event()

    @property
    def _records(self) -> Path:
        return Path(self.build.services.basedir) / "uploads"

    async def show_link(self, masterdest: str) -> None:
        if self.url is not None:
            await self.addURL(str(self.urlText or Path(masterdest).name), str(self.url))

    async def interrupt(self, reason: Any) -> None:
        self._stop.set()
        await super().interrupt(reason)

    def leave(self) -> None:
        self._stop.set()
        super().leave()

    async def upload_file(self, source: str, target: Path, *, mode: int | None, keepstamp: bool) -> int:
        """Bring a file of the slave's here; the result."""
        args = {"slavesrc": source, **self.limits(), "keepstamp": keepstamp}
        part, outcome = await self._receive("uploadFile", args, target)
        if part is None:
            return CANCELLED if self.stopped else FAILURE
        modified, accessed = number_of(outcome, "mtime"), number_of(outcome, "atime")
        times = (modified if accessed is None else accessed, modified) if keepstamp and modified is not None else None
        try:
            await self.in_thread(part.put_in_place, mode, times)
        except OSError as problem:
            raise await self.fail(f"{target} cannot be written: {problem.strerror or problem}") from None
        return SUCCESS

    async def upload_directory(self, source: str, target: Path, *, compress: str | None) -> int:
        """Bring a directory of the slave's here, into one that may have files already; the result."""
        args = {"slavesrc": source, **self.limits(), "compress": compress}
        part, _ = await self._receive("uploadDirectory", args, target)
        if part is None:
            return CANCELLED if self.stopped else FAILURE
        try:
            while not await self.in_thread(_unpack_all, part, target, compress, self._stop):
                await deferLater(self.build.clock, FULL_DISK_SECONDS)
        except Stopped:
            if self.build.left:
                raise CancelledError from None
            await self.in_thread(part.discard)
            return CANCELLED
        except BadStream as wrong:
            await self.in_thread(part.discard)
            raise await self.fail(f"what the slave has sent is refused: {wrong}") from None
        except OSError as problem:
            await self.in_thread(part.discard)
            raise await self.fail(f"it cannot be unpacked into {target}: {problem}") from None
        await self.in_thread(part.discard)
        return SUCCESS

    async def _receive(self, name: str, args: dict[str, Any], target: Path) -> tuple[PartFile | None, dict[str, Any]]:
        """All that the command sends, on the disk; and its outcome. None: it failed, and said so."""
        await self._make_room(target)
        for _ in range(MOST_ATTEMPTS):
            command = RemoteCommand(name, args)
            part = PartFile(
                target,
                records=self._records,
                most=self.maxsize,
                id=lambda command=command: command.id,  # type: ignore[misc]
                in_thread=self.build.services.in_thread,
                failed=lambda why, command=command: self._cannot_write(command, target, why),  # type: ignore[misc]
            )
            command.upload = part
            try:
                await self.runCommand(command)
                if not await self.ended_well(command):
                    await self.in_thread(part.discard)
                    return None, command.outcome
                if await self._has_arrived(part, command):
                    return part, command.outcome
            except BaseException:
                if self.build.left:
                    part.close()
                else:
                    self._discard_later(part)
                raise
            await self.in_thread(part.discard)
            await self.say("a part of it did not reach the disk; it is sent again\n")
        raise await self.fail("what was sent does not stay on the master's disk")

    def _discard_later(self, part: PartFile) -> None:
        part.close()
        self.build.services.in_thread(part.discard)  # it raises nothing

    async def _has_arrived(self, part: PartFile, command: RemoteCommand) -> bool:
        known = self.recall("arrived")
        if known is None:
            try:
                await part.quiet()
                size = await self.in_thread(part.bring_to_disk)
            except OSError as problem:
                raise await self.fail(f"it cannot be brought to the disk: {problem}") from None
            known = self.remember("arrived", lambda _: size == number_of(command.outcome, "size"))
        part.close()
        return bool(known)

    async def _make_room(self, target: Path) -> None:
        """The directory; and what uploads of builds that have ended have left behind goes."""
        try:
            await self.in_thread(lambda: target.parent.mkdir(parents=True, exist_ok=True))
        except OSError as problem:
            raise await self.fail(f"{target.parent} cannot be made: {problem.strerror or problem}") from None
        recorded = await self.in_thread(partfile.recorded, self._records)
        if recorded:
            wanted = set(commands.of_open_builds(self.build.store, recorded))
            await self.in_thread(partfile.remove, self._records, [id for id in recorded if id not in wanted])

    def _cannot_write(self, command: RemoteCommand, target: Path, why: OSError) -> None:
        async def end() -> None:
            await self.say(f"{target} cannot be written: {why.strerror or why}\n")
            await command.interrupt("the master cannot write it")

        ensureDeferred(end())  # type: ignore[unused-awaitable]  # what can fail is handled where the command runs


def _unpack_all(part: PartFile, target: Path, compress: str | None, stop: Event) -> bool:
    """For a thread. What has come is removed only when all of it is on the disk under its names. False: the disk is
    full, try again."""
    if part.path.exists():  # else that was done before a restart
        try:
            unpack(part.path, target, compress, stop)
        except OSError as problem:
            if stop.is_set():
                raise Stopped from None
            if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
        partfile.sync_all()
    return True
