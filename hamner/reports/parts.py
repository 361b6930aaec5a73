"""Parts of a report: tables, charts, facts, commands; one description, written as HTML and as Markdown.

In: plain strings and numbers. html.py and markdown.py make pages of them. Nothing here draws, reads or writes, and no
string is trusted: each is escaped where it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from hamner.runs.tables import Column

Tone = Literal["", "good", "bad", "warn", "soft", "in", "out", "failed", "winner", "waiting"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table. tone: how it is coloured; what it says stands in `text` all the same."""

    text: str
    tone: Tone = ""
    note: str = ""  # small, below the text
    shade: int = 0  # 0 to 9: how dark, in a table with the look `heat`


@dataclass(frozen=True)
class DataTable:
    """A table; cells as the columns are. look: a class of the style sheet, such as `bracket`."""

    kind: ClassVar[str] = "table"
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""
    notes: Sequence[str] = ()  # lines below it
    look: str = ""

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, each cell with its tone and note."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]


class Tips:
    """Tooltips of a chart: tips(artist, text)."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}  # id of the artist in the SVG -> text

    def __call__(self, artist: Any, text: str) -> None:
        name = f"tip{len(self.texts) + 1}"
        artist.set_gid(name)
        self.texts[name] = text


@dataclass(frozen=True, eq=False)
class Chart:
    """A chart, and the numbers behind it as a table.

    draw(figure, tips): draws into an empty Matplotlib figure, with the colours of charts.py; tips(artist, text) gives a
    part of it a tooltip. size: inches; 4.8 wide is a phone's width, and half of a desk's.
    """

    kind: ClassVar[str] = "chart"
    name: str  # letters and hyphens; no two in one page; of the PNG, too
    title: str
    draw: Callable[[Any, Tips], None]
    table: DataTable | None = None
    notes: Sequence[str] = ()
    size: tuple[float, float] = (4.8, 3.2)


@dataclass(frozen=True)
class Paragraph:
    """A sentence or more."""

    kind: ClassVar[str] = "paragraph"
    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Items:
    """A list of lines."""

    kind: ClassVar[str] = "items"
    lines: Sequence[str]


@dataclass(frozen=True)
class Fact:
    """One number or word of the first screen, with what it means."""

    name: str
    value: str
    note: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Facts:
    """Facts side by side."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[Fact]
    look: str = ""  # a class of the style sheet: `strip` for what follows one upon the other


@dataclass(frozen=True)
class Commands:
    """Command lines to copy, each with what it does."""

    kind: ClassVar[str] = "commands"
    lines: Sequence[tuple[str, str]]  # command, what it does


@dataclass(frozen=True)
class Conversation:
    """Messages in turns, as {"role", "content"}."""

    kind: ClassVar[str] = "conversation"
    messages: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Fold:
    """Parts that are shut until they are asked for."""

    kind: ClassVar[str] = "fold"
    title: str
    parts: Sequence[Part]


Part = DataTable | Chart | Paragraph | Items | Facts | Commands | Conversation | Fold


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. Charts that follow each other stand side by side where there is room."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Summary:
    """What the page of all runs says of one."""

    result: str  # such as the winner
    verdict: str = ""
    cost: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Report:
    """A page. lead: the one sentence that a glance should see; parts: the rest of the first screen."""

    kind: str  # tournament, curriculum, …
    title: str
    lead: str
    parts: Sequence[Part] = ()
    sections: Sequence[Section] = ()
    tone: Tone = ""
    back: str = ""  # a relative address of the page of all runs; empty: none
    footer: Sequence[str] = field(default_factory=tuple)
