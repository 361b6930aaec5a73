"""Decoding with a KV cache: the next hidden states, one token through a dense model in half as many calls.

The sums are those of transformer.Block. Between the products, which read all weights and drive everything else from
the processor's caches, each small operation costs several microseconds on a CPU, and a block has seventy. Here a norm
is one sum and two products, queries and keys are rotated together, and the products for one vector add to the stream
themselves.

B batch, T time, C hidden, H query heads, K key/value heads, D head size.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hamner.config.schema import ModelConfig
from hamner.model.attention import GroupedQueryAttention, attention_class
from hamner.model.kv_cache import KVCache, LayerCache
from hamner.model.layers import SwiGLU
from hamner.model.transformer import Block, Hamner


def next_hidden_states(hamner: Hamner, tokens: Tensor, cache: KVCache) -> Tensor:
    """The last hidden states (B, T, C) of tokens (B, T) that follow those of `cache`, which are added to it."""
    if use_single_token_path(hamner.config, tokens, hamner.dtype):
        return single_token_state(hamner, tokens, cache)
    return hamner.hidden_states(tokens, cache)[0]


def use_single_token_path(model: ModelConfig, tokens: Tensor, dtype: torch.dtype) -> bool:
    """Whether a token with a cache takes single_token_state: on a CPU, where calls cost as much as products.

    Only for a plain dense model without gradients, and only in the weights' own precision.
    """
    is_plain = attention_class(model.attention) is GroupedQueryAttention
    is_plain = is_plain and model.num_experts == 1 and not model.document_mask
    is_single = tokens.numel() == 1 and tokens.device.type == "cpu" and not torch.is_grad_enabled()
    return is_plain and is_single and dtype == torch.float32


def single_token_state(hamner: Hamner, token: Tensor, cache: KVCache) -> Tensor:
    """The hidden state after the last norm (1, 1, C) of token (1, 1), which is added to the cache."""
    x = hamner.embedding(token).flatten()
    x = x * _inverse_rms(x, 1e-12)  # Hamner.embed
    cos, sin = hamner.cos[cache.length], hamner.sin[cache.length]
    sin = torch.cat((-sin[: len(sin) // 2], sin[len(sin) // 2 :]))  # the sign that rotate() gives the other half
    for index, block in enumerate(hamner.blocks):
        x = _block(cast("Block", block), x, cos, sin, cache.of_layer(index))
    cache.length += 1
    return _norm(hamner.final_norm, x).view(1, 1, -1)


def _block(block: Block, x: Tensor, cos: Tensor, sin: Tensor, cache: LayerCache) -> Tensor:
    """x (C,), which is changed; cos, sin (D,)"""
    attention, mlp = cast(GroupedQueryAttention, block.attention), cast(SwiGLU, block.mlp)
    q, k, v = _project(attention, _norm(block.attention_norm, x), cos, sin)
    k, v = cache.append(k, v)
    attended = F.scaled_dot_product_attention(q.view(1, k.shape[1], -1, k.shape[3]), k, v)  # a group's heads as rows
    x.addmv_(attention.o.weight, attended.flatten())
    normed = _norm(block.mlp_norm, x)
    gate = F.silu(torch.mv(mlp.gate.weight, normed), inplace=True)
    return x.addmv_(mlp.down.weight, gate.mul_(torch.mv(mlp.up.weight, normed)))


def _project(attention: GroupedQueryAttention, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x (C,) -> q (H, D), k and v (1, K, 1, D)"""
    size = attention.head_size
    both = torch.cat((torch.mv(attention.q.weight, x), torch.mv(attention.k.weight, x))).view(-1, size)
    heads = attention.q.out_features // size
    rotated = torch.addcmul(both * cos, both.roll(size // 2, -1), sin)
    return rotated[:heads], rotated[heads:].view(1, -1, 1, size), torch.mv(attention.v.weight, x).view(1, -1, 1, size)


def _norm(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """RMSNorm of one vector (C,)."""
    return (x * norm.weight).mul_(_inverse_rms(x, cast(float, norm.eps)))


def _inverse_rms(x: Tensor, eps: float) -> float:
    """1 / root mean square of x (C,)."""
    return 1 / math.sqrt(torch.dot(x, x).item() / len(x) + eps)
