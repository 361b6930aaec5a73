"""How much memory a contestant needs, and so which fraction of a card it is given. An estimate, from the config
alone: weights, gradients and Adam's moments in fp32, activations, logits, the CUDA context.
"""

from __future__ import annotations

import math

from hamner.config import Config, ModelConfig
from hamner.cost import count_parameters

GIB = 2**30
CONTEXT = 0.6 * GIB    # CUDA context, kernels and allocator slack of one process


def memory_bytes(model: ModelConfig, config: Config) -> float:
    """Peak bytes of one training step of a contestant in the tournament."""
    league, compute = config.tournament, config.compute
    width = 4 if compute.precision == "fp32" else 2
    tokens = league.batch_size // league.micro_batches * league.seq_len
    static = 16 * count_parameters(model).total
    heads = 2 if model.attention == "differential" else 1
    inside = (8 + 6 * heads) * model.hidden_size + 5 * model.num_active_experts * model.intermediate_size
    if compute.activation_checkpointing:    # the input of each block, and one block in full
        activations = tokens * width * (model.num_layers * model.hidden_size + inside)
    else:
        activations = tokens * width * model.num_layers * inside
    logits = tokens * model.vocab_size * (2 * width + 12)    # and their gradient; in fp32 also their softmax
    return static + activations + logits + (CONTEXT if compute.device == "cuda" else 0)


def share(model: ModelConfig, config: Config) -> float:
    """Fraction of one card in hundredths, rounded up, with a tenth to spare; 0 on a machine without one."""
    if config.compute.device == "cpu":
        return 0.0
    wanted = 1.1 * memory_bytes(model, config) / (config.compute.gpu_memory_gib * GIB)
    return min(1.0, math.ceil(100 * wanted) / 100)
