"""What a tournament leaves behind: standings.json after each round, winner.json at the end, a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.cost import count_parameters
from hamner.config.schema import Config
from hamner.runs.files import write_json
from tournament.bracket import Bracket, Outcome
from tournament.budget import probe_steps, reference_end
from tournament.entrants import Contestant, run_name
from tournament.equal_cost import at_equal_cost
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
        _round(config, bracket, contestants, index) for index, played in enumerate(bracket.rounds) if played.decided
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
        steps = probe_steps(config)
        document["learning_rate_round"] = {
            "steps": steps,
            "standings": [
                {
                    "contestant": name,
                    "learning_rate": found["learning_rate"],
                    "tried": found["tried"],
                    "tokens": len(found["tried"]) * steps * league.batch_size * league.seq_len,
                }
                for name, found in rates.items()
            ],
        }
    return document


def _round(config: Config, bracket: Bracket, contestants: Mapping[str, Contestant], index: int) -> dict[str, Any]:
    league, played, measured = config.tournament, bracket.rounds[index], bracket.ruler(index)
    labels, last = bracket.labels(index), bracket.last_survivor(index)
    per_step = league.batch_size * league.seq_len
    rows = []
    for place, name in enumerate(bracket.rank(index), start=1):
        failed = bracket.failure(index, name)
        status: str = failed.failure or "error" if failed else "advanced" if name in played.kept else "eliminated"
        if name == bracket.winner() and index == len(bracket.rounds) - 1:
            status = "winner"
        label = labels.get(name)
        if label is None and last is not None and not failed:
            label = bracket.compare(index, name, last) if name != last else Label(0.0, 0.0, 0.0, "settled")
        verdict = labels[name].verdict if name in labels else bracket.winner_verdict() if status == "winner" else None
        rows.append(
            {
                "rank": place,
                "contestant": name,
                "heldout_loss": None if failed else bracket.loss(index, name),
                "status": status,
                "reason": failed.reason if failed else "",
                "verdict": verdict,
                "difference": label.difference if label else None,
                "evaluation_se": label.evaluation_se if label else None,
                "standard_error": label.standard_error if label else None,
                "seed_sd": measured.sd,
                "seeds": len(bracket.losses(index, name)),
                **_facts(bracket, index, name, contestants[name]),
                "flops_per_token": bracket.flops[name],
            }
        )
    alone = config.compute.device == "cpu" or league.budget == "seconds"  # a slot of its own for each run
    costs = at_equal_cost(bracket, index, exclusive=alone)
    for row in rows:
        row |= costs["of"].get(row["contestant"], costs["nothing"])
    steps = reference_end(config, index)
    before = _ranked_before_cooldown(bracket, index)
    return {
        "round": index + 1,
        "steps": steps,
        "tokens": steps * per_step,
        "keep": league.keep[index],
        "budget": league.budget,
        "seed_sd": measured.sd,
        "seed_df": measured.df,
        "equal_flops": costs["flops"],
        "equal_seconds": costs["seconds"],
        **({"cut_differs_without_cooldown": set(before) != set(bracket.best(index))} if before else {}),
        "standings": rows,
        "twins": [_run_row(twin, o) for twin in bracket.twins if (o := played.outcomes.get(twin))],
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


def _ranked_before_cooldown(bracket: Bracket, index: int) -> list[str]:
    """Who would have gone on without annealing; empty when nothing was annealed."""
    losses: dict[str, list[float]] = {}
    for name in bracket.contestants(index):
        for run in bracket.competing(index, name):
            outcome = bracket.rounds[index].outcomes.get(run)
            if outcome and "heldout_loss_before_cooldown" in outcome.facts:
                losses.setdefault(name, []).append(outcome.facts["heldout_loss_before_cooldown"])
    order = sorted(losses, key=lambda name: (sum(losses[name]) / len(losses[name]), bracket.flops[name], name))
    return order[: bracket.rules.keep[index]]


def write_winner(
    folder: Path, config: Config, bracket: Bracket, contestants: Mapping[str, Contestant], tokenizer_sha256: str
) -> None:
    """winner.json: where the curriculum begins; the checkpoint is that of the first seed that came to the end.

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
            "contestant": name,
            "model": model.model_dump(),
            "tokenizer": {"path": str(folder / "data"), "sha256": tokenizer_sha256, "vocab_size": model.vocab_size},
            "data": config.data.path,
            "heldout_loss": bracket.loss(last_round, name),
            "verdict": bracket.winner_verdict(),
            "checkpoint": str(last.path) if last else None,
        },
    )


def show_round(console: Console, document: Mapping[str, Any], index: int) -> None:
    """Print one round of standings.json as a table."""
    played = document["rounds"][index]
    rows = played["standings"]
    table = Table(
        title=f"round {played['round']}: {len(rows)} contestants, {played['tokens']:,} tokens each so far"
        + {"flops": " on average, equal FLOPs", "seconds": " or equal seconds (not reproducible)"}.get(
            played["budget"], ""
        ),
        title_justify="left",
        caption=_caption(played),
        caption_justify="left",
    )
    for heading, side in (
        ("", "right"),
        ("contestant", "left"),
        ("held-out", "right"),
        ("Δ last in", "right"),
        ("±", "right"),
        ("= FLOPs", "right"),
        ("= seconds", "right"),
        ("tokens/s", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=side, no_wrap=heading != "")  # type: ignore[arg-type]
    for row in rows:
        style = {"winner": "bold green", "advanced": "green", "eliminated": "dim"}.get(row["status"], "red")
        told = {"advanced": "in", "eliminated": "out"}.get(row["status"], row["status"])
        told += f", {row['verdict']}" if row["verdict"] else ""
        table.add_row(
            str(row["rank"]),
            row["contestant"] + (f" × {row['seeds']}" if row["seeds"] > 1 else ""),
            _number(row["heldout_loss"]),
            _number(row["difference"], "+.4f"),
            _number(row["standard_error"]),
            *(
                f"{row['rank_at_' + key]} ({row['loss_at_' + key]:.3f})" if row["rank_at_" + key] else "–"
                for key in ("equal_flops", "equal_seconds")
            ),
            f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else "",
            told + (f": {row['reason']}" if row["reason"] else ""),
            style=style,
        )
    console.print(table)


def _caption(played: Mapping[str, Any]) -> str:
    rows = played["standings"]
    ratios = [row["tokens_per_parameter"] for row in rows if row["tokens_per_parameter"]]
    lines = [
        "held-out loss in nats per token; Δ to the last that goes on, ± its standard error (documents and seeds)",
        "= FLOPs, = seconds: rank (and loss, on fewer rows) at the most of it that all have spent",
    ]
    if played["seed_sd"] is None:
        lines.append("nobody ran two seeds: how far chance moves a contestant is unknown")
    else:
        lines.append(
            f"another seed moves a contestant by {played['seed_sd']:.4f} (standard deviation, "
            f"{played['seed_df']} degrees of freedom)"
        )
    if ratios:
        lines.append(
            f"tokens per parameter: {min(ratios):.2f} to {max(ratios):.2f}"
            + (": early training" if min(ratios) < 1 else "")
        )
    if "cut_differs_without_cooldown" in played:
        lines.append(
            "ranked after a cooldown; without it "
            + ("others would have gone on" if played["cut_differs_without_cooldown"] else "the same would have gone on")
        )
    return "\n".join(lines)


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)
