"""Steps that bring files and directories of the slave's to the master. The other way: buildbot.steps.downloading."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any, ClassVar

from buildbot.process.deferring import answer_of
from buildbot.process.properties import needs_rendering
from buildbot.process.remotecommand import RemoteCommand
from buildbot.process.results import CANCELLED, FAILURE, SKIPPED, SUCCESS, worst_of
from buildbot.steps.transferbase import BLOCK
from buildbot.steps.uploading import UploadStep

COMPRESS = (None, "gz", "bz2")


class FileUpload(UploadStep):
    """Bring a file of the slave's to the master.

    slavesrc (or workersrc): its path, relative to workdir. masterdest: where it goes on the master, relative to the
    master's base directory; directories are made. maxsize: bytes; a bigger file makes the step fail and changes nothing
    (default None: no limit). blocksize: bytes of one message, at most 64 KiB, the default. mode:
    rights of the file, such as 0o644 (default: as the master's umask says). keepstamp: keep its times (default False).
    url, urlText: a link to it. All but mode and keepstamp are renderable.

    The file gets its name when it is whole. The upload goes on where it was after a restart of the master.
    """

    name = "upload"
    renderables: ClassVar[Any] = ("slavesrc", "masterdest")

    def __init__(
        self,
        slavesrc: Any = None,
        masterdest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        mode: Any = None,
        keepstamp: bool = False,
        url: Any = None,
        urlText: Any = None,
        workersrc: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            maxsize=maxsize, blocksize=blocksize, url=url, urlText=urlText, **_with_workdir(workdir, kwargs)
        )
        self.slavesrc = self._one_of("workersrc", "slavesrc", given=(workersrc, slavesrc))
        self.masterdest = self._one_of("masterdest", given=(masterdest,))
        self.mode = mode
        self.keepstamp = keepstamp
        self._is_path("slavesrc", self.slavesrc)
        self._is_path("masterdest", masterdest)
        self._is_mode(mode)

    @property
    def workersrc(self) -> Any:
        return self.slavesrc

    async def run(self) -> int:
        target = self.on_master(str(self.masterdest))
        if target.is_dir():
            raise await self.fail(f"{target} is a directory; masterdest is the name that the file gets")
        result = await self.upload_file(str(self.slavesrc), target, mode=self.mode, keepstamp=bool(self.keepstamp))
        if result == SUCCESS:
            await self.show_link(str(self.masterdest))
        return result

    def own_words(self) -> str:
        return f"uploading {Path(str(self.slavesrc)).name}"


class DirectoryUpload(UploadStep):
    """Bring a directory of the slave's to the master, with all that is in it.

    slavesrc (or workersrc): its path, relative to workdir. masterdest: the directory on the master, relative to the
    master's base directory; what is in it already stays, or is replaced by what has its name. maxsize: bytes of the tar
    stream; more make the step fail (default None: no limit). blocksize: as FileUpload's. compress: None (the default),
    "gz" or "bz2": how it is sent. url, urlText: a link to it. slavesrc, masterdest, url and urlText are renderable.

    Owners are not kept, links must stay in the directory, and what is no file, directory or link is left out.
    """

    name = "upload"
    renderables: ClassVar[Any] = ("slavesrc", "masterdest", "compress")

    def __init__(
        self,
        slavesrc: Any = None,
        masterdest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        compress: Any = None,
        url: Any = None,
        urlText: Any = None,
        workersrc: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            maxsize=maxsize, blocksize=blocksize, url=url, urlText=urlText, **_with_workdir(workdir, kwargs)
        )
        self.slavesrc = self._one_of("workersrc", "slavesrc", given=(workersrc, slavesrc))
        self.masterdest = self._one_of("masterdest", given=(masterdest,))
        self.compress = compress
        self._is_path("slavesrc", self.slavesrc)
        self._is_path("masterdest", masterdest)
        if not needs_rendering(compress) and compress not in COMPRESS:
            self._wrong(f"compress is None, 'gz' or 'bz2', not {compress!r}")

    @property
    def workersrc(self) -> Any:
        return self.slavesrc

    async def run(self) -> int:
        target = self.on_master(str(self.masterdest))
        result = await self.upload_directory(str(self.slavesrc), target, compress=self.compress)
        if result == SUCCESS:
            await self.show_link(str(self.masterdest))
        return result

    def own_words(self) -> str:
        return f"uploading {Path(str(self.slavesrc)).name}"


class MultipleFileUpload(UploadStep):
    """Bring several files and directories of the slave's into one directory of the master.

    slavesrcs (or workersrcs): list of paths, relative to workdir; or one. masterdest: the directory on the master,
    relative to the master's base directory. glob: the paths are patterns (default False). mode, keepstamp: of files, as
    FileUpload's. compress: of directories, as DirectoryUpload's. maxsize: bytes, of each one. blocksize, url, urlText:
    as FileUpload's. slavesrcs, masterdest, url and urlText are renderable.

    Every one is tried, and the worst result counts. When there is nothing to upload, the step is SKIPPED.
    """

    name = "upload"
    renderables: ClassVar[Any] = ("slavesrcs", "masterdest", "compress")

    def __init__(
        self,
        slavesrcs: Any = None,
        masterdest: Any = None,
        workdir: Any = None,
        maxsize: Any = None,
        blocksize: Any = BLOCK,
        glob: bool = False,
        mode: Any = None,
        compress: Any = None,
        keepstamp: bool = False,
        url: Any = None,
        urlText: Any = None,
        workersrcs: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            maxsize=maxsize, blocksize=blocksize, url=url, urlText=urlText, **_with_workdir(workdir, kwargs)
        )
        self.slavesrcs = self._one_of("workersrcs", "slavesrcs", given=(workersrcs, slavesrcs))
        self.masterdest = self._one_of("masterdest", given=(masterdest,))
        self.glob = glob
        self.mode = mode
        self.compress = compress
        self.keepstamp = keepstamp
        self._is_path("masterdest", masterdest)
        self._is_mode(mode)
        if not needs_rendering(compress) and compress not in COMPRESS:
            self._wrong(f"compress is None, 'gz' or 'bz2', not {compress!r}")
        sources = self.slavesrcs
        if sources is not None and not needs_rendering(sources) and not isinstance(sources, (str, list, tuple)):
            self._wrong(f"slavesrcs is a list of paths, not {sources!r}")
        self._uploaded = 0

    @property
    def workersrcs(self) -> Any:
        return self.slavesrcs

    # -- for subclasses to write

    def uploadDone(self, result: int, source: str, masterdest: str) -> Any:
        """One of them has come, or has failed. masterdest: its path on the master. May be a coroutine or give a
        Deferred. It is called again when the step goes on after a restart of the master."""

    def allUploadsDone(self, result: int, sources: list[str], masterdest: str) -> Any:
        """All of them are done. masterdest: the directory on the master. As uploadDone."""

    # -- the step

    async def run(self) -> int:
        sources = await self._sources()
        target = self.on_master(str(self.masterdest))
        result = SUCCESS if sources else SKIPPED
        for source in sources:
            name = self._name_of(source)
            if name is None:
                raise await self.fail(f"{source!r} gives no name for a file on the master")
            one = await self._upload(source, target / name)
            await answer_of(self.uploadDone(one, source, str(target / name)))
            self._uploaded += one == SUCCESS
            result = worst_of([result, one])
            if self.stopped:
                return CANCELLED
        await answer_of(self.allUploadsDone(result, sources, str(target)))
        if self._uploaded:
            await self.show_link(str(self.masterdest))
        return result

    async def _sources(self) -> list[str]:
        given = [self.slavesrcs] if isinstance(self.slavesrcs, str) else list(self.slavesrcs or ())
        sources = [str(each) for each in given]
        if not self.glob:
            return sources
        found: list[str] = []
        for pattern in sources:
            command = RemoteCommand("glob", {"path": pattern, "workdir": self.workdir})
            await self.runCommand(command)
            paths = command.outcome.get("result")
            if not await self.ended_well(command) or not isinstance(paths, list):
                raise await self.fail(f"the slave cannot look for {pattern!r}")
            found += [path for path in paths if isinstance(path, str)]
        return list(dict.fromkeys(found))

    def _name_of(self, source: str) -> str | None:
        """What it is called on the master; None: that is no name."""
        on_windows = self.build.getSlaveInfo().get("system") in ("nt", "win32")
        name = re.split(r"[/\\]" if on_windows else "/", source.rstrip("/\\" if on_windows else "/"))[-1]
        return None if name in ("", ".", "..") or "/" in name or "\0" in name else name

    async def _upload(self, source: str, target: Path) -> int:
        command = RemoteCommand("stat", {"file": source, "workdir": self.workdir})
        await self.runCommand(command)
        found = command.outcome.get("result")
        if not await self.ended_well(command) or not isinstance(found, (list, tuple)) or not isinstance(found[0], int):
            await self.say(f"{source} is not there\n")
            return CANCELLED if self.stopped else FAILURE
        if stat.S_ISDIR(found[0]):
            return await self.upload_directory(source, target, compress=self.compress)
        if not stat.S_ISREG(found[0]):
            await self.say(f"{source} is no file and no directory\n")
            return FAILURE
        if target.is_dir():
            await self.say(f"{target} is a directory already\n")
            return FAILURE
        return await self.upload_file(source, target, mode=self.mode, keepstamp=bool(self.keepstamp))

    def own_words(self) -> str:
        return f"uploading {self._uploaded} files" if self.results is not None else "uploading"


def _with_workdir(workdir: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs if workdir is None else {**kwargs, "workdir": workdir}
