"""GPU memory of a league: which share of a card a run gets, and the fallbacks of out of memory.

Data in: a model and the config. Data out: a MemoryPlan. From the config alone, without torch: hamner/config/memory.py
estimates what a training step needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hamner.config.cost import GIB
from hamner.config.memory import SPARE, MemoryEstimate, should_checkpoint, step_memory
from hamner.config.schema import Config, ModelConfig
from hamner.runs.card_sharing import runs_per_card


@dataclass(frozen=True)
class MemoryPlan:
    """How a batch is computed: the same tokens and the same gradient, in less memory or more of the card."""

    gradient_accumulation_steps: int
    activation_checkpointing: bool
    share: float  # of one card; 0 without one


def memory_estimate(model: ModelConfig, config: Config, plan: MemoryPlan | None = None) -> MemoryEstimate:
    """What one training step of a contestant in the tournament needs; plan: None is how the league starts."""
    league, plan = config.tournament, plan or _first_plan(model, config)
    return step_memory(
        model,
        config.compute,
        rows=league.batch_size,
        seq_len=league.seq_len,
        parts=plan.gradient_accumulation_steps,
        is_checkpointed=plan.activation_checkpointing,
    )


def _first_plan(model: ModelConfig, config: Config) -> MemoryPlan:
    """How a contestant's batches are computed at first, no share of the card decided."""
    league, parts = config.tournament, config.tournament.gradient_accumulation_steps
    is_checkpointed = should_checkpoint(
        model, config.compute, rows=league.batch_size, seq_len=league.seq_len, parts=parts
    )
    return MemoryPlan(parts, is_checkpointed, 0.0)


def share(model: ModelConfig, config: Config, plan: MemoryPlan | None = None) -> float:
    """Fraction of one card in hundredths, with a tenth of memory to spare; 0 on a machine without one.

    What memory needs, and at least so much that no more runs share a card than compute.runs_per_card.
    """
    compute = config.compute
    if compute.device == "cpu":
        return 0.0
    if config.tournament.budget == "seconds":
        return 1.0  # seconds only compare in a slot of one's own
    needed = SPARE * memory_estimate(model, config, plan).peak / (compute.gpu_memory_gib * GIB)
    return min(1.0, max(math.ceil(100 * needed), 100 // runs_per_card(compute)) / 100)


def first_memory_plan(model: ModelConfig, config: Config) -> MemoryPlan:
    """What a run of a contestant starts with."""
    plan = _first_plan(model, config)
    return replace(plan, share=share(model, config, plan))


def next_fallback(plan: MemoryPlan, config: Config) -> tuple[MemoryPlan, str] | None:
    """The plan to try after running out of memory, and what it changes; None when nothing is left.

    Half the rows at a time and twice the gradient accumulation, once; then activation checkpointing; then more of
    the card.
    """
    start, batch = config.tournament.gradient_accumulation_steps, config.tournament.batch_size
    if plan.gradient_accumulation_steps == start and batch % (2 * start) == 0:
        halved = replace(plan, gradient_accumulation_steps=2 * start)
        return halved, f"gradient accumulation steps {start} -> {2 * start}"
    if not plan.activation_checkpointing:
        return replace(plan, activation_checkpointing=True), "activation checkpointing"
    if 0 < plan.share < 1:
        larger = min(1.0, round(2 * plan.share, 2))
        return replace(plan, share=larger), f"share of the card {plan.share:g} -> {larger:g}"
    return None
