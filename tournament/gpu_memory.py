"""How much memory a contestant needs, and so which fraction of a card it is given; what is tried when that is
not enough. An estimate, from the config alone: weights, gradients and Adam's moments in fp32, copies of weights,
activations, a part of the logits, the CUDA context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hamner.config.cost import GIB, LOGITS_AT_A_TIME, LOGITS_OF_A_CPU, count_parameters
from hamner.config.schema import Config, ModelConfig

CONTEXT = 0.6 * GIB  # CUDA context, kernels and allocator slack of one process


@dataclass(frozen=True)
class MemoryPlan:
    """How a batch is computed: the same tokens and the same gradient, in less memory or more of the card."""

    gradient_accumulation_steps: int
    activation_checkpointing: bool
    share: float  # of one card; 0 without one


def first_memory_plan(model: ModelConfig, config: Config) -> MemoryPlan:
    """What a contestant starts with."""
    rung = MemoryPlan(config.tournament.gradient_accumulation_steps, config.compute.activation_checkpointing, 0.0)
    return replace(rung, share=share(model, config, rung))


def next_fallback(rung: MemoryPlan, config: Config) -> tuple[MemoryPlan, str] | None:
    """What to try after running out of memory, and how to say it; None when nothing is left.

    Half the micro-batch and twice the accumulation, once; then activation checkpointing; then more of the card.
    """
    start, batch = config.tournament.gradient_accumulation_steps, config.tournament.batch_size
    if rung.gradient_accumulation_steps == start and batch % (2 * start) == 0:
        return replace(rung, gradient_accumulation_steps=2 * start), f"micro batches {start} -> {2 * start}"
    if not rung.activation_checkpointing:
        return replace(rung, activation_checkpointing=True), "activation checkpointing"
    if 0 < rung.share < 1:
        larger = min(1.0, round(2 * rung.share, 2))
        return replace(rung, share=larger), f"share of the card {rung.share:g} -> {larger:g}"
    return None


def memory_bytes(model: ModelConfig, config: Config, rung: MemoryPlan | None = None) -> float:
    """Peak bytes of one training step of a contestant in the tournament: of its three fullest moments the fullest."""
    league, compute = config.tournament, config.compute
    gradient_accumulation_steps = rung.gradient_accumulation_steps if rung else league.gradient_accumulation_steps
    width = 4 if compute.precision == "fp32" else 2
    tokens, layers = league.batch_size // gradient_accumulation_steps * league.seq_len, model.num_layers
    parameters, head = count_parameters(model).total, model.vocab_size * model.hidden_size
    heads = 2 if model.attention == "differential" else 1
    inside = (8 + 6 * heads) * model.hidden_size + 5 * model.num_active_experts * model.intermediate_size
    block = width * tokens * inside + _copies(model, width)  # what one block's gradient is made from
    if rung.activation_checkpointing if rung else compute.activation_checkpointing:
        kept, again = float(width * tokens * layers * model.hidden_size), block  # blocks' inputs, one made anew
    else:
        kept, again = layers * block, 0.0
    held = (
        16 if gradient_accumulation_steps > 1 else 12
    ) * parameters  # weights and Adam; gradients of the parts before
    turned = compute.device == "cpu" and compute.precision == "bf16"  # fast_path.use_transposed_head
    logits = min(tokens * model.vocab_size, LOGITS_OF_A_CPU if turned else LOGITS_AT_A_TIME)
    logits *= 2 * width + (0 if turned else 4)  # their softmax and gradient too
    moments = (
        held + kept + logits + head * (4 + width % 4),  # at the logits: the head's gradient, and its copy if in bf16
        held + kept + again + 8 * head,  # back in the last block: the head's gradient, and scaled
        16 * parameters + block + 4 * head,  # back in the first block: all gradients, two of the embedding
    )
    mask = width * tokens * league.seq_len if model.document_mask else 0  # one for all layers
    return max(moments) + mask + (CONTEXT if compute.device == "cuda" else 0)


def _copies(model: ModelConfig, width: int) -> float:
    """Bytes of one block's weights as they are multiplied: in the run's precision; put side by side (layers.py)."""
    parameters, norms = count_parameters(model), 2 * model.hidden_size
    weights = (parameters.total - model.vocab_size * model.hidden_size) / model.num_layers - norms
    if width < 4:
        return width * weights
    alone = model.hidden_size**2 + model.hidden_size * model.intermediate_size * model.num_experts  # o and down
    return width * (weights - alone)


def share(model: ModelConfig, config: Config, rung: MemoryPlan | None = None) -> float:
    """Fraction of one card in hundredths, rounded up, with a tenth to spare; 0 on a machine without one."""
    if config.compute.device == "cpu":
        return 0.0
    if config.tournament.budget == "seconds":
        return 1.0  # seconds only compare in a slot of one's own
    wanted = 1.1 * memory_bytes(model, config, rung) / (config.compute.gpu_memory_gib * GIB)
    return min(1.0, math.ceil(100 * wanted) / 100)
