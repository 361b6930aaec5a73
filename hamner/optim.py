"""AdamW and the learning rates."""

from __future__ import annotations

import torch
from torch import nn

from hamner.config import Optimizer
from hamner.model import decayed_parameters


def warmup_constant(step: int, rate: float, warmup_steps: int) -> float:
    """Rate of 0-based `step`: a straight rise over `warmup_steps`, then constant."""
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate


def adamw(hamner: nn.Module, config: Optimizer) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), fused; weight decay on matrices only."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for _, weight, decays in decayed_parameters(hamner):
        groups[decays].append(weight)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": config.weight_decay},
         {"params": groups[False], "weight_decay": 0.0}],
        betas=(config.beta1, config.beta2), fused=True,
    )
