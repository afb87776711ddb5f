"""Our own style sheets and scripts (in memory, named by their content), and the files of the user's public_html."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

STATIC = Path(__file__).with_name("static")


class StaticFile(NamedTuple):
    body: bytes
    gzipped: bytes
    content_type: str
    digest: str


class StaticFiles:
    """Read once. An address carries the digest of its file, so browsers may keep it for ever."""

    def __init__(self, directory: Path = STATIC) -> None:
        self._files = {path.name: _load(path) for path in sorted(directory.iterdir()) if path.is_file()}

    def get(self, name: str) -> StaticFile | None:
        return self._files.get(name)

    def address(self, name: str) -> str:
        """Raises LookupError for a file that we do not have, so that a template's mistake shows."""
        return f"/static/{name}?v={self._files[name].digest}"


def content_type(name: str) -> str:
    """What a file's name says it is; text is UTF-8."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return kind + "; charset=utf-8" if kind.startswith("text/") or kind.endswith(("javascript", "svg+xml")) else kind


def _load(path: Path) -> StaticFile:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return StaticFile(body, gzip.compress(body, 9, mtime=0), content_type(path.name), digest)


def public_file(root: Path, segments: list[str]) -> Path | None:
    """The regular file below `root` that a path names; None for anything hidden, outside, or not there."""
    if any(not part or part.startswith(".") or "/" in part or "\0" in part for part in segments):
        return None
    try:
        top = root.resolve(strict=True)
        found = root.joinpath(*segments).resolve(strict=True)
    except (OSError, ValueError):
        return None
    return found if found.is_relative_to(top) and found.is_file() else None
