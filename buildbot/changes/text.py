"""Text of the world outside, made fit for the store: no NUL, no half characters, and no byte lost that can be kept."""

from __future__ import annotations

import re

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with whatever SQLite or UTF-8 cannot hold replaced by U+FFFD."""
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def decoded(data: bytes, encoding: str = "utf-8") -> str:
    """Bytes as text; what is wrong in this encoding is replaced by U+FFFD."""
    return clean(data.decode(encoding, "replace"))


def decoded_keeping_all(data: bytes, encoding: str = "utf-8") -> str:
    """Bytes as text; a byte that is wrong in this encoding is read as Latin-1, which old repositories are full of."""
    text = data.decode(encoding, "surrogateescape")
    return clean(_ESCAPED_BYTE.sub(lambda found: chr(ord(found[0]) - 0xDC00), text))
