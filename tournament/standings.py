"""Leaderboard (ranking) of a tournament: standings.json after each round, winner.json at the end, a table to read.

In: the bracket and what its runs reported. Out: those two files and the printed table; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hamner.config.cost import count_parameters
from hamner.config.schema import Config
from hamner.runs.files import write_json
from hamner.runs.folders import FINISHED, now
from hamner.runs.tables import Column, fitted_table
from tournament.bracket import Bracket, Outcome
from tournament.budget import probe_steps, reference_end
from tournament.entrants import Contestant, run_name
from tournament.equal_cost import at_equal_cost
from tournament.rate_parabola import fragile_line, mark_fragile_cuts
from tournament.uncertainty import Label

REPORTED = (
    "heldout_loss_start",
    "train_loss",
    "tokens_per_second",
    "seconds",
    "steps",
    "tokens",
    "flops",
    "bits_per_byte",
    "peak_gib",
    "learning_rate",
)


def standings(
    run: str, config: Config, bracket: Bracket, contestants: Mapping[str, Contestant], rates: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of standings.json: all rounds decided so far."""
    league = config.tournament
    rounds = [
        _round(config, bracket, contestants, index) for index, round_ in enumerate(bracket.rounds) if round_.is_decided
    ]
    document: dict[str, Any] = {
        "run": run,
        "seed": config.seed,
        "winner": bracket.winner(),
        "winner_verdict": None,
        "rounds": rounds,
    }
    if bracket.winner() is not None:
        document["winner_verdict"] = bracket.winner_verdict()
    if rates:
        for round_row in rounds:
            mark_fragile_cuts(round_row["standings"], rates)
        steps = probe_steps(config)
        document["learning_rate_round"] = {
            "steps": steps,
            "standings": [
                {
                    "contestant": name,
                    "learning_rate": search["learning_rate"],
                    "tried": search["tried"],
                    "notch_cost": search.get("notch_cost"),
                    "tokens": len(search["tried"]) * steps * league.batch_size * league.seq_len,
                }
                for name, search in rates.items()
            ],
        }
    return document


def _round(config: Config, bracket: Bracket, contestants: Mapping[str, Contestant], index: int) -> dict[str, Any]:
    league, round_, noise = config.tournament, bracket.rounds[index], bracket.seed_noise(index)
    # seconds compare only where each run has a slot of its own
    is_exclusive = config.compute.device == "cpu" or league.budget == "seconds"
    costs = at_equal_cost(bracket, index, is_exclusive=is_exclusive)
    labels = bracket.labels(index)
    rows = [
        {"rank": rank} | _row(bracket, index, labels, contestants[name], name) | costs["of"].get(name, costs["nothing"])
        for rank, name in enumerate(bracket.ranking(index), start=1)
    ]
    steps = reference_end(config, index)
    uncooled = _best_before_cooldown(bracket, index)
    return {
        "round": index + 1,
        "steps": steps,
        "tokens": steps * league.batch_size * league.seq_len,
        "keep": league.keep[index],
        "budget": league.budget,
        "seed_sd": noise.sd,
        "seed_df": noise.df,
        "equal_flops": costs["flops"],
        "equal_seconds": costs["seconds"],
        **({"cut_differs_without_cooldown": set(uncooled) != set(bracket.best(index))} if uncooled else {}),
        "standings": rows,
        "twins": [_run_row(twin, o) for twin in bracket.twins if (o := round_.outcomes.get(twin))],
    }


def _row(
    bracket: Bracket, index: int, labels: Mapping[str, Label], contestant: Contestant, name: str
) -> dict[str, Any]:
    """One contestant of a round, compared with the last that is in."""
    failed, last = bracket.failure(index, name), bracket.last_survivor(index)
    is_in = name in bracket.rounds[index].survivors
    status: str = failed.failure or "error" if failed else "advanced" if is_in else "eliminated"
    if name == bracket.winner() and index == len(bracket.rounds) - 1:
        status = "winner"
    label = labels.get(name)
    if label is None and last is not None and not failed:
        label = bracket.compare(index, name, last) if name != last else Label(0.0, 0.0, 0.0, "settled")
    return {
        "contestant": name,
        "heldout_loss": None if failed else bracket.loss(index, name),
        "status": status,
        "reason": failed.reason if failed else "",
        "verdict": labels[name].verdict if name in labels else bracket.winner_verdict() if status == "winner" else None,
        "difference": label.difference if label else None,
        "evaluation_se": label.evaluation_se if label else None,
        "standard_error": label.standard_error if label else None,
        "seed_sd": bracket.seed_noise(index).sd,
        "seeds": len(bracket.losses(index, name)),
        **_facts(bracket, index, name, contestant),
        "flops_per_token": bracket.flops[name],
    }


def _facts(bracket: Bracket, index: int, name: str, contestant: Contestant) -> dict[str, Any]:
    """Means over a contestant's seeds, and a row for each of them."""
    runs = bracket.competing(index, name)
    outcomes = {run: o for run in runs if (o := bracket.rounds[index].outcomes.get(run))}
    means: dict[str, Any] = {}
    for key in REPORTED:
        values = [o.facts[key] for o in outcomes.values() if o.facts.get(key) is not None]
        means[key] = sum(values) / len(values) if values else None
    tokens = means["tokens"]
    first = next((o for o in outcomes.values() if o.facts), Outcome(None, "error"))
    return means | {
        "tokens_per_parameter": tokens / count_parameters(contestant.model).total if tokens else None,
        "other_sources": first.facts.get("other_sources", {}),
        "memory_fallbacks": first.facts.get("memory_fallbacks", []),
        "runs": [_run_row(run, o) for run, o in outcomes.items()],
    }


def _run_row(run: Any, outcome: Outcome) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "contestant": run.contestant,
        "heldout_loss": outcome.heldout_loss,
        "heldout_rows": outcome.rows,
        "failure": outcome.failure,
        "reason": outcome.reason,
        **{key: outcome.facts.get(key) for key in ("train_loss", "tokens", "seconds", "busy_seconds")},
        **(
            {"heldout_loss_before_cooldown": outcome.facts["heldout_loss_before_cooldown"]}
            if "heldout_loss_before_cooldown" in outcome.facts
            else {}
        ),
    }


def _best_before_cooldown(bracket: Bracket, index: int) -> list[str]:
    """The best of a round by their losses before annealing; empty when nothing was annealed."""
    losses: dict[str, list[float]] = {}
    for name in bracket.contestants(index):
        for run in bracket.competing(index, name):
            outcome = bracket.rounds[index].outcomes.get(run)
            if outcome and "heldout_loss_before_cooldown" in outcome.facts:
                losses.setdefault(name, []).append(outcome.facts["heldout_loss_before_cooldown"])
    order = sorted(losses, key=lambda name: (sum(losses[name]) / len(losses[name]), bracket.flops[name], name))
    return order[: bracket.rules.keep[index]]


def write_winner(
    folder: Path,
    config: Config,
    bracket: Bracket,
    contestants: Mapping[str, Contestant],
    tokenizer_sha256: str,
    *,
    rate: Callable[[str], float],
) -> None:
    """Write winner.json, from which the curriculum starts, with the checkpoint of the first seed that finished.

    rate: name -> learning rate it competed at, without lr_scale; the curriculum multiplies its stages' rates by its
    ratio to the league's.
    After a cooldown heldout_loss is the annealed copy's, which was ranked; the checkpoint is the run itself.
    """
    from hamner.training import checkpoint  # loads PyTorch, for which Ray's start need not wait

    name = bracket.winner()
    assert name is not None
    model, last_round = contestants[name].model, len(bracket.rounds) - 1
    outcomes = bracket.rounds[last_round].outcomes
    run = next(run for run in bracket.competing(last_round, name) if outcomes[run].heldout_loss is not None)
    last = checkpoint.newest(folder / run_name(run, contestants) / "checkpoints")
    write_json(
        folder / "winner.json",
        {
            "run": folder.name,
            FINISHED: now(),
            "contestant": name,
            "model": model.model_dump(),
            "tokenizer": {"path": str(folder / "data"), "sha256": tokenizer_sha256, "vocab_size": model.vocab_size},
            "data": config.data.path,
            "heldout_loss": bracket.loss(last_round, name),
            "verdict": bracket.winner_verdict(),
            "groups": [group.model_dump() for group in contestants[name].groups],
            "learning_rate_factor": rate(name) / config.tournament.learning_rate,
            "checkpoint": str(last.path) if last else None,
        },
    )


def show_round(console: Console, document: Mapping[str, Any], index: int) -> None:
    """Print one round of standings.json as a table."""
    for part in round_report(console, document, index):
        console.print(part, soft_wrap=isinstance(part, Text))


# In the order of the table. Rank, contestant, loss and verdict stay; on a narrow terminal the rest leaves from the end.
COLUMNS = (
    Column(""),
    Column("contestant", justify="left", may_wrap=True),
    Column("loss"),
    Column("Δ to cut", 2),
    Column("±", 1),
    Column("verdict", justify="left", may_wrap=True),
    Column("at equal FLOPs", 3),
    Column("at equal seconds", 4),
    Column("tokens/s", 5),
)


def round_report(console: Console, document: Mapping[str, Any], index: int) -> list[Table | Text]:
    """One round of standings.json to be printed: the table, as wide as the console, and why contestants failed."""
    round_row = document["rounds"][index]
    rows = round_row["standings"]
    styles = {"winner": "bold green", "advanced": "green", "eliminated": "dim"}
    table = fitted_table(
        console,
        COLUMNS,
        [_cells(row) for row in rows],
        title=_title(round_row),
        captions=_captions(round_row),
        styles=[styles.get(row["status"], "red") for row in rows],
    )
    reasons = [Text(f"  {row['contestant']}: {row['status']}: {row['reason']}") for row in rows if row["reason"]]
    return [table, *reasons]


def _cells(row: Mapping[str, Any]) -> list[str]:
    """A contestant's cells, one of each column."""
    status = {"advanced": "in", "eliminated": "out"}.get(row["status"], row["status"])
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
        status + (f", {row['verdict']}" if row["verdict"] else ""),
        *at_equal,
        f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else "",
    ]


def _title(round_row: Mapping[str, Any]) -> str:
    count, tokens = len(round_row["standings"]), round_row["tokens"]
    budget = {"flops": " on average, equal FLOPs", "seconds": " or equal seconds (not reproducible)"}
    contestants = f"{count} contestant{'s' * (count > 1)}"
    return (
        f"round {round_row['round']}: {contestants}, {tokens:,} tokens each so far{budget.get(round_row['budget'], '')}"
    )


def _captions(round_row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Lines below the table, each with the heading of the column it explains; an empty one: it is always there."""
    ratios = [row["tokens_per_parameter"] for row in round_row["standings"] if row["tokens_per_parameter"]]
    lines = [
        ("", "loss: held out, in nats per token"),
        ("Δ to cut", "Δ to cut: loss less that of the last that is in"),
        ("±", "±: standard error of the difference to the last that is in (documents and seeds)"),
        (
            "at equal FLOPs",
            "at equal FLOPs, seconds: rank (and loss, on fewer rows) at the most of each that all have spent",
        ),
    ]
    if round_row["seed_sd"] is None:
        lines.append(("", "seed noise: unknown, no contestant ran two seeds. Use twins or seeds to measure it"))
    else:
        noise = f"{round_row['seed_sd']:.4f} (standard deviation, {round_row['seed_df']} degrees of freedom)"
        lines.append(("", f"seed noise: another seed moves a contestant by {noise}"))
    if ratios:
        early = ": early training" if min(ratios) < 1 else ""
        lines.append(("", f"tokens per parameter: {min(ratios):.2f} to {max(ratios):.2f}{early}"))
    if fragile := fragile_line(round_row["standings"]):
        lines.append(("", fragile))
    if "cut_differs_without_cooldown" in round_row:
        others = "other contestants" if round_row["cut_differs_without_cooldown"] else "the same contestants"
        lines.append(("", f"ranked after a cooldown; without it {others} would be in"))
    return lines


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)
