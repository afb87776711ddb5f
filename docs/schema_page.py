"""Writes docs/schema.md from the schema's own text: `python docs/schema_page.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SCHEMA = HERE.parent / "buildbot" / "store" / "schema.sql"
PAGE = HERE / "schema.md"

INTRODUCTION = """\
<!-- Written by docs/schema_page.py from buildbot/store/schema.sql: change that one, and run it again. -->

# Schema of the store

All that a master knows, but for the bytes of logs, is in one SQLite file, `state.sqlite`. These are its tables, each
column with its declaration and its meaning. Times are seconds since 1970 (REAL); NULL means "not yet" unless said
otherwise. JSON columns hold plain data as text. Every table is STRICT. Ids are never used again, so an address on the
web never changes its meaning.

Anybody may read the file while the master runs (`sqlite3 -readonly state.sqlite`); nobody but the master may write it.
Its number is in `PRAGMA user_version`: `buildbot upgrade-master` brings an older file up to date and leaves a copy of
it, and a newer file is refused. How rows change is drawn in [States](states.md).
"""

TABLE = re.compile(r"CREATE TABLE (?P<name>\w+) \( *(?:-- (?P<meaning>.*))?")
COLUMN = re.compile(r"    (?P<name>[a-z]\w*) (?P<declared>[^-]*?),? *(?:-- (?P<meaning>.*))?")
CONSTRAINT = re.compile(r"    (?P<text>(?:PRIMARY KEY|UNIQUE|CHECK) .*?),?")
END = re.compile(r"\) STRICT(?:, WITHOUT ROWID)?;")
INDEX = re.compile(r"CREATE INDEX (?P<name>\w+) ON (?P<table>\w+) (?P<what>.*);")


class NotUnderstood(Exception):
    """A line of the schema that this page would leave out."""


def page(schema: str) -> str:
    """The whole page. Raises NotUnderstood."""
    return INTRODUCTION + "".join(_lines(schema))


def _lines(schema: str) -> Iterator[str]:
    after: list[str] = []  # what follows the table of columns
    text = re.sub(r"\n    WHERE", " WHERE", schema)  # an index on two lines
    for line in filter(None, text.splitlines()):
        if line.startswith("--"):
            continue
        if found := TABLE.fullmatch(line):
            yield from _below(after)
            meaning = _sentence(found["meaning"] or "")
            yield f"\n## {found['name']}\n\n{meaning}\n\n| column | declared as | meaning |\n| --- | --- | --- |\n"
        elif found := CONSTRAINT.fullmatch(line):
            after.append(f"`{found['text']}`")
        elif found := COLUMN.fullmatch(line):
            yield f"| `{found['name']}` | `{found['declared']}` | {_cell(found['meaning'] or '')} |\n"
        elif found := INDEX.fullmatch(line):
            after.append(f"index `{found['name']}` on `{found['what']}`")
        elif not END.fullmatch(line):
            raise NotUnderstood(line)
    yield from _below(after)


def _below(after: list[str]) -> Iterator[str]:
    if after:
        yield "\n" + "".join(f"- {line}\n" for line in after)
        after.clear()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("''", "`''`")


if __name__ == "__main__":
    PAGE.write_text(page(SCHEMA.read_text()))
