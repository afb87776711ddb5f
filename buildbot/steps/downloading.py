"""Steps that bring a file of the master's, or a text, to the slave. The other way: buildbot.steps.transfer.

What a download sends must not be another thing after a restart of the master: the identity of the file, or a digest of
the text, is in the step's journal. A file that has been changed meanwhile is sent from its beginning.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from buildbot.process.properties import needs_rendering
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.process.slaveport import CommandRefused
from buildbot.steps.transferbase import BLOCK, TransferStep

MOST_ATTEMPTS = 5


class FileContent:
    """An open file of the master's (DownloadSource). seen: its identity when the step began."""

    def __init__(self, path: Path, seen: object) -> None:
        self._seen = seen
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.changed = identity(self._descriptor) != seen

    def read(self, offset: int, length: int) -> bytes:
        self.changed = self.changed or identity(self._descriptor) != self._seen
        if self.changed:
            raise CommandRefused("the file was changed while it was sent")
        return os.pread(self._descriptor, length, offset)

    def close(self) -> None:
        os.close(self._descriptor)


def identity(file: int | Path) -> list[int]:
    """What tells a file and its content from another one."""
    found = os.stat(file)
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


class DownloadStep(TransferStep):
    """Base of the steps that make a file on the slave.

    slavedest (or workerdest): its path, relative to workdir; directories are made. maxsize: bytes; more make the step
    fail and change nothing (default None). blocksize: bytes of one message, at most 64 KiB, the default. mode:
    rights of the file, such as 0o755 (default: as the slave's umask says).
    """

    renderables = ("slavedest", "mode")

    def __init__(
        self,
        slavedest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        mode: Any = None,
        workerdest: Any = None,
        **kwargs: Any,
    ) -> None:
        if workdir is not None:
            kwargs["workdir"] = workdir
        super().__init__(maxsize=maxsize, blocksize=blocksize, **kwargs)
        self.slavedest = self._one_of("workerdest", "slavedest", given=(workerdest, slavedest))
        self.mode = mode
        self._is_path("slavedest", self.slavedest)
        if not needs_rendering(mode):
            self._is_mode(mode)

    @property
    def workerdest(self) -> Any:
        return self.slavedest

    def result(self, sent: bool) -> int:
        return SUCCESS if sent else CANCELLED if self.stopped else FAILURE

    async def make_file(self, text: str | bytes) -> int:
        """Make the file of this text; the result."""
        return self.result(await self.send_text(text, str(self.slavedest), self.mode))

    def own_words(self) -> str:
        return f"downloading to {Path(str(self.slavedest)).name}"


class FileDownload(DownloadStep):
    """Bring a file of the master's to the slave.

    mastersrc: its path on the master, relative to the master's base directory. slavedest (or workerdest): where it
    goes on the slave, relative to workdir; directories are made. maxsize: bytes; a bigger file makes the step fail and
    changes nothing (default None). blocksize: bytes of one message, at most 64 KiB, the default. mode: rights of
    the file on the slave, such as 0o755 (default: as the slave's umask says). mastersrc, slavedest and mode are
    renderable.

    The file gets its name when it is whole. The download goes on where it was after a restart of the master.
    """

    name = "download"
    renderables: ClassVar[Any] = ("mastersrc",)

    def __init__(
        self,
        mastersrc: Any = None,
        slavedest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        mode: Any = None,
        workerdest: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            slavedest=slavedest,
            workerdest=workerdest,
            workdir=workdir,
            maxsize=maxsize,
            blocksize=blocksize,
            mode=mode,
            **kwargs,
        )
        self.mastersrc = self._one_of("mastersrc", given=(mastersrc,))
        self._is_path("mastersrc", mastersrc)

    async def run(self) -> int:
        path = self.on_master(str(self.mastersrc))
        for _ in range(MOST_ATTEMPTS):
            seen = self.recall("file")
            if seen is None:
                if not path.is_file():
                    raise await self.fail(f"the master has no file {path}")
                seen = self.remember("file", lambda _: identity(path))
            source = self._open(path, seen)
            try:
                sent = await self.send(source, seen[2], str(self.slavedest), self.mode)
            finally:
                source.close()
            if sent or not self.remember("again", lambda _, source=source: source.changed and not self.stopped):  # type: ignore[misc]
                return self.result(sent)
            await self.say(f"{path} was changed while it was sent; it is sent again\n")
        raise await self.fail(f"{path} does not stay the same while it is sent")

    def _open(self, path: Path, seen: Any) -> FileContent:
        try:
            return FileContent(path, seen)
        except FileNotFoundError:
            return FileContent(Path(os.devnull), seen)  # it was there before a restart: what is left is refused


class StringDownload(DownloadStep):
    """Make a file on the slave of a text.

    s: the text, or bytes. slavedest, workdir, maxsize, blocksize, mode: as FileDownload's. s and slavedest are
    renderable. A text that is another one when the step goes on after a restart of the master makes the build RETRY.
    """

    name = "string_download"
    renderables: ClassVar[Any] = ("s",)

    def __init__(
        self,
        s: Any,
        slavedest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        mode: Any = None,
        workerdest: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            slavedest=slavedest,
            workerdest=workerdest,
            workdir=workdir,
            maxsize=maxsize,
            blocksize=blocksize,
            mode=mode,
            **kwargs,
        )
        self.s = s
        if not needs_rendering(s) and not isinstance(s, (str, bytes)):
            self._wrong(f"what it sends is a text, not {s!r:.100}", "JSONStringDownload sends other data")

    async def run(self) -> int:
        if not isinstance(self.s, (str, bytes)):
            raise await self.fail(f"what it sends is a text, not {type(self.s).__name__}")
        return await self.make_file(self.s)


class JSONStringDownload(DownloadStep):
    """Make a file on the slave of data as JSON.

    o: the data: dictionaries, lists, texts, numbers; they may hold renderables. The rest is StringDownload's.
    """

    name = "json_download"
    renderables: ClassVar[Any] = ("o",)

    def __init__(
        self,
        o: Any,
        slavedest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        mode: Any = None,
        workerdest: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            slavedest=slavedest,
            workerdest=workerdest,
            workdir=workdir,
            maxsize=maxsize,
            blocksize=blocksize,
            mode=mode,
            **kwargs,
        )
        self.o = o
        if not needs_rendering(o):
            try:
                json.dumps(o)
            except (TypeError, ValueError) as wrong:
                self._wrong(f"what it sends cannot be JSON: {wrong}")

    async def run(self) -> int:
        try:
            text = json.dumps(self.o)
        except (TypeError, ValueError) as wrong:
            raise await self.fail(f"what it sends cannot be JSON: {wrong}") from None
        return await self.make_file(text)


class JSONPropertiesDownload(DownloadStep):
    """Make a file on the slave of the build's properties and source stamps, as JSON:
    `{"properties": {name: value}, "sourcestamps": [...], "sourcestamp": the first of them}`.

    The arguments are StringDownload's, but for the text.
    """

    name = "json_properties_download"

    async def run(self) -> int:
        given = {name: value for name, (value, _) in self.build.getProperties().asDict().items()}
        stamps = [_stamp(each) for each in self.build.getAllSourceStamps()]
        told = {"properties": given, "sourcestamps": stamps, "sourcestamp": stamps[0] if stamps else None}
        return await self.make_file(json.dumps(told, default=str))


def _stamp(stamp: Any) -> dict[str, Any]:
    told = {name: getattr(stamp, name) for name in ("codebase", "repository", "project", "branch", "revision")}
    told["changes"] = [
        {"number": each.number, "who": each.who, "revision": each.revision, "files": list(each.files)}
        for each in stamp.changes
    ]
    return told
