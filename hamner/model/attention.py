"""Attention: grouped-query (GQA) and differential (Ye et al. 2024), with rotary positions (RoPE).

B batch, T time, C hidden, H query heads, K key/value heads, D head size.
Every kind is a class of ATTENTIONS and a row of config/attention_kinds.py. Both go through PyTorch's
scaled_dot_product_attention or, where that is slow, through kernels/attention.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hamner.config.attention_kinds import ATTENTION_KINDS, AttentionKind, own_attention
from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig
from hamner.model.kernels.attention import block_attention, differential_block_attention
from hamner.model.kernels.dispatch import use_block_attention, use_differential_blocks
from hamner.model.layers import RMSNorm, linear


def rotary_table(model: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosines and sines (max_seq_len, D) of rotary positions (Su et al. 2021), half-split layout."""
    size = model.head_size
    frequency = model.rope_theta ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.outer(torch.arange(model.max_seq_len, dtype=torch.float64), frequency).repeat(1, 2)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to x (B, heads, T, D)."""
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √D) v under the causal mask; query head j reads KV head j // (H / K). (B, H, T, D)

    With fewer queries than keys the queries are the last ones (of a KV cache, see kv_cache.py).
    mask: added to the scores in place of the causal one, which is part of it; see document_mask.py.
    """
    if use_block_attention(q, k):
        return block_attention(q, k, v, mask)
    groups = q.shape[1] // k.shape[1]
    # one query attends to all keys: those of a group stand as rows of its KV head, nothing is repeated
    if q.shape[2] == 1:
        rows = q.reshape(len(q), k.shape[1], groups, -1)
        return F.scaled_dot_product_attention(rows, k, v, attn_mask=mask).reshape(q.shape)
    # the CPU kernel is slower with its own grouping, and the only one of a card that takes a mask has none
    if groups > 1 and (q.device.type == "cpu" or mask is not None):
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    is_grouped, queries, keys = k.shape[1] != q.shape[1], q.shape[2], k.shape[2]
    if mask is None and queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=is_grouped)
    if mask is None and queries > 1:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=is_grouped)


class Attention(nn.Module, ABC):
    """A kind of attention. A block calls project, adds k and v to the KV cache if there is one, then attend and merge.

    project and merge are compiled (torch.compile), attend is not. Parameters are drawn by their names, see
    transformer.initialize.
    """

    kind: ClassVar[AttentionKind]  # the row of a class outside ATTENTIONS

    def __init__(self, model: ModelConfig, layer: int) -> None:
        """layer: of the model's blocks, from 0."""
        super().__init__()

    @abstractmethod
    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, C) -> queries, keys and values (B, heads, T, size each); cos, sin (T, D) of their positions."""

    @abstractmethod
    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, H, T, D) of the queries, which are the last T of the keys; mask as causal_attention takes it."""

    @abstractmethod
    def merge(self, attended: Tensor) -> Tensor:
        """(B, H, T, D) -> (B, T, C)"""

    def fill_buffers(self) -> None:
        """Compute all buffers anew: a model is built without memory first. Needed of a class that has buffers."""
        if next(self.buffers(), None) is not None:
            raise NotImplementedError(f"{type(self).__name__} has buffers: define fill_buffers(), which computes them")

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return self.merge(self.attend(*self.project(x, cos, sin)))


class GroupedQueryAttention(Attention):
    """Standard attention; several query heads share one key/value head."""

    def __init__(self, model: ModelConfig, layer: int) -> None:
        super().__init__(model, layer)
        self.head_size = model.head_size
        kv_size = model.num_kv_heads * model.head_size
        self.q = nn.Linear(model.hidden_size, model.hidden_size, bias=False)
        self.k = nn.Linear(model.hidden_size, kv_size, bias=False)
        self.v = nn.Linear(model.hidden_size, kv_size, bias=False)
        self.o = nn.Linear(model.hidden_size, model.hidden_size, bias=False)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, C) -> queries (B, H, T, D), keys and values (B, K, T, D); cos, sin (T, D) of their positions."""
        parts = linear(x, self.q.weight, self.k.weight, self.v.weight).split(
            [self.q.out_features, self.k.out_features, self.v.out_features], dim=-1
        )
        q, k, v = (part.unflatten(-1, (-1, self.head_size)).transpose(1, 2) for part in parts)
        return rotate(q, cos, sin).contiguous(), rotate(k, cos, sin).contiguous(), v.contiguous()

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, H, T, D); mask (B, 1, T, keys) as causal_attention takes it"""
        return causal_attention(q, k, v, mask)

    def merge(self, attended: Tensor) -> Tensor:
        """(B, H, T, D) -> (B, T, C)"""
        return linear(attended.transpose(1, 2).flatten(-2), self.o.weight)


class DifferentialAttention(GroupedQueryAttention):
    """(softmax(q₁k₁) − λ softmax(q₂k₂)) v per head, normed and scaled by 1 − λ_init.

    All H heads are kept and q, k doubled (the paper halves the heads instead): the first half of the doubled
    heads is map 1. The norm over D has one weight vector for all heads; λ is one number per layer.
    """

    def __init__(self, model: ModelConfig, layer: int) -> None:
        super().__init__(model, layer)
        self.q = nn.Linear(model.hidden_size, 2 * model.hidden_size, bias=False)
        self.k = nn.Linear(model.hidden_size, 2 * self.k.out_features, bias=False)
        self.lambda_init = 0.8 - 0.6 * math.exp(-0.3 * layer)  # paper, section 2.1, for 0-based layers
        self.lambda_q1 = nn.Parameter(torch.empty(model.head_size))
        self.lambda_k1 = nn.Parameter(torch.empty(model.head_size))
        self.lambda_q2 = nn.Parameter(torch.empty(model.head_size))
        self.lambda_k2 = nn.Parameter(torch.empty(model.head_size))
        self.head_norm = RMSNorm(model.head_size, eps=model.norm_eps)
        self.scale: Tensor
        self.register_buffer("scale", self.output_scale(), persistent=False)

    def output_scale(self) -> Tensor:
        """1 − λ_init (): a tensor, since compiled code is compiled again for each different plain number."""
        return torch.tensor(1 - self.lambda_init)

    def fill_buffers(self) -> None:
        self.scale = self.output_scale()

    def lambda_value(self) -> Tensor:
        """λ (): how much of the second map is subtracted."""
        first = torch.exp((self.lambda_q1 * self.lambda_k1).sum())
        second = torch.exp((self.lambda_q2 * self.lambda_k2).sum())
        return first - second + self.lambda_init

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """q (B, 2H, T, D), k (B, 2K, T, D), v (B, K, T, D) -> (B, H, T, D)"""
        if use_differential_blocks(q, k):
            return differential_block_attention(q, k, v, self.lambda_value(), mask)
        first, second = causal_attention(q, k, v.repeat(1, 2, 1, 1), mask).chunk(2, dim=1)  # both read the same v
        return first - self.lambda_value().to(first.dtype) * second

    def merge(self, attended: Tensor) -> Tensor:
        return super().merge(self.head_norm(attended) * self.scale.to(attended.dtype))


ATTENTIONS: dict[str, type[Attention]] = {
    "grouped": GroupedQueryAttention,
    "differential": DifferentialAttention,
}  # the keys of ATTENTION_KINDS

if ATTENTIONS.keys() != ATTENTION_KINDS.keys():
    raise TypeError(
        f"attention kinds {sorted(ATTENTIONS.keys() ^ ATTENTION_KINDS.keys())} need both a class in "
        "ATTENTIONS (hamner/model/attention.py) and a row in ATTENTION_KINDS (hamner/config/attention_kinds.py)"
    )


def attention_class(name: str) -> type[Attention]:
    """The class of a kind by its name, or of your own by its import path. Raises BadInput for neither."""
    if name in ATTENTIONS:
        return ATTENTIONS[name]
    own = own_attention(name)
    if not (isinstance(own, type) and issubclass(own, Attention)):
        raise BadInput(f"attention '{name}' is not a class that inherits from hamner.model.attention.Attention")
    return own
