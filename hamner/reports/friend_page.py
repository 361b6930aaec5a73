"""Table and HTML page of a friend card (report card).

In: the card's JSON document, as hamner/evaluation/friend_card.py writes it. Out: a table for the terminal, and one page
of HTML without scripts or anything from elsewhere. Nothing here measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from hamner.reports.html import report_html
from hamner.reports.parts import (
    Cell,
    Conversation,
    DataTable,
    Fact,
    Facts,
    Items,
    Paragraph,
    Part,
    Report,
    Section,
    Tone,
)
from hamner.runs.tables import Column

COLUMNS = (
    Column("measure", justify="left", may_wrap=True),
    Column("value"),
    Column("± error", 1),
    Column("guessing", 2),
    Column("errors better", 3),
    Column("unit", 4, justify="left"),
    Column("of", 5, justify="left"),
)
CAPTIONS = (
    ("± error", "± error: standard error"),
    ("guessing", "guessing: what is scored without the skill; docs/friend_card.md says how for each"),
    ("errors better", "errors better: (value − guessing) / error, above 3 is beyond chance"),
)
CLEARLY = 3.0  # standard errors better than guessing


def sections(card: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The figures of a card, section by section."""
    return [(name, list(rows)) for name, rows in groupby(card["figures"], key=lambda row: row["section"])]


def cells(row: Mapping[str, Any]) -> list[str]:
    """The cells of a figure, one of each column."""
    above = row["errors_above"]
    return [
        row["name"],
        number(row["value"], row["unit"]),
        "—" if row["error"] is None else number(row["error"], row["unit"]),
        "—" if row["guess"] is None else number(row["guess"], row["unit"]),
        "—" if above is None else f"{above:+.1f}",
        "" if row["unit"] == "share" else row["unit"],
        f"{row['count']:,} {row['items']}",
    ]


def number(value: float | None, unit: str) -> str:
    """A value as it is read: shares in per cent, tokens with one decimal, losses with three."""
    if value is None:
        return "—"
    return f"{value:.1%}" if unit == "share" else f"{value:.1f}" if unit == "tokens" else f"{value:.3f}"


def page(card: Mapping[str, Any]) -> str:
    """The page of a card."""
    run = str(card["model"].get("run", ""))
    facts = [Fact(key, f"{value:,}" if isinstance(value, int) else str(value)) for key, value in card["model"].items()]
    replies = [[*r["chat"], {"role": "assistant", "content": r["reply"]}] for r in card["replies"]]
    tables = [Section(name.capitalize(), [table]) for name, table in figure_tables(card)]
    lists: list[tuple[str, list[Part]]] = [("Left out", [Items(card["left_out"])] if card["left_out"] else [])]
    lists += [("Conversations", list(map(Conversation, card["conversations"])))]
    lists += [("Replies", list(map(Conversation, replies)))]
    return report_html(
        Report(
            kind="friend card",
            title=f"Friend card: {run}" if run else "Friend card",
            lead=f"How good {run or 'this model'} is to talk to",
            parts=[Facts(facts), explanation()],
            sections=[*tables, *(Section(title, parts) for title, parts in lists if parts)],
        )
    )


def explanation() -> Paragraph:
    """What the columns say."""
    return Paragraph(f"{'; '.join(line for _, line in CAPTIONS)}.", "soft")


def figure_tables(card: Mapping[str, Any]) -> list[tuple[str, DataTable]]:
    """Name and table of each section of figures."""
    return [(name, DataTable(COLUMNS, list(map(_row, rows)))) for name, rows in sections(card)]


def _row(row: Mapping[str, Any]) -> list[Cell]:
    first, *rest = cells(row)
    above = row["errors_above"]
    tone: Tone = "" if above is None or abs(above) < CLEARLY else "good" if above > 0 else "bad"
    others = [Cell(text, tone if place == 3 else "") for place, text in enumerate(rest)]
    return [Cell(first, note=row["note"] or ""), *others]
