"""A form as a browser sends it, taken apart in time that grows with its length alone: anybody can send one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from buildbot.status.web.asked import MOST_VALUES, BadRequest

Sent = dict[str, tuple[bytes, ...]]

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(rb'content-disposition:[^\r\n]*;\s*name="([^"\r\n]{0,1000})"', re.IGNORECASE)
LARGEST_ENCODED = 256 * 1024  # percent signs are dear
_LONGEST_HEAD = 4096  # of one part


def fields(kind: str, body: bytes) -> Sent:
    """{name: its values} of a body with this Content-Type; nothing when that is no form's. Raises BadRequest."""
    if kind.lower().startswith("multipart/form-data"):
        pairs = _parts(kind, body)
    elif kind.lower().startswith("application/x-www-form-urlencoded"):
        pairs = _encoded(body)
    else:
        return {}
    found: dict[str, list[bytes]] = {}
    for name, value in pairs:
        found.setdefault(name.decode(errors="replace"), []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _encoded(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(body) > LARGEST_ENCODED:
        raise BadRequest(f"the form has {len(body)} bytes; without files, at most {LARGEST_ENCODED} are taken")
    pairs = body.split(b"&", MOST_VALUES)
    if len(pairs) > MOST_VALUES:
        raise BadRequest(f"more than {MOST_VALUES} values in one form")
    for pair in pairs:
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            yield unquote_to_bytes(name), unquote_to_bytes(value)


def _parts(kind: str, body: bytes) -> Iterator[tuple[bytes, bytes]]:
    boundary = _BOUNDARY.search(kind)
    if boundary is None:
        raise BadRequest("the form does not say where its parts end")
    edge = b"\r\n--" + (boundary[1] or boundary[2]).encode()
    _, *parts = (b"\r\n" + body).split(edge, MOST_VALUES + 2)
    if len(parts) > MOST_VALUES + 1:
        raise BadRequest(f"more than {MOST_VALUES} values in one form")
    if not parts or not parts.pop().startswith(b"--"):
        raise BadRequest("the form is cut off")
    for part in parts:
        end = part.find(b"\r\n\r\n", 0, _LONGEST_HEAD)
        name = _NAME.search(part, 0, end) if end >= 0 else None
        if name is None:
            raise BadRequest("a part of the form has no name")
        yield name[1], part[end + 4 :]
