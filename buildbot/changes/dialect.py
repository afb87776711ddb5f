"""The dictionary with which clients of every era describe a change, checked and turned into a `NewChange`.

Keys, from Buildbot 0.7.9 to 4.3; text may be str or bytes (UTF-8), and any may be missing except the author:

- `who` or `author`; `committer`; `comments`; `files`: a list of paths;
- `revision`: text or a number; `branch`; `repository`; `project`; `codebase`; `category`; `revlink`;
- `when` or `when_timestamp`: epoch seconds of the commit; `properties`: {name: plain value};
- `src` or `vc` (kind of version control), `isdir` and `links` are taken and not kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from buildbot.model import NewChange
from buildbot.process.outside import BadInput, kind_of, properties_of, text_of

MAX_FILES = 10_000
MAX_PROPERTIES = 1_000
MAX_CHARACTERS = 1_000_000  # of all texts of a change together
_LATEST_TIME = 1e11

KNOWN_KEYS = frozenset(
    {"who", "author", "committer", "comments", "files", "revision", "branch", "repository", "project", "codebase"}
    | {"category", "revlink", "when", "when_timestamp", "properties", "src", "vc", "isdir", "links"}
)


def unknown_keys(described: Mapping[str, Any]) -> list[str]:
    return sorted(described.keys() - KNOWN_KEYS)


def normalized(described: object) -> dict[str, Any]:
    """The dictionary with text keys. Raises BadInput."""
    if not isinstance(described, dict):
        raise BadInput(f"a change is described by a dictionary, not by {kind_of(described)}")
    return {text_of(key, "a key"): value for key, value in described.items()}


def change_from(described: Mapping[str, Any], *, source: str, prefix: str | None = None) -> NewChange:
    """The change that a dictionary describes. Only files under `prefix` count, and it is cut from their paths."""
    author = _optional(described, "author", "who")
    if not author:
        raise BadInput("a change needs its author: the key 'who' (or 'author') is missing or empty")
    change = NewChange(
        author=author,
        committer=_optional(described, "committer") or None,
        comments=_optional(described, "comments") or "",
        files=_files(described.get("files"), prefix),
        committed_at=_time(described, "when_timestamp", "when"),
        repository=_optional(described, "repository") or "",
        project=_optional(described, "project") or "",
        codebase=_optional(described, "codebase") or "",
        branch=_optional(described, "branch") or None,
        revision=_revision(described.get("revision")),
        category=_optional(described, "category") or None,
        revlink=_optional(described, "revlink") or "",
        source=source,
        properties=tuple(properties_of(described.get("properties"), MAX_PROPERTIES).items()),
    )
    _check_size(change)
    return change


def _optional(described: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = described.get(name)
        if value is not None:
            return text_of(value, repr(name))
    return None


def _revision(value: object) -> str | None:
    if value is None or value == "" or value == b"":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(value, "'revision'")


def _time(described: Mapping[str, Any], *names: str) -> float | None:
    for name in names:
        value = described.get(name)
        if value is None or value == "":
            continue
        try:
            seconds = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
        except (ValueError, OverflowError):
            seconds = math.nan
        if not 0 <= seconds < _LATEST_TIME:
            raise BadInput(f"{name!r} must be a time in epoch seconds, not {value!r:.40}")
        return seconds
    return None


def _files(value: object, prefix: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"'files' must be a list of paths, not {kind_of(value)}")
    if len(value) > MAX_FILES:
        raise BadInput(f"the change names {len(value)} files, and at most {MAX_FILES} are taken")
    paths = [text_of(path, "each of 'files'") for path in value]
    if prefix:
        paths = [path.removeprefix(prefix) for path in paths if path.startswith(prefix)]
    return tuple(paths)


def _check_size(change: NewChange) -> None:
    fields = [field for field in change if isinstance(field, str)]
    size = sum(map(len, fields)) + sum(map(len, change.files)) + len(repr(change.properties))
    if size > MAX_CHARACTERS:
        raise BadInput(
            f"the change is {size} characters long, and at most {MAX_CHARACTERS} are taken; shorten its comments"
        )
