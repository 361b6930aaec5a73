"""Disk space of a curriculum: the most its checkpoints take at one moment, and whether that fits.

Data in: model, config, stages. Data out: GiB, or a BadInput.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curriculum.stages import Stage, lengths
from hamner.config.cost import GIB, count_parameters
from hamner.config.schema import Config, ModelConfig
from hamner.runs.disk import check_free_space

BYTES_PER_WEIGHT = 4  # fp32
WEIGHT_COPIES = 4  # of a full checkpoint: weights, AdamW's two moments, averaged weights


def checkpoints_gib(model: ModelConfig, config: Config, stages: Sequence[Stage]) -> float:
    """Most that a run's checkpoints take at one moment, GiB.

    Full checkpoints are the newest `keep_checkpoints`, the one being written, the stage's best, the final one, and
    those of `keep_every` in the longest possible run. Each stage leaves its end and its best, as weights alone unless
    `keep_stages = "full"`.
    """
    settings, weights = config.curriculum, BYTES_PER_WEIGHT * count_parameters(model).total / GIB
    longest_run = sum(lengths(stages, lambda stage: stage.length(settings.max_steps)))
    full = settings.keep_checkpoints + 3 + (longest_run // settings.keep_every if settings.keep_every else 0)
    of_stages = 2 * len(stages) * (WEIGHT_COPIES if settings.keep_stages == "full" else 1)
    return (WEIGHT_COPIES * full + of_stages) * weights


def check_disk(model: ModelConfig, config: Config, stages: Sequence[Stage], folder: Path) -> None:
    """Raise BadInput when the run's checkpoints cannot fit where its results go."""
    check_free_space(
        folder,
        checkpoints_gib(model, config, stages),
        "the run's checkpoints",
        "make room, choose another --results, or lower curriculum.keep_checkpoints, keep_every or keep_stages",
    )
