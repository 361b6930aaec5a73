"""What a model costs, from its config alone: parameters and arithmetic. Needs no torch.

V vocabulary, C hidden, L layers, D head size, I intermediate, E experts, k active experts, T sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass

from hamner.config.schema import ModelConfig

GIB = 2**30
LOGITS_AT_A_TIME = 2**24  # entries; see loss.py. More win nothing and stop fitting beside the head's gradient
LOGITS_OF_A_CPU = 2**27  # in bf16, where each part of the tokens costs another pass over the head and its gradient


@dataclass(frozen=True)
class Parameters:
    total: int
    active: int  # that one token passes through: all but the experts it is not routed to


def count_parameters(model: ModelConfig) -> Parameters:
    """Exact counts; the embedding is tied to the output head and counted once."""
    hidden, kv_size = model.hidden_size, model.num_kv_heads * model.head_size
    if model.attention == "differential":  # q and k twice; four λ vectors and the head norm
        attention = 3 * hidden**2 + 3 * hidden * kv_size + 5 * model.head_size
    else:
        attention = 2 * hidden**2 + 2 * hidden * kv_size
    expert = 3 * hidden * model.intermediate_size
    router = hidden * model.num_experts if model.num_experts > 1 else 0
    block = attention + expert * model.num_experts + router + 2 * hidden
    total = model.vocab_size * hidden + model.num_layers * block + hidden
    idle = (model.num_experts - model.num_active_experts) * expert * model.num_layers
    return Parameters(total=total, active=total - idle)


def training_flops_per_token(model: ModelConfig, seq_len: int) -> float:
    """Floating-point operations of forward and backward for one token in a sequence of `seq_len`.

    2 per weight forward, as much again twice backward; attention scores over the full T × T square.
    Differential attention makes two maps and applies them once: 3 products where standard attention has 2.
    Activation checkpointing adds a third of it and is not counted: it buys memory, not learning.
    """
    products = 3 if model.attention == "differential" else 2
    scores = products * 2 * model.hidden_size * seq_len * model.num_layers
    return 3 * (2 * count_parameters(model).active + scores)


def useful_flops_per_token(model: ModelConfig, seq_len: int) -> float:
    """The same, with attention over what a token may see alone, half the square: what shares of a peak are made of."""
    products = 3 if model.attention == "differential" else 2
    return training_flops_per_token(model, seq_len) - 3 * products * model.hidden_size * seq_len * model.num_layers
