"""GPU memory: what one training step needs, so which share of a card a run gets, and the fallbacks of out of memory.

Data in: a model and the config. Data out: a MemoryEstimate, one field a term, in bytes; a MemoryPlan. From the config
alone, without torch: weights, gradients and Adam's moments in fp32, copies of weights, activations, a chunk of the
logits, the CUDA context. tests/tournament/test_memory.py holds it against PyTorch's own tracker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from hamner.config.attention_kinds import attention_kind
from hamner.config.cost import GIB, LOGITS_AT_A_TIME, LOGITS_OF_A_CPU, count_parameters
from hamner.config.schema import Config, ModelConfig

CONTEXT = 0.6 * GIB  # CUDA context, kernels and allocator slack of one process


@dataclass(frozen=True)
class MemoryPlan:
    """How a batch is computed: the same tokens and the same gradient, in less memory or more of the card."""

    gradient_accumulation_steps: int
    activation_checkpointing: bool
    share: float  # of one card; 0 without one


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Bytes of one training step, term by term. It is fullest at one of three moments of the backward pass."""

    weights: float
    optimizer: float  # Adam's two moments
    earlier_gradients: float  # of the parts of a batch before this one; 0 without gradient accumulation
    gradients: float  # all of them, at the end of the backward pass
    activations: float  # saved by the forward pass for the backward pass; with checkpointing the blocks' inputs alone
    recomputed_block: float  # what checkpointing computes anew of the last block; 0 without it
    first_block: float  # saved activations of the first block, the last that the backward pass comes to
    logits: float  # of a chunk of tokens, their softmax and gradient, see kernels/head_loss.py
    head_gradient: float
    head_copy: float  # the head in the run's precision
    document_mask: float  # one for all layers
    context: float  # CUDA context; 0 on a CPU

    @property
    def moments(self) -> dict[str, dict[str, float]]:
        """What is there at each of the three moments, in the order of the backward pass."""
        constant = {"weights": self.weights, "optimizer": self.optimizer}
        before = constant | {"gradients": self.earlier_gradients, "activations": self.activations}
        return {
            # with a chunk of the logits
            "loss": before | {"logits": self.logits, "head": self.head_gradient + self.head_copy},
            # the head's gradient twice, while it is scaled
            "last block": before | {"recomputed_block": self.recomputed_block, "head": 2 * self.head_gradient},
            # the embedding's gradient twice, from the head and from the input
            "first block": constant
            | {"gradients": self.gradients, "activations": self.first_block, "head": self.head_gradient},
        }

    @property
    def fullest_moment(self) -> str:
        return max(self.moments, key=lambda moment: sum(self.moments[moment].values()))

    @property
    def breakdown(self) -> dict[str, float]:
        """What is there at the fullest moment: terms that sum to the peak."""
        return self.moments[self.fullest_moment] | {"document_mask": self.document_mask, "context": self.context}

    @property
    def peak(self) -> float:
        return sum(self.breakdown.values())


def memory_estimate(model: ModelConfig, config: Config, plan: MemoryPlan | None = None) -> MemoryEstimate:
    """What one training step of a contestant in the tournament needs; plan: None is how the league starts."""
    league, compute = config.tournament, config.compute
    plan = plan or MemoryPlan(league.gradient_accumulation_steps, compute.activation_checkpointing, 0.0)
    width = 4 if compute.precision == "fp32" else 2
    tokens = league.batch_size // plan.gradient_accumulation_steps * league.seq_len
    parameters, head = count_parameters(model).total, model.vocab_size * model.hidden_size
    block = _block_bytes(model, tokens, width)
    is_transposed = compute.device == "cpu" and compute.precision == "bf16"  # dispatch.use_transposed_head
    logits = min(tokens * model.vocab_size, LOGITS_OF_A_CPU if is_transposed else LOGITS_AT_A_TIME)
    inputs = float(width * tokens * model.num_layers * model.hidden_size)
    return MemoryEstimate(
        weights=4 * parameters,
        optimizer=8 * parameters,
        earlier_gradients=4 * parameters if plan.gradient_accumulation_steps > 1 else 0,
        gradients=4 * parameters,
        activations=inputs if plan.activation_checkpointing else model.num_layers * block,
        recomputed_block=block if plan.activation_checkpointing else 0.0,
        first_block=block,
        logits=logits * (2 * width + (0 if is_transposed else 4)),
        head_gradient=4 * head,
        head_copy=head * (width % 4),
        document_mask=width * tokens * league.seq_len if model.document_mask else 0,
        context=CONTEXT if compute.device == "cuda" else 0,
    )


def _block_bytes(model: ModelConfig, tokens: int, width: int) -> float:
    """Bytes that one block saves for the backward pass, tokens of numbers of `width` bytes."""
    attention = attention_kind(model.attention).activations(model)
    mlp = 5 * model.num_active_experts * model.intermediate_size
    norms_and_stream = 8 * model.hidden_size
    return width * tokens * (norms_and_stream + attention + mlp) + _weight_copies(model, width)


def _weight_copies(model: ModelConfig, width: int) -> float:
    """Bytes of one block's weights as they are multiplied: in the run's precision; concatenated (layers.linear)."""
    parameters, norms = count_parameters(model), 2 * model.hidden_size
    weights = (parameters.total - model.vocab_size * model.hidden_size) / model.num_layers - norms
    if width < 4:
        return width * weights
    # in fp32 o and down are multiplied as they are
    uncopied = model.hidden_size**2 + model.hidden_size * model.intermediate_size * model.num_experts
    return width * (weights - uncopied)


def share(model: ModelConfig, config: Config, plan: MemoryPlan | None = None) -> float:
    """Fraction of one card in hundredths, rounded up, with a tenth to spare; 0 on a machine without one."""
    if config.compute.device == "cpu":
        return 0.0
    if config.tournament.budget == "seconds":
        return 1.0  # seconds only compare in a slot of one's own
    needed = 1.1 * memory_estimate(model, config, plan).peak / (config.compute.gpu_memory_gib * GIB)
    return min(1.0, math.ceil(100 * needed) / 100)


def first_memory_plan(model: ModelConfig, config: Config) -> MemoryPlan:
    """What a run of a contestant starts with."""
    plan = MemoryPlan(config.tournament.gradient_accumulation_steps, config.compute.activation_checkpointing, 0.0)
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
