"""The index beside a log: who wrote which bytes when.

A row of 40-byte records, one a *run*: bytes of one channel from one producer within a tenth of a second. A record is
written before the bytes it announces, and says how many they are, so that after a crash no byte is without an owner
or with a wrong one: records past the end of the text announce nothing and are dropped, the last run ends where the
text ends, and bytes that no record announces (a power loss may take the end of either file) are cut.

Producers are numbers: 0 is the step itself, others are ids of remote commands. How many bytes have been taken from a
producer says where its slave goes on after an interruption. What is taken is not always what is written: a secret is
replaced by its name, the middle of a log that is too big is left out. Such a run says both numbers; it is whole or not
there at all, because of a part of it nobody could say how much it had been.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple, overload

from buildbot.store.logpack import Part

RECORD = struct.Struct("<QQdIIIHH")  # offset, newlines before it, time, bytes, taken, producer, channel, reserved
COUNT = struct.Struct("<I")  # the bytes alone, which grow
COUNT_AT = 24
AS_MANY = 0  # for `taken`: as many as there are bytes
_RUNS_AT_ONCE = 128
STEP_ITSELF = 0


class Channel(IntEnum):
    """Where bytes of a log come from."""

    STDOUT = 1
    STDERR = 2
    HEADER = 3


_CHANNELS = {int(channel): channel for channel in Channel}


class Run(NamedTuple):
    offset: int
    newlines: int  # in the file before this run
    written_at: float
    producer: int
    channel: Channel


NO_RUN = Run(0, 0, 0.0, STEP_ITSELF, Channel.STDOUT)


def records_of(data: bytes) -> Iterator[tuple[Run, int, int]]:
    """Each run with how many bytes it has and how many were taken for them, up to what can be no record."""
    whole = len(data) - len(data) % RECORD.size
    before = 0
    for offset, newlines, written_at, count, taken, producer, channel, _ in RECORD.iter_unpack(data[:whole]):
        # A block that a power loss left empty is no record, and nothing after it is to be believed.
        if channel not in _CHANNELS or offset < before:
            return
        yield Run(offset, newlines, written_at, producer, _CHANNELS[channel]), count, taken
        before = offset


def runs_of(data: bytes) -> list[Run]:
    return [run for run, _, _ in records_of(data)]


class Runs(Sequence[Run]):
    """The runs of an index that announce bytes before `size`, read as they are asked for: there may be millions."""

    def __init__(self, index: Part, size: int) -> None:
        self._index = index
        self._page = -1
        self._runs: list[Run] = []
        self._count = index.size() // RECORD.size
        if self._count and not self._is_record(self._count - 1):
            self._count = bisect_left(range(self._count), True, key=lambda at: not self._is_record(at))
        self._count = bisect_left(self, size, key=offset_of)

    def _is_record(self, at: int) -> bool:
        """A power loss may leave an empty block where records should be."""
        return bool(runs_of(self._index.read(RECORD.size, at * RECORD.size)))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Run: ...

    @overload
    def __getitem__(self, at: slice) -> list[Run]: ...

    def __getitem__(self, at: int | slice) -> Run | list[Run]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(self._count))]
        if at < 0:
            at += self._count
        if not 0 <= at < self._count:
            raise IndexError(at)
        page, place = divmod(at, _RUNS_AT_ONCE)
        if page != self._page:
            bytes_at_once = _RUNS_AT_ONCE * RECORD.size
            data = self._index.read(bytes_at_once, page * bytes_at_once)
            self._runs, self._page = self._without_gaps(runs_of(data), page), page
        return self._runs[place]

    def _without_gaps(self, runs: list[Run], page: int) -> list[Run]:
        """What a damaged index does not say belongs to the run before."""
        missing = min(_RUNS_AT_ONCE, self._count - page * _RUNS_AT_ONCE) - len(runs)
        if missing > 0:
            last = runs[-1] if runs else self[page * _RUNS_AT_ONCE - 1] if page else NO_RUN
            runs = runs + [last] * missing
        return runs


def offset_of(run: Run) -> int:
    return run.offset


def index_problem(index: Part, size: int) -> str:
    """Whether an index says of every byte of a finished text of this size whose it is: '' or what is wrong."""
    if index.size() % RECORD.size:
        return "ends within a record"
    count = index.size() // RECORD.size
    end = 0
    for at in range(0, count, _RUNS_AT_ONCE):
        wanted = min(_RUNS_AT_ONCE, count - at)
        records = list(records_of(index.read(wanted * RECORD.size, at * RECORD.size)))
        if len(records) < wanted:
            return f"has no record where the {at + len(records) + 1}th should be"
        for run, length, _ in records:
            if run.offset > end:
                return f"says nothing of the bytes from {end} to {run.offset}"
            end = max(end, run.offset + length)  # more than there are, when a crash has cut the text
    return "" if end >= size else f"says nothing of the bytes from {end} on"
