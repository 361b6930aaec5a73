"""Kernel of the output head with cross-entropy: a part of the logits exists at a time (fused, chunked)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hamner.config.cost import LOGITS_OF_A_CPU
from hamner.model.kernels.dispatch import rows_of_logits, use_transposed_head

BLOCK = 512  # rows turned at a time, which stay in the processor's cache
ROW_PADDING = (
    48  # between rows of V entries, often a multiple of 2**14: their columns would share cache lines. See _transposed
)
SUM_CHUNK = 2**20  # entries that are copied to be summed at a time
TINY = torch.finfo(torch.float32).tiny


class HeadLoss(torch.autograd.Function):
    """Loss and both gradients in one go, N tokens at a time. hidden (B·T, C), head (V, C), targets, share (B·T,)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, share: Tensor) -> Tensor:
        kind, turned = hidden.dtype, use_transposed_head(hidden)
        size = rows_of_logits(len(head), LOGITS_OF_A_CPU) if turned else rows_of_logits(len(head))
        scale = share[:, None].to(kind)
        cast = _transposed(head, kind).t() if turned else head.to(kind)  # (V, C) either way
        wanted = any(ctx.needs_input_grad)
        to_hidden = torch.empty_like(hidden) if wanted else None
        to_head = (_padded_rows(head, head.dtype).t() if turned else torch.empty_like(head)) if wanted else None
        losses, places = [], torch.arange(size, device=hidden.device)
        for start in range(0, len(hidden), size):
            part, asked = hidden[start : start + size], targets[start : start + size]
            probabilities = _softmax(F.linear(part, cast))  # (N, V)
            at = places[: len(part)], asked
            right, wrong = _target_and_rest(probabilities, at, search=turned)
            losses.append(torch.where(wrong < 0.5, -torch.log1p(-wrong), -right.clamp_min(TINY).log()))
            if to_hidden is None or to_head is None:
                continue
            probabilities[at] = -wrong.to(probabilities.dtype)  # the gradient of the logits, but for each token's share
            back = probabilities.to(kind)
            shares = scale[start : start + size]  # applied to the narrow side of each product, not to the logits
            if turned:
                to_hidden[start : start + size] = (cast.t() @ back.t()).t() * shares
                piece = ((part * shares).t().contiguous() @ back).t()
            else:
                to_hidden[start : start + size] = (back @ cast) * shares
                piece = back.t() @ (part * shares)
            to_head.add_(piece) if start else to_head.copy_(piece)  # summed in fp32
        total = share.sum()
        if wanted:
            ctx.save_for_backward(to_hidden, to_head, total)
        return (torch.cat(losses) * share).sum() / total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_hidden, to_head, total = ctx.saved_tensors
        factor = gradients[0] / total
        # what is turned is not contiguous
        scaled = to_head * factor if to_head.is_contiguous() else _transposed_back(to_head.t(), factor)
        return (to_hidden.float() * factor).to(to_hidden.dtype), scaled, None, None


def _padded_rows(head: Tensor, dtype: torch.dtype) -> Tensor:
    """Room for head (V, C) turned: (C, V)."""
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


def _target_and_rest(probabilities: Tensor, at: tuple[Tensor, Tensor], *, search: bool) -> tuple[Tensor, Tensor]:
    """Of each row of probabilities (N, V) the probability at its place `at`, and that of all others; (N,) in fp32.

    The second is no difference to 1 in low precision, which knows nothing between 0.996 and 1: the others are summed.
    Up to a quarter the difference is as exact as the first is. search: find the rows above that and sum only those; a
    card would have to wait until they are known.
    """
    right = probabilities[at].float()
    if probabilities.dtype == torch.float32:
        return right, 1 - right
    probabilities[at] = 0
    if not search:
        return right, probabilities.sum(-1, dtype=torch.float32)
    wrong, likely = 1 - right, (right > 0.25).nonzero().flatten()
    for some in likely.split(max(1, SUM_CHUNK // probabilities.shape[1])):
        wrong[some] = probabilities[some].sum(-1, dtype=torch.float32)
    return right, wrong


def _softmax(logits: Tensor) -> Tensor:
    """Over the last axis, summed in fp32; the CPU's kernel does so in one pass whatever the precision it writes."""
    return logits.softmax(-1) if logits.device.type == "cpu" else logits.softmax(-1, dtype=torch.float32)
