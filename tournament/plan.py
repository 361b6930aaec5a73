"""Cost estimate of a league, `tournament --plan`: parameters, tokens, FLOPs, GPU memory term by term, disk.

Data in: the config alone (no data, network, GPU or Ray). Data out: two tables and some lines, or JSON rows.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.cost import GIB, count_parameters
from hamner.config.schema import Config
from hamner.runs.cli import console
from hamner.runs.tables import Column, fitted_table
from tournament.budget import budgets, probe_steps, reference_end
from tournament.disk import checkpoint_gib, disk_gib
from tournament.entrants import entrants, flops_per_token, twins
from tournament.gpu_memory import memory_estimate, share
from tournament.learning_rate_probe import FIRST_POWERS, MAX_MOVES
from tournament.model_table import alike_lines, model_facts, model_table

# Columns of the memory table and the terms of MemoryEstimate that each sums.
MEMORY_COLUMNS = {
    "weights": ("weights",),
    "optimizer": ("optimizer",),
    "gradients": ("gradients",),
    "activations": ("activations", "recomputed_block"),
    "logits": ("logits",),
    "head": ("head",),
    "mask": ("document_mask",),
    "CUDA": ("context",),
}


def plan_rows(config: Config) -> list[dict[str, Any]]:
    """One row a contestant; tokens and flops are those of a run that goes all the way."""
    contestants = entrants(config)
    flops = flops_per_token(config, contestants)
    per_step, length = config.tournament.batch_size * config.tournament.seq_len, budgets(config, flops)
    rows = []
    for name, contestant in contestants.items():
        parameters, memory = count_parameters(contestant.model), memory_estimate(contestant.model, config)
        terms = memory.breakdown
        rows.append(
            {
                "contestant": name,
                **model_facts(contestant, config),
                "parameters": parameters.total,
                "active_parameters": parameters.active,
                "tokens": length[name].steps[-1] * per_step,
                "flops": length[name].steps[-1] * per_step * flops[name],
                "memory_gib": round(memory.peak / GIB, 3),
                "memory_terms_gib": {
                    column: round(sum(terms.get(term, 0) for term in parts) / GIB, 6)
                    for column, parts in MEMORY_COLUMNS.items()
                },
                "memory_moment": memory.fullest_moment,
                "gpu_share": share(contestant.model, config),
                "disk_gib": round(checkpoint_gib(contestant.model), 3),
                **({"mix": dict(contestant.mix)} if contestant.mix else {}),
            }
        )
    return rows


def print_plan(config: Config, *, as_json: bool) -> None:
    """Print the plan on stdout: tables, or one JSON object a line."""
    rows = plan_rows(config)
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    screen = console()
    screen.print(model_table(screen, config, rows))
    screen.print(_cost_table(screen, config, rows))
    screen.print(_memory_table(screen, rows))
    if any("mix" in row for row in rows):
        screen.print(_mix_table(screen, rows))
    for line in (*alike_lines(entrants(config), config), *_cost_lines(config)):
        screen.print(line, soft_wrap=True)


def _cost_table(screen: Console, config: Config, rows: Sequence[Mapping[str, Any]]) -> Table:
    league, survivors = config.tournament, (len(rows), *(min(keep, len(rows)) for keep in config.tournament.keep))
    cells = [
        [
            row["contestant"],
            f"{row['parameters']:,}",
            f"{row['active_parameters']:,}",
            f"{row['tokens']:,}",
            _flop(row["flops"]),
            f"{row['gpu_share']:.2f}" if row["gpu_share"] else "–",
            f"{row['disk_gib']:.2f}",
        ]
        for row in rows
    ]
    count, rounds = f"{len(rows)} contestant{'s' * (len(rows) > 1)}", " / +".join(map(str, league.steps))
    return fitted_table(
        screen,
        (
            Column("contestant", justify="left", may_wrap=True),
            Column("parameters", 1),
            Column("active", 5),
            Column("tokens", 4),
            Column("FLOPs"),
            Column("GPU share", 3),
            Column("disk GiB", 2),
        ),
        cells,
        title=f"{count}, rounds of {rounds} steps of {league.batch_size} × {league.seq_len} tokens, "
        + " → ".join(map(str, survivors)),
        captions=[("", "tokens and FLOPs: of a contestant that goes all the way; disk: one checkpoint of it")],
    )


def _memory_table(screen: Console, rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = [column for column in MEMORY_COLUMNS if any(row["memory_terms_gib"][column] for row in rows)]
    unit, units = ("GiB", 1) if max(row["memory_gib"] for row in rows) >= 1 else ("MiB", 1024)
    cells = []
    for row in rows:
        terms = row["memory_terms_gib"]
        numbers = (*(terms[column] for column in columns), sum(terms.values()))
        cells.append([row["contestant"], *(f"{units * number:.2f}" for number in numbers), row["memory_moment"]])
    terms_of_memory = [Column(column, 2 + place) for place, column in enumerate(columns)]
    return fitted_table(
        screen,
        (Column("contestant", justify="left", may_wrap=True), *terms_of_memory, Column("all"), Column("fullest", 1)),
        cells,
        title=f"memory of a training step at its fullest moment, {unit}",
        captions=[
            ("head", "head: gradients and copies of the output head"),
            ("fullest", "fullest: at the loss, or in a block on the way back"),
        ],
    )


def _mix_table(screen: Console, rows: Sequence[Mapping[str, Any]]) -> Table:
    """What each contestant with a mix of its own trains on."""
    sources = list(dict.fromkeys(name for row in rows for name in row.get("mix", ())))
    cells = [
        [row["contestant"], *(f"{100 * row['mix'].get(name, 0.0):.1f}" for name in sources)]
        for row in rows
        if "mix" in row
    ]
    columns = (Column("mix", justify="left", may_wrap=True), *(Column(f"{name} %") for name in sources))
    return fitted_table(screen, columns, cells, title="what they train on, instead of tournament.mix")


def _flop(number: float) -> str:
    """Floating-point operations with their unit."""
    return f"{number / 1e15:,.2f} PFLOP" if number >= 1e14 else f"{number / 1e9:,.1f} GFLOP"


def _cost_lines(config: Config) -> list[str]:
    """What rounds, learning-rate probe, twins, further seeds and checkpoints cost, one line each."""
    league, contestants = config.tournament, entrants(config)
    flops, per_step = flops_per_token(config, contestants), league.batch_size * league.seq_len
    typical = statistics.median if league.budget == "flops" else statistics.mean
    step = typical(flops.values()) * per_step  # FLOPs of one step of a contestant
    seeds = statistics.mean(len(c.seeds) for c in contestants.values())
    entering = [min(count, len(flops)) for count in (len(flops), *league.keep[:-1])]
    once = step * sum(count * steps for count, steps in zip(entering, league.steps, strict=True))
    lines = [f"the rounds: about {_flop(once * seeds)}"]
    if league.lr == "probe":
        steps = probe_steps(config)
        tries = (len(FIRST_POWERS), len(FIRST_POWERS) + MAX_MOVES)
        least, most = (count * steps * len(flops) * step for count in tries)
        lines.append(f"learning-rate round, {steps} steps a try: {_flop(least)} to {_flop(most)}")
    extra = twins(config, contestants)
    if extra:
        cost = len(extra) * sum(league.steps) * per_step * flops[extra[0].contestant]
        lines.append(
            f"{len(extra)} twins of {extra[0].contestant}, to know how far another seed moves a contestant: "
            f"{_flop(cost)}"
        )
    if league.contested == "seeds":
        more = max(0.0, league.max_seeds - seeds)
        ends = [reference_end(config, index) for index in range(len(league.steps))]
        near = min(more * once, sum(2 * more * end * step for end in ends))
        lines.append(
            f"contested = seeds: about {_flop(near)} when the two beside each cut are contested, "
            f"at most {_flop(more * once)}"
        )
    disk = f"disk: up to {disk_gib(contestants, config):.1f} GiB of checkpoints at one moment"
    if league.contested == "seeds":
        most = disk_gib(contestants, config, league.max_seeds)
        disk += f"; {most:.1f} if all run with {league.max_seeds} seeds"
    lines.append(disk)
    return lines
