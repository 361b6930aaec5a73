"""Matrix products that are summed in fp16 (fp16 accumulation): twice the rate on a GeForce card, and less exact.

Forward and the input's gradient are summed so; the weight's gradient, a sum over all tokens, stays in fp32. On a
processor the rounding is imitated, slowly, to see what it does to a model: fp16_product is never faster there.

N rows, I inputs, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

TERMS = 16  # that a tensor core adds exactly before it rounds the sum to fp16


@torch.library.custom_op("hamner::fp16_product", mutates_args=(), schema="(Tensor x, Tensor weight) -> Tensor")
def fp16_product(x: Tensor, weight: Tensor) -> Tensor:
    """x (..., I) times weightᵀ, weight (O, I), both fp16 -> (..., O) in fp16. An operator: compiled code calls it."""
    if x.device.type != "cuda":
        return _imitated(x, weight)
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_fp16_accumulation
    matmul.allow_fp16_accumulation = True
    try:
        return F.linear(x, weight)
    finally:
        matmul.allow_fp16_accumulation = before


@fp16_product.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], len(weight))


def _setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    x, weight = ctx.saved_tensors
    rows = gradient.flatten(0, -2)
    return fp16_product(gradient, weight.t()), rows.t() @ x.flatten(0, -2)


fp16_product.register_autograd(_backward, setup_context=_setup)


def _imitated(x: Tensor, weight: Tensor) -> Tensor:
    """The product as a card rounds it: TERMS at a time are added in fp32, each sum of sums is rounded to fp16."""
    total = x.new_zeros(*x.shape[:-1], len(weight))
    for start in range(0, x.shape[-1], TERMS):
        part = x[..., start : start + TERMS].float() @ weight[:, start : start + TERMS].float().t()
        total = (total.float() + part).half()
    return total
