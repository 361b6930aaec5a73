"""Live table of a run (dashboard, progress bars): where it stands, drawn from plain values as lines of a terminal.

Data in: a RunStatus, which is read from a run's own files; columns and lines of the terminal. Data out: text that is
nowhere wider or longer than that, in ASCII where the output's encoding asks for it. No torch, no Ray, no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rich.text import Text

from hamner.runs.durations import duration_text
from hamner.runs.heartbeat import Heartbeat
from hamner.runs.output import to_ascii
from hamner.runs.tables import Column, fitting_columns

WIDE = 120  # columns from which on bars are long
SHORT_BAR, LONG_BAR = 10, 24  # characters
LAST_COLUMN = 20  # characters of it that count for what else fits: it may be cut
ANY_HEIGHT = 10_000  # of what is no screen
QUIET = 120.0  # seconds without a write after which that is said of a run that works
FULL, HALF, EMPTY = "█", "▌", "·"  # of bars
HEIGHTS = "▁▂▃▄▅▆▇█"  # of sparklines
ASCII = str.maketrans({HALF: "=", EMPTY: "."} | dict(zip(HEIGHTS, "__..--=#", strict=True)))  # the last one is FULL
STATE_STYLES = {"running": "cyan", "finished": "green", "stopped": "yellow", "died": "bold red"}

# text; a share from 0 to 1, drawn as a bar; or the values of a curve, drawn as a sparkline
Part = str | float | Sequence[float]


@dataclass(frozen=True)
class Row:
    """A line of the table: one part for each column."""

    cells: tuple[Part, ...]
    style: str = ""


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    title: str  # `tournament NAME: round 2 of 3`
    heartbeat: Heartbeat
    last: str  # what its last file is about, where it is told that nothing more came: `v10 at step 120`
    time_left: str  # "" where it is not known
    head: tuple[tuple[Part, ...], ...] = ()  # lines above the table, of parts side by side
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    focus: int = 0  # index of the row that is seen however few there is room for
    foot: tuple[str, ...] = ()  # lines below it
    line: str = ""  # all of it in one line, for a log
    way_on: str = ""  # the command that continues it, or the next one


def with_waiting(status: RunStatus, line: str) -> RunStatus:
    """The status of a run that waits for what `line` says, and so has no time left to tell; "": as it is."""
    return replace(status, time_left=line, line=line) if line else status


def state_words(status: RunStatus) -> str:
    """Whether it works, and since when nothing was written where that matters."""
    heartbeat = status.heartbeat
    quiet = duration_text(heartbeat.quiet_seconds)
    if heartbeat.state == "finished":
        return f"finished {quiet} ago"
    silence = f"nothing written for {quiet}; last: {status.last or 'nothing yet'}"
    if heartbeat.state == "running":
        return "running" if heartbeat.quiet_seconds < QUIET else f"running, but {silence}"
    return f"{heartbeat.state}: {silence}"


def draw(status: RunStatus, width: int, height: int = ANY_HEIGHT, *, is_unicode: bool = True) -> Text:
    """The picture of a status: lines of at most `width` characters, at most `height` of them.

    Rows that do not fit are left out and counted.
    """
    bar = LONG_BAR if width >= WIDE else SHORT_BAR
    spell = (lambda text: text) if is_unicode else (lambda text: to_ascii(text.translate(ASCII)))
    state = status.heartbeat.state
    lines = [(status.title, "bold"), (_state_line(status), STATE_STYLES[state])]
    lines += [(" ".join(_drawn(part, bar) for part in parts), "") for parts in status.head]
    foot = [(line, "") for line in status.foot]
    room = max(height - len(lines) - len(foot) - (1 if status.rows else 0), 1)
    lines += _table(status, width, room, bar) + foot
    picture = Text(no_wrap=True, overflow="crop", end="")
    for number, (line, style) in enumerate(lines[:height]):
        picture.append("\n" * (number > 0))
        picture.append(_cut(spell(line), width), style)
    return picture


def way_on(status: RunStatus) -> str:
    """The line with the next command of a run that is over; "" where there is none."""
    if not status.way_on or not status.heartbeat.is_over:
        return ""
    return f"{'next' if status.heartbeat.state == 'finished' else 'continue'}: {status.way_on}"


def _state_line(status: RunStatus) -> str:
    is_at_work = status.heartbeat.state == "running" and status.time_left
    return state_words(status) + (f"; {status.time_left}" if is_at_work else "")


def _table(status: RunStatus, width: int, room: int, bar: int) -> list[tuple[str, str]]:
    """Heading and rows as lines with their styles: the columns that fit, and as many rows as there is room for."""
    if not status.rows:
        return []
    cells = [[_drawn(cell, bar) for cell in row.cells] for row in status.rows]
    headings = [column.heading for column in status.columns]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    least = [*widths[:-1], min(widths[-1], LAST_COLUMN)]
    kept = fitting_columns([column.importance for column in status.columns], least, 2, width + 2)
    lines = [(_line(headings, status.columns, kept, widths), "dim")]
    shown = range(len(cells))
    if len(cells) > room:
        count = max(room - 1, 1)
        first = min(max(status.focus - count + 1, 0), len(cells) - count)
        shown = range(first, first + count)
    lines += [(_line(cells[i], status.columns, kept, widths), status.rows[i].style) for i in shown]
    if len(shown) < len(cells):
        lines.append((f"and {len(cells) - len(shown)} more: use a higher terminal", "dim"))
    return lines


def _line(texts: Sequence[str], columns: Sequence[Column], kept: Sequence[int], widths: Sequence[int]) -> str:
    padded = (
        texts[index].rjust(widths[index]) if columns[index].justify == "right" else texts[index].ljust(widths[index])
        for index in kept
    )
    return "  ".join(padded).rstrip()


def _drawn(part: Part, bar: int) -> str:
    """A part as text. bar: characters of a bar, and of a sparkline at most."""
    if isinstance(part, str):
        return part
    return bar_text(part, bar) if isinstance(part, (int, float)) else sparkline(part, bar)


def bar_text(share: float, width: int) -> str:
    """A bar of so many characters, of which this share is full."""
    halves = round(2 * width * min(max(share, 0.0), 1.0)) if share == share else 0  # NaN is no share
    return (FULL * (halves // 2) + HALF * (halves % 2)).ljust(width, EMPTY)


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line: means of as many equal parts of it as there are characters, scaled to its own range."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(len(values) * number / count) for number in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    steps, span = len(HEIGHTS) - 1, high - low
    is_curve = 0 < span < math.inf  # losses of 1e308 have no span
    return "".join(HEIGHTS[round(steps * (mean - low) / span) if is_curve else 0] for mean in means)


def _cut(text: str, width: int) -> str:
    """A line that fits, with an ellipsis where something was cut off."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[: min(width, 3)]
