"""AdamW and the learning rates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hamner.config.schema import Optimizer, ParameterGroup
from hamner.model.transformer import Hamner, decayed_parameters
from hamner.training.emotional_layers import rate_scales


def warmup_constant(step: int, rate: float, warmup_steps: int) -> float:
    """Rate of 0-based `step`: a straight rise over `warmup_steps`, then constant."""
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate


def adamw(hamner: Hamner, config: Optimizer, groups: Sequence[ParameterGroup] = ()) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), fused; weight decay on matrices only.

    Each of its groups carries "rate_scale", which whoever sets the learning rate multiplies it by.
    """
    scales = rate_scales(hamner, groups)
    parameters: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, weight, decays in decayed_parameters(hamner):
        parameters.setdefault((scales[name], decays), []).append(weight)
    return torch.optim.AdamW(
        [{"params": weights, "weight_decay": config.weight_decay if decays else 0.0, "rate_scale": scale}
         for (scale, decays), weights in parameters.items() if weights],
        betas=(config.beta1, config.beta2), fused=True,
    )
