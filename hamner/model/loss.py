"""The loss, and the only place in the project that shifts tokens against predictions.

Data hands out `tokens`; training, evaluation and every test call this. Nobody else writes `[:, 1:]` on
targets, so a target shifted twice cannot be written by accident.

B batch, T time, C hidden, V vocabulary, N tokens at a time.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from hamner.config.cost import LOGITS_OF_A_CPU
from hamner.model.kernels.dispatch import rows_of_logits, turning_pays

BLOCK = 512    # rows turned at a time, which stay in the processor's cache
APART = 48    # between rows of V entries, often a multiple of 2**14: their columns would share cache lines. See _turned
SUMMED = 2**20    # entries that are copied to be summed at a time
TINY = torch.finfo(torch.float32).tiny


def token_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy in nats of each next token: (B, T - 1), entry t for predicting tokens[:, t + 1].

    logits (B, T, V) of any float type, taken in fp32; tokens (B, T), the very tokens the model read.
    """
    if logits.shape[:2] != tokens.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not belong to tokens {tuple(tokens.shape)}")
    predictions = logits[:, :-1].float().flatten(0, 1)
    return F.cross_entropy(predictions, tokens[:, 1:].flatten(), reduction="none").view(len(tokens), -1)


def next_token_loss(logits: Tensor, tokens: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy, nats per token. weight (B, T), by predicted token: 0 where nothing is trained."""
    losses = token_losses(logits, tokens)
    if weight is None:
        return losses.mean()
    kept = weight[:, 1:].to(losses.dtype)
    return (losses * kept).sum() / kept.sum()


def head_loss(hidden: Tensor, head: Tensor, tokens: Tensor, weight: Tensor | None = None) -> Tensor:
    """next_token_loss of the logits hidden @ headᵀ, which never exist whole: only some tokens' at a time.

    hidden (B, T, C); head (V, C) in fp32, computed with in hidden's precision; tokens and weight (B, T).
    """
    if hidden.shape[:2] != tokens.shape:
        raise ValueError(f"hidden states {tuple(hidden.shape)} do not belong to tokens {tuple(tokens.shape)}")
    targets = tokens.roll(-1, dims=1)
    share = torch.ones_like(tokens, dtype=torch.float32) if weight is None else weight.roll(-1, dims=1).float()
    share[:, -1] = 0    # the last token of a row has nothing to predict
    loss: Tensor = _HeadLoss.apply(hidden.flatten(0, 1), head, targets.flatten(), share.flatten())
    return loss


@torch.no_grad()
def head_losses(hidden: Tensor, head: Tensor, tokens: Tensor) -> Tensor:
    """token_losses of the logits hidden @ headᵀ, without gradients and a few rows at a time: (B, T - 1)."""
    head, rows = head.to(hidden.dtype), max(1, rows_of_logits(len(head)) // tokens.shape[1])
    return torch.cat([token_losses(F.linear(part, head), read)
                      for part, read in zip(hidden.split(rows), tokens.split(rows), strict=True)])


class _HeadLoss(torch.autograd.Function):
    """Loss and both gradients in one go, N tokens at a time. hidden (B·T, C), head (V, C), targets, share (B·T,)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, share: Tensor) -> Tensor:
        kind, turned = hidden.dtype, turning_pays(hidden)
        size = rows_of_logits(len(head), LOGITS_OF_A_CPU) if turned else rows_of_logits(len(head))
        scale = share[:, None].to(kind)
        cast = _turned(head, kind).t() if turned else head.to(kind)    # (V, C) either way
        wanted = any(ctx.needs_input_grad)
        to_hidden = torch.empty_like(hidden) if wanted else None
        to_head = (_rows_apart(head, head.dtype).t() if turned else torch.empty_like(head)) if wanted else None
        losses, places = [], torch.arange(size, device=hidden.device)
        for start in range(0, len(hidden), size):
            part, asked = hidden[start:start + size], targets[start:start + size]
            chance = _softmax(F.linear(part, cast))    # (N, V)
            at = places[: len(part)], asked
            right, wrong = _right_and_wrong(chance, at, search=turned)
            losses.append(torch.where(wrong < 0.5, -torch.log1p(-wrong), -right.clamp_min(TINY).log()))
            if to_hidden is None or to_head is None:
                continue
            chance[at] = -wrong.to(chance.dtype)    # the gradient of the logits, but for each token's share
            back = chance.to(kind)
            shares = scale[start:start + size]    # applied to the narrow side of each product, not to the logits
            if turned:
                to_hidden[start:start + size] = (cast.t() @ back.t()).t() * shares
                piece = ((part * shares).t().contiguous() @ back).t()
            else:
                to_hidden[start:start + size] = (back @ cast) * shares
                piece = back.t() @ (part * shares)
            to_head.add_(piece) if start else to_head.copy_(piece)    # summed in fp32
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
        scaled = to_head * factor if to_head.is_contiguous() else _turned_back(to_head.t(), factor)
        return (to_hidden.float() * factor).to(to_hidden.dtype), scaled, None, None


def _rows_apart(head: Tensor, dtype: torch.dtype) -> Tensor:
    """Room for head (V, C) turned: (C, V)."""
    return head.new_empty(head.shape[1], len(head) + APART, dtype=dtype)[:, : len(head)]


def _turned(head: Tensor, dtype: torch.dtype) -> Tensor:
    """(V, C) -> (C, V)"""
    turned = _rows_apart(head, dtype)
    # products read a row on to the next multiple of 32, and multiply by 0 what is there: it must be a number
    turned.as_strided((len(turned), APART), turned.stride(), len(head)).zero_()
    for start in range(0, len(head), BLOCK):
        turned[:, start:start + BLOCK] = head[start:start + BLOCK].to(dtype).t()
    return turned


def _turned_back(turned: Tensor, factor: Tensor) -> Tensor:
    """(C, V) -> (V, C) times factor ()"""
    head = turned.new_empty(turned.shape[1], turned.shape[0])
    for start in range(0, len(head), BLOCK):
        torch.mul(turned[:, start:start + BLOCK].t(), factor, out=head[start:start + BLOCK])
    return head


def _right_and_wrong(chance: Tensor, at: tuple[Tensor, Tensor], *, search: bool) -> tuple[Tensor, Tensor]:
    """Of each row of chance (N, V) the probability at its place `at`, and that of all others; (N,) in fp32.

    The second is no difference to 1 in low precision, which knows nothing between 0.996 and 1: the others are summed.
    Up to a quarter the difference is as exact as the first is. search: find the rows above that and sum only those; a
    card would have to wait until they are known.
    """
    right = chance[at].float()
    if chance.dtype == torch.float32:
        return right, 1 - right
    chance[at] = 0
    if not search:
        return right, chance.sum(-1, dtype=torch.float32)
    wrong, likely = 1 - right, (right > 0.25).nonzero().flatten()
    for some in likely.split(max(1, SUMMED // chance.shape[1])):
        wrong[some] = chance[some].sum(-1, dtype=torch.float32)
    return right, wrong


def _softmax(logits: Tensor) -> Tensor:
    """Over the last axis, summed in fp32; the CPU's kernel does so in one pass whatever the precision it writes."""
    return logits.softmax(-1) if logits.device.type == "cpu" else logits.softmax(-1, dtype=torch.float32)


@torch.no_grad()
def next_token_hits(logits: Tensor, tokens: Tensor) -> Tensor:
    """Whether each next token is the arg-max: (B, T - 1) bool, entry t for tokens[:, t + 1]."""
    return logits[:, :-1].argmax(dim=-1) == tokens[:, 1:]


def next_token_accuracy(logits: Tensor, tokens: Tensor) -> float:
    """Share of next tokens that are the arg-max."""
    return next_token_hits(logits, tokens).float().mean().item()
