"""Memory of one training step, estimated from the config alone, without torch; and whether it needs checkpointing.

Data in: a model, the `compute` section, a batch. Data out: a MemoryEstimate, one field a term, in bytes: weights,
gradients and Adam's moments in fp32, copies of weights, activations, a chunk of the logits, the CUDA context.
tests/tournament/test_memory.py holds it against PyTorch's own tracker.
"""

from __future__ import annotations

from dataclasses import dataclass

from hamner.config.attention_kinds import attention_kind
from hamner.config.cost import GIB, count_parameters, logits_at_a_time
from hamner.config.schema import Compute, ModelConfig

CONTEXT = 0.6 * GIB  # CUDA context, kernels and allocator slack of one process
OTHERS = 0.7 * GIB  # a desktop and what else uses a card; a guess
SPARE = 1.1  # an estimate is off by up to a tenth


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


def step_memory(
    model: ModelConfig, compute: Compute, *, rows: int, seq_len: int, parts: int = 1, is_checkpointed: bool
) -> MemoryEstimate:
    """What a training step of one process needs: a batch of `rows` rows, computed in `parts` parts."""
    width = 4 if compute.precision == "fp32" else 2
    tokens = rows // parts * seq_len
    parameters, head = count_parameters(model).total, model.vocab_size * model.hidden_size
    block = _block_bytes(model, tokens, width)
    logits = min(tokens * model.vocab_size, logits_of(compute))
    inputs = float(width * tokens * model.num_layers * model.hidden_size)
    return MemoryEstimate(
        weights=4 * parameters,
        optimizer=8 * parameters,
        earlier_gradients=4 * parameters if parts > 1 else 0,
        gradients=4 * parameters,
        activations=inputs if is_checkpointed else model.num_layers * block,
        recomputed_block=block if is_checkpointed else 0.0,
        first_block=block,
        logits=2 * width * logits,
        head_gradient=4 * head,
        head_copy=head * (width % 4),
        document_mask=width * tokens * seq_len if model.document_mask else 0,
        context=CONTEXT if compute.device == "cuda" else 0,
    )


def logits_of(compute: Compute) -> int:
    """Entries of the logits that exist at a time: as the config says, else by the rule of a card and of AVX-512."""
    is_transposed = compute.device == "cpu" and compute.precision == "bf16"  # dispatch.use_transposed_head
    return compute.kernels.logits_at_a_time or logits_at_a_time(compute.device, is_transposed=is_transposed)


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


def should_checkpoint(
    model: ModelConfig, compute: Compute, *, rows: int, seq_len: int, parts: int = 1, beside: float = 0.0
) -> bool:
    """Whether a run recomputes its activations (activation checkpointing), for which a step takes a seventh longer.

    compute.activation_checkpointing = "auto": where a step without it, a tenth to spare, would not fit a whole card; on
    a CPU never. beside: bytes that the process keeps on the card beside a step.
    """
    if compute.activation_checkpointing != "auto":
        return compute.activation_checkpointing
    if compute.device == "cpu":
        return False
    plain = step_memory(model, compute, rows=rows, seq_len=seq_len, parts=parts, is_checkpointed=False)
    return SPARE * (plain.peak + beside) > compute.gpu_memory_gib * GIB


def allocator_fraction(share: float, gpu_memory_gib: float, card_bytes: float) -> float:
    """The fraction of a card that a process's allocator may fill, so that CUDA's context fits its share of it too.

    card_bytes: what the driver says the card has. Without what others use it is what shares are taken of, where the
    config says more.
    """
    usable = min(gpu_memory_gib * GIB, card_bytes - OTHERS)
    return min(1.0, max(0.0, share * usable - CONTEXT) / card_bytes)
