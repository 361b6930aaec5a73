"""Page of a GPU check: its outcomes as JSON, and as the Markdown of results/reference/card.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from check_runner import Outcome, short

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
MARKS = {True: "yes", False: "**no**", None: ""}


def as_json(outcomes: Sequence[Outcome], facts: dict[str, Any]) -> str:
    return json.dumps({**facts, "sections": [asdict(outcome) for outcome in outcomes]}, indent=1, default=str)


def as_markdown(outcomes: Sequence[Outcome], facts: dict[str, Any]) -> str:
    """A table a section, one row a measurement, one column a quantity that most of its rows have."""
    lines = [", ".join(f"{key} {value}" for key, value in facts.items()) + "."]
    for outcome in outcomes:
        lines += ["", f"**{outcome.name}**: {outcome.state}, {outcome.seconds:.0f} s {outcome.note}".rstrip(), ""]
        lines += _table(outcome)
    return "\n".join(lines)


def _table(outcome: Outcome) -> Iterator[str]:
    if not outcome.rows:
        return
    keys = list(dict.fromkeys(key for row in outcome.rows for key in row.values))
    if len(keys) > 8 or any(len(row.values) != len(keys) for row in outcome.rows):  # each row has its own
        yield "| | measured | as it has to be |"
        yield "|---|---|---|"
        for row in outcome.rows:
            words = ", ".join(f"{key} {short(value)}" for key, value in row.values.items() if value is not None)
            yield f"| {row.name} | {words} | {MARKS[row.is_right]} |"
        return
    yield f"| | {' | '.join(keys)} | as it has to be |"
    yield "|---|" + "---:|" * len(keys) + "---|"
    for row in outcome.rows:
        cells = ("" if row.values[key] is None else short(row.values[key]) for key in keys)
        yield f"| {row.name} | {' | '.join(cells)} | {MARKS[row.is_right]} |"


def write_between(page: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between two marks of a page. Raises ValueError when it has not both."""
    before, first, rest = page.read_text(encoding="utf-8").partition(begin)
    _, second, after = rest.partition(end)
    if not (first and second):
        raise ValueError(f"{page} has no {begin} ... {end}: put both marks where the table belongs")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
