"""What a tournament leaves behind: standings.json after each round, winner.json at the end, a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner import checkpoint
from hamner.config import Config, ModelConfig
from hamner.results import write_json
from tournament.rounds import Bracket, rank, survivors


def round_end(config: Config, round_index: int) -> int:
    """Optimizer steps from the league's start to the end of a round."""
    return sum(config.tournament.steps[: round_index + 1])


def standings(run: str, config: Config, bracket: Bracket) -> dict[str, Any]:
    """The content of standings.json: all rounds decided so far."""
    league = config.tournament
    rounds = []
    for index, outcomes in enumerate(bracket.outcomes):
        decided = index < bracket.round or bracket.over()
        if not decided:
            break
        kept = survivors(outcomes, bracket.flops, league.keep[index])
        rows = []
        for place, name in enumerate(rank(outcomes, bracket.flops), start=1):
            outcome = outcomes[name]
            status: str = outcome.failure or ("advanced" if name in kept else "eliminated")
            if name == bracket.winner() and index == bracket.round:
                status = "winner"
            rows.append({
                "rank": place, "contestant": name, "heldout_loss": outcome.heldout_loss,
                "heldout_loss_start": outcome.heldout_loss_start, "train_loss": outcome.train_loss,
                "tokens_per_second": outcome.tokens_per_second, "seconds": outcome.seconds,
                "flops_per_token": bracket.flops[name], "status": status, "reason": outcome.reason,
            })
        steps = round_end(config, index)
        rounds.append({
            "round": index + 1, "steps": steps, "tokens": steps * league.batch_size * league.seq_len,
            "keep": league.keep[index], "standings": rows,
        })
    return {"run": run, "seed": config.seed, "winner": bracket.winner(), "rounds": rounds}


def write_winner(
    folder: Path, config: Config, bracket: Bracket, models: Mapping[str, ModelConfig], tokenizer_sha256: str,
) -> None:
    """winner.json: where the curriculum begins."""
    name = bracket.winner()
    assert name is not None
    last = checkpoint.newest(folder / name / "checkpoints")
    write_json(folder / "winner.json", {
        "run": folder.name, "contestant": name, "model": models[name].model_dump(),
        "tokenizer": {"path": str(folder / "data"), "sha256": tokenizer_sha256, "vocab_size": models[name].vocab_size},
        "data": config.data.path,
        "heldout_loss": bracket.outcomes[bracket.round][name].heldout_loss,
        "checkpoint": str(last.path) if last else None,
    })


def show_round(console: Console, document: Mapping[str, Any], index: int) -> None:
    """Print one round of standings.json as a table."""
    played = document["rounds"][index]
    rows = played["standings"]
    table = Table(
        title=f"round {played['round']}: {len(rows)} contestants, {played['tokens']:,} tokens each so far",
        title_justify="left", caption="held-out loss in nats per token; Δ to the best of the round",
        caption_justify="left",
    )
    for heading, side in (("", "right"), ("contestant", "left"), ("held-out", "right"), ("Δ", "right"),
                          ("started at", "right"), ("tokens/s", "right"), ("", "left")):
        table.add_column(heading, justify=side)    # type: ignore[arg-type]
    best = rows[0]["heldout_loss"]
    for row in rows:
        loss = row["heldout_loss"]
        style = {"winner": "bold green", "advanced": "green", "eliminated": "dim"}.get(row["status"], "red")
        table.add_row(
            str(row["rank"]), row["contestant"], _number(loss),
            f"{loss - best:+.4f}" if loss is not None and best is not None else "",
            _number(row["heldout_loss_start"]),
            f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else "",
            row["status"] + (f": {row['reason']}" if row["reason"] else ""), style=style,
        )
    console.print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
