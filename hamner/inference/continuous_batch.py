"""Continuous batching: the next tokens of several streams through the model in one pass, each with its own KV cache.

The products read all weights, and do so once for all streams; attention is each stream's own. So no cache is padded or
copied, and a stream may read a piece of its prompt while others write one token.

N tokens of all parts, S parts, C hidden, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from hamner.inference.decode import next_hidden_states, use_single_token_path
from hamner.model.document_mask import document_mask
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import Block, Hamner

FEW = 2  # streams whose tokens are faster one after the other, each on the single-token path; docs/serve.md


class Part(NamedTuple):
    """The next tokens of one stream, at least one, and the cache of those before, to which they are added."""

    tokens: Sequence[int]
    cache: KVCache


def last_hidden_states(hamner: Hamner, parts: Sequence[Part]) -> Tensor:
    """The last hidden state of each part (S, C), in evaluation mode and without gradients.

    Equal to next_hidden_states of each alone, up to rounding. Raises ValueError where a cache has no room.
    """
    device = hamner.embedding.weight.device
    rows = [torch.tensor([part.tokens], device=device) for part in parts]
    is_cheap = all(use_single_token_path(hamner.config, row, hamner.dtype) for row in rows)
    if len(parts) == 1 or (is_cheap and len(parts) <= FEW):
        states = [next_hidden_states(hamner, row, part.cache) for row, part in zip(rows, parts, strict=True)]
        return torch.cat([state[0, -1:] for state in states])
    return _together(hamner, parts, rows)


def _together(hamner: Hamner, parts: Sequence[Part], rows: list[Tensor]) -> Tensor:
    """The same in one pass. rows: the parts' tokens (1, their number each)"""
    lengths, caches = [row.shape[1] for row in rows], [part.cache for part in parts]
    positions = torch.cat([torch.arange(c.length, c.length + n) for c, n in zip(caches, lengths, strict=True)])
    cos, sin = hamner.cos[positions], hamner.sin[positions]  # (N, D)
    masks: list[Tensor | None] = [None] * len(parts)
    if hamner.config.document_mask:
        masks = [
            document_mask(cache.append(row), n, hamner.dtype)
            for cache, row, n in zip(caches, rows, lengths, strict=True)
        ]
    x = hamner.embed(torch.cat(rows, dim=1))  # (1, N, C)
    for layer, module in enumerate(hamner.blocks):
        block = cast("Block", module)
        q, k, v = (heads.split(lengths, dim=2) for heads in block.enter(x, cos, sin))
        attended = [
            block.attention.attend(q[i], *cache.of_layer(layer).append(k[i], v[i]), masks[i])
            for i, cache in enumerate(caches)
        ]
        x, _ = block.leave(x, torch.cat(attended, dim=2))
    for cache, length in zip(caches, lengths, strict=True):
        cache.length += length
    last = torch.tensor(lengths, device=x.device).cumsum(0) - 1
    return cast(Tensor, hamner.final_norm(x[0, last]))
