"""Whole directory trees, removed and copied: plain blocking functions for a thread, which can be told to stop."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from threading import Event


class Stopped(Exception):
    """The work was told to stop before its end."""


def remove_tree(path: str, stop: Event) -> None:
    """Remove a file or a whole tree, however its directories are protected. What is not there is removed already.

    Links are removed, not followed. A directory without write permission gets it first.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        _insisting(os.unlink, path)
        return
    _remove_contents(path, stop)
    _insisting(os.rmdir, path)


def _remove_contents(path: str, stop: Event) -> None:
    """Depth first with a list instead of recursion: a tree may be deeper than the interpreter's stack."""
    pending = [path]
    while pending:
        if stop.is_set():
            raise Stopped
        directory = pending[-1]
        below = _remove_files(directory, stop)
        if below:
            pending.extend(below)
        else:
            pending.pop()
            if directory != path:
                _insisting(os.rmdir, directory)


def _remove_files(directory: str, stop: Event) -> list[str]:
    """Remove what is no directory; the directories are the answer."""
    below = []
    for entry in _entries(directory):
        if stop.is_set():
            raise Stopped
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.path)
        else:
            _insisting(os.unlink, entry.path)
    return below


def _entries(directory: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except PermissionError:
        os.chmod(directory, stat.S_IRWXU)
        with os.scandir(directory) as entries:
            return list(entries)


def _insisting(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except FileNotFoundError:
        return
    except PermissionError:
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        if not os.path.islink(path):
            os.chmod(path, stat.S_IRWXU)
        remove(path)


def copy_tree(source: str, target: str, stop: Event) -> None:
    """Copy a tree with links as links, modes and times; into `target` if that is there already."""

    def copy(one: str, other: str) -> str:
        if stop.is_set():
            raise Stopped
        return str(shutil.copy2(one, other, follow_symlinks=False))

    if not os.path.isdir(source):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), source)
    try:
        shutil.copytree(source, target, symlinks=True, copy_function=copy, dirs_exist_ok=True)
    except shutil.Error as error:
        first = error.args[0][0]
        raise OSError(errno.EIO, f"{len(error.args[0])} could not be copied, first {first[0]}: {first[2]}") from None
