"""Memory of a curriculum's worker on a card: activation checkpointing, and gradient accumulation of fewer workers.

Data in: the model, the config. Data out: whether activations are recomputed, from the estimate of
hamner/config/memory.py; and in how many parts a worker computes its rows.
"""

from __future__ import annotations

from hamner.config.cost import count_parameters
from hamner.config.memory import should_checkpoint
from hamner.config.schema import Config, ModelConfig

AVERAGE_BYTES = 4  # a weight: the running average, in fp32


def is_checkpointed(model: ModelConfig, config: Config) -> bool:
    """Whether each worker recomputes its activations; beside a step it keeps the averaged weights."""
    settings, compute = config.curriculum, config.compute
    return should_checkpoint(
        model,
        compute,
        rows=settings.batch_size // compute.workers,
        seq_len=settings.seq_len,
        parts=settings.gradient_accumulation_steps,
        beside=AVERAGE_BYTES * count_parameters(model).total,
    )


def accumulation_steps(config: Config, workers: int) -> int:
    """Parts in which each of so many workers computes its rows of a batch.

    As configured; of fewer workers than there should be (compute.min_workers) so many that a part, which must fit a
    card, has no more rows than with all of them.
    """
    settings, compute = config.curriculum, config.compute
    steps = settings.gradient_accumulation_steps
    if not compute.min_workers or workers >= compute.workers:
        return steps
    rows, most = settings.batch_size // workers, settings.batch_size // (compute.workers * steps)
    return next(parts for parts in range(steps, rows + 1) if rows % parts == 0 and rows // parts <= most)
