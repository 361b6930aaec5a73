"""Disk space of a tournament: the most its checkpoints take, and whether that fits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hamner.config.cost import GIB, count_parameters
from hamner.config.schema import Config, ModelConfig
from hamner.runs.disk import check_free_space
from tournament.entrants import Contestant
from tournament.gpu_memory import share

CHECKPOINT_BYTES = 12  # a parameter on disk: the weight and Adam's two moments, fp32
WEIGHT_BYTES = 4


def disk_gib(contestants: Mapping[str, Contestant], config: Config) -> float:
    """Most that a league's checkpoints take at one moment, GiB.

    At the end of a round every run of it has one; of those that are out the weights stay, if they are kept. In each
    round the largest contestants count as those that are in. Those that train have `keep_checkpoints`, the one being
    written among them (with 1 the older stays until it is written).
    """
    league, size = config.tournament, {name: checkpoint_gib(c.model) for name, c in contestants.items()}
    largest = sorted(contestants, key=lambda name: -size[name])
    left_of_one = WEIGHT_BYTES / CHECKPOINT_BYTES if league.keep_eliminated == "weights" else 0.0
    ends = []
    for index in range(len(league.keep)):
        stay = league.keep[index - 1] + league.shadow * index if index and league.contested == "cut" else len(largest)
        runs = [name for name in largest[:stay] for joined in contestants[name].schedule.values() if joined <= index]
        out = [name for name in largest[stay:] for joined in contestants[name].schedule.values() if joined < index]
        ends.append(sum(size[name] for name in runs) + left_of_one * sum(size[name] for name in out))
    runs = [name for name in largest for _ in contestants[name].seeds]
    free, running = 1.0, 0.0
    for name in runs:  # the largest that can run side by side
        needed = share(contestants[name].model, config) or 0.5
        if needed <= free + 1e-9:
            free, running = free - needed, running + size[name]
    return max(ends) + running * max(1, league.keep_checkpoints - 1)


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
