"""Cross-entropy kernel: output head and loss fused, over chunks of tokens, so that the logits never exist whole.

Forward computes the loss and both gradients in one pass; backward only scales them. B batch, T time, C hidden,
V vocabulary, N tokens of a chunk.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hamner.model.kernels import dispatch, rules
from hamner.model.kernels.fp16_product import fp16_product

BLOCK = 512  # rows transposed at a time, which stay in the processor's cache
# Between rows of V entries, often a multiple of 2**14: their columns would share cache lines. See _transposed.
ROW_PADDING = 48
SUM_CHUNK = 2**20  # entries that are copied to be summed at a time
TINY = torch.finfo(torch.float32).tiny


class HeadLoss(torch.autograd.Function):
    """Weighted mean loss (). hidden (B·T, C), head (V, C), targets and share (B·T,), share the tokens' weights."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, share: Tensor) -> Tensor:
        dtype, transposed = hidden.dtype, dispatch.use_transposed_head(hidden)
        size = dispatch.rows_of_logits(len(head), dispatch.logits_at_a_time(hidden, transposed=transposed))
        scale = share[:, None].to(dtype)
        cast = _transposed(head, dtype).t() if transposed else _padded(head, hidden)  # (V, C) either way
        needs_gradients = any(ctx.needs_input_grad)
        dhidden = torch.empty_like(hidden) if needs_gradients else None
        dhead = None
        if needs_gradients:
            dhead = _padded_rows(head, head.dtype).t() if transposed else torch.empty_like(cast, dtype=head.dtype)
        product = fp16_product if dispatch.use_fp16_accumulation(hidden) else F.linear
        losses, indices = [], torch.arange(size, device=hidden.device)
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size], targets[start : start + size]
            probabilities = _softmax(product(part, cast), len(head))  # (N, V)
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
                dhead.add_(dhead_part) if start else dhead.copy_(dhead_part)  # summed in fp32
            else:
                dhidden[start : start + size] = (dlogits @ cast) * shares
                _add_product(dhead, dlogits.t(), part * shares, is_first=start == 0)
            del probabilities, dlogits  # before the next part's logits come
        total = share.sum()
        if dhead is not None:
            ctx.save_for_backward(dhidden, dhead[: len(head)], total)
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


def _softmax(logits: Tensor, vocab_size: int) -> Tensor:
    """Over the first vocab_size of the last axis, 0 for the padding behind. logits are changed.

    Any kernel sums in fp32, whatever the precision it reads and writes.
    """
    if vocab_size < logits.shape[1]:
        logits[:, vocab_size:] = -math.inf
    return logits.softmax(-1)


def _add_product(total: Tensor, first: Tensor, second: Tensor, *, is_first: bool) -> None:
    """total = first @ second for the first part, total += first @ second for the others. total is in fp32.

    A card adds to it in fp32 before the product is rounded, without a pass of its own.
    """
    if rules.sums_in_fp32(dispatch.hardware(total.device.type), first.dtype):
        torch.addmm(total, first, second, out_dtype=total.dtype, beta=0 if is_first else 1, out=total)
    elif is_first:
        total.copy_(first @ second)
    else:
        total.add_(first @ second)


def _padded(head: Tensor, hidden: Tensor) -> Tensor:
    """The head (V, C) in hidden's precision, with rows of zeros where products of such a height are slow."""
    rows = dispatch.padding(len(head), hidden)
    return F.pad(head.to(hidden.dtype), (0, 0, 0, rows)) if rows else head.to(hidden.dtype)


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
