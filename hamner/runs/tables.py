"""Tables at a terminal: as many columns as fit, the least important ones left out first; a file gets all of them.

Data in: columns with their importance, rows of cells. Data out: a table that fits the terminal, in ASCII where its
encoding asks for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hamner.runs import output

FULL_WIDTH = 1000  # columns of what is no terminal: no table is so wide
NARROW = 60  # columns below which a table has no frame


class SpellingConsole(Console):
    """A console that writes the signs of our lines in ASCII where the output's encoding lacks them.

    Text is shown as text: names and replies come from files and models, and may hold what steers a terminal.
    """

    def render(self, *arguments: Any, **settings: Any) -> Iterator[Segment]:
        for segment in super().render(*arguments, **settings):
            text = segment.text if segment.control else output.printable(segment.text)
            yield segment if text == segment.text else Segment(text, segment.style)

    def print(self, *objects: Any, **settings: Any) -> None:
        if not output.is_unicode(self.encoding):
            objects = tuple(output.to_ascii(item) if isinstance(item, str) else item for item in objects)
        super().print(*objects, **settings)


def console() -> Console:
    """Where tables go: as wide as the terminal, or as wide as they need in a file."""
    if not sys.stdout.isatty():
        return SpellingConsole(width=FULL_WIDTH, highlight=False, markup=False, emoji=False)
    size = {}
    # rich takes a dumb terminal for one of 80 columns, and COLUMNS=0 at its word
    if os.environ.get("TERM", "").lower() in ("dumb", "unknown") or os.environ.get("COLUMNS") == "0":
        size = {"width": _terminal_width(), "height": 25}
    return SpellingConsole(**size, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]


def _terminal_width() -> int:
    """Columns of the terminal that standard output is."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


@dataclass(frozen=True)
class Column:
    """A column of a table. importance: 0 always stays; of the others the highest number leaves first."""

    heading: str
    importance: int = 0
    justify: Literal["left", "right"] = "right"
    may_wrap: bool = False  # at spaces, where the terminal is too narrow for what always stays


def fitted_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    title: str,
    captions: Sequence[tuple[str, str]] = (),
    styles: Sequence[str] = (),
    frame: box.Box = box.HEAVY_HEAD,
) -> Table:
    """A table of the columns that fit the console's width.

    captions: lines below it, each with the heading of the column it explains, or an empty one; those of columns that
    were left out are left out too. styles: one of each row. frame: drawn where the terminal is wide enough for one.
    """
    spell = (lambda text: text) if output.is_unicode(console.encoding) else output.to_ascii
    cells = [[spell(column.heading) for column in columns], *([spell(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    is_narrow = console.width < NARROW
    margin = 1 if is_narrow else 3  # of each column: its padding and its share of the frame
    kept = fitting_columns([column.importance for column in columns], widths, margin, console.width)
    shown = {"", *(columns[index].heading for index in kept)}
    table = Table(
        title=Text(spell(title)),
        title_justify="left",
        caption=Text(spell("\n".join(line for heading, line in captions if heading in shown))) if captions else None,
        caption_justify="left",
        box=None if is_narrow else frame,
        padding=(0, 1, 0, 0) if is_narrow else (0, 1),
    )
    room = console.width - sum(margin for _ in kept) - (0 if is_narrow else 1)
    wrapped = _wrapped([columns[index].may_wrap for index in kept], [[row[i] for row in cells] for i in kept], room)
    for index, width in zip(kept, wrapped, strict=True):
        column = columns[index]
        table.add_column(
            Text(cells[0][index]), justify=column.justify, no_wrap=not column.may_wrap, overflow="fold", width=width
        )
    for number, row in enumerate(cells[1:]):
        table.add_row(*(Text(row[index]) for index in kept), style=styles[number] if styles else None)
    return table


def fitting_columns(importances: Sequence[int], widths: Sequence[int], margin: int, most: int) -> list[int]:
    """Indices of the columns that stay, in their order: `most` characters, of which each takes its width and a margin.

    importances: as of Column.
    """
    kept = list(range(len(widths)))
    while sum(widths[index] + margin for index in kept) + (margin > 1) > most:
        least = max(kept, key=lambda index: (importances[index], index))
        if importances[least] == 0:
            break
        kept.remove(least)
    return kept


def _wrapped(may_wrap: Sequence[bool], cells: Sequence[Sequence[str]], room: int) -> list[int | None]:
    """Widths of columns of cells that are too wide together: each as its longest word needs, and more while there is.

    None for each column where they fit, or where not even the words do, which are then broken.
    """
    natural = [max(map(len, column)) for column in cells]
    least = [
        max(len(word) for cell in column for word in cell.split(" ")) if may else width
        for column, width, may in zip(cells, natural, may_wrap, strict=True)
    ]
    rest = room - sum(least)
    if sum(natural) <= room or rest < 0:
        return [None] * len(cells)
    widths: list[int | None] = []
    for most, width in zip(natural, least, strict=True):
        widths.append(width + min(rest, most - width))
        rest -= min(rest, most - width)
    return widths
