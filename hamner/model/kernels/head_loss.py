"""Cross-entropy kernel: output head and loss fused, over chunks of tokens, so that the logits never exist whole.

Forward computes the loss and both gradients in one pass; backward only scales them. B batch, T time, C hidden,
V vocabulary, N tokens of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hamner.config.cost import LOGITS_OF_A_CPU
from hamner.model.kernels.dispatch import rows_of_logits, use_transposed_head

BLOCK = 512  # rows transposed at a time, which stay in the processor's cache
# Between rows of V entries, often a multiple of 2**14: their columns would share cache lines. See _transposed.
ROW_PADDING = 48
SUM_CHUNK = 2**20  # entries that are copied to be summed at a time
TINY = torch.finfo(torch.float32).tiny


class HeadLoss(torch.autograd.Function):
    """Weighted mean loss (). hidden (B·T, C), head (V, C), targets and share (B·T,), share the tokens' weights."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, share: Tensor) -> Tensor:
        dtype, transposed = hidden.dtype, use_transposed_head(hidden)
        size = rows_of_logits(len(head), LOGITS_OF_A_CPU) if transposed else rows_of_logits(len(head))
        scale = share[:, None].to(dtype)
        cast = _transposed(head, dtype).t() if transposed else head.to(dtype)  # (V, C) either way
        needs_gradients = any(ctx.needs_input_grad)
        dhidden = torch.empty_like(hidden) if needs_gradients else None
        dhead = None
        if needs_gradients:
            dhead = _padded_rows(head, head.dtype).t() if transposed else torch.empty_like(head)
        losses, indices = [], torch.arange(size, device=hidden.device)
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size], targets[start : start + size]
            probabilities = _softmax(F.linear(part, cast))  # (N, V)
            at = indices[: len(part)], target
            right, rest = _target_and_rest(probabilities, at, search=transposed)
            losses.append(torch.where(rest < 0.5, -torch.log1p(-rest), -right.clamp_min(TINY).log()))
            if dhidden is None or dhead is None:
                continue
            # the gradient of the logits, but for each token's share
            probabilities[at] = -rest.to(probabilities.dtype)
            dlogits = probabilities.to(dtype)
            shares = scale[start : start + size]  # applied to the narrow side of each product, not to the logits
            if transposed:
                dhidden[start : start + size] = (cast.t() @ dlogits.t()).t() * shares
                dhead_part = ((part * shares).t().contiguous() @ dlogits).t()
            else:
                dhidden[start : start + size] = (dlogits @ cast) * shares
                dhead_part = dlogits.t() @ (part * shares)
            dhead.add_(dhead_part) if start else dhead.copy_(dhead_part)  # summed in fp32
        total = share.sum()
        if needs_gradients:
            ctx.save_for_backward(dhidden, dhead, total)
        return (torch.cat(losses) * share).sum() / total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dhidden, dhead, total = ctx.saved_tensors
        factor = gradients[0] / total
        # a transposed one is not contiguous
        scaled = dhead * factor if dhead.is_contiguous() else _transposed_back(dhead.t(), factor)
        return (dhidden.float() * factor).to(dhidden.dtype), scaled, None, None


def _target_and_rest(probabilities: Tensor, at: tuple[Tensor, Tensor], *, search: bool) -> tuple[Tensor, Tensor]:
    """Probability of each row's target, at its place `at`, and of all others together; (N,) each, in fp32.

    probabilities (N, V), of which the targets' may be set to 0. In low precision 1 minus the target's is no use: it
    knows nothing between 0.996 and 1. So the others are summed. Up to a quarter the difference is as exact as the
    target's is: with `search` only rows above that are summed, which a card would have to wait for.
    """
    right = probabilities[at].float()
    if probabilities.dtype == torch.float32:
        return right, 1 - right
    probabilities[at] = 0
    if not search:
        return right, probabilities.sum(-1, dtype=torch.float32)
    rest, likely = 1 - right, (right > 0.25).nonzero().flatten()
    for rows in likely.split(max(1, SUM_CHUNK // probabilities.shape[1])):
        rest[rows] = probabilities[rows].sum(-1, dtype=torch.float32)
    return right, rest


def _softmax(logits: Tensor) -> Tensor:
    """Over the last axis, summed in fp32; the CPU's kernel does so in one pass whatever the precision it writes."""
    return logits.softmax(-1) if logits.device.type == "cpu" else logits.softmax(-1, dtype=torch.float32)


def _padded_rows(head: Tensor, dtype: torch.dtype) -> Tensor:
    """Uninitialized memory for head (V, C) transposed: (C, V), ROW_PADDING entries between its rows."""
    return head.new_empty(head.shape[1], len(head) + ROW_PADDING, dtype=dtype)[:, : len(head)]


def _transposed(head: Tensor, dtype: torch.dtype) -> Tensor:
    """(V, C) -> (C, V)"""
    turned = _padded_rows(head, dtype)
    # products read a row on to the next multiple of 32, and multiply by 0 what is there: it must be a number
    turned.as_strided((len(turned), ROW_PADDING), turned.stride(), len(head)).zero_()
    for start in range(0, len(head), BLOCK):
        turned[:, start : start + BLOCK] = head[start : start + BLOCK].to(dtype).t()
    return turned


def _transposed_back(turned: Tensor, factor: Tensor) -> Tensor:
    """(C, V) -> (V, C) times factor ()"""
    head = turned.new_empty(turned.shape[1], turned.shape[0])
    for start in range(0, len(head), BLOCK):
        torch.mul(turned[:, start : start + BLOCK].t(), factor, out=head[start : start + BLOCK])
    return head
