"""Cross-entropy kernel: output head and loss fused, over chunks of tokens, so that the logits never exist whole.

Forward computes the loss and both gradients in one pass; backward only scales them. B batch, T time, C hidden,
V vocabulary, N tokens of a chunk.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
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
# Logits (N, V), which it may change, and targets (N,) -> losses (N,) in fp32, gradient of the logits (N, V)
Softmax = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class HeadLoss(torch.autograd.Function):
    """Weighted mean loss (). hidden (B·T, C), head (V, C), targets and share (B·T,), share the tokens' weights.

    region: softmax_gradient, compiled; None in a run that does not compile.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, share: Tensor, region: Softmax | None
    ) -> Tensor:
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
        softmax, losses = _softmax(hidden, region, search=transposed), []
        for start in range(0, len(hidden), size):
            part, target = hidden[start : start + size], targets[start : start + size]
            # the gradient of the logits, but for each token's share
            part_losses, dlogits = softmax(_without_padding(product(part, cast), len(head)), target)
            losses.append(part_losses)
            if dhidden is None or dhead is None:
                continue
            shares = scale[start : start + size]  # applied to the narrow side of each product, not to the logits
            if transposed:
                dhidden[start : start + size] = (cast.t() @ dlogits.t()).t() * shares
                dhead_part = ((part * shares).t().contiguous() @ dlogits).t()
                dhead.add_(dhead_part) if start else dhead.copy_(dhead_part)  # summed in fp32
            else:
                dhidden[start : start + size] = (dlogits @ cast) * shares
                _add_product(dhead, dlogits.t(), part * shares, is_first=start == 0)
            del dlogits  # before the next part's logits come
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
        return (dhidden.float() * factor).to(dhidden.dtype), scaled, None, None, None


def softmax_gradient(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each row (N,) in fp32, and its gradient (N, V) in the precision of logits (N, V); targets (N,).

    To be compiled: one kernel then, which reads a row twice and writes one. All others are summed without the target,
    in fp32, and loss and gradient follow from the margin by which they exceed it: neither a target of probability
    0.9999 nor one of 1e-30 loses digits.
    """
    is_target = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
    others = logits.float().masked_fill(is_target, -math.inf)
    largest = others.amax(-1, keepdim=True)
    total = (others - largest).exp().sum(-1, keepdim=True)
    margin = largest + total.log() - logits.gather(1, targets[:, None]).float()
    rest = margin.sigmoid()  # probability of all others together
    gradient = torch.where(is_target, -rest, (others - largest).exp() * (rest / total))
    return F.softplus(margin).squeeze(1), gradient.to(logits.dtype)


def _softmax(hidden: Tensor, region: Softmax | None, *, search: bool) -> Softmax:
    """The way from logits to losses and gradient: one kernel, or several one after the other."""
    if not dispatch.use_fused_softmax(hidden, is_compiled=region is not None):
        return functools.partial(_softmax_in_steps, search=search)
    return softmax_gradient if region is None else functools.partial(_of_any_rows, region)


def _of_any_rows(region: Softmax, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """region, compiled once: the last part of a batch has fewer rows than the others."""
    for x in (logits, targets):
        torch._dynamo.maybe_mark_dynamic(x, 0)
    return region(logits, targets)


def _softmax_in_steps(logits: Tensor, targets: Tensor, *, search: bool) -> tuple[Tensor, Tensor]:
    """softmax_gradient by PyTorch's own kernels, which sum in fp32 whatever the precision they read and write."""
    probabilities = logits.softmax(-1)
    at = torch.arange(len(targets), device=targets.device), targets
    right, rest = _target_and_rest(probabilities, at, search=search)
    losses = torch.where(rest < 0.5, -torch.log1p(-rest), -right.clamp_min(TINY).log())
    probabilities[at] = -rest.to(probabilities.dtype)
    return losses, probabilities


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


def _without_padding(logits: Tensor, vocab_size: int) -> Tensor:
    """Logits of which those behind the first vocab_size of the last axis get a probability of 0. They are changed."""
    if vocab_size < logits.shape[1]:
        logits[:, vocab_size:] = -math.inf
    return logits


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
