"""`doctor --calibrate`: calibrates this machine for the runs of a config, keeps what won, and prints tables of it.

Data in: a config, the models it trains, the results folder. Data out: the file, tables on stdout, an exit code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hamner.config.machine_keys import auto_keys, keys_words
from hamner.config.schema import Config, ModelConfig
from hamner.runs.calibration_record import (
    Entry,
    Kind,
    Layout,
    conditions,
    machine_facts,
    machine_words,
    new_entry,
    write,
)
from hamner.runs.cores import available_cores
from hamner.runs.durations import duration_text
from hamner.runs.tables import Column, console, fitted_table
from hamner.runs.waiting import never_silent
from hamner.training.calibrate import expected_seconds, measure, measure_layouts
from hamner.training.kernel_timing import Workload, models_of_each_kind


def calibrate_machine(
    config: Config, kind: Kind, models: Sequence[ModelConfig], rows: int, results: Path, *, trials: int
) -> int:
    """Time this machine and keep what won; returns exit code 0.

    rows: of one part of a batch. trials: processes that train side by side as the config has it.
    """
    facts, where, cores = machine_facts(config.compute.device), conditions(config, kind), available_cores()
    work = Workload(
        models=models_of_each_kind(models),
        compute=config.compute,
        threads=min(where.threads, cores),
        seq_len=where.seq_len,
        rows=rows,
        optimizer=config.optimizer,
    )
    keys, began, screen = auto_keys(config), time.monotonic(), console()
    _say_begin(screen, machine_words(facts), expected_seconds(work, keys), cores)
    with never_silent("timing"):
        found = measure(work, keys)
        layouts, best = measure_layouts(work, cores, (trials, work.threads))
    entry = new_entry(
        facts,
        where,
        time.monotonic() - began,
        choices=found.choices,
        rows=tuple(found.rows),
        layouts=tuple(layouts),
        speed=found.speed,
    )
    _print_entry(screen, entry, found.advice, best, config)
    screen.print(f"written: {write(results, entry)}, in {duration_text(entry.seconds)}", soft_wrap=True)
    return 0


def _say_begin(screen: Console, machine: str, seconds: int, cores: int) -> None:
    screen.print(machine, soft_wrap=True)
    screen.print(f"calibrating: about {duration_text(seconds)}; leave this machine alone meanwhile", soft_wrap=True)
    load = os.getloadavg()[0]
    if load > cores / 2:
        busy = f"this machine is busy (load {load:.1f} on {cores} cores): what wins narrowly will not be seen"
        screen.print(busy, soft_wrap=True)


def _print_entry(screen: Console, entry: Entry, advice: Sequence[str], best: Layout | None, config: Config) -> None:
    """The tables of a calibration, and lines of what follows from it."""
    rows = [
        [
            row.of,
            row.way,
            f"{row.milliseconds:,.2f}",
            f"{row.ratio:.2f}",
            f"{row.wins} of {row.rounds}",
            "chosen" if row.is_chosen else "",
        ]
        for row in entry.rows
    ]
    columns = [Column("of", justify="left"), Column("way", justify="left"), Column("ms", 1), Column("of the first's")]
    columns += [Column("faster in", 2), Column("", justify="left")]
    screen.print(fitted_table(screen, columns, rows, title="ways to compute, in turns; medians"))
    first = entry.layouts[0].tokens_per_second
    sides = [
        [f"{way.trials} × {way.threads}", f"{way.tokens_per_second:,.0f}", f"{way.tokens_per_second / first:.2f}"]
        for way in entry.layouts
    ]
    heads = [Column("trials × threads"), Column("tokens/s together"), Column("of the config's")]
    screen.print(fitted_table(screen, heads, sides, title="trials side by side"))
    chosen = keys_words(entry.choices) or "nothing but the rules, which nothing beats beyond the noise here"
    screen.print(f"chosen: {chosen}", soft_wrap=True)
    if entry.choices and config.compute.use_calibration:
        screen.print("new runs of this config begin with it, and keep it in their config.json", soft_wrap=True)
    for words in advice:
        screen.print(f"faster, and yours to set since it is more than a choice of kernels: {words}", soft_wrap=True)
    if best:
        more, is_cpu = best.tokens_per_second / first, config.compute.device == "cpu"
        key = f"compute.threads={best.threads}" if is_cpu else f"compute.runs_per_card={best.trials}"
        line = f"{best.trials} at a time of {best.threads} threads train {more:.2f} times as much: use {key}"
        screen.print(line, soft_wrap=True)
