"""Parameter count and FLOPs of a model, from its config alone. Needs no torch.

Attention's part follows from its row in attention_kinds.py.
V vocabulary, C hidden, L layers, D head size, I intermediate, E experts, k active experts, T sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass

from hamner.config.attention_kinds import attention_kind
from hamner.config.schema import ModelConfig

GIB = 2**30
# Entries of the logits that exist at a time, kernels/head_loss.py: more win nothing and stop fitting beside the head's
# gradient. On a CPU in bf16 and on a card each chunk of tokens costs another pass over the head and its gradient.
LOGITS_AT_A_TIME = 2**24
LOGITS_OF_A_CPU = 2**27
LOGITS_OF_A_CARD = 2**27
LOGITS_OF_AVX2 = 2**26  # in fp32, of a processor without AVX-512


def logits_at_a_time(device: str, *, is_transposed: bool, is_slow: bool = False) -> int:
    """Entries of the logits that exist at a time while training.

    is_transposed: whether the head is, as on a CPU in bf16. is_slow: a processor with AVX2 alone, in fp32.
    """
    if device == "cuda":
        return LOGITS_OF_A_CARD
    if is_transposed:
        return LOGITS_OF_A_CPU
    return LOGITS_OF_AVX2 if is_slow else LOGITS_AT_A_TIME


@dataclass(frozen=True)
class Parameters:
    total: int
    active: int  # that one token passes through: all but the experts it is not routed to


def count_parameters(model: ModelConfig) -> Parameters:
    """Exact counts; the embedding is tied to the output head and counted once."""
    hidden = model.hidden_size
    expert = 3 * hidden * model.intermediate_size
    router = hidden * model.num_experts if model.num_experts > 1 else 0
    block = attention_kind(model.attention).parameters(model) + expert * model.num_experts + router + 2 * hidden
    total = model.vocab_size * hidden + model.num_layers * block + hidden
    idle = (model.num_experts - model.num_active_experts) * expert * model.num_layers
    return Parameters(total=total, active=total - idle)


def training_flops_per_token(model: ModelConfig, seq_len: int) -> float:
    """Floating-point operations of forward and backward for one token in a sequence of `seq_len`.

    2 per weight forward, as much again twice backward; attention scores over the full T × T square.
    Activation checkpointing adds a third of it and is not counted: it buys memory, not learning.
    """
    scores = attention_kind(model.attention).score_flops(model, seq_len) * model.num_layers
    return 3 * (2 * count_parameters(model).active + scores)


def useful_flops_per_token(model: ModelConfig, seq_len: int) -> float:
    """The same, with attention over the keys a token may attend to alone: the numerator of MFU."""
    scores = attention_kind(model.attention).useful_score_flops(model, seq_len) * model.num_layers
    return 3 * (2 * count_parameters(model).active + scores)
