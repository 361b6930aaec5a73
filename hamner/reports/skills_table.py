"""Skills matrix as tables of a report: each task and level after every stage, beside what guessing scores.

In: skills.json, as skills_matrix.py writes it. Out: parts of a report; none for a run without skills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hamner.reports.parts import Cell, DataTable, Fold, Part, Tone
from hamner.runs.tables import Column

SHADES = 9  # of a cell: 0 is a share of 0, 9 one of 1
KINDS = {  # key in skills.json: (key of its chance, caption)
    "choice": ("choice_chance", "the right answer is the likeliest of up to four of its form, in % of held-out items"),
    "exact_match": ("chance", "the right answer would be written (exact match), in % of held-out items"),
}
NOTE = "green: above chance, at 5 % for all skills of a stage together; red: worse than after its best earlier stage"


def skills_tables(document: Mapping[str, Any]) -> list[Part]:
    """Choice, then exact match, which is shut until it is asked for."""
    tables = {kind: _table(document, kind) for kind in KINDS}
    choice, exact = tables["choice"], tables["exact_match"]
    parts: list[Part] = [choice] if choice else []
    return [*parts, Fold("exact match", [exact])] if exact else parts


def _table(document: Mapping[str, Any], kind: str) -> DataTable | None:
    stages = [stage for stage in document.get("stages") or [] if stage.get(kind)]
    if not stages:
        return None
    chance = document.get(KINDS[kind][0]) or {}
    cells = list(dict.fromkeys(cell for stage in stages for cell in stage[kind]))
    few, lost = (
        document.get("few_items") or {},
        _lost(document, stages) if kind == "exact_match" else [set()] * len(stages),
    )
    rows: list[list[str | Cell]] = [
        [
            Cell(cell, note=f"{few[cell]} items" if cell in few else ""),
            _percent(chance.get(cell)),
            *(_cell(stage, kind, cell, is_lost=cell in gone) for stage, gone in zip(stages, lost, strict=True)),
        ]
        for cell in cells
    ]
    above: list[str | Cell] = [
        "above chance",
        "",
        *(str(len(stage.get(f"{kind}_above_chance") or ())) for stage in stages),
    ]
    headings = [f"{stage.get('number', '')} {stage.get('stage', '')}".strip() for stage in stages]
    columns = [Column("skill", justify="left"), *map(Column, ["chance", *headings])]
    return DataTable(columns, [*rows, above], KINDS[kind][1], [NOTE], look="heat")


def _lost(document: Mapping[str, Any], stages: Sequence[Any]) -> list[set[str]]:
    """The skills that each stage lost."""
    drops = document.get("drops") or []
    return [
        {drop["skill"] for drop in (drops[place] if place < len(drops) else []) if drop.get("kind") == "exact match"}
        for place in range(len(stages))
    ]


def _cell(stage: Mapping[str, Any], kind: str, cell: str, *, is_lost: bool) -> Cell:
    share = stage[kind].get(cell)
    tone: Tone = "bad" if is_lost else "good" if cell in (stage.get(f"{kind}_above_chance") or ()) else ""
    return Cell(_percent(share), tone, shade=round(SHADES * (share or 0.0)))


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f}"
