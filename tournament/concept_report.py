"""Report of the concept experiments: two tables of claims as the seed had them, every cell, verdicts between arms.

In: concepts.json. Out: report.html, report.md and report.json beside it, and the same two tables at a terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.reports.index import INDEX
from hamner.reports.parts import Cell, DataTable, Fact, Facts, Fold, Paragraph, Report, Section, Summary, Tone
from hamner.reports.report_files import write_report
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json_as
from hamner.runs.tables import Column, fitted_table
from tournament.concept_claims import HARD, WORKS

RESULT = "concepts.json"
TONES: dict[str, Tone] = {"confirmed": "good", "refuted": "bad", "undecided": "warn"}
CLAIM_COLUMNS = (
    Column("the seed's claim", justify="left", may_wrap=True),
    Column("here"),
    Column("95 % interval", 1),
    Column("guessing", 2),
    Column("items", 3),
    Column("verdict", justify="left", may_wrap=True),
)
RULE = (
    "A claimed number counts as itself within 5 points, a claimed range as it is. Confirmed: our whole interval lies "
    "in it; refuted: none of it does; else undecided at this size. The interval is the wider one of Wilson's, over "
    "items, and Student's, over seeds. Guessing: the better of always giving the commonest answer and giving any of "
    "them. An order of two arms is confirmed or refuted where the tournament's verdict between them is settled. What "
    "presupposes a skill is undecided where fewer than 80 % of its trained items were learnt."
)
CELL_COLUMNS = (
    Column("arm", justify="left"),
    Column("stage"),
    Column("cell", justify="left"),
    Column("right"),
    Column("items, 95 %", 1),
    Column("seeds, 95 %", 1),
    Column("commonest", 2),
    Column("any", 2),
    Column("n", 3),
)
ARM_COLUMNS = (
    Column("compared", justify="left"),
    Column("arm", justify="left"),
    Column("right"),
    Column("behind the best"),
    Column("±", 2),
    Column("verdict", justify="left"),
)


def percent(share: float | None) -> str:
    """`97 %`, or nothing."""
    return "" if share is None else f"{100 * share:.0f} %"


def interval_text(interval: Sequence[float] | None) -> str:
    """`91 to 99 %`, or nothing."""
    return "" if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %"


def claim_cells(row: Mapping[str, Any]) -> list[str]:
    """A claim as the columns of CLAIM_COLUMNS; of an order the difference stands under `here`."""
    if "other" in row:
        difference, best = row.get("difference"), row.get("best")
        here = "" if difference is None else f"{100 * difference * (1 if best == row['arm'] else -1):+.0f} points"
        error = row.get("standard_error")
        around = "" if error is None else f"± {100 * error:.0f} (standard error)"
        return [row["claim"], here, around, "", "", row["verdict"]]
    guess = max(row["majority"], row["chance"]) if "majority" in row else None
    count = str(row.get("items", ""))
    here, around = percent(row.get("accuracy")), interval_text(row.get("interval"))
    return [row["claim"], here, around, percent(guess), count, verdict_text(row)]


def verdict_text(row: Mapping[str, Any]) -> str:
    """The verdict of a claim, with the skills that it presupposes and that were not learnt."""
    unmet = ", ".join(f"{cell} {percent(share)}" for cell, share in row.get("unmet", {}).items())
    return f"{row['verdict']}: not learnt, {unmet}" if unmet else str(row["verdict"])


def claim_table(document: Mapping[str, Any], topic: str) -> DataTable:
    """The claims of one topic."""
    claims = [row for row in document["claims"] if row["topic"] == topic]
    verdicts = [Cell(verdict_text(row), TONES[row["verdict"]]) for row in claims]
    rows: list[list[str | Cell]] = [[*claim_cells(row)[:-1], cell] for row, cell in zip(claims, verdicts, strict=True)]
    return DataTable(CLAIM_COLUMNS, rows)


def print_tables(console: Console, document: Mapping[str, Any]) -> None:
    """Print the tables of claims, and the verdicts between arms."""
    for topic in (WORKS, HARD):
        rows = [claim_cells(row) for row in document["claims"] if row["topic"] == topic]
        if rows:
            console.print(fitted_table(console, CLAIM_COLUMNS, rows, title=topic))
    rows = comparison_rows(document)
    if rows:
        console.print(fitted_table(console, ARM_COLUMNS, rows, title="between arms"))
    failed = [f"{arm['arm']} (seed {seed}): {why}" for arm in document["arms"] for seed, why in arm["failures"].items()]
    for line in failed:
        console.print(f"failed: {line}", soft_wrap=True, style="red")


def comparison_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """The verdicts within each group of two arms or more, as the columns of ARM_COLUMNS."""
    rows = []
    for group in document["comparisons"]:
        for row in group["rows"] if len(group["rows"]) > 1 else ():
            behind, error = (row.get(key) for key in ("behind", "standard_error"))
            verdict = "best" if row["arm"] == group["best"] else row["verdict"] or "failed"
            points = ["" if value is None else f"{100 * abs(value):.1f}" for value in (behind, error)]
            rows.append([group["group"], row["arm"], percent(row.get("accuracy")), *points, verdict])
    return rows


def cell_rows(arm: Mapping[str, Any]) -> list[list[str | Cell]]:
    """All cells of an arm, as the columns of CELL_COLUMNS."""
    return [
        [
            arm["arm"],
            str(index + 1) if stage["steps"] else "",
            name,
            Cell(percent(cell["accuracy"]), "good" if cell["above_baseline"] else "soft"),
            interval_text(cell["wilson"]),
            interval_text(cell["seed_interval"]),
            percent(cell["majority"]),
            percent(cell["chance"]),
            str(cell["items"]),
        ]
        for index, stage in enumerate(arm["stages"])
        for name, cell in stage["cells"].items()
    ]


def lead(document: Mapping[str, Any]) -> str:
    """The one sentence."""
    verdicts = [row["verdict"] for row in document["claims"]]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in TONES]
    return f"Of {len(verdicts)} claims: {', '.join(counts)} at this size"


def concept_report(document: Mapping[str, Any]) -> tuple[Report, Summary]:
    """The page, and what the index of all runs says of it."""
    arms, base, seconds = document["arms"], document["base"], sum(arm["seconds"] for arm in document["arms"])
    claims = [
        Section(topic, [claim_table(document, topic), Paragraph(RULE, "soft")])
        for topic in (WORKS, HARD)
        if any(row["topic"] == topic for row in document["claims"])
    ]
    suites = dict.fromkeys(arm["suite"] for arm in arms)
    cells = [
        Fold(suite, [DataTable(CELL_COLUMNS, [row for arm in arms if arm["suite"] == suite for row in cell_rows(arm)])])
        for suite in suites
    ]
    failures = [f"{arm['arm']}, seed {seed}: {why}" for arm in arms for seed, why in arm["failures"].items()]
    facts = Facts(
        [
            Fact("base", str(base["who"]), f"{base['parameters']:,} parameters"),
            Fact("arms", str(len(arms) - 1), f"{document['seeds']} seeds each"),
            Fact("steps", f"÷ {document['steps_divided_by']}", "of the recorded experiments'"),
            Fact("training", duration_text(seconds), "of all runs together, tests included"),
        ]
    )
    between = DataTable(ARM_COLUMNS, comparison_rows(document), notes=["in points; ±: standard error, seeds and items"])
    sections = [*claims, Section("Between arms", [between]), Section("Every cell", cells)]
    if failures:
        sections.insert(0, Section("Failed", [Paragraph(line, "bad") for line in failures]))
    text = lead(document)
    report = Report("concepts", f"Concepts {document['run']}", text, [facts], sections, back=f"../../{INDEX}")
    return report, Summary(text, "", duration_text(seconds), "bad" if failures else "")


def write_concept_report(folder: Path) -> Path:
    """Write the report of the experiments in a folder; returns its path. Raises BadInput before they are over."""
    return write_report(folder, *read_json_as(folder / RESULT, concept_report))
