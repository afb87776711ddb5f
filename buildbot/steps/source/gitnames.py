"""File names as git writes them in diffs: quoted as in C when they are more than plain ASCII."""

from __future__ import annotations

import re

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_PART = re.compile(rb"([^\\]+)|\\([0-7]{3})|\\(.)", re.DOTALL)
_ESCAPES = dict(zip(b'abtnvfr"\\', b'\a\b\t\n\v\f\r"\\', strict=True))


def unquoted(name: bytes) -> bytes:
    """One name. Behind a name with a space there is a tab."""
    name = name.removesuffix(b"\t")
    if len(name) < 2 or _QUOTED.fullmatch(name) is None:
        return name
    data = bytearray()
    for plain, octal, escape in _PART.findall(name[1:-1]):
        if plain:
            data += plain
        else:
            data.append(int(octal, 8) & 255 if octal else _ESCAPES.get(escape[0], escape[0]))
    return bytes(data)


def two_names(rest: bytes) -> tuple[bytes, bytes]:
    """Those of a line `diff --git`, without these two words. Names that are not quoted are taken to be as long as each
    other: when they differ, other lines tell which they are."""
    if rest.startswith(b'"') or rest.endswith(b'"'):
        quoted = _QUOTED.match(rest)
        first = quoted[0] if quoted else rest.partition(b' "')[0]
        return unquoted(first), unquoted(rest[len(first) + 1 :])
    half = len(rest) // 2
    return rest[:half], rest[half + 1 :]
