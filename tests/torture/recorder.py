"""What each command of the torture run executes on its slave, and the side-record it writes there.

`recorder.py DIRECTORY KEY LINES SECONDS [CODE [FILE]]` prints numbered lines to both channels over so many seconds and
ends with CODE. Into DIRECTORY it writes, apart from anything the master or the slave keep, when it began and when it
ended: each in one write to a file of its own name, which is opened to append, so that a second run of the same key is
seen. With FILE, it also writes down the word that is in that file.

Needs the standard library alone, and is quick to start: thousands of it run.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

ERROR_EACH = 3  # every third line says something on standard error as well


def file_of(directory: Path, key: str) -> Path:
    return directory / key.replace("/", "+")


def output(key: str, lines: int) -> bytes:
    """All that a run to its end writes to standard output."""
    return b"".join(_out(key, number) for number in range(1, lines + 1)) + f"{key} end".encode()


def errors(key: str, lines: int) -> bytes:
    """The same of standard error."""
    return b"".join(_err(key, number) for number in range(1, lines + 1) if number % ERROR_EACH == 0)


def _out(key: str, number: int) -> bytes:
    return f"{key} line {number} – {'é' * (number % 5)}\n".encode()


def _err(key: str, number: int) -> bytes:
    return f"{key} error {number}\n".encode()


class Ran(NamedTuple):
    """One run of a command, by its own record. `ended` and `code` are None for one that was killed.

    saw: what was in the file that it was told to look at.
    """

    pid: int
    lines: int
    began: float
    ended: float | None
    code: int | None
    saw: str | None = None


def read(directory: Path) -> dict[str, list[Ran]]:
    """Every run of every key."""
    found: dict[str, list[Ran]] = {}
    for path in directory.iterdir():
        runs: dict[int, Ran] = {}
        for line in path.read_text().splitlines():
            what, pid, *rest = line.split()
            if what == "began":
                runs[int(pid)] = Ran(int(pid), int(rest[1]), float(rest[0]), None, None)
            elif what == "saw":
                runs[int(pid)] = runs[int(pid)]._replace(saw=rest[0])
            else:
                runs[int(pid)] = runs[int(pid)]._replace(ended=float(rest[0]), code=int(rest[1]))
        found[path.name.replace("+", "/")] = list(runs.values())
    return found


def main(words: list[str]) -> int:
    directory, key, lines, seconds = Path(words[0]), words[1], int(words[2]), float(words[3])
    code = int(words[4]) if len(words) > 4 else 0
    record = os.open(file_of(directory, key), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(record, f"began {os.getpid()} {time.monotonic()} {lines}\n".encode())
    if len(words) > 5:
        os.write(record, f"saw {os.getpid()} {Path(words[5]).read_text().strip()}\n".encode())
    for number in range(1, lines + 1):
        line = _out(key, number)
        os.write(1, line[:-3])  # in two pieces, and perhaps within a character
        os.write(1, line[-3:])
        if number % ERROR_EACH == 0:
            os.write(2, _err(key, number))
        if seconds:
            time.sleep(seconds / lines)
    os.write(1, f"{key} end".encode())
    os.write(record, f"ended {os.getpid()} {time.monotonic()} {code}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
