"""`tournament --plan`: what the league would cost, from the config alone (no data, network, GPU or Ray)."""

from __future__ import annotations

import json
import statistics
from typing import Any

from rich.table import Table

from hamner.config.cost import GIB, count_parameters
from hamner.config.schema import Config
from hamner.runs.cli import console
from tournament.budget import budgets, probe_steps, reference_end
from tournament.disk import checkpoint_gib, disk_gib
from tournament.entrants import entrants, flops_per_token, twins
from tournament.gpu_memory import memory_bytes, share
from tournament.learning_rate_probe import FIRST_POWERS, MAX_MOVES


def plan_rows(config: Config) -> list[dict[str, Any]]:
    """One row a contestant; tokens and flops are those of a run that goes all the way."""
    contestants = entrants(config)
    flops = flops_per_token(config, contestants)
    per_step, length = config.tournament.batch_size * config.tournament.seq_len, budgets(config, flops)
    return [
        {
            "contestant": name,
            "parameters": count_parameters(c.model).total,
            "active_parameters": count_parameters(c.model).active,
            "tokens": length[name].steps[-1] * per_step,
            "flops": length[name].steps[-1] * per_step * flops[name],
            "memory_gib": round(memory_bytes(c.model, config) / GIB, 3),
            "gpu_share": share(c.model, config),
            "disk_gib": round(checkpoint_gib(c.model), 3),
        }
        for name, c in contestants.items()
    ]


def print_plan(config: Config, *, as_json: bool) -> None:
    rows = plan_rows(config)
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    league = config.tournament
    table = Table(
        title=f"{len(rows)} contestants, rounds of {' / +'.join(map(str, league.steps))} steps of "
        f"{league.batch_size} × {league.seq_len} tokens, {' → '.join(map(str, (len(rows), *league.keep)))}",
        title_justify="left",
        caption="tokens and FLOPs: of a contestant that goes all the way; disk: one checkpoint of it",
        caption_justify="left",
    )
    for heading in ("contestant", "parameters", "active", "tokens", "PFLOP", "GiB", "GPU share", "disk GiB"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for row in rows:
        table.add_row(
            row["contestant"],
            f"{row['parameters']:,}",
            f"{row['active_parameters']:,}",
            f"{row['tokens']:,}",
            f"{row['flops'] / 1e15:,.2f}",
            f"{row['memory_gib']:.2f}",
            f"{row['gpu_share']:.2f}" if row["gpu_share"] else "–",
            f"{row['disk_gib']:.2f}",
        )
    console().print(table)
    for line in _costs(config):
        console().print(line, soft_wrap=True)


def _costs(config: Config) -> list[str]:
    """What it costs to play the rounds, to probe learning rates, and to know how sure a cut is."""
    league, contestants = config.tournament, entrants(config)
    flops, per_step = flops_per_token(config, contestants), league.batch_size * league.seq_len
    typical = statistics.median if league.budget == "flops" else statistics.mean
    petaflop = typical(flops.values()) * per_step / 1e15  # of one step of a contestant
    seeds = statistics.mean(len(c.seeds) for c in contestants.values())
    entering = [min(count, len(flops)) for count in (len(flops), *league.keep[:-1])]
    once = petaflop * sum(count * steps for count, steps in zip(entering, league.steps, strict=True))
    lines = [f"the rounds: about {once * seeds:,.2f} PFLOP"]
    if league.lr == "probe":
        steps = probe_steps(config)
        tries = (len(FIRST_POWERS), len(FIRST_POWERS) + MAX_MOVES)
        least, most = (count * steps * len(flops) * petaflop for count in tries)
        lines.append(f"learning-rate round, {steps} steps a try: {least:,.2f} to {most:,.2f} PFLOP")
    extra = twins(config, contestants)
    if extra:
        cost = len(extra) * sum(league.steps) * per_step * flops[extra[0].contestant] / 1e15
        lines.append(
            f"{len(extra)} twins of {extra[0].contestant}, to know how far another seed moves a contestant: "
            f"{cost:,.2f} PFLOP"
        )
    if league.contested == "seeds":
        more = max(0.0, league.max_seeds - seeds)
        ends = [reference_end(config, index) for index in range(len(league.steps))]
        near = min(more * once, sum(2 * more * end * petaflop for end in ends))
        lines.append(
            f"contested = seeds: about {near:,.2f} PFLOP when the two beside each cut are contested, "
            f"at most {more * once:,.2f}"
        )
    disk = f"disk: up to {disk_gib(contestants, config):.1f} GiB of checkpoints at one moment"
    if league.contested == "seeds":
        most = disk_gib(contestants, config, league.max_seeds)
        disk += f"; {most:.1f} if all were asked for {league.max_seeds} seeds"
    lines.append(disk)
    return lines
