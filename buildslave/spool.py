"""The output of one command that the master has not acknowledged yet, found by position.

It is a row of parts, in memory (`Blocks`) and on disk (`Segment`). While a master takes the output all of it is in
memory, and the command waits when there is too much. While none does, the first mebibyte stays in memory and what
comes after it goes to files; as long as there is a file, what is new goes behind it. A part that is acknowledged
is forgotten, a file removed.
"""

from typing import Protocol

from buildslave.blocks import CHUNK, Blocks, Piece
from buildslave.segment import Segment

MEMORY_BYTES = 1024 * 1024
"""So much of a command's output stays in memory when no master takes it."""
SEGMENT_BYTES = 16 * 1024 * 1024
"""A file that has so many bytes is followed by another one, so that room becomes free as output is acknowledged."""


class Files(Protocol):
    """Where a command's spool makes its files."""

    def segment(self, start: int) -> Segment: ...


class Spool:
    """Output in the order it came, from the acknowledged position to the end."""

    def __init__(self, start: int, files: Files) -> None:
        self._files = files
        self._parts: list[Blocks | Segment] = []
        self.base = start
        self.end = start
        self.complete = False

    @classmethod
    def restored(cls, segments: list[Segment], end: int, files: Files) -> "Spool":
        """The complete spool of a command that ended in another process; `segments` are what is left of it."""
        made = cls(segments[0].start if segments else end, files)
        made._parts += segments
        made.end = end
        made.complete = True
        return made

    def write(self, stream: str, data: bytes) -> None:
        """Add `data` at the end, in memory."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, Blocks):
            last = Blocks(self.end)
            self._parts.append(last)
        last.write(stream, data)
        self.end = last.end

    def close(self) -> None:
        """No more will be written."""
        self.complete = True

    @property
    def segments(self) -> list[Segment]:
        return [part for part in self._parts if isinstance(part, Segment)]

    @property
    def on_disk(self) -> bool:
        """True while a part of it lies in a file."""
        return any(isinstance(part, Segment) for part in self._parts)

    def cost_from(self, position: int) -> int:
        """Bytes of memory that hold what lies at and after `position`."""
        return sum(part.cost_from(position) for part in self._parts)

    def relieve(self) -> bool:
        """No master takes it, or a part is on disk: keep little in memory. False if the disk does not take more."""
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, Blocks):
            return True
        if len(self._parts) == 1:
            if last.cost_from(last.start) > MEMORY_BYTES:
                self._parts.append(Blocks(self.end))
            return True
        if last.cost_from(last.start) < CHUNK:
            return True
        try:
            self._to_disk(last)
        except OSError:
            return False
        return True

    def _to_disk(self, last: Blocks) -> None:
        before = self._parts[-2]
        if isinstance(before, Segment) and before.size < SEGMENT_BYTES:
            before.append(last)
            self._parts.pop()
            return
        if isinstance(before, Segment):
            before.close()
        self._parts[-1] = self._new_segment(last, whatever=False)

    def _new_segment(self, blocks: Blocks, *, whatever: bool) -> Segment:
        segment = self._files.segment(blocks.start)
        try:
            segment.append(blocks, whatever=whatever)
        except OSError:
            segment.discard()
            raise
        return segment

    def persist(self) -> None:
        """Move all of it to disk, whatever the bound: it is at most some two mebibytes more. Raises OSError."""
        for index, part in enumerate(self._parts):
            if isinstance(part, Segment):
                part.close()
            elif part.end > part.start:
                segment = self._parts[index] = self._new_segment(part, whatever=True)
                segment.close()

    def take(self, position: int, limit: int) -> tuple[list[Piece], int]:
        """At most `limit` bytes from `position` on, as pieces, and how many bytes they are. Nothing is removed; it
        may be fewer than there are. Raises OSError if they cannot be read from disk."""
        for part in self._parts:
            if position < part.end:
                return part.take(position, limit)
        return [], 0

    def acknowledge(self, position: int) -> None:
        """The master holds everything before `position`: forget it."""
        if not self.base < position <= self.end:
            return
        self.base = position
        while self._parts and self._parts[0].end <= position:
            self._parts.pop(0).discard()
        if self._parts:
            self._parts[0].acknowledge(position)

    def discard(self) -> None:
        """Nobody wants it any more: forget it, and remove its files."""
        parts, self._parts = self._parts, []
        self.base = self.end
        for part in parts:
            part.discard()
