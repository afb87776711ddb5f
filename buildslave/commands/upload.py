"""`uploadFile`: a file of the slave's goes to the master, by offset, so that it goes on where a connection broke."""

import os
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred

from buildslave.arguments import Arguments
from buildslave.blocks import CHUNK
from buildslave.commands.base import Channel, Command, Order, Outcome, Reason, Site
from buildslave.paths import confined_target


class FileSource:
    """The bytes of an open file as a window's source. Nothing is ever gone: a file can be read again."""

    def __init__(self, descriptor: int, size: int, block: int) -> None:
        self.base = 0
        self.end = size
        self.complete = True
        self._descriptor = descriptor
        self._block = block

    def take(self, position: int, limit: int) -> tuple[bytes, int]:
        wanted = min(limit, self._block, self.end - position)
        data = os.pread(self._descriptor, wanted, position)
        if len(data) < wanted:
            # The file was cut meanwhile. The master needs the size it was told; the outcome says what happened.
            data += bytes(wanted - len(data))
        return data, wanted

    def acknowledge(self, position: int) -> None:
        pass


class UploadFile(Command):
    """Sends one file."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        super().__init__(order, site, channel)
        args = order.args
        self._path = source_path(site, order, args)
        self._most = args.count("maxsize")
        self._block = min(args.count("blocksize") or CHUNK, CHUNK)
        self._keep_times = args.flag("keepstamp", False)
        self._sent: Deferred[None] | None = None

    async def run(self) -> Outcome:
        self.channel.header(f"sending {self._path}\n")
        if not self._path.is_file():
            os.stat(self._path)
            return Outcome(rc=1, error=f"{self._path} is not a regular file")
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            return await self._send(descriptor)
        finally:
            os.close(descriptor)

    async def _send(self, descriptor: int) -> Outcome:
        found = os.fstat(descriptor)
        size = found.st_size if self._most is None else min(found.st_size, self._most)
        self._sent = self.channel.upload(FileSource(descriptor, size, self._block))
        try:
            await self._sent
        except CancelledError:
            return Outcome(rc=-1, reason=Reason.INTERRUPTED)
        result: dict[str, int | float] = {"size": size, "mode": found.st_mode & 0o7777}
        if self._keep_times:
            result |= {"mtime": found.st_mtime, "atime": found.st_atime}
        if size < found.st_size:
            error = f"{self._path} has {found.st_size} bytes, only maxsize={self._most} were sent"
            self.channel.header(error + "\n")
            return Outcome(rc=1, error=error, result=result)
        if os.fstat(descriptor).st_size < size:
            return Outcome(rc=1, error=f"{self._path} became shorter while it was sent", result=result)
        return Outcome(rc=0, result=result)

    def interrupt(self, why: str) -> None:
        if self._sent is not None and not self._sent.called:
            self.channel.header(f"interrupted: {why}\n")
            self._sent.cancel()


def source_path(site: Site, order: Order, args: Arguments) -> Path:
    """What is to be sent."""
    name = args.text("slavesrc", "workersrc", "path")
    return confined_target(site.basedir, order.builddir, args.text("workdir", default=""), name)
