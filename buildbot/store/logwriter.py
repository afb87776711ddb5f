"""Writing a log: every byte has an owner, also when the process dies at any point of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from buildbot.store.logindex import AS_MANY, COUNT, COUNT_AT, RECORD, Channel, Run, records_of
from buildbot.store.logreader import count_newlines

_RUN_SECONDS = 0.1
_RUN_BYTES = 1 << 18


class LogWriter:
    """One growing log. `size` and `newlines` are what is in the file."""

    def __init__(self, path: Path, told: Callable[[], None]) -> None:
        self._told = told
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._text = os.open(path, flags | os.O_APPEND, 0o644)
        self._index = os.open(path.with_suffix(".idx"), flags, 0o644)
        self.size = os.fstat(self._text).st_size
        self._records = 0  # bytes of the index
        self._held: dict[int, int] = {}
        self._last: Run | None = None
        self._altered = False  # whether the last run is one of which more or fewer bytes were taken
        self.newlines = 0
        if self.size or os.fstat(self._index).st_size:
            self._recover()

    def _recover(self) -> None:
        records = [*records_of(os.pread(self._index, os.fstat(self._index).st_size, 0))]
        ends = [*(run.offset for run, _, _ in records[1:]), None]
        announced = 0
        for (run, count, taken), next_begins in zip(records, ends, strict=False):
            end = run.offset + count if next_begins is None or taken else next_begins
            if (end > self.size and taken) or (run.offset >= self.size and not taken):
                break
            announced = min(end, self.size)
            self._held[run.producer] = self._held.get(run.producer, 0) + (taken or announced - run.offset)
            self._last, self._altered = run, taken != AS_MANY
            self._records += RECORD.size
        if self.size > announced:  # what no record announces cannot be attributed
            os.ftruncate(self._text, announced)
            self.size = announced
        os.ftruncate(self._index, self._records)
        if self._last is not None:
            self.newlines = self._last.newlines + count_newlines(self._read_text, self._last.offset, self.size)

    def _read_text(self, count: int, at: int) -> bytes:
        return os.pread(self._text, count, at)

    def held(self, producer: int) -> int:
        """How many bytes of this producer have been taken: those in the file, and those that were left out of it."""
        return self._held.get(producer, 0)

    def append(self, data: bytes, channel: Channel, producer: int, now: float, taken: int | None = None) -> None:
        """Write bytes. `taken`: of how many of the producer's they were made; default: they are the producer's own.

        Raises OSError (a full disk, say) with the file as it was before.
        """
        altered = taken is not None and taken != len(data)
        taken = len(data) if taken is None else taken
        if not data and not taken:
            return
        run, before = self._last, self._records
        if run is None or altered or not self._goes_on(run, channel, producer, now):
            run = Run(self.size, self.newlines, now, producer, channel)
            self._records += RECORD.size
        try:
            count = self.size + len(data) - run.offset
            self._announce(run, count, new=self._records > before, taken=taken if altered else AS_MANY)
            _write_all(self._text, data)
        except OSError:
            # The index too: a record left there would own the next bytes of the run before it.
            os.ftruncate(self._index, before)
            os.ftruncate(self._text, self.size)
            self._records = before
            if run is self._last:
                self._announce(run, self.size - run.offset, new=False)
            raise
        self._last, self._altered = run, altered
        self.size += len(data)
        self.newlines += data.count(b"\n")
        self._held[producer] = self._held.get(producer, 0) + taken
        self._told()

    def _announce(self, run: Run, count: int, *, new: bool, taken: int = AS_MANY) -> None:
        """Say in the last record that the run has so many bytes."""
        at = self._records - RECORD.size
        if new:
            offset, newlines, written_at, producer, channel = run
            record = RECORD.pack(offset, newlines, written_at, count, taken, producer, channel, 0)
            _write_all_at(self._index, record, at)
        else:
            _write_all_at(self._index, COUNT.pack(count), at + COUNT_AT)

    def _goes_on(self, last: Run, channel: Channel, producer: int, now: float) -> bool:
        return (
            not self._altered
            and last.producer == producer
            and last.channel is channel
            and abs(now - last.written_at) <= _RUN_SECONDS  # a clock may be set back
            and self.size - last.offset < _RUN_BYTES
        )

    @property
    def lines(self) -> int:
        """How many lines the file has; a last one without a newline counts."""
        torn = self.size and os.pread(self._text, 1, self.size - 1) != b"\n"
        return self.newlines + bool(torn)

    def finish(self, now: float) -> None:
        """Nothing more will come. To be called before `size` and `lines` are written down; harmless when repeated."""

    def sync(self) -> None:
        """Have everything on the disk. Takes its time: to be called in a thread. Raises OSError."""
        os.fsync(self._text)
        os.fsync(self._index)

    def close(self) -> None:
        """End of the log; those who follow it are told."""
        os.close(self._text)
        os.close(self._index)
        self._text = self._index = -1  # the numbers may be those of other files soon
        self._told()


def _write_all_at(descriptor: int, data: bytes, at: int) -> None:
    written = os.pwrite(descriptor, data, at)
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], at + written)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])
