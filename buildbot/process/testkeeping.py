"""Brings to the store what the steps of one build tell of tests: a little at a time, while the build runs.

A step may tell a hundred thousand results in one go. They wait here, and are written in batches, each in a transaction
of a few milliseconds, with the reactor's turn between them; a step does not end before its own are written. Numbers
are given in the order of telling, so a step whose code runs again writes over what it had told.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import deferLater
from twisted.logger import Logger

from buildbot.process.insisting import insist
from buildbot.store import Store, testresults
from buildbot.store.testresults import Counts, NewResult

AT_ONCE = 250  # results in one transaction
TURN_SECONDS = 0.01  # of the reactor, after which no further transaction begins
AT_ONCE_CHARACTERS = 128 << 10
MOST_RESULTS = 200_000  # of a step
MOST_SETS = 50  # of a step
MOST_CHARACTERS = 16 << 20  # of the values and details of a step
LONGEST_NAME = 1000  # characters; of paths and of what sets say of themselves, too
LONGEST_VALUE = 4000


class _Set:
    """A set of a running step. `id` None: it has no row yet."""

    def __init__(self, step: Any, number: int, description: str, category: str, value_unit: str) -> None:
        self.step = step
        self.number = number
        self.description = description
        self.category = category
        self.value_unit = value_unit
        self.id: int | None = None
        self.kept = 0
        self.told = self.passed = self.failed = 0

    @property
    def counts(self) -> Counts:
        return Counts(self.told, self.passed, self.failed)

    def count(self, passed: bool | None) -> None:
        self.told += 1
        self.passed += passed is True
        self.failed += passed is False


class _Waiting(NamedTuple):
    set: _Set
    ordinal: int
    result: NewResult


class _OfStep:
    """What one step has told."""

    def __init__(self) -> None:
        self.sets: list[_Set] = []
        self.results = 0
        self.characters = 0
        self.said_full = False


class TestsOfBuild:
    """build: the one that runs."""

    __test__ = False  # not one of pytest's
    _log = Logger()

    def __init__(self, build: Any) -> None:
        self._build = build
        self._steps: dict[int, _OfStep] = {}  # by their rows
        self._sets: dict[int, _Set] = {}  # by their rows
        self._waiting: deque[_Waiting] = deque()
        self._one = DeferredLock()
        self._writing = False

    def new_set(self, step: Any, description: str, category: str, value_unit: str) -> _Set:
        """The next set of a step that runs. Raises ValueError when it has too many."""
        of_step = self._steps.setdefault(step.step_id, _OfStep())
        if len(of_step.sets) >= MOST_SETS:
            raise ValueError(f"a step has at most {MOST_SETS} sets of test results")
        mask = self._build.secrets.mask
        words = [_cut(mask(str(text)), LONGEST_NAME) for text in (description, category, value_unit)]
        made = _Set(step, len(of_step.sets), *words)
        of_step.sets.append(made)
        return made

    async def row_of(self, made: _Set) -> int:
        """The number of the set's row, which is made when it is not there."""
        if made.id is None:
            made.id = await insist(self._build, self._begin, made)
            self._sets[made.id] = made
        return made.id

    def _begin(self, store: Store, made: _Set) -> int:
        build = self._build
        return testresults.begin_set(
            store,
            build.row.builder_id,
            build.id,
            made.step.step_id,
            made.number,
            description=made.description,
            category=made.category,
            value_unit=made.value_unit,
        )

    def set_of(self, id: int) -> _Set:
        """A set that has a row. Raises ValueError when no step of this build has begun it."""
        try:
            return self._sets[id]
        except KeyError:
            raise ValueError(f"no set {id!r} of test results: await addTestResultSet() for its number") from None

    def add(self, into: _Set, result: NewResult) -> None:
        """Take a result, in which secrets are hidden. What is too long is cut, and beyond the limits of the step it is
        counted alone."""
        into.count(result.passed)
        of_step = self._steps[into.step.step_id]
        result = _bounded(result)
        size = len(result.value) + len(result.details or "")
        if of_step.results >= MOST_RESULTS or of_step.characters + size > MOST_CHARACTERS:
            self._say_full(of_step, into)
            return
        of_step.results += 1
        of_step.characters += size
        self._waiting.append(_Waiting(into, into.kept, result))
        into.kept += 1
        if len(self._waiting) >= AT_ONCE and not self._writing:
            self._writing = True
            _ = Deferred.fromCoroutine(self._write_meanwhile())

    def _say_full(self, of_step: _OfStep, into: _Set) -> None:
        if not of_step.said_full:
            of_step.said_full = True
            into.step.note_text(
                "results.left_out",
                f"This step told more results of tests than are kept of one: {MOST_RESULTS} results, and "
                f"{MOST_CHARACTERS >> 20} Mi characters in their values and details. Those after the "
                f"{of_step.results} first are counted, and left out.\n",
            )

    async def _write_meanwhile(self) -> None:
        try:
            await deferLater(self._build.clock, 0)  # the step tells on in this turn
            await self._write()
        except CancelledError:
            pass  # this process has left the build
        except Exception:  # they still wait, and the end of the step says what is wrong
            self._log.failure("results of tests of {build} could not be stored", build=self._build)
        finally:
            self._writing = False

    async def end_step(self, step: Any) -> None:
        """All that the step has told is in the store, and nothing that a repeated step has told in an earlier run."""
        of_step = self._steps.get(step.step_id, _OfStep())
        await self._write()
        for each in of_step.sets:
            await insist(self._build, testresults.set_counts, await self.row_of(each), each.counts, anew=step.runs_anew)
        if step.runs_anew:
            kept = [each.kept for each in of_step.sets]
            while await insist(self._build, testresults.remove_leftovers, step.step_id, kept, AT_ONCE):
                await deferLater(self._build.clock, 0)

    async def _write(self) -> None:
        """Write all that waits, one batch after the other, in the reactor's turns."""
        await self._one.acquire()
        began = time.perf_counter()
        try:
            while self._waiting:
                batch = self._batch()
                into = batch[0].set
                id = await self.row_of(into)
                results = [each.result for each in batch]
                builder = self._build.row.builder_id
                await insist(self._build, testresults.put, builder, id, batch[0].ordinal, results, into.counts)
                for _ in batch:
                    self._waiting.popleft()
                if self._waiting and time.perf_counter() - began > TURN_SECONDS:
                    await deferLater(self._build.clock, 0)
                    began = time.perf_counter()
        finally:
            self._one.release()

    def _batch(self) -> list[_Waiting]:
        """The first that wait, of one set."""
        batch: list[_Waiting] = []
        size = 0
        for each in self._waiting:
            size += len(each.result.value) + len(each.result.details or "")
            if batch and (each.set is not batch[0].set or len(batch) == AT_ONCE or size > AT_ONCE_CHARACTERS):
                break
            batch.append(each)
        return batch


def _bounded(result: NewResult) -> NewResult:
    name, path, value = result.name, result.path, result.value
    if _is_short(name, LONGEST_NAME) and _is_short(path, LONGEST_NAME) and _is_short(value, LONGEST_VALUE):
        return result
    name, path = (None if text is None else _cut(text, LONGEST_NAME) for text in (name, path))
    return result._replace(name=name, path=path, value=_cut(value, LONGEST_VALUE))


def _is_short(text: str | None, longest: int) -> bool:
    """Whether it can be stored as it is."""
    return text is None or (len(text) <= longest and text.isascii() and "\0" not in text)


def _cut(text: str, longest: int) -> str:
    """What SQLite and JSON can hold of it, not longer than that."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return text.encode("utf-8", "replace").decode().replace("\0", "�")
