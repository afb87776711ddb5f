"""The waterfall's grid, as a table of cases: boxes in, rows with row spans out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot.status.web.waterfall_layout import Box, Grid, lay_out


def drawn(grid: Grid[str]) -> list[str]:
    """The grid as text: a letter a cell's row, `.` for nothing; newest first."""
    width = sum(grid.lanes)
    rows = [["?"] * width for _ in grid.rows]
    for number, row in enumerate(grid.rows):
        for lane, cell in row.cells:
            for down in range(cell.rows):
                assert rows[number + down][lane] == "?", "two cells in one place"
                rows[number + down][lane] = cell.what or "."
    return ["".join(row) for row in rows]


class LayOutTests(SynchronousTestCase):
    def test_newest_is_at_the_top(self) -> None:
        self.assertEqual(drawn(lay_out([[Box(0, 10, "a"), Box(10, 20, "b")]], 20)), ["b", "a"])

    def test_a_box_spans_what_begins_and_ends_beside_it(self) -> None:
        columns = [[Box(0, 10800, "l", 1)], [Box(100, 105, "s", 1), Box(105, 200, "t", 1)]]
        self.assertEqual(drawn(lay_out(columns, 10800)), ["l.", "lt", "ls", "l."])

    def test_what_goes_on_reaches_the_top(self) -> None:
        columns = [[Box(0, None, "r")], [Box(5, 10, "a")]]
        self.assertEqual(drawn(lay_out(columns, 60)), ["r.", "ra", "r."])

    def test_boxes_of_no_length_get_a_row_each(self) -> None:
        self.assertEqual(drawn(lay_out([[Box(5, 5, x, 1) for x in "abc"]], 5)), ["c", "b", "a"])

    def test_builds_that_overlap_get_lanes(self) -> None:
        columns = [[Box(0, 10, "a", 1), Box(5, 15, "b", 2), Box(12, 20, "c", 3)]]
        grid = lay_out(columns, 20)
        self.assertEqual(grid.lanes, (2,))
        self.assertEqual(drawn(grid), ["c.", "cb", ".b", "ab", "a."])

    def test_a_build_stays_in_its_lane(self) -> None:
        columns = [[Box(0, 5, "a", 1), Box(5, 20, "b", 1), Box(4, 6, "x", 2)]]
        self.assertEqual(drawn(lay_out(columns, 20)), ["b.", "bx", "ax", "a."])

    def test_empty_columns_have_a_lane(self) -> None:
        grid = lay_out([[], [Box(0, 5, "a")], []], 5)
        self.assertEqual((grid.lanes, drawn(grid)), ((1, 1, 1), [".a."]))

    def test_nothing_at_all_has_no_rows(self) -> None:
        self.assertEqual(lay_out([[], []], 100), Grid((1, 1), ()))

    def test_rows_tell_their_time(self) -> None:
        self.assertEqual([row.at for row in lay_out([[Box(3, 10, "a"), Box(20, 30, "b")]], 30).rows], [20, 10, 3])


boxes = st.builds(
    lambda start, length, group: Box(float(start), None if length is None else float(start + length), "b", group),
    st.integers(0, 100),
    st.none() | st.integers(0, 40),
    st.none() | st.integers(0, 3),
)


class GridProperties(SynchronousTestCase):
    @given(st.lists(st.lists(boxes, max_size=8), max_size=4))
    def test_every_place_is_covered_once_and_every_box_is_there(self, columns: list[list[Box[str]]]) -> None:
        columns = [sorted(column, key=lambda box: box.start) for column in columns]
        grid = lay_out(columns, 120)
        for row in drawn(grid):
            self.assertNotIn("?", row)
        shown = sum(cell.what is not None for row in grid.rows for _, cell in row.cells)
        self.assertEqual(shown, sum(len(column) for column in columns))
        self.assertEqual([row.at for row in grid.rows], sorted({row.at for row in grid.rows}, reverse=True))
