"""A tar stream of a slave is unpacked on the master: blocking code for a thread, which trusts nothing in the stream.

Nothing is written outside of the directory, neither by names nor through links; there are no devices, no owners, no
special rights; and what is written is bounded. Each file is written under another name and renamed when it is whole, so
unpacking may be done again from the beginning.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO, Any

from buildbot.store.logfiles import file_name

MOST_ENTRIES = 1_000_000
MOST_HEADER = 1024 * 1024  # bytes of a long name or of other facts of one entry
MOST_GROWTH = 1000  # times as many bytes may be in a stream as it has
FREE_GROWTH = 64 * 1024 * 1024
COPY_BYTES = 256 * 1024
MODES = {None: "r|", "gz": "r|gz", "bz2": "r|bz2"}
_LONG = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class BadStream(Exception):
    """The stream is damaged, or does what it must not; the text says what."""


class Stopped(Exception):
    """The work was told to end."""


class _Entry(tarfile.TarInfo):
    """Reads no header into memory that is longer than any honest one."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.type in _LONG and self.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def unpack(stream: Path, target: Path, compress: str | None, stop: Event) -> int:
    """Unpack `stream` into the directory `target`, over what is there; how many entries. Raises BadStream, OSError,
    Stopped."""
    most = os.stat(stream).st_size * MOST_GROWTH + FREE_GROWTH
    target.mkdir(parents=True, exist_ok=True)
    opened: Any = tarfile.open
    count = 0
    try:
        with (
            open(stream, "rb") as file,
            opened(fileobj=file, mode=MODES[compress], tarinfo=_Entry, bufsize=COPY_BYTES) as tar,
        ):
            while (entry := tar.next()) is not None:
                if stop.is_set():
                    raise Stopped
                count += 1
                most -= entry.size if entry.isreg() else 0
                if count > MOST_ENTRIES:
                    raise BadStream(f"there are more than {MOST_ENTRIES} files in it")
                if most < 0:
                    raise BadStream("it has too many bytes for its size")
                _put(tar, entry, target, stop, stream.name)
                tar.members = []  # it would keep all of them
    except (tarfile.TarError, EOFError, ValueError, UnicodeError) as wrong:
        raise BadStream(str(wrong)) from wrong
    return count


def _put(tar: Any, entry: tarfile.TarInfo, target: Path, stop: Event, tag: str) -> None:
    """tag: the same when the stream is unpacked again, so that what was half written is written over."""
    if entry.name.rstrip("/") in ("", "."):
        if not entry.isdir():  # slaves of other eras send a file so, where a directory should be
            raise BadStream("it is no directory")
        return  # the directory itself
    if entry.issparse():
        raise BadStream(f"{entry.name!r} is a file with holes")
    # refuses absolute names, those that lead out, links that lead out, and devices; takes special rights away
    entry = tarfile.data_filter(entry, str(target))
    parts = Path(entry.name).parts
    if not parts or ".." in parts:
        raise BadStream(f"{entry.name!r} is no name below the directory")
    path = _below(target, parts)
    if entry.isdir():
        if not _is_directory(path):
            path.mkdir()
        return
    if _is_directory(path):
        raise BadStream(f"{entry.name!r} is a directory already")
    new = path.with_name(file_name(f".{path.name}.{tag}"))
    new.unlink(missing_ok=True)
    try:
        if entry.isreg():
            _copy(tar.extractfile(entry), entry, new, stop)
        elif entry.issym():
            os.symlink(entry.linkname, new)
        else:  # another name of a file that came before
            linked = _below(target, Path(entry.linkname).parts)
            if not stat.S_ISREG(os.lstat(linked).st_mode):
                raise BadStream(f"{entry.name!r} is another name of {entry.linkname!r}, which is no file")
            shutil.copy2(linked, new, follow_symlinks=False)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _below(target: Path, parts: tuple[str, ...]) -> Path:
    """The path of these parts, whose directories are made. None of them may be a link, which could lead anywhere."""
    path = target
    for part in parts[:-1]:
        path = path / part
        if not _is_directory(path):
            path.mkdir()
    return path / parts[-1]


def _is_directory(path: Path) -> bool:
    """Raises BadStream when something else is there, where a directory is needed; for a last part that is a file or a
    link, which may be replaced, it is False."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _copy(source: IO[bytes], entry: tarfile.TarInfo, new: Path, stop: Event) -> None:
    mode = entry.mode & 0o755
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(new, flags, mode | stat.S_IWUSR), "wb") as file:
        while data := source.read(COPY_BYTES):
            if stop.is_set():
                raise Stopped
            file.write(data)
        if file.tell() != entry.size:
            raise BadStream(f"{entry.name!r} ends too early")
    if os.name == "posix":
        os.chmod(new, mode)
    os.utime(new, (max(entry.mtime, 0), max(entry.mtime, 0)))
