"""What `svn --xml` tells, read with care: it comes from a slave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

LONGEST = 4096  # of a URL


class Unreadable(ValueError):
    """This is not what svn prints."""


class Info(NamedTuple):
    """What `svn info --xml` says of one directory."""

    url: str
    root: str
    uuid: str
    revision: str
    changed: str


def read_info(text: str) -> Info:
    """Raises Unreadable."""
    entry = _parsed(text).find("entry")
    if entry is None:
        raise Unreadable("there is no entry")
    commit = entry.find("commit")
    info = Info(
        url=entry.findtext("url", ""),
        root=entry.findtext("repository/root", ""),
        uuid=entry.findtext("repository/uuid", ""),
        revision=entry.get("revision", ""),
        changed="" if commit is None else commit.get("revision", ""),
    )
    if "://" not in info.url or "://" not in info.root or max(len(info.url), len(info.root)) > LONGEST:
        raise Unreadable("there is no URL")
    if not _is_number(info.revision) or not _is_number(info.changed or "0") or len(info.uuid) > LONGEST:
        raise Unreadable("there is no revision")
    return info


def read_status(text: str) -> Iterator[tuple[str, str]]:
    """(path, what is with it) of each line of `svn status --xml`. Raises Unreadable."""
    for entry in _parsed(text).iter("entry"):
        state = entry.find("wc-status")
        if state is not None:
            yield entry.get("path", ""), state.get("item", "")


def _parsed(text: str) -> ElementTree.Element:
    if "<!" in text:  # svn writes no such declarations, and they could name entities without end
        raise Unreadable("it has a declaration")
    try:
        return ElementTree.fromstring(text.encode("utf-8", "replace"))
    except ElementTree.ParseError as wrong:
        raise Unreadable(str(wrong)) from wrong


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
