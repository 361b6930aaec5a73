"""Mixture-of-experts kernels: token permutation, weighted combination and padding for grouped products (grouped GEMM).

N tokens (B·T), C hidden, I intermediate, E experts, k active experts. The autograd functions gather on the way back
what PyTorch would scatter, so that sums have one order on any device.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ALIGNMENT = 16  # bytes: rows of a grouped product must be whole multiples of it


def pad_experts(weight: Tensor, size: int) -> Tensor:
    """Weights (E, out, in), both sizes padded with zeros to the alignment of numbers of `size` bytes."""
    multiple = ALIGNMENT // size
    padding = (0, -weight.shape[2] % multiple, 0, -weight.shape[1] % multiple)
    return F.pad(weight, padding) if any(padding) else weight


def pad_tokens(tokens: Tensor) -> Tensor:
    """Tokens (N·k, C), rows padded with zeros to the alignment."""
    padding = -tokens.shape[1] % (ALIGNMENT // tokens.element_size())
    return F.pad(tokens, (0, padding)) if padding else tokens


class Permute(torch.autograd.Function):
    """x[order]; its gradient is gathered by the inverse permutation instead of being scattered."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)  # three times as fast as x[order]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        return gradients[0].index_select(0, inverse), None, None


class CopyAndPermute(torch.autograd.Function):
    """k copies of each token of x (N, C), permuted as by Permute: (N·k, C). They never exist in their old order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.copies = len(order) // len(x)
        return x.index_select(0, order // ctx.copies)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        of_copies = gradients[0].index_select(0, inverse).unflatten(0, (-1, ctx.copies))
        if ctx.copies == 2:  # the same number, five times as fast
            return of_copies[:, 0] + of_copies[:, 1], None, None
        return of_copies.sum(dim=1), None, None


class Combine(torch.autograd.Function):
    """Σ_k weight (N, k) · x (N, k, C): (N, C). The backward of the batched product would be the slow way."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x)
        return (weight.unsqueeze(1) @ x).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        gradient = gradients[0].unsqueeze(1)
        return (x * gradient).sum(dim=-1), weight.unsqueeze(-1) * gradient


class Concatenate(torch.autograd.Function):
    """Two stacks of weights (E, I, C) as one (E, 2I, C) in another precision: cast where they end up."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype, size = first.dtype, first.shape[1]
        both = first.new_empty(len(first), 2 * size, first.shape[2], dtype=dtype)
        both[:, :size].copy_(first)
        both[:, size:].copy_(second)
        return both

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        first, second = gradients[0].chunk(2, dim=1)
        return first.to(ctx.dtype), second.to(ctx.dtype), None
