"""What a step asked for before a restart answers what it asks for again, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.model import CommandID, CommandState, RemoteCommandRow, StepID
from buildbot.process.journal import Diverged, Journal


def row(ordinal: int, name: str, args: Any = None, asked: float = 0.0, ended: float | None = None) -> RemoteCommandRow:
    state = CommandState.RUNNING if ended is None else CommandState.FINISHED
    id = CommandID(10 + ordinal)
    return RemoteCommandRow(id, StepID(1), ordinal, name, args or {}, state, "i", asked, ended, None)


def taken(journal: Journal, name: str, args: Any = None) -> int | None:
    found = journal.take(name, args)
    return None if found is None else found.ordinal


ONE_AFTER_ANOTHER = [row(0, "mkdir", {"dir": "a"}, 1, 2), row(1, "shell", {"at": 12.5}, 2, 3), row(2, "shell", {}, 4)]
AT_ONCE = [
    row(0, "shell", {"command": ["a1"]}, 1, 5),
    row(1, "shell", {"command": ["b1"]}, 1, 3),
    row(2, "shell", {"command": ["b2"]}, 3, 9),
    row(3, "shell", {"command": ["a2"]}, 5),
]


def test_a_step_that_begins_has_nothing() -> None:
    journal = Journal()
    assert journal.take("shell", {}) is None
    assert [journal.next_ordinal() for _ in range(3)] == [0, 1, 2]
    journal.close()


def test_one_after_another_each_is_the_next_whatever_its_arguments() -> None:
    """A command with the time in its arguments is resumed, not run once more."""
    journal = Journal(ONE_AFTER_ANOTHER)
    assert [taken(journal, "mkdir"), taken(journal, "shell", {"at": 99}), taken(journal, "shell")] == [0, 1, 2]
    assert taken(journal, "shell") is None
    assert journal.next_ordinal() == 3
    journal.close()


def test_one_after_another_another_name_is_a_divergence() -> None:
    journal = Journal(ONE_AFTER_ANOTHER)
    with pytest.raises(Diverged, match="asks for 'shell' where it had asked for 'mkdir'"):
        journal.take("shell")


def test_at_once_each_is_known_by_its_arguments() -> None:
    journal = Journal(AT_ONCE)
    wanted = [("a1",), ("a2",), ("b1",), ("b2",), ("b3",)]
    assert [taken(journal, "shell", {"command": each}) for each in wanted] == [0, 3, 1, 2, None]
    journal.close()


def test_at_once_two_that_are_alike_are_two() -> None:
    journal = Journal([row(0, "shell", {"n": 1}, 1, 4), row(1, "shell", {"n": 1}, 2)])
    assert [taken(journal, "shell", {"n": 1}) for _ in range(3)] == [0, 1, None]


def test_what_is_not_asked_for_again_is_a_divergence() -> None:
    journal = Journal(AT_ONCE)
    journal.take("shell", {"command": ["a1"]})
    with pytest.raises(Diverged, match="does not ask for 'shell' any more"):
        journal.close()
    journal.forget()
    journal.close()
    assert journal.next_ordinal() == 4


def test_looking_takes_nothing() -> None:
    journal = Journal(ONE_AFTER_ANOTHER)
    assert journal.look("mkdir") == journal.look("mkdir") == journal.take("mkdir")
