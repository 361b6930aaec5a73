"""Disk space of a tournament: the most its checkpoints take, and whether that fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hamner.config.cost import GIB, count_parameters
from hamner.config.schema import Config, ModelConfig
from hamner.runs.disk import check_free_space
from tournament.entrants import Contestant, twins
from tournament.gpu_memory import share

CHECKPOINT_BYTES = 12  # a parameter on disk: the weight and Adam's two moments, fp32


def disk_gib(contestants: Mapping[str, Contestant], config: Config, seeds: int = 0) -> float:
    """Most that a league's checkpoints take at one moment, GiB.

    At the end of round 1 every run has one. Those that train have `keep_checkpoints`, the one being written among
    them (with 1 the older stays until it is written).
    seeds: how many each contestant runs with, if more than it has.
    """
    size = {name: checkpoint_gib(c.model) for name, c in contestants.items()}
    runs = [name for name, c in contestants.items() for _ in range(max(seeds, len(c.seeds)))]
    runs += [twin.contestant for twin in twins(config, contestants)]
    free, running = 1.0, 0.0
    for name in sorted(runs, key=lambda n: -size[n]):  # the largest that can run side by side
        needed = share(contestants[name].model, config) or 0.5
        if needed <= free + 1e-9:
            free, running = free - needed, running + size[name]
    return sum(size[name] for name in runs) + running * max(1, config.tournament.keep_checkpoints - 1)


def checkpoint_gib(model: ModelConfig) -> float:
    """One checkpoint of a run in training, GiB."""
    return CHECKPOINT_BYTES * count_parameters(model).total / GIB


def check_disk(contestants: Mapping[str, Contestant], config: Config, folder: Path) -> None:
    """Raises BadInput when the league's checkpoints cannot fit where its results go."""
    check_free_space(
        folder,
        disk_gib(contestants, config),
        "the league's checkpoints",
        "make room, choose another --results, lower tournament.keep_checkpoints, or let fewer enter",
    )
