"""Files for the transfers of the torture run, whose content follows from the build: `filler.py KEY` makes `big` and
`tree` in its directory, `filler.py KEY FILE` looks whether FILE is what `big` has to be.

Needs the standard library alone.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

SIZE = 500_000
SMALL = 10  # files in the tree, besides a big one


def content(key: str, name: str) -> bytes:
    """What the file of this name has in it."""
    return random.Random(f"{key}/{name}").randbytes(SIZE if name == "big" else 1000)


def names() -> list[str]:
    """Of the tree."""
    return ["big", *(f"deep/{number}" for number in range(SMALL))]


def make(where: Path, key: str) -> None:
    (where / "tree" / "deep").mkdir(parents=True, exist_ok=True)
    (where / "big").write_bytes(content(key, "big"))
    for name in names():
        (where / "tree" / name).write_bytes(content(key, name))


if __name__ == "__main__":
    key, *file = sys.argv[1:]
    if file:
        sys.exit(Path(file[0]).read_bytes() != content(key, "big"))
    make(Path(os.getcwd()), key)
