"""What a try job is, and its file: written by `buildbot try`, read from a jobdir. No store, no wire.

A job file is a row of netstrings (`LENGTH:BYTES,`). The first is the version of the format:

    1   jobid, branch, baserev, patch level, patch, then builder names
    2   jobid, branch, baserev, patch level, patch, repository, project, builder names
    3   ... project, who, builder names
    4   ... who, comment, builder names
    5   one JSON object: jobid branch baserev patch_level patch_body repository project who comment builderNames
        properties
    6   as 5, with patch_body_base64 instead of patch_body: a patch that is not UTF-8

An empty branch is the default one, an empty baserev the newest, and no builder names are all of the scheduler's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildbot.model import JSON
from buildbot.process.outside import BadInput, decoded, kind_of, properties_of, text_of

LARGEST_PATCH = 4 * 1024 * 1024
LARGEST_FILE = 6 * 1024 * 1024  # a patch in base64, and the rest
LONGEST_TEXT = 256 * 1024  # of revision (darcs has a whole context in it) and comment
LONGEST_NAME = 1_000  # of every other text
MOST_BUILDERS = 1_000
MOST_PROPERTIES = 1_000
LONGEST_PROPERTIES = 256 * 1024  # as JSON
MOST_LEVELS = 99

_NETSTRING = re.compile(rb"([0-9]{1,9}):")
_HEAD = ("jobid", "branch", "baserev", "patch_level", "patch_body")
_NETSTRING_KEYS: Mapping[bytes, tuple[str, ...]] = {
    b"1": _HEAD,
    b"2": (*_HEAD, "repository", "project"),
    b"3": (*_HEAD, "repository", "project", "who"),
    b"4": (*_HEAD, "repository", "project", "who", "comment"),
}
_NOTHING = ("", "None")  # older clients write None into the file


@dataclass(frozen=True, slots=True, kw_only=True)
class TryJob:
    """What somebody wants to have tried. jobid: of the file, '' for jobs that came by Perspective Broker."""

    jobid: str = ""
    branch: str | None = None
    revision: str | None = None
    patch_level: int = 0
    patch: bytes = b""  # empty: the unpatched revision
    subdir: str = ""  # where the patch applies, below the source
    repository: str = ""
    project: str = ""
    who: str = ""
    comment: str = ""
    builder_names: tuple[str, ...] = ()  # none: all
    properties: Mapping[str, JSON] = field(default_factory=dict)


def job_from(described: Mapping[str, Any]) -> TryJob:
    """The job that these values describe, under the names that the JSON of the file has. Raises BadInput."""
    return TryJob(
        jobid=_name(described, "jobid"),
        branch=_name(described, "branch") or None,
        revision=_revision(described.get("baserev")),
        patch_level=_level(described.get("patch_level")),
        patch=_patch(described),
        subdir=_subdir(_name(described, "patch_subdir")),
        repository=_name(described, "repository"),
        project=_name(described, "project"),
        who=_name(described, "who"),
        comment=_bounded(described.get("comment") or "", "comment", LONGEST_TEXT),
        builder_names=_builder_names(described.get("builderNames")),
        properties=_properties(described.get("properties")),
    )


def parse(data: bytes) -> TryJob:
    """The job in a job file. Raises BadInput, which says what is wrong with the file."""
    if len(data) > LARGEST_FILE:
        raise BadInput(f"the job is {len(data)} bytes long, and at most {LARGEST_FILE} are taken")
    parts = list(_netstrings(data))
    if not parts:
        raise BadInput("the job is empty")
    version, *rest = parts
    if version in _NETSTRING_KEYS:
        described = _described(version, rest)
    elif version in (b"5", b"6"):
        described = _from_json(version, rest)
    else:
        raise BadInput(f"version {decoded(version[:20])!r} of the job's format is not known; 1 to 6 are")
    job = job_from(described)
    if not job.jobid:
        raise BadInput("the job has no jobid")
    return job


def encoded(job: TryJob) -> bytes:
    """The file of a job, in version 5, or 6 when the patch is not UTF-8."""
    described: dict[str, Any] = {
        "jobid": job.jobid,
        "branch": job.branch,
        "baserev": job.revision,
        "patch_level": job.patch_level,
        "repository": job.repository,
        "project": job.project,
        "who": job.who,
        "comment": job.comment,
        "builderNames": list(job.builder_names),
        "properties": dict(job.properties),
    }
    if job.subdir:
        described["patch_subdir"] = job.subdir
    try:
        version, described["patch_body"] = b"5", job.patch.decode("utf-8")
    except UnicodeDecodeError:
        version, described["patch_body_base64"] = b"6", base64.b64encode(job.patch).decode()
    return _netstring(version) + _netstring(json.dumps(described).encode())


# -- the file


def _netstring(data: bytes) -> bytes:
    return b"%d:%s," % (len(data), data)


def _netstrings(data: bytes) -> Iterator[bytes]:
    at, all_of_it = 0, len(data.rstrip(b"\r\n \t"))
    while at < all_of_it:
        head = _NETSTRING.match(data, at)
        if head is None:
            raise BadInput(f"the job is no row of netstrings: at byte {at} there is no length")
        end = head.end() + int(head[1])
        if data[end : end + 1] != b",":
            raise BadInput(f"the job is cut off or damaged: the netstring at byte {at} does not end where it says")
        yield data[head.end() : end]
        at = end + 1


def _described(version: bytes, rest: Sequence[bytes]) -> dict[str, Any]:
    keys = _NETSTRING_KEYS[version]
    if len(rest) < len(keys):
        raise BadInput(f"a job of version {version.decode()} has at least {len(keys)} parts, and this has {len(rest)}")
    return {**dict(zip(keys, rest, strict=False)), "builderNames": list(rest[len(keys) :])}


def _from_json(version: bytes, rest: Sequence[bytes]) -> dict[str, Any]:
    try:
        described = json.loads(rest[0]) if len(rest) == 1 else None
    except (ValueError, RecursionError) as wrong:
        raise BadInput(f"the job's JSON cannot be read: {wrong}") from None
    if not isinstance(described, dict):
        raise BadInput(f"a job of version {version.decode()} has one more part, a JSON object")
    if version == b"6":
        try:
            described["patch_body"] = base64.b64decode(described.get("patch_body_base64") or "", validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise BadInput("patch_body_base64 is not base64") from None
    return described


# -- the values


def _bounded(value: object, what: str, most: int) -> str:
    text = text_of(value, what)
    if len(text) > most:
        raise BadInput(f"{what} is {len(text)} characters long, and at most {most} are taken")
    return text


def _name(described: Mapping[str, Any], what: str) -> str:
    return _bounded(described.get(what) or "", what, LONGEST_NAME)


def _revision(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = _bounded("" if value is None else value, "baserev", LONGEST_TEXT)
    return None if text in _NOTHING else text


def _level(value: object) -> int:
    try:
        if not isinstance(value, (int, str, bytes, type(None))):
            raise ValueError
        level = int(value or 0)
    except ValueError:
        level = -1
    if not 0 <= level <= MOST_LEVELS:
        raise BadInput(f"the patch level is a number from 0 to {MOST_LEVELS}, not {value!r:.40}")
    return level


def _patch(described: Mapping[str, Any]) -> bytes:
    value = described.get("patch_body")
    if isinstance(value, (list, tuple)):  # Perspective Broker cannot send a large one in one piece
        if not all(isinstance(piece, bytes) for piece in value):
            raise BadInput("the pieces of a patch must be bytes")
        value = b"".join(value)
    if value is None:
        return b""
    if not isinstance(value, (str, bytes)):
        raise BadInput(f"the patch must be text, not {kind_of(value)}")
    body = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if len(body) > LARGEST_PATCH:
        raise BadInput(f"the patch is {len(body)} bytes long, and at most {LARGEST_PATCH} are taken")
    return body


def _subdir(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise BadInput(f"the patch's directory {path!r} is not below the source")
    return path


def _builder_names(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"the builder names must be a list, not {kind_of(value)}")
    if len(value) > MOST_BUILDERS:
        raise BadInput(f"the job names {len(value)} builders, and at most {MOST_BUILDERS} are taken")
    return tuple(dict.fromkeys(_bounded(name, "a builder's name", LONGEST_NAME) for name in value))


def _properties(value: object) -> dict[str, JSON]:
    found = properties_of(value, MOST_PROPERTIES)
    size = len(json.dumps(found))
    if size > LONGEST_PROPERTIES:
        raise BadInput(f"the properties are {size} characters long, and at most {LONGEST_PROPERTIES} are taken")
    return found
