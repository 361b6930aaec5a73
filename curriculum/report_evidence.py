"""Evidence in a curriculum's report: the looks at each plateau, and what later stages forgot.

In: a RunRecord. Out: parts of hamner/reports/parts.py. Pure: nothing is read or drawn here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from curriculum.endings import LOOK_WORDS, limit, percent
from curriculum.report_charts import measured, plateau_charts
from curriculum.report_lead import ending_text
from curriculum.run_record import RunRecord, StageRecord
from hamner.config.schema import Plateau
from hamner.reports.parts import DataTable, Fold, Paragraph, Part
from hamner.runs.read_back import mapping, numbers_of
from hamner.runs.tables import Column

MOST_LOOKS = 400  # shown of all stages together, of each the newest
FEWEST_LOOKS = 10  # of a stage, however many there are


def plateau_parts(run: RunRecord) -> Iterator[Part]:
    """Looks, slopes, bounds, strikes, and how each stage ended."""
    rule = run.rule
    yield Paragraph(_rule_words(rule), "soft")
    yield from plateau_charts(run)
    stages = [stage for stage in run.stages if stage.looks]
    most = max(MOST_LOOKS // max(len(stages), 1), FEWEST_LOOKS)
    for stage in stages:
        yield Fold(f"{stage.label}: {_looks_words(stage)}; {_standing(stage)}", [_looks_table(stage, most)])


def _rule_words(rule: Plateau) -> str:
    """The plateau rule in words."""
    earliest = f"{rule.strikes} end a stage, after {rule.min_steps:,} steps at the earliest."
    if rule.rule == "recorded":
        return (
            f"A look every {rule.evaluation_steps:,} steps compares the mean training loss of the last window of "
            f"{rule.window_steps:,} steps with that of the windows before; a gain under {percent(limit(rule))} is a "
            f"strike; {earliest}"
        )
    return (
        f"A look after each window of {rule.window_steps:,} steps states the gain, the relative fall of the held-out "
        f"loss a window, from the last {rule.windows} windows. Evidence that it is under {percent(limit(rule))} is "
        f"counted in strikes; {earliest}"
    )


def _looks_words(stage: StageRecord) -> str:
    count = len(stage.looks)
    return f"{count} look{'s' * (count != 1)}"


def _standing(stage: StageRecord) -> str:
    return f"ended {ending_text(stage)}" if stage.state == "over" else ending_text(stage)


def _looks_table(stage: StageRecord, most: int) -> DataTable:
    """The newest looks of a stage, so many at most."""
    looks = stage.looks[-most:]
    rows = [
        [
            f"{row.step - stage.first:,}",
            _percent(row["gain"]),
            _percent(row["gain_error"]),
            LOOK_WORDS.get(row.verdict, row.verdict),
            "—" if row["strikes"] is None else f"{row['strikes']:.1f}",
        ]
        for row in looks
    ]
    headings = ("step of the stage", "gain, % a window", "± error", "verdict", "strikes")
    columns = [Column(heading, justify="left" if heading == "verdict" else "right") for heading in headings]
    hidden = len(stage.looks) - len(looks)
    return DataTable(columns, rows, notes=[f"{hidden} earlier looks are in metrics.csv"] if hidden else [])


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.2f}"


def forgotten_parts(run: RunRecord) -> Iterator[Part]:
    """What each stage made worse than after its best earlier one."""
    if len(measured(run)) < 2:
        return
    drops = run.skills.get("drops")
    rows = [_drop_row(mapping(drop)) for of_stage in drops for drop in of_stage] if isinstance(drops, list) else []
    known = {(row[0], row[1]) for row in rows}
    rows += [  # of a run without skills, or of an older version
        [stage.name, name, "held-out loss", str(drop.get("best_stage", "—")), "—", "—", *_rise(drop)]
        for stage in measured(run)
        for name, drop in mapping(stage.facts.get("forgotten")).items()
        if (stage.name, name) not in known
    ]
    if not rows:
        yield Paragraph("Nothing: no source's held-out loss rose, and no skill fell, beyond its error.")
        return
    columns = [Column(heading, justify="left") for heading in ("after stage", "what", "measured as", "best after")]
    columns += [Column(heading) for heading in ("then", "now", "change", "± error")]
    yield DataTable(columns, rows, "beyond its error, over all that was looked at together (5 %)")


def _drop_row(drop: Mapping[str, Any]) -> list[str]:
    best, now = (numbers_of(drop).get(key) for key in ("best", "now"))
    error = numbers_of(drop).get("standard_error")
    words = [str(drop.get(key, "—")) for key in ("stage", "skill", "kind", "best_stage")]
    change = None if best is None or now is None else now - best
    return [*words, _signed(best, ""), _signed(now, ""), _signed(change, "+"), _signed(error, "")]


def _rise(drop: Any) -> list[str]:
    values = numbers_of(drop)
    return [_signed(values.get("rise"), "+"), _signed(values.get("error"), "")]


def _signed(value: float | None, sign: str) -> str:
    return "—" if value is None else f"{value:{sign}.3f}"
