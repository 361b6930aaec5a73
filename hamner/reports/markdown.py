"""Markdown of reports: the same parts as the page's, for a README, an issue or a terminal.

In: a Report of parts.py. Out: GitHub's Markdown, with the charts as PNG files beside it; every value is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hamner.reports.parts import (
    Cell,
    Chart,
    Commands,
    Conversation,
    DataTable,
    Facts,
    Fold,
    Items,
    Paragraph,
    Part,
    Report,
)
from hamner.runs.markdown_text import escaped


def report_markdown(report: Report) -> str:
    """The text of report.md."""
    lines = [f"# {escaped(report.title)}", f"**{escaped(report.lead)}**", *parts_markdown(report.parts)]
    for section in report.sections:
        lines += [f"## {escaped(section.title)}", *parts_markdown(section.parts)]
    lines += [escaped(line) for line in report.footer]
    return "\n\n".join(lines) + "\n"


def picture_name(chart: Chart) -> str:
    """The file of a chart beside report.md."""
    return f"report_{chart.name}.png"


def table_markdown(table: DataTable) -> str:
    """A table, with its caption above and its notes below."""
    rules = ["---" if column.justify == "left" else "---:" for column in table.columns]
    rows = [[escaped(column.heading) for column in table.columns], rules]
    rows += [[_cell(cell) for cell in row] for row in table.cells]
    parts = [escaped(table.caption)] if table.caption else []
    parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join([*parts, *map(escaped, table.notes)])


def _cell(cell: Cell) -> str:
    text = escaped(cell.text) + (f", {escaped(cell.note)}" if cell.note else "")
    return f"**{text}**" if cell.tone == "winner" and text else text


def parts_markdown(parts: Sequence[Part]) -> Iterator[str]:
    """The parts as blocks, between which stands an empty line."""
    for part in parts:
        match part:
            case Paragraph():
                yield escaped(part.text)
            case DataTable():
                yield table_markdown(part)
            case Chart():
                yield f"### {escaped(part.title)}"
                yield f"![{escaped(part.title)}]({picture_name(part)})"
                yield from map(escaped, part.notes)
            case Items():
                yield "\n".join(f"- {escaped(line)}" for line in part.lines)
            case Facts():
                notes = ((fact, f" ({escaped(fact.note)})" if fact.note else "") for fact in part.facts)
                yield "\n".join(f"- {escaped(fact.name)}: **{escaped(fact.value)}**{note}" for fact, note in notes)
            case Commands():
                for command, what in part.lines:
                    yield f"{escaped(what)}:"
                    yield _fenced(command)
            case Conversation():
                yield "\n".join(f"> **{escaped(m['role'])}** {escaped(m['content'])}  " for m in part.messages)
            case Fold():
                yield escaped(part.title)
                yield from parts_markdown(part.parts)


def _fenced(text: str) -> str:
    """Text in a block of code whose fence is longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"
