"""Data of the world outside, made fit for the store: plain values, text without NUL or half characters, and no byte
lost that can be kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from buildbot.model import JSON

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DEEPEST = 20


class BadInput(ValueError):
    """What somebody sent cannot be taken; the text says what is wrong with it."""


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


def text_of(value: object, what: str) -> str:
    """Text or UTF-8 as clean text. Raises BadInput, naming `what`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bytes):
        return decoded(value)
    raise BadInput(f"{what} must be text, not {kind_of(value)}")


def kind_of(value: object) -> str:
    return type(value).__name__


def properties_of(value: object, most: int) -> dict[str, JSON]:
    """{name: plain value} of at most `most` properties; None is an empty one. Raises BadInput."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadInput(f"'properties' must be a dictionary, not {kind_of(value)}")
    if len(value) > most:
        raise BadInput(f"there are {len(value)} properties, and at most {most} are taken")
    return {text_of(name, "a property's name"): _plain(item, 0) for name, item in value.items()}


def _plain(value: object, depth: int) -> JSON:
    """A property's value as JSON can hold it."""
    if depth > _DEEPEST:
        raise BadInput("a property's value is nested too deep")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadInput("a property's value must be a finite number")
        return value
    if isinstance(value, (str, bytes)):
        return text_of(value, "a property's value")
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {text_of(key, "a property's key"): _plain(item, depth + 1) for key, item in value.items()}
    raise BadInput(f"a property's value must be plain data, not {kind_of(value)}")
