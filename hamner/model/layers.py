"""RMSNorm, SwiGLU and linear layers that compute in the precision of their input (mixed precision without autocast).

Weights are fp32, always; x in bf16 or fp16 takes a copy of them in its own precision, and their gradients come
back in fp32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hamner.config.schema import ModelConfig
from hamner.model.kernels.dispatch import FEW_ROWS, padding, use_fp16_accumulation
from hamner.model.kernels.fp16_product import fp16_product


def linear(x: Tensor, *weights: Tensor) -> Tensor:
    """x (..., in) times each of `weights` (out, in), side by side: (..., sum of out), as one product."""
    if x.numel() == x.shape[-1] and x.device.type == "cpu":  # generating: the kernel for one vector reads faster
        products = [torch.mv(weight.to(x.dtype), x.flatten()) for weight in weights]
        return (products[0] if len(products) == 1 else torch.cat(products)).view(*x.shape[:-1], -1)
    if len(weights) > 1 and x.numel() < FEW_ROWS * x.shape[-1]:  # to concatenate them costs more than the product
        return torch.cat([F.linear(x, weight.to(x.dtype)) for weight in weights], dim=-1)
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    product = fp16_product if use_fp16_accumulation(x) else F.linear
    return product(x, weight.to(x.dtype))


def gated(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """down(silu(gate x) · up x): x (..., C); gate, up (I, C); down (C, I) -> (..., C)

    Where products of such a width are slow, I is padded with zeros inside them, which adds zeros to every sum.
    """
    both = [gate, up]
    if rows := padding(len(gate), x):
        zeros = gate.new_zeros(rows, gate.shape[1])
        both, down = [gate, zeros, up, zeros], F.pad(down, (0, rows))
    first, second = linear(x, *both).chunk(2, dim=-1)
    return linear(F.silu(first) * second, down)


class RMSNorm(nn.RMSNorm):
    """Root-mean-square norm over the last axis (Zhang & Sennrich 2019), summed in fp32."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def unit_scale(x: Tensor) -> Tensor:
    """x (..., C) of unit root mean square: a norm without parameters."""
    return F.rms_norm(x, (x.shape[-1],), eps=1e-12)


class SwiGLU(nn.Module):
    """Feed-forward layer down(silu(gate x) · up x) (Shazeer 2020). Returns the output and a balance loss of 0."""

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.up = nn.Linear(model.hidden_size, model.intermediate_size, bias=False)
        self.down = nn.Linear(model.intermediate_size, model.hidden_size, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        balance = x.new_zeros((), dtype=torch.float32)
        return gated(x, self.gate.weight, self.up.weight, self.down.weight), balance
