"""Locks as values of the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.config.errors import ConfigErrors
from buildbot.process.locks import LockAccess, MasterLock, SlaveLock, WorkerLock, lock_access


def test_locks_of_one_kind_name_and_limits_are_the_same() -> None:
    assert MasterLock("a") == MasterLock("a", maxCount=1)
    assert hash(MasterLock("a")) == hash(MasterLock("a", 1))
    assert MasterLock("a") != MasterLock("a", 2)
    assert MasterLock("a") != SlaveLock("a")
    assert SlaveLock("a", maxCountForSlave={"b": 2}) == WorkerLock("a", maxCountForWorker={"b": 2})
    assert SlaveLock("a", maxCountForSlave={"b": 2}) != SlaveLock("a")


def test_access_says_how_much_is_taken() -> None:
    lock = MasterLock("a", 3)
    assert (lock.access("counting").count, lock.access("counting", 2).count) == (1, 2)
    assert lock.access("exclusive") == LockAccess(lock, "exclusive") == LockAccess(lock, "exclusive", 1)
    assert lock_access(lock) == lock.access("counting")
    assert lock_access(lock.access("exclusive")).mode == "exclusive"
    assert lock.access("counting").lockid is lock


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MasterLock(3), "name is a string"),
        (lambda: MasterLock("a", 0), "at least 1"),
        (lambda: MasterLock("a", True), "whole number"),
        (lambda: SlaveLock("a", maxCountForSlave={"b": "2"}), "maxCountForSlave is a dict"),
        (lambda: SlaveLock("a", maxCountForSlave={"b": 1}, maxCountForWorker={"b": 1}), "the same argument"),
        (lambda: MasterLock("a").access("shared"), '"counting" or "exclusive"'),
        (lambda: MasterLock("a").access("counting", -1), "at least 0"),
        (lambda: MasterLock("a").access("exclusive", 2), "count must be 1"),
        (lambda: LockAccess("a", "counting"), "'a' is not a lock"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigErrors, match=said):
        make()


def test_only_locks_stand_in_a_locks_list() -> None:
    with pytest.raises(TypeError, match="is not a lock"):
        lock_access("a")
