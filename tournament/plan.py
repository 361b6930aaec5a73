"""Cost estimate of a league, `tournament --plan`: parameters, tokens, FLOPs, GPU memory term by term, disk.

Data in: the config alone (no data, network, GPU or Ray), and what is known of a step's time. Data out: two tables and
some lines, or JSON rows.
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
from hamner.runs.card_sharing import has_mps, runs_per_card
from hamner.runs.cli import console
from hamner.runs.tables import Column, fitted_table
from hamner.runs.waiting import never_silent
from tournament.budget import budgets, probe_steps
from tournament.disk import checkpoint_gib, disk_gib
from tournament.entrants import Contestant, entrants, flops_per_token
from tournament.gpu_memory import first_memory_plan, memory_estimate, share
from tournament.learning_rate_probe import FIRST_POWERS, MAX_MOVES
from tournament.model_table import alike_lines, model_facts, model_table
from tournament.plan_hours import (
    Request,
    entering_rounds,
    hour_lines,
    league_hours,
    mean_seeds,
    round_steps,
    step_times,
)
from tournament.step_timing import slots

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


def print_plan(config: Config, request: Request) -> None:
    """Print the plan on stdout: tables, or one JSON object a line. Raises BadInput for a league that is not like it."""
    times = step_times(config, request)
    if request.should_simulate:
        _print_simulation(config, request, {} if times.is_computed else times.seconds)
        return
    rows = plan_rows(config)
    for row in rows:
        if row["contestant"] in times.seconds:
            row |= {"seconds_per_step": times.seconds[row["contestant"]], "seconds_from": times.source}
    if request.as_json:
        for row in rows:
            print(json.dumps(row))
        league = league_hours(config, times.seconds) if times.seconds else None
        if league:
            print(json.dumps({"league": dict(zip(("rounds_hours", "probe_hours"), league, strict=True))}))
        return
    screen = console()
    screen.print(model_table(screen, config, rows))
    screen.print(_cost_table(screen, config, rows))
    screen.print(_memory_table(screen, rows))
    if any("mix" in row for row in rows):
        screen.print(_mix_table(screen, rows))
    lines = [*alike_lines(entrants(config), config), *_card_lines(config), *_cost_lines(config)]
    lines += hour_lines(config, request, times)
    for line in lines:
        screen.print(line, soft_wrap=True)


def _print_simulation(config: Config, request: Request, step_seconds: Mapping[str, float]) -> None:
    from tournament.plan_simulation import like_field, print_alternatives, simulated, usual_fields  # loads NumPy

    fields = [like_field(config, request.like)] if request.like else usual_fields(config)
    like = request.like.name if request.like else None
    with never_silent("playing simulated leagues"):
        rows = simulated(config, fields, step_seconds, slots(config))
    print_alternatives(console(), config, rows, like, as_json=request.as_json)


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


def _card_lines(config: Config) -> list[str]:
    """How runs share a card, and which recompute activations; nothing without one."""
    compute = config.compute
    if compute.device == "cpu":
        return []
    contestants = entrants(config)
    names = [name for name, c in contestants.items() if first_memory_plan(c.model, config).activation_checkpointing]
    who = "none" if not names else "all" if len(names) == len(contestants) else ", ".join(names)
    turns = "side by side (MPS)" if has_mps() else "in turns (no MPS)"
    return [
        f"on a card of {compute.gpu_memory_gib:g} GiB: at most {runs_per_card(compute)} runs at a time, {turns}; "
        f"activation checkpointing: {who}"
    ]


def _cost_lines(config: Config) -> list[str]:
    """What rounds, learning-rate probe and checkpoints cost, one line each."""
    league, contestants = config.tournament, entrants(config)
    flops, per_step = flops_per_token(config, contestants), league.batch_size * league.seq_len
    typical = statistics.median if league.budget == "flops" else statistics.mean
    step = typical(flops.values()) * per_step  # FLOPs of one step of a contestant
    entering = entering_rounds(config, len(flops))
    lines = _round_lines(config, contestants, entering, step)
    if league.contested == "keep":
        most = sum(round_steps(config, contestants, [len(flops)] * len(entering)))
        lines.append(f"contested = keep: at most {most:,} steps, {_flop(most * step)}, if every cut is contested")
    if league.lr == "probe":
        steps = probe_steps(config)
        tries = (len(FIRST_POWERS), len(FIRST_POWERS) + MAX_MOVES)
        least, most_tries = (count * steps * len(flops) * step for count in tries)
        lines.append(f"learning-rate round, {steps} steps a try: {_flop(least)} to {_flop(most_tries)}")
    if league.shadow:
        steps = _shadow_steps(config, contestants, entering)
        lines.append(f"shadow = {league.shadow}: the best of each cut train on, {steps:,} steps, {_flop(steps * step)}")
    lines.append(f"disk: up to {disk_gib(contestants, config):.1f} GiB of checkpoints at one moment")
    return lines


def _round_lines(
    config: Config, contestants: Mapping[str, Contestant], entering: Sequence[int], step: float
) -> list[str]:
    """A line for each round, and one for all: runs, optimizer steps of all of them, FLOPs."""
    runs = round_steps(config, contestants, entering)
    lines = [
        f"round {index + 1}: {count} contestants × {mean_seeds(contestants, index):.3g} seeds, "
        f"{steps:,} steps in all, about {_flop(steps * step)}"
        for index, (count, steps) in enumerate(zip(entering, runs, strict=True))
    ]
    return [*lines, f"the rounds: {sum(runs):,} steps, about {_flop(sum(runs) * step)}"]


def _shadow_steps(config: Config, contestants: Mapping[str, Contestant], entering: Sequence[int]) -> int:
    """Optimizer steps of the runs that train on after each cut, with the seeds they were cut with."""
    league, total = config.tournament, 0.0
    for cut, (count, keep) in enumerate(zip(entering, league.keep, strict=True)):
        runs = min(league.shadow, max(0, count - keep)) * mean_seeds(contestants, cut)
        total += runs * sum(league.steps[cut + 1 :])
    return round(total)
