"""Disk space of a curriculum: the most its checkpoints take, and whether that fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curriculum.stages import Stage
from hamner.config.cost import GIB, count_parameters
from hamner.config.errors import BadInput
from hamner.config.schema import Config, ModelConfig
from hamner.runs.files import free_gib


def disk_gib(model: ModelConfig, config: Config, stages: Sequence[Stage]) -> float:
    """Most that a run's checkpoints take at one moment, GiB: the newest and one being written, this stage's best,
    each stage's end and best, `keep_every` of the longest possible run, and the final one.

    A checkpoint holds weights, two moments and the averaged weights, fp32.
    """
    settings, weights = config.curriculum, 4 * count_parameters(model).total / GIB
    longest = sum(stage.length(settings.max_steps) for stage in stages)
    full = settings.keep_checkpoints + 3 + (longest // settings.keep_every if settings.keep_every else 0)
    kept = 2 * len(stages) * (4 if settings.keep_stages == "full" else 1)
    return (4 * full + kept) * weights


def check_disk(model: ModelConfig, config: Config, stages: Sequence[Stage], folder: Path) -> None:
    """Raises BadInput when the run's checkpoints cannot fit where its results go."""
    needed, (there, free) = disk_gib(model, config, stages), free_gib(folder)
    if needed > free:
        raise BadInput(
            f"the run's checkpoints need up to {needed:.1f} GiB, {there} has {free:.1f} GiB free: make room, choose "
            "another --results, or lower curriculum.keep_checkpoints, keep_every or keep_stages"
        )
