"""Output in memory, found by position.

A position is the number of payload bytes before a byte, all streams together. A part of the output that lies in memory
is this; one that lies on disk is a `Segment`; a command's `Spool` puts them in a row.
"""

from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter

CHUNK = 64 * 1024
"""The most payload bytes of one call."""
MOST_PIECES = 2048
"""The most pieces of one call: many tiny pieces make a big message of few bytes."""
BLOCK_OVERHEAD = 128
"""What a block costs beside its bytes, so that a million one-byte blocks count as what they are."""

Piece = list[str | bytes]
"""[stream, data], as the wire wants it."""


class Block:
    """A run of bytes of one stream."""

    __slots__ = ("data", "start", "stream")

    def __init__(self, start: int, stream: str, data: bytearray) -> None:
        self.start = start
        self.stream = stream
        self.data = data


class Blocks:
    """Output in the order it came. Nothing is removed before it is acknowledged."""

    def __init__(self, start: int) -> None:
        self._blocks: list[Block] = []
        self._start = start
        self.end = start

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    @property
    def start(self) -> int:
        """The position of the first byte that is here; it may be acknowledged already, with the rest of its block."""
        return self._blocks[0].start if self._blocks else self._start

    def write(self, stream: str, data: bytes) -> None:
        """Add `data` at the end, joining it to the last block where that costs little."""
        if not data:
            return
        last = self._blocks[-1] if self._blocks else None
        if last is not None and last.stream == stream and len(last.data) + len(data) <= CHUNK:
            last.data += data
        else:
            self._blocks.append(Block(self.end, stream, bytearray(data)))
        self.end += len(data)

    def cost_from(self, position: int) -> int:
        """Bytes of memory that hold what lies at and after `position`."""
        if position > self.end or not self._blocks:
            return 0
        return self.end - max(position, self.start) + (len(self._blocks) - self._index(position)) * BLOCK_OVERHEAD

    def take(self, position: int, limit: int) -> tuple[list[Piece], int]:
        """At most `limit` bytes from `position` on, as pieces, and how many bytes they are. Nothing is removed."""
        pieces: list[Piece] = []
        total = 0
        for index in range(self._index(position), len(self._blocks)):
            block = self._blocks[index]
            if total >= limit or len(pieces) >= MOST_PIECES:
                break
            offset = position + total - block.start
            data = bytes(memoryview(block.data)[offset : offset + limit - total])
            if pieces and pieces[-1][0] == block.stream:
                pieces[-1][1] = b"".join((pieces[-1][1], data))  # type: ignore[arg-type]
            else:
                pieces.append([block.stream, data])
            total += len(data)
        return pieces, total

    def acknowledge(self, position: int) -> None:
        """The master holds everything before `position`: forget it."""
        keep = self._index(position) if position < self.end else len(self._blocks)
        if keep == len(self._blocks):
            self._start = self.end
        del self._blocks[:keep]

    def discard(self) -> None:
        """It is not needed any more."""
        self._blocks = []
        self._start = self.end

    def _index(self, position: int) -> int:
        """The number of the block that holds `position`."""
        return max(0, bisect_right(self._blocks, position, key=attrgetter("start")) - 1)
