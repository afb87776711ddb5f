"""Secrets in files, one a file, as configuration management and container platforms lay them down."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.errors import error
from buildbot.secrets.base import ProviderFailed, SecretProviderBase

MOST_FILE_BYTES = 1 << 17


@configurable
class SecretInAFile(SecretProviderBase):
    """Each secret is a file of one directory, of the secret's name.

    dirname: the directory; relative to the master's. suffixes: of the files, not part of the names, such as
    ['.txt']; only such files count then. strip: leave out newlines at the end (default True).

    Files to which other users have any access, and a directory into which they may write, are refused: when the
    configuration is read, and again when a secret is asked for. Files are read when they are wanted.
    """

    name = "SecretInAFile"

    def __init__(self, dirname: Any, suffixes: Sequence[str] | None = None, strip: bool = True) -> None:
        self._suffixes = ("",) if suffixes is None else tuple(suffixes)
        self._strip = strip
        self._dirname = Path()
        if not isinstance(dirname, (str, Path)):
            error(f"SecretInAFile(): dirname must be a path, not {type(dirname).__name__}")
            return
        if isinstance(suffixes, str) or not all(isinstance(suffix, str) for suffix in self._suffixes):
            error("SecretInAFile(): suffixes must be a list of strings, such as ['.txt']")
        self._dirname = Path(dirname).absolute()
        for problem in self._problems():
            error(f"SecretInAFile(): {problem}")

    def _problems(self) -> list[str]:
        try:
            if not self._dirname.is_dir():
                return [f"{self._dirname} is not a directory: make it, with mode 700"]
            found = [_too_open(self._dirname)]
            found += [_too_open(path) for path in sorted(self._dirname.iterdir()) if self._counts(path)]
        except OSError as problem:
            return [f"{self._dirname} cannot be read: {problem.strerror}"]
        return [problem for problem in found if problem is not None]

    def _counts(self, path: Path) -> bool:
        return path.is_file() and any(path.name.endswith(suffix) for suffix in self._suffixes)

    def get(self, entry: str) -> str | None:
        if "/" in entry or "\0" in entry or entry in ("", ".", ".."):
            return None
        for suffix in self._suffixes:
            path = self._dirname / f"{entry}{suffix}"
            if path.is_file():
                return self._read(path)
        return None

    def _read(self, path: Path) -> str:
        problem = _too_open(self._dirname)
        if problem is not None:
            raise ProviderFailed(f"refuses it: {problem}")
        try:
            with path.open("rb") as file:
                problem = _too_open(path, os.fstat(file.fileno()).st_mode)
                if problem is not None:
                    raise ProviderFailed(f"refuses it: {problem}")
                data = file.read(MOST_FILE_BYTES)
        except OSError as unreadable:
            raise ProviderFailed(f"cannot read {path}: {unreadable.strerror}") from None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ProviderFailed(f"found no UTF-8 text in {path}; store it in base64") from None
        return text.rstrip("\r\n") if self._strip else text


def _too_open(path: Path, mode: int | None = None) -> str | None:
    """Why other users have too much access, if they do."""
    mode = path.stat().st_mode if mode is None else mode
    if stat.S_ISDIR(mode):
        sticky = mode & stat.S_ISVTX
        return f"other users may write into {path}: chmod o-w {path}" if mode & 0o002 and not sticky else None
    return f"other users have access to {path}: chmod o-rwx {path}" if mode & 0o007 else None
