"""Sections of a league's report: curves, standings, equal cost, rates, memory, failures, time, settings, commands.

In: LeagueFiles. Out: parts of a report (hamner.reports.parts); an empty list where a league has nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hamner.config.cost import GIB
from hamner.reports.parts import Cell, Commands, DataTable, Fact, Facts, Fold, Paragraph, Part, Tone
from hamner.reports.settings_table import settings_table
from hamner.runs.durations import duration_text
from hamner.runs.tables import Column
from tournament.gpu_memory import memory_estimate
from tournament.league_files import LeagueFiles
from tournament.looking_ahead import AHEAD_COLUMNS, ahead_captions, ahead_cells, ahead_title, forecast_place
from tournament.report_charts import (
    distances_chart,
    equal_cost_chart,
    equal_cost_table,
    memory_chart,
    peak_gib,
    rates_chart,
    time_chart,
)
from tournament.report_commands import league_commands
from tournament.report_curves import NAME, curves_chart, loss_text
from tournament.standings_table import (
    COLUMNS,
    ENDING_COLUMNS,
    ending_captions,
    ending_cells,
    round_captions,
    round_title,
    standing_cells,
)

UNREAD = ("curriculum", "finetuning")  # sections of a config that say nothing about a league
ROW_TONES: dict[str, Tone] = {"winner": "winner", "advanced": "", "eliminated": "soft"}
WHAT_WAS_DONE = {
    "oom": "out of the league: no smaller memory plan was left",
    "diverged": "out of the league: its loss was not finite",
    "error": "this seed plays no further round",
}


def learning_curves(files: LeagueFiles) -> list[Part]:
    """Held-out loss over tokens and over FLOPs."""
    charts = [chart for axis in ("tokens", "flops") if (chart := curves_chart(files, axis))]
    return [*charts] if charts else [Paragraph("No held-out loss has been measured yet.")]


def standings(files: LeagueFiles) -> list[Part]:
    """The end, then the rounds, the last first; of each what is looked ahead to."""
    document, parts = files.standings, list[Part]()
    if document.get("contestants"):
        notes = [line for _, line in ending_captions(document)]
        rows = [_toned(ending_cells(r, document), "winner" if r["is_winner"] else "") for r in document["contestants"]]
        parts.append(DataTable(ENDING_COLUMNS, rows, "the end: where each went out", notes))
    indices, told = list(reversed(range(len(files.decided)))), set[str]()
    parts += [chart for index in indices if (chart := distances_chart(files, index))]
    for index in indices:
        row = files.decided[index]
        rows = [_toned(standing_cells(s), ROW_TONES.get(s["status"], "bad")) for s in row["standings"]]
        notes = [line for _, line in round_captions(row) if line not in told]
        told.update(notes)  # what the columns mean is said once
        parts.append(DataTable(COLUMNS, rows, round_title(row), notes))
        if ahead := row.get("ahead"):
            parts.append(Fold(f"Looking ahead from round {index + 1}", [_ahead_table(ahead)]))
    return parts


def _toned(cells: Sequence[str], tone: Tone) -> list[str | Cell]:
    return [Cell(text, tone) for text in cells]


def _ahead_table(ahead: Mapping[str, Any]) -> DataTable:
    rows = sorted(ahead["contestants"].items(), key=lambda item: forecast_place(item[1]))
    notes = [line for _, line in ahead_captions(ahead)]
    return DataTable(AHEAD_COLUMNS, [ahead_cells(name, row) for name, row in rows], ahead_title(ahead), notes)


def equal_cost(files: LeagueFiles) -> list[Part]:
    """Ranks at equal tokens, FLOPs and seconds, round by round."""
    return [equal_cost_chart(files, index) or equal_cost_table(row) for index, row in enumerate(files.decided)]


def mixes(files: LeagueFiles) -> list[Part]:
    """The mixes of a league of mixes, and the proposed one."""
    if not files.mixes:
        return []
    from tournament.mix_report import mixes_columns  # loads NumPy's fits

    columns, cells, title, captions = mixes_columns(files.mixes)
    count = len(files.mixes["mixes"])
    rows = [_toned(row, "winner" if place == count else "") for place, row in enumerate(cells)]
    return [DataTable(columns, rows, title, [line for _, line in captions])]


def learning_rates(files: LeagueFiles) -> list[Part]:
    """The trials of the searches and what they chose."""
    chart = rates_chart(files)
    if chart is None:
        return []
    rows = [
        [
            name,
            "–" if search["learning_rate"] is None else f"{search['learning_rate']:.3g}",
            loss_text(search.get("notch_cost")),
            str(len(search["tried"])),
        ]
        for name in files.contestants
        if (search := files.rates.get(name))
    ]
    columns = (NAME, Column("chosen rate"), Column("a notch off costs"), Column("tried"))
    return [chart, DataTable(columns, rows, "learning rates, without lr_scale; nats per token for a factor of 3")]


def memory(files: LeagueFiles) -> list[Part]:
    """What the plan said a step takes, and the peak."""
    used = {name: peak_gib(files, name) for name in files.contestants}
    if not any(used.values()):
        return []
    planned = dict.fromkeys(used, None) | (
        {name: memory_estimate(c.model, files.config).peak / GIB for name, c in files.entered.items()}
        if files.config
        else {}
    )
    on_cpu = files.settings.get("compute", {}).get("device") == "cpu"
    notes = ["Planned: a training step at its fullest moment, of the first memory plan."]
    notes += ["Used: the whole process, PyTorch's libraries included, since there is no card."] if on_cpu else []
    fallbacks = _fallbacks(files)
    tried = [
        Paragraph(f"{name}: ran out of memory, then {', then '.join(steps)}.") for name, steps in fallbacks.items()
    ]
    return [memory_chart([(name, planned[name], used[name]) for name in used], notes), *tried]


def _fallbacks(files: LeagueFiles) -> dict[str, list[str]]:
    """Memory plans that a contestant's runs fell back to."""
    found: dict[str, list[str]] = {}
    for name in files.contestants:
        for run in files.runs(name):
            for outcome in files.outcomes(run):
                found[name] = outcome.facts.get("memory_fallbacks") or found.get(name, [])
    return {name: steps for name, steps in found.items() if steps}


def failures(files: LeagueFiles) -> list[dict[str, Any]]:
    """A row for each failure: contestant, seed, round, kind, reason."""
    return [
        {
            "contestant": run.contestant,
            "seed": run.seed,
            "round": index + 1,
            "failure": outcome.failure,
            "reason": outcome.reason,
        }
        for index, round_ in enumerate(files.rounds)
        for run, outcome in sorted(round_.outcomes.items())
        if outcome.failure
    ]


def what_failed(files: LeagueFiles) -> list[Part]:
    """Failures, memory fallbacks, resumes."""
    rows = [
        [
            row["contestant"],
            str(row["seed"]),
            str(row["round"]),
            Cell(str(row["failure"]), "bad"),
            row["reason"],
            WHAT_WAS_DONE.get(row["failure"], ""),
        ]
        for row in failures(files)
    ]
    headings = ("failure", "reason", "what was done")
    columns = (
        NAME,
        Column("seed"),
        Column("round"),
        *(Column(heading, justify="left", may_wrap=True) for heading in headings),
    )
    parts: list[Part] = [DataTable(columns, rows, "failures")] if rows else [Paragraph("No run failed.")]
    if files.resumes:
        redone = sum(row.get("steps_redone") or 0 for row in files.resumes)
        cells = [[str(row.get("run", row.get("contestant", ""))), *_resume_cells(row)] for row in files.resumes]
        resumed = DataTable(
            (Column("run", justify="left"), Column("resumed at step"), Column("steps redone")), cells, "resumes"
        )
        times = f"{len(files.resumes)} time{'s' * (len(files.resumes) > 1)}"
        parts += [Paragraph(f"Runs were resumed {times}; {redone:,} steps were trained again."), resumed]
    return parts


def _resume_cells(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[key]:,}" if isinstance(row.get(key), int) else "–" for key in ("step_found", "steps_redone")]


def time_spent(files: LeagueFiles) -> list[Part]:
    """Wall clock, and the seconds of each contestant."""
    chart, timing = time_chart(files), files.timing
    if chart is None:
        return []
    if not timing:
        return [Paragraph("Where the wall clock went is known of leagues that were played without a break."), chart]
    facts = [
        Fact("From start to end", duration_text(timing["wall"])),
        Fact("Runs, packed at best", duration_text(timing["best_packing"]), f"on {timing['slots']} slots at a time"),
        Fact("Idle at ends of rounds", duration_text(timing["idle_at_round_ends"]), "slot-seconds"),
        Fact(
            "Preparation, orchestration",
            duration_text(timing["orchestration"]),
            f"{100 * timing['orchestration_share']:.0f} % of the whole",
        ),
    ]
    return [Facts(facts), chart]


def settings(files: LeagueFiles) -> list[Part]:
    """Settings that differ from their defaults."""
    return [settings_table(files.settings, [name for name in files.settings if name not in UNREAD])]


def commands(files: LeagueFiles) -> list[Part]:
    """Commands to repeat the league."""
    return [Commands(league_commands(files))]


SECTIONS: Sequence[tuple[str, Callable[[LeagueFiles], Sequence[Part]]]] = (
    ("Learning curves", learning_curves),
    ("Standings", standings),
    ("Mixes", mixes),
    ("At equal cost", equal_cost),
    ("Learning rates", learning_rates),
    ("Memory", memory),
    ("What failed", what_failed),
    ("Where the time went", time_spent),
    ("Settings", settings),
    ("Commands", commands),
)
