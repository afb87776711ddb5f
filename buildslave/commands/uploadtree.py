"""`uploadDirectory`: a directory of the slave's goes to the master, as one tar stream by offset.

The stream is written to a file without a name in the slave's base directory by a thread, and sent while it grows. So
every byte that was sent can be sent again, whatever becomes of the connection, of the master, and of the directory.
"""

import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from threading import Event
from typing import IO, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from buildslave.blocks import CHUNK
from buildslave.commands.base import Channel, Command, Order, Outcome, Reason, Site
from buildslave.commands.trees import Stopped
from buildslave.commands.upload import FileSource, source_path

TELL_BYTES = 256 * 1024
"""So often the thread says how much there is."""
COPY_BYTES = 256 * 1024
MODES = {"gz": "w:gz", "bz2": "w:bz2"}


class TooMuch(Exception):
    """The stream has more bytes than `maxsize`."""


class GrowingFile:
    """Where the thread writes the stream: says how much there is, and ends when it is too much or told to."""

    def __init__(self, file: IO[bytes], most: int | None, stop: Event, tell: Callable[[int], None]) -> None:
        self.size = 0
        self._file = file
        self._most = most
        self._stop = stop
        self._tell = tell
        self._told = 0

    def write(self, data: bytes) -> int:
        if self._stop.is_set():
            raise Stopped
        if self._most is not None and self.size + len(data) > self._most:
            raise TooMuch
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.size += len(data)
        if self.size - self._told >= TELL_BYTES:
            self._told = self.size
            self._tell(self.size)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        pass


class ReadFile:
    """A file on its way into the stream: says so if it became shorter meanwhile."""

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self._name = name
        self._left = size

    def read(self, length: int) -> bytes:
        data = self._file.read(min(length, self._left))
        self._left -= len(data)
        if not data and self._left:
            raise OSError(f"{self._name} became shorter while it was read")
        return data


def pack(root: str, out: GrowingFile, compress: str | None, skipped: Callable[[str], None]) -> int:
    """Write the tar stream of all that is below `root`; how many entries it has. Blocking, for a thread.

    Links stay links, and several names of one file become several files. What is no file, directory or link is left
    out, and `skipped` is told its name. Owners are not sent.
    """
    entries = 0
    options: dict[str, Any] = {"compresslevel": 6} if compress == "gz" else {}
    options |= {"fileobj": out, "format": tarfile.PAX_FORMAT, "copybufsize": COPY_BYTES}
    opened: Any = tarfile.open
    with opened(None, MODES.get(compress or "", "w"), **options) as tar:
        for path, name in _below(root):
            found = os.lstat(path)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                skipped(name)
                continue
            entry = tar.gettarinfo(path, name)
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with open(path, "rb") as file:
                    tar.addfile(entry, ReadFile(file, path, entry.size))
            else:
                tar.addfile(entry)
            entries += 1
            tar.members.clear()  # it would keep all of them
            tar.inodes.clear()
    return entries


def _below(root: str) -> Iterator[tuple[str, str]]:
    """(path, name in the stream) of all below `root`, each directory before what is in it; without recursion."""
    pending = [(root, "")]
    while pending:
        directory, prefix = pending.pop()
        with os.scandir(directory) as found:
            entries = sorted((entry.name, entry.path, entry.is_dir(follow_symlinks=False)) for entry in found)
        for name, path, is_directory in entries:
            yield path, prefix + name
            if is_directory:
                pending.append((path, f"{prefix}{name}/"))


class UploadDirectory(Command):
    """Sends a directory."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        super().__init__(order, site, channel)
        args = order.args
        self._path = source_path(site, order, args)
        self._most = args.count("maxsize")
        self._block = min(args.count("blocksize") or CHUNK, CHUNK)
        self._compress = args.text("compress", default="") or None
        if self._compress not in (None, *MODES):
            raise args.refuse("compress", f"must be gz, bz2 or None, not {self._compress!r}")
        self._stop = Event()
        self._sent: Deferred[BaseException | None] | None = None
        self._source: FileSource | None = None

    async def run(self) -> Outcome:
        self.channel.header(f"sending the directory {self._path}\n")
        if not self._path.is_dir():
            os.stat(self._path)
            return Outcome(rc=1, error=f"{self._path} is not a directory")
        # not where temporary files go, which may be memory
        with tempfile.TemporaryFile(dir=self.site.basedir, prefix=".upload-", buffering=0) as file:
            return await self._send(file)

    async def _send(self, file: IO[bytes]) -> Outcome:
        source = FileSource(file.fileno(), 0, self._block)
        source.complete = False
        self._source = source
        self._sent = self.channel.upload(source).addErrback(self._ended_early)
        out = GrowingFile(file, self._most, self._stop, self._from_thread(self._grew))
        skipped = self._from_thread(self._skipped)
        pool = self.site.reactor.getThreadPool()
        error = None
        try:
            entries = await deferToThreadPool(
                self.site.reactor, pool, pack, str(self._path), out, self._compress, skipped
            )
        except Stopped:
            return self._ended(await self._sent)
        except TooMuch:
            entries, error = 0, f"{self._path} makes a stream of more than maxsize={self._most} bytes"
        except BaseException:
            self._sent.cancel()
            raise
        source.complete = True
        self._grew(out.size)
        failed = await self._sent
        if failed is not None:
            return self._ended(failed)
        result = {"size": out.size, "entries": entries}
        if error is not None:
            self.channel.header(error + "\n")
            return Outcome(rc=1, error=error, result=result)
        return Outcome(rc=0, result=result)

    @staticmethod
    def _ended(why: BaseException | None) -> Outcome:
        if isinstance(why, OSError):
            raise why
        return Outcome(rc=-1, reason=Reason.INTERRUPTED)

    def _ended_early(self, failure: Failure) -> BaseException:
        """The stream is not wanted or cannot be sent: the thread need not go on."""
        self._stop.set()
        return failure.value or CancelledError()

    def _from_thread(self, call: Callable[..., None]) -> Callable[..., None]:
        def tell(*args: object) -> None:
            self.site.reactor.callFromThread(call, *args)

        return tell

    def _grew(self, size: int) -> None:
        if self._source is not None and self._sent is not None and not self._sent.called:
            self._source.end = max(self._source.end, size)
            self.channel.upload_grew()

    def _skipped(self, name: str) -> None:
        self.channel.header(f"{name} is no file, directory or link, and is left out\n")

    def interrupt(self, why: str) -> None:
        if not self._stop.is_set():
            self.channel.header(f"interrupted: {why}\n")
        self._stop.set()
        if self._sent is not None and not self._sent.called:
            self._sent.cancel()
