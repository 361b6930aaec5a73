"""Tables of a league at a terminal: the standings of a round, and how the league ended.

Data in: standings.json. Data out: tables as wide as the console, and lines. Nothing is computed here but words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hamner.runs.tables import Column, fitted_table
from tournament.looking_ahead import ahead_table
from tournament.odds import odds_in_words
from tournament.rate_parabola import fragile_line

STYLES = {"winner": "bold green", "advanced": "green", "eliminated": "dim"}
OTHER_STYLE = "red"  # of contestants that failed

# In the order of the table. Rank, contestant, loss and verdict stay; on a narrow terminal the rest leaves from the end.
COLUMNS = (
    Column("#"),
    Column("contestant", justify="left", may_wrap=True),
    Column("loss"),
    Column("Δ to cut", 1),
    Column("±", 2),  # of the difference, so it leaves before that
    Column("verdict", justify="left", may_wrap=True),
    Column("at equal FLOPs", 3),
    Column("at equal seconds", 4),
    Column("tokens/s", 5),
)


def show_round(console: Console, document: Mapping[str, Any], index: int) -> None:
    """Print one round of standings.json as a table."""
    for part in round_report(console, document, index):
        console.print(part, soft_wrap=isinstance(part, Text))


def round_report(console: Console, document: Mapping[str, Any], index: int) -> list[Table | Text]:
    """One round of standings.json to be printed: the table, as wide as the console, and why contestants failed."""
    round_row = document["rounds"][index]
    rows = round_row["standings"]
    table = fitted_table(
        console,
        COLUMNS,
        [standing_cells(row) for row in rows],
        title=round_title(round_row),
        captions=round_captions(round_row),
        styles=[STYLES.get(row["status"], OTHER_STYLE) for row in rows],
    )
    reasons = [Text(f"  {row['contestant']}: {row['status']}: {row['reason']}") for row in rows if row["reason"]]
    return [table, *reasons, *ahead_table(console, round_row.get("ahead", {}))]


def round_line(round_row: Mapping[str, Any], rounds: int) -> str:
    """A round that is over, in one line. rounds: how many there are in the league."""
    rows = [row for row in round_row["standings"] if row["status"] in ("advanced", "winner")]
    if not rows:
        return f"round {round_row['round']} of {rounds} is over: nobody is left"
    names = ", ".join(row["contestant"] for row in rows)
    return (
        f"round {round_row['round']} of {rounds} is over: {rows[0]['contestant']} leads with "
        f"{rows[0]['heldout_loss']:.4f} nats/token held out; in: {names}"
    )


def standing_cells(row: Mapping[str, Any]) -> list[str]:
    """A contestant's cells, one of each column."""
    at_equal = [
        f"{row['rank_at_' + key]} ({row['loss_at_' + key]:.3f})" if row["rank_at_" + key] else "–"
        for key in ("equal_flops", "equal_seconds")
    ]
    return [
        str(row["rank"]),
        row["contestant"] + (f" × {row['seeds']}" if row["seeds"] > 1 else ""),
        _number(row["heldout_loss"]),
        _number(row["difference"], "+.4f"),
        _number(row["standard_error"]),
        verdict_words(row),
        *at_equal,
        f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else "",
    ]


def verdict_words(row: Mapping[str, Any]) -> str:
    """Whether a contestant is in, and how sure that is; a contested cut is told as odds."""
    status = {"advanced": "in", "eliminated": "out"}.get(row["status"], row["status"])
    is_told_as_odds = row["verdict"] == "contested" and row["order_probability"] is not None
    how_sure = odds_in_words(row["order_probability"]) if is_told_as_odds else row["verdict"]
    return status + (f", {how_sure}" if how_sure else "")


def round_title(round_row: Mapping[str, Any]) -> str:
    count, tokens = len(round_row["standings"]), round_row["tokens"]
    budget = {"flops": " on average, equal FLOPs", "seconds": " or equal seconds (not reproducible)"}
    contestants = f"{count} contestant{'s' * (count > 1)}"
    return (
        f"round {round_row['round']}: {contestants}, {tokens:,} tokens each so far{budget.get(round_row['budget'], '')}"
    )


def round_captions(round_row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines below the table, each with the heading of the column it explains; an empty one: it is always there."""
    ratios = [row["tokens_per_parameter"] for row in round_row["standings"] if row["tokens_per_parameter"]]
    lines = [
        ("", "loss: held out, in nats per token"),
        ("Δ to cut", "Δ to cut: loss less that of the last that is in"),
        ("±", "±: standard error of that difference (documents and seeds)"),
        ("", "verdict: settled, beyond chance; else contested, told as the odds that this order is right"),
        (
            "at equal FLOPs",
            "at equal FLOPs, seconds: rank (and loss, on fewer rows) at the most of each that all have spent",
        ),
    ]
    if round_row["seed_sd"] is None:
        lines.append(("", "seed noise: unknown, no contestant has losses of two seeds. Use seeds=2 to measure it"))
    else:
        noise = f"{round_row['seed_sd']:.4f} (standard deviation, {round_row['seed_df']} degrees of freedom)"
        shared = f", all together by {round_row['shared_seed_sd']:.4f}" if round_row["shared_seed_sd"] else ""
        lines.append(("", f"seed noise: another seed moves one contestant by {noise}{shared}"))
    lines += [("", problem) for problem in round_row["text_problems"]]
    if ratios:
        early = ": early training" if min(ratios) < 1 else ""
        lines.append(("", f"tokens per parameter: {min(ratios):.2f} to {max(ratios):.2f}{early}"))
    if fragile := fragile_line(round_row["standings"]):
        lines.append(("", fragile))
    trained_on = [f"{row['contestant']} {_number(row['heldout_loss'])}" for row in round_row.get("shadows", [])]
    if trained_on:
        lines.append(("", f"out, but trained on beside the league: {', '.join(trained_on)}"))
    if round_row.get("judge") == "forecast":
        lines.append(
            ("", "ranked by the loss forecast at the horizon (judge = forecast), not by the loss in this table")
        )
    if "cut_differs_without_cooldown" in round_row:
        others = "other contestants" if round_row["cut_differs_without_cooldown"] else "the same contestants"
        lines.append(("", f"ranked after a cooldown; without it {others} would be in"))
    return lines


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


ENDING_COLUMNS = (
    Column("contestant", justify="left", may_wrap=True),
    Column("went out", justify="left"),
    Column("Δ to cut", 2),
    Column("verdict", 1, justify="left", may_wrap=True),
    Column("P(best)"),
    Column("regret", 3),
)


UNKNOWN = "P(best) is unknown: no contestant of the last round has losses of two seeds. Use seeds=2, or more"
NO_SHADOWS = "P(best) is told from the rounds alone: what trained on beside the league is not in it"
NOT_AS_JUDGED = "Δ, verdict and P(best) are of the loss at the end of a round; judge = forecast ranked by another"


def ending_table(console: Console, document: Mapping[str, Any]) -> Table:
    """How a finished league ended: where each contestant went out, why, and P(best of all)."""
    rows = document["contestants"]
    return fitted_table(
        console,
        ENDING_COLUMNS,
        [ending_cells(row, document) for row in rows],
        title=f"the end: which of {_rivals(document)} is the best",
        captions=ending_captions(document),
        styles=[_ending_style(row) for row in rows],
    )


def ending_captions(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines below the table, as round_captions."""
    rounds = document["rounds"]
    of_all = f"P(best): that it is the best of all {_rivals(document)}, had all been trained to the league's end"
    return [
        ("Δ to cut", "Δ to cut, verdict: as in the table of the round that it went out in"),
        ("P(best)", of_all),
        *([] if document["field"] else [("", UNKNOWN)]),
        *([("", NO_SHADOWS)] if any(played.get("shadows") for played in rounds) else []),
        *([("", NOT_AS_JUDGED)] if any(played.get("judge") == "forecast" for played in rounds) else []),
        ("regret", "regret: expected loss beyond the best's, nats per token"),
    ]


def _rivals(document: Mapping[str, Any]) -> int:
    """How many did not fail."""
    return sum(not row["failure"] for row in document["contestants"])


def _ending_style(row: Mapping[str, Any]) -> str:
    return OTHER_STYLE if row["failure"] else STYLES["winner" if row["is_winner"] else "eliminated"]


def ending_cells(row: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    round_row = document["rounds"][row["round"] - 1]
    standing = next(other for other in round_row["standings"] if other["contestant"] == row["contestant"])
    is_winner = row["is_winner"]
    return [
        row["contestant"],
        "winner" if is_winner else f"round {row['round']}",
        "" if is_winner else _number(standing["difference"], "+.4f"),
        (standing["verdict"] or "") if is_winner else verdict_words(standing).removeprefix("out, "),
        "–" if row["p_best"] is None else percent(row["p_best"]),
        _number(row["regret"]),
    ]


def percent(probability: float) -> str:
    return f"{100 * probability:.0f} %" if 0.01 <= probability <= 0.99 else "< 1 %" if probability < 0.5 else "> 99 %"
