"""Leaderboard (ranking) of a tournament: standings.json after each round, winner.json at the end.

In: the bracket and what its runs reported. Out: those two files, which standings_table.py prints; nothing is decided
here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from hamner.config.cost import count_parameters
from hamner.config.schema import Config
from hamner.runs.files import write_json
from hamner.runs.folders import FINISHED, now
from tournament import looking_ahead
from tournament.bracket import Bracket, Outcome
from tournament.budget import probe_steps, reference_end
from tournament.entrants import Contestant, run_name
from tournament.equal_cost import at_equal_cost
from tournament.odds import order_probability
from tournament.rate_parabola import mark_fragile_cuts
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
    run: str,
    config: Config,
    bracket: Bracket,
    contestants: Mapping[str, Contestant],
    rates: Mapping[str, Any],
    known: dict[int, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The content of standings.json: all rounds decided so far.

    known: rounds as an earlier call has computed them, which adds to it: nothing of a decided round changes later.
    """
    league, known = config.tournament, {} if known is None else known
    for index, round_ in enumerate(bracket.rounds):
        if round_.is_decided and index not in known:
            known[index] = _round(config, bracket, contestants, index)
    rounds = [known[index] for index, round_ in enumerate(bracket.rounds) if round_.is_decided]
    document: dict[str, Any] = {
        "run": run,
        "seed": config.seed,
        "winner": bracket.winner(),
        "winner_verdict": None,
        "cut_too_early": looking_ahead.cut_too_early(bracket),
        "rounds": rounds,
    }
    if bracket.winner() is not None:
        document["winner_verdict"] = bracket.winner_verdict()
        from tournament.ending import ending  # loads NumPy, for which Ray's start need not wait

        document |= ending(bracket)
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
    league, noise = config.tournament, bracket.seed_noise(index)
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
        "compared_with": bracket.last_survivor(index),
        "budget": league.budget,
        "judge": "forecast" if bracket.is_judged(index) else "heldout_loss",
        "seed_sd": noise.sd,
        "seed_df": noise.df,
        "shared_seed_sd": noise.shared_sd,
        "equal_flops": costs["flops"],
        "equal_seconds": costs["seconds"],
        "shadows": [
            {"contestant": name, "heldout_loss": mean(losses) if losses else None, "losses": losses}
            for name, losses in bracket.shadows(index).items()
        ],
        "ahead": looking_ahead.look_ahead(config, bracket, index, is_exclusive=is_exclusive),
        **({"cut_differs_without_cooldown": set(uncooled) != set(bracket.best(index))} if uncooled else {}),
        "text_problems": bracket.text_problems(index),
        "standings": rows,
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
        "order_probability": _order_probability(labels.get(name)),
        "seed_sd": bracket.spread(index, name),
        "seeds": len(bracket.losses(index, name)),
        **_facts(bracket, index, name, contestant),
        "flops_per_token": bracket.flops[name],
    }


def _order_probability(label: Label | None) -> float | None:
    """Probability that a contestant that is out is truly worse than the last that is in."""
    return order_probability(label.difference, label.standard_error, label.df) if label else None


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
    document: Mapping[str, Any],
    rate: Callable[[str], float],
) -> None:
    """Write winner.json, from which the curriculum starts, with the checkpoint of the first seed that finished.

    document: standings.json, for what is known of the winner. rate: name -> learning rate it competed at, without
    lr_scale; the curriculum multiplies its stages' rates by its ratio to the league's.
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
            **_chance(document, name),
            "groups": [group.model_dump() for group in contestants[name].groups],
            "learning_rate_factor": rate(name) / config.tournament.learning_rate,
            "checkpoint": str(last.path) if last else None,
        },
    )


def _chance(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """P(best) and expected regret of the winner, and of how many contestants it is the best."""
    row = next(row for row in document["contestants"] if row["contestant"] == name)
    rivals = sum(not row["failure"] for row in document["contestants"])
    return {"p_best": row["p_best"], "regret": row["regret"], "best_of": rivals}
