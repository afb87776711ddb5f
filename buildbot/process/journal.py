"""What a step had asked for before a restart of the master, while its code asks for it again.

Each entry is a remote command, or a thing that was done in the store (`BuildStep.remember`). Code that does one thing
after another asks in the same order again: the next entry is the answer, and must have the same name. Code that does
several things at once may ask in another order, according to what ended first; there an entry is known by its
arguments, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from buildbot.model import RemoteCommandRow


class Diverged(Exception):
    """The step's code asks for something else than its journal has; the text says what."""


class Journal:
    """Of one step. rows: what is written down of it, in order; a step that begins has none."""

    def __init__(self, rows: Sequence[RemoteCommandRow] = ()) -> None:
        self._left = list(rows)
        self._at_once = _some_at_once(rows)
        self._next = rows[-1].ordinal + 1 if rows else 0

    def next_ordinal(self) -> int:
        """The place of an entry that is to be written."""
        self._next += 1
        return self._next - 1

    def look(self, name: str, args: Any = None) -> RemoteCommandRow | None:
        """The entry that answers this, if it is there; `take` will give it. Raises Diverged.

        args: of a command, as they would be written down.
        """
        if not self._left:
            return None
        if self._at_once:
            wanted = (name, json.loads(json.dumps(args or {}, default=repr)))
            return next((row for row in self._left if (row.name, row.args) == wanted), None)
        if self._left[0].name != name:
            raise Diverged(f"the step now asks for {name!r} where it had asked for {self._left[0].name!r}")
        return self._left[0]

    def take(self, name: str, args: Any = None) -> RemoteCommandRow | None:
        """The entry that answers this, once; None: it was never asked for. Raises Diverged."""
        found = self.look(name, args)
        if found is not None:
            self._left.remove(found)
        return found

    def skip_to_last(self, name: str, args: Any) -> None:
        """The code asks for the last thing that it will ask for, perhaps earlier than before: what comes between was
        cut off by a stop, or by an error that comes again."""
        wanted = (name, json.loads(json.dumps(args, default=repr)))
        self._left = [row for row in self._left[-1:] if (row.name, row.args) == wanted]

    def close(self) -> None:
        """The step's code has ended. Raises Diverged when it has not asked for all that it had asked for."""
        if self._left:
            raise Diverged(f"the step does not ask for {self._left[0].name!r} any more, which it had asked for")

    def forget(self) -> None:
        """The code runs anew: what it asks for was never asked for."""
        self._left = []


def _some_at_once(rows: Sequence[RemoteCommandRow]) -> bool:
    """Whether something was asked for before something else had ended."""
    ended = 0.0
    for row in rows:
        if row.ordered_at < ended:
            return True
        ended = float("inf") if row.finished_at is None else row.finished_at
    return False
