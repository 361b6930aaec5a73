"""Table and HTML page of a friend card (report card).

In: the card's JSON document, as hamner/evaluation/friend_card.py writes it. Out: a table for the terminal, and one page
of HTML without scripts or anything from elsewhere. Nothing here measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

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
STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #2a7; --bad: #c53; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
small { opacity: .75; }
.good { color: var(--good); } .bad { color: var(--bad); }
blockquote { margin: 1rem 0; padding: .2rem 1rem; border-left: 3px solid var(--line); }
blockquote p { margin: .3rem 0; overflow-wrap: anywhere; }
"""


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
    model = card["model"]
    facts = ", ".join(
        f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in model.items()
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Friend card: {escape(str(model.get('run', '')))}</title><style>{STYLE}</style></head><body>",
        f"<h1>Friend card</h1><p>{escape(facts)}</p>",
        f"<p><small>{'; '.join(escape(line) for _, line in CAPTIONS)}.</small></p>",
        *(_section(name, rows) for name, rows in sections(card)),
        *_left_out(card["left_out"]),
        *_talks("Conversations", card["conversations"]),
        *_talks("Replies", [[*r["chat"], {"role": "assistant", "content": r["reply"]}] for r in card["replies"]]),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _section(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heads = "".join(f'<th scope="col">{escape(column.heading)}</th>' for column in COLUMNS)
    body = "\n".join(_row(row) for row in rows)
    return (
        f'<h2>{escape(name.capitalize())}</h2>\n<div class="wide"><table><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Mapping[str, Any]) -> str:
    first, *rest = (escape(cell) for cell in cells(row))
    above = row["errors_above"]
    tone = "" if above is None or abs(above) < CLEARLY else ' class="good"' if above > 0 else ' class="bad"'
    note = f"<br><small>{escape(row['note'])}</small>" if row["note"] else ""
    others = "".join(f"<td{tone if place == 3 else ''}>{cell}</td>" for place, cell in enumerate(rest))
    return f"<tr><td>{first}{note}</td>{others}</tr>"


def _left_out(lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["<h2>Left out</h2>", "<ul>", *(f"<li>{escape(line)}</li>" for line in lines), "</ul>"]


def _talks(title: str, talks: Sequence[Sequence[Mapping[str, str]]]) -> list[str]:
    """Conversations to read."""
    if not talks:
        return []
    return [f"<h2>{title}</h2>", *(_talk(talk) for talk in talks)]


def _talk(talk: Sequence[Mapping[str, str]]) -> str:
    lines = (f"<p><b>{escape(m['role'])}</b> {escape(m['content']) or '…'}</p>" for m in talk)
    return f"<blockquote>{''.join(lines)}</blockquote>"
