"""The waterfall's grid: boxes with times become table cells with row spans. Pure: no store, no HTML.

Time runs upwards: the first row is the newest. A row is the span between two moments at which some box begins or
ends, so a row has no fixed length; every box has at least one row, so that five seconds stay readable beside three
hours. Builds of one builder that overlap get lanes beside each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Box(NamedTuple, Generic[T]):
    """Something that took time. `end` None: it goes on. A group's boxes stay in one lane, in the order given."""

    start: float
    end: float | None
    what: T
    group: Hashable = None


class Cell(NamedTuple, Generic[T]):
    """`what` None: nothing happened there. `lanes` is how many columns an empty cell may be joined over: always 1."""

    rows: int
    what: T | None


class Row(NamedTuple, Generic[T]):
    """`at` is the moment of the row's lower edge; cells only for the columns in which one begins, by lane."""

    at: int
    cells: tuple[tuple[int, Cell[T]], ...]


class Grid(NamedTuple, Generic[T]):
    lanes: tuple[int, ...]  # how many lanes each column has, at least one
    rows: tuple[Row[T], ...]


class _Placed(NamedTuple, Generic[T]):
    start: int
    end: int
    what: T


def lay_out(columns: Sequence[Sequence[Box[T]]], top: float) -> Grid[T]:
    """The grid of these columns; `top` is the end of the boxes that go on."""
    newest = _newest(columns, top)
    lanes_of = [_into_lanes(boxes, newest) for boxes in columns]
    lanes = [lane for lanes in lanes_of for lane in lanes]
    edges = sorted({edge for lane in lanes for box in lane for edge in (box.start, box.end)}, reverse=True)
    row_of = {edge: row for row, edge in enumerate(edges)}
    count = max(len(edges) - 1, 0)
    cells: list[list[tuple[int, Cell[T]]]] = [[] for _ in range(count)]
    for number, lane in enumerate(lanes):
        for row, cell in _cells(lane, row_of, count):
            cells[row].append((number, cell))
    rows = tuple(Row(edges[row + 1], tuple(cells[row])) for row in range(count))
    return Grid(tuple(len(lanes) for lanes in lanes_of), rows)


def _newest(columns: Sequence[Sequence[Box[T]]], top: float) -> int:
    ends = (box.end if box.end is not None else box.start for boxes in columns for box in boxes)
    return int(max(max(ends, default=top), top))


def _into_lanes(boxes: Sequence[Box[T]], newest: int) -> list[list[_Placed[T]]]:
    """Each group goes into the first lane that is free when it begins."""
    lanes: list[list[_Placed[T]]] = []
    for group in _groups(boxes):
        lane = next((lane for lane in lanes if lane[-1].end <= int(group[0].start)), None)
        if lane is None:
            lane = []
            lanes.append(lane)
        lane.extend(_placed(group, newest))
    return lanes or [[]]


def _groups(boxes: Sequence[Box[T]]) -> list[list[Box[T]]]:
    """The boxes by group, the group that began first is first; boxes without a group stand alone."""
    groups: dict[Hashable, list[Box[T]]] = {}
    for position, box in enumerate(boxes):
        groups.setdefault(("alone", position) if box.group is None else ("group", box.group), []).append(box)
    return sorted(groups.values(), key=lambda group: group[0].start)


def _placed(group: Iterable[Box[T]], newest: int) -> Iterable[_Placed[T]]:
    """Whole seconds, none shorter than one, none before the end of the one below it."""
    free_from = None
    for box in group:
        start = int(box.start) if free_from is None else max(int(box.start), free_from)
        end = max(newest if box.end is None else int(box.end), start + 1)
        yield _Placed(start, end, box.what)
        free_from = end


def _cells(lane: Sequence[_Placed[T]], row_of: dict[int, int], count: int) -> Iterable[tuple[int, Cell[T]]]:
    """The lane's boxes and the gaps between them, each at its first (newest) row."""
    row = 0
    for box in sorted(lane, key=lambda box: box.end, reverse=True):
        first, after = row_of[box.end], row_of[box.start]
        if first > row:
            yield row, Cell(first - row, None)
        yield first, Cell(after - first, box.what)
        row = after
    if row < count:
        yield row, Cell(count - row, None)
