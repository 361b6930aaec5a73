"""Charts at a terminal: the dots lie where the numbers say, in braille and in ASCII, at every size."""

import math
from itertools import pairwise

import pytest

from hamner.reports.terminal_charts import ASCII_BLOCKS, BRAILLE, border_line, line_chart, sparkline

BOTH = pytest.mark.parametrize("ascii_only", [False, True])


def test_a_sparkline_rises_with_its_values_and_is_no_wider_than_asked():
    assert sparkline(range(8), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(range(8), 8, ascii_only=True) == ASCII_BLOCKS
    assert len(sparkline(range(1000), 17)) == 17 and sparkline([3.0, 1.0], 80) == "█▁"
    assert sparkline([5.0] * 3, 9) == "▅▅▅"
    assert sparkline([], 9) == sparkline([math.nan], 9) == sparkline([1.0], 0) == ""
    assert sparkline([1.0, math.nan, math.inf, 2.0], 9) == "▁█"


def _dots(rows):
    """Columns and rows of all dots of a chart of braille cells."""
    places = ((0, 0, 1), (0, 1, 2), (0, 2, 4), (1, 0, 8), (1, 1, 16), (1, 2, 32), (0, 3, 64), (1, 3, 128))
    return {
        (2 * x + column, 4 * y + row)
        for y, cells in enumerate(rows)
        for x, cell in enumerate(cells)
        for column, row, bit in places
        if cell != " " and (ord(cell) - BRAILLE) & bit
    }


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right_corner_without_a_gap():
    rows, low, high = line_chart([[(0, 9.0), (100, 1.0)]], 10, 5, x_range=(0, 100))
    dots = sorted(_dots(rows))
    assert (low, high) == (1.0, 9.0) and all(len(row) == 10 for row in rows) and len(rows) == 5
    assert dots[0] == (0, 0) and dots[-1] == (19, 19) and {x for x, _ in dots} == set(range(20))
    assert all(abs(a[1] - b[1]) <= 1 for a, b in pairwise(dots))


def test_a_jump_is_drawn_as_a_line_and_two_lines_are_not_joined():
    rows, _, _ = line_chart([[(0, 0.0), (50, 0.0), (51, 10.0), (100, 10.0)]], 50, 4, x_range=(0, 100))
    assert {y for _, y in _dots(rows)} == set(range(16))
    apart, _, _ = line_chart([[(0, 0.0), (50, 0.0)], [(51, 10.0), (100, 10.0)]], 50, 4, x_range=(0, 100))
    assert {y for _, y in _dots(apart)} == {0, 15}


@BOTH
@pytest.mark.parametrize("points", [[], [(3, 2.0)], [(0, 1.0), (9, 1.0)], [(1, math.nan)], [(5, -1e300), (6, 1e300)]])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 2), (200, 30)])
def test_odd_lines_fit_at_every_size(points, width, height, ascii_only):
    rows, low, high = line_chart([points], width, height, x_range=(0, 9), ascii_only=ascii_only)
    assert [len(row) for row in rows] == [width] * height and low <= high
    assert not ascii_only or all(row.isascii() for row in rows)
    has_dots = any(row.strip() for row in rows)
    assert has_dots == any(math.isfinite(y) for _, y in points)


def test_borders_stand_below_their_steps_as_far_as_there_is_room():
    line = border_line([(0, "one"), (50, "a_long_name"), (60, "two"), (98, "three")], 40, x_range=(0, 100))
    assert line == "|one                |a_l|two           |"
    assert line.index("|a_l") == 20 and line.index("|two") == 24
