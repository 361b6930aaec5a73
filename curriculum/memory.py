"""Memory of a curriculum's worker on a card: whether it recomputes activations (activation checkpointing).

Data in: the model, the config. Data out: yes or no, from the estimate of hamner/config/memory.py.
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
