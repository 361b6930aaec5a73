"""Attention kernel for the CPU: causal attention by blocks of query rows, forward and backward (a FlashAttention kin).

PyTorch's own CPU kernel is twice as slow in bf16; dispatch.py says when this one is used. A block of BLOCK queries
reads the keys up to its diagonal alone, the query heads that share a key/value head go through one product, and the
probabilities are saved for the backward pass in the precision of q. No T × T matrix exists whole.

B batch, T time, H query heads, K key/value heads, G = H / K heads a group, D head size, n rows of a block, S its keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 128


def block_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √D) v under the causal mask. q (B, H, T, D); k, v (B, K, T, D) -> (B, H, T, D)

    mask (B, 1, T, T): added to the scores in its place; −∞ above the diagonal, which is not read.
    """
    grouped = q.reshape(-1, q.shape[1] // k.shape[1], *q.shape[2:])
    save = torch.is_grad_enabled()
    out: Tensor = _BlockAttention.apply(grouped, k.reshape(-1, *k.shape[2:]), v.reshape(-1, *v.shape[2:]), save, mask)
    return out.view(q.shape)


def differential_block_attention(
    q: Tensor, k: Tensor, v: Tensor, lambda_value: Tensor, mask: Tensor | None = None
) -> Tensor:
    """(softmax(q₁k₁ᵀ / √D) − λ softmax(q₂k₂ᵀ / √D)) v: differential attention's core. -> (B, H, T, D)

    q (B, 2H, T, D) and k (B, 2K, T, D): first the heads of map 1, then those of map 2; v (B, K, T, D); λ ().
    mask: as block_attention takes it, for both maps.
    """
    kv_heads = v.shape[1]
    maps = [
        (q_map.reshape(-1, q_map.shape[1] // kv_heads, *q_map.shape[2:]), k_map.reshape(-1, *k_map.shape[2:]))
        for q_map, k_map in zip(q.chunk(2, dim=1), k.chunk(2, dim=1), strict=True)
    ]
    (q1, k1), (q2, k2) = maps
    save, values = torch.is_grad_enabled(), v.reshape(-1, *v.shape[2:])
    out: Tensor = _DifferentialBlockAttention.apply(q1, k1, q2, k2, values, lambda_value, save, mask)
    return out.view(len(q), -1, *q.shape[2:])


class _BlockAttention(torch.autograd.Function):
    """q (B·K, G, T, D); k, v (B·K, T, D); save: for a backward pass; mask (B, 1, T, T)"""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, save: bool, mask: Tensor | None) -> Tensor:
        out, future, saved = torch.empty_like(q), _future(q), list[Tensor]()
        for low, high in _blocks(q.shape[2]):
            probabilities = _probabilities(q, k, low, high, future, mask)
            out[:, :, low:high] = torch.bmm(probabilities, v[:, :high]).view(len(q), q.shape[1], high - low, -1)
            if save:
                saved.append(probabilities)
        ctx.save_for_backward(q, k, v, *saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *saved = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (low, high), probabilities in zip(_blocks(q.shape[2]), saved, strict=True):
            rows = _rows(gradients[0], low, high)
            dv[:, :high] += torch.bmm(probabilities.transpose(1, 2), rows)
            _score_gradients(torch.bmm(rows, v[:, :high].transpose(1, 2)), probabilities, q, k, dq, dk, low, high)
        scale = 1 / math.sqrt(q.shape[-1])
        return dq.mul_(scale), dk.mul_(scale), dv, None, None


class _DifferentialBlockAttention(torch.autograd.Function):
    """q1, q2 (B·K, G, T, D); k1, k2, v (B·K, T, D); λ (); save: for a backward pass; mask (B, 1, T, T)

    Both maps meet v on the way out, since λ's gradient needs the output of map 2; on the way back they meet it once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q1: Tensor,
        k1: Tensor,
        q2: Tensor,
        k2: Tensor,
        v: Tensor,
        lambda_value: Tensor,
        save: bool,
        mask: Tensor | None,
    ) -> Tensor:
        first, second, future, saved = torch.empty_like(q1), torch.empty_like(q1), _future(q1), list[Tensor]()
        for low, high in _blocks(q1.shape[2]):
            for q, k, out in ((q1, k1, first), (q2, k2, second)):
                probabilities = _probabilities(q, k, low, high, future, mask)
                out[:, :, low:high] = torch.bmm(probabilities, v[:, :high]).view(len(q), q.shape[1], high - low, -1)
                if save:
                    saved.append(probabilities)
        ctx.save_for_backward(q1, k1, q2, k2, v, lambda_value, second, *saved)
        return first - lambda_value.to(first.dtype) * second

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q1, k1, q2, k2, v, lambda_value, out, *saved = ctx.saved_tensors
        dq1, dk1, dq2, dk2 = torch.empty_like(q1), torch.zeros_like(k1), torch.empty_like(q2), torch.zeros_like(k2)
        dv, rounded = torch.zeros_like(v), lambda_value.to(v.dtype)
        for (low, high), first, second in zip(_blocks(q1.shape[2]), saved[::2], saved[1::2], strict=True):
            rows = _rows(gradients[0], low, high)
            difference = torch.addcmul(first, second, rounded, value=-1)
            dv[:, :high] += torch.bmm(difference.transpose(1, 2), rows)
            gradient = torch.bmm(rows, v[:, :high].transpose(1, 2))  # of map 1; of map 2 it is −λ times this
            _score_gradients(gradient, first, q1, k1, dq1, dk1, low, high)
            _score_gradients(gradient, second, q2, k2, dq2, dk2, low, high)
        scale, out_gradient = 1 / math.sqrt(q1.shape[-1]), (gradients[0].float() * out).sum()
        scale2, lambda_gradient = -scale * rounded, (-out_gradient).to(lambda_value.dtype)
        return dq1.mul_(scale), dk1.mul_(scale), dq2.mul_(scale2), dk2.mul_(scale2), dv, lambda_gradient, None, None


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of each block."""
    return ((low, min(low + BLOCK, length)) for low in range(0, length, BLOCK))


def _rows(x: Tensor, low: int, high: int) -> Tensor:
    """Rows of all heads of a group: (B·K, G, T, D) -> (B·K, G·n, D)"""
    return x[:, :, low:high].reshape(len(x), -1, x.shape[-1])


def _future(q: Tensor) -> Tensor:
    """(BLOCK, BLOCK), −∞ above the diagonal: what a block on the diagonal must not see."""
    return torch.full((BLOCK, BLOCK), -math.inf, dtype=q.dtype, device=q.device).triu(1)


def _probabilities(q: Tensor, k: Tensor, low: int, high: int, future: Tensor, mask: Tensor | None) -> Tensor:
    """(B·K, G·n, S), S = high: of queries low to high over the keys up to them."""
    rows, keys = _rows(q, low, high), k[:, :high].transpose(1, 2)
    unread = rows.new_empty(()).expand(len(rows), rows.shape[1], high)  # beta = 0
    scores = torch.baddbmm(unread, rows, keys, beta=0, alpha=1 / math.sqrt(q.shape[-1]))
    if mask is None:
        scores.view(len(q), q.shape[1], high - low, high)[..., low:] += future[: high - low, : high - low]
    else:
        scores.view(len(mask), -1, high - low, high).add_(mask[:, :, low:high, :high])
    return scores.softmax(-1)


def _score_gradients(
    gradient: Tensor, probabilities: Tensor, q: Tensor, k: Tensor, dq: Tensor, dk: Tensor, low: int, high: int
) -> None:
    """Back through softmax and q kᵀ (without its 1 / √D): writes dq's block, adds to dk. gradient (B·K, G·n, S)."""
    scores = torch.ops.aten._softmax_backward_data(gradient, probabilities, -1, probabilities.dtype)
    dq[:, :, low:high] = torch.bmm(scores, k[:, :high]).view(len(q), q.shape[1], high - low, -1)
    dk[:, :high] += torch.bmm(scores.transpose(1, 2), _rows(q, low, high))
