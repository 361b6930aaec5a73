"""Charts at a terminal: sparklines and line charts of braille dots, or of ASCII where the encoding asks for that.

Data in: numbers. Data out: lines of text; pure functions. A cell of a line chart has 2 × 4 dots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS, ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
DOTS_X, DOTS_Y = 2, 4
BRAILLE = 0x2800
BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of the dots of a cell: [column][row from the top]
ASCII_MARKS = " .'|"  # by whether the lower and the upper half have a dot
Points = Sequence[tuple[float, float]]


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """At most `width` blocks, low to high; each the mean of its part of the values. Empty without a finite value."""
    values = [value for value in values if math.isfinite(value)]
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    parts = [values[i * len(values) // count : (i + 1) * len(values) // count] for i in range(count)]
    means = [sum(part) / len(part) for part in parts]
    low, spread = min(means), max(means) - min(means)
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    heights = [(mean - low) / spread if spread else 0.5 for mean in means]
    return "".join(blocks[min(int(height * len(blocks)), len(blocks) - 1)] for height in heights)


def line_chart(
    lines: Sequence[Points], width: int, height: int, *, x_range: tuple[float, float], ascii_only: bool = False
) -> tuple[list[str], float, float]:
    """`height` rows of `width` cells with these lines, and the values at the lowest and the highest dot.

    lines: points (x, y) in the order of x. x_range: of the left and the right edge.
    """
    values = [y for points in lines for _, y in points if math.isfinite(y)]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    columns, rows = width * DOTS_X, height * DOTS_Y
    dots: set[tuple[int, int]] = set()
    for points in lines:
        before = None
        for x, y in _in_columns(points, columns, x_range):
            share = (y - low) / (high - low) if high > low else 0.5
            row = round((1 - share) * (rows - 1))
            dots |= {(x, between) for between in _between(before, row)}
            before = row
    draw = _ascii_cell if ascii_only else _braille_cell
    return ["".join(draw(dots, x, y) for x in range(width)) for y in range(height)], low, high


def _between(before: int | None, row: int) -> range:
    """The rows that a line passes in one column, from the one after `before`."""
    if before is None or abs(row - before) <= 1:
        return range(row, row + 1)
    return range(before + 1, row + 1) if row > before else range(row, before)


def _in_columns(points: Points, columns: int, x_range: tuple[float, float]) -> list[tuple[int, float]]:
    """The mean of a line in each column of dots between its ends; in columns without a point, between neighbours."""
    left, right = x_range
    sums: dict[int, list[float]] = {}
    for x, y in points:
        if math.isfinite(y):
            column = round((x - left) / (right - left) * (columns - 1)) if right > left else columns // 2
            sums.setdefault(column, []).append(y)
    means = sorted((column, sum(values) / len(values)) for column, values in sums.items())
    filled = means[:1]
    for column, value in means[1:]:
        before, last = filled[-1]
        filled += [(x, last + (value - last) * (x - before) / (column - before)) for x in range(before + 1, column + 1)]
    return filled


def _braille_cell(dots: set[tuple[int, int]], x: int, y: int) -> str:
    bits = (
        BITS[column][row]
        for column in range(DOTS_X)
        for row in range(DOTS_Y)
        if (DOTS_X * x + column, DOTS_Y * y + row) in dots
    )
    pattern = sum(bits)
    return chr(BRAILLE + pattern) if pattern else " "


def _ascii_cell(dots: set[tuple[int, int]], x: int, y: int) -> str:
    halves = [
        any((DOTS_X * x + column, DOTS_Y * y + row) in dots for column in range(DOTS_X) for row in rows)
        for rows in ((2, 3), (0, 1))
    ]
    return ASCII_MARKS[halves[0] + 2 * halves[1]]


def border_line(borders: Sequence[tuple[float, str]], width: int, *, x_range: tuple[float, float]) -> str:
    """A row below a chart: each name from its place to the next border, as far as there is room."""
    left, right = x_range
    cells = [" "] * width
    for x, name in sorted(borders):
        place = min(max(int((x - left) / (right - left) * width), 0), width - 1) if right > left else 0
        text = f"|{name} "[: width - place]
        cells[place:] = [*text, *" " * (width - place - len(text))]
    return "".join(cells).rstrip()
