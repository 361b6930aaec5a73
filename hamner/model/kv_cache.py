"""KV cache: keys and values of earlier tokens, so that generating computes only the newest one.

Beside them the tokens, which say where documents end. Heads and their sizes follow from the attention kind
(config/attention_kinds.py).

L layers, B batch, T newest tokens, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hamner.config.attention_kinds import attention_kind
from hamner.config.schema import ModelConfig


class KVCache:
    """Room for `capacity` tokens of `batch` rows; `length` of them are filled."""

    def __init__(
        self,
        model: ModelConfig,
        capacity: int,
        *,
        batch: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.length, self.capacity = 0, min(capacity, model.max_seq_len)

        def room(heads: int, size: int) -> Tensor:
            return torch.empty(model.num_layers, batch, heads, self.capacity, size, device=device, dtype=dtype)

        shape = attention_kind(model.attention).cache(model)
        self._keys = room(shape.key_heads, shape.key_size)
        self._values = room(shape.value_heads, shape.value_size)
        self._tokens = torch.empty(batch, self.capacity, device=device, dtype=torch.long)

    def append(self, tokens: Tensor) -> Tensor:
        """Add the newest tokens (B, T); returns all so far. Raises ValueError as LayerCache.append does."""
        end = self.length + tokens.shape[1]
        _check_room(tokens, end, len(self._tokens), self.capacity)
        self._tokens[:, self.length : end] = tokens
        return self._tokens[:, :end]

    def repeated(self, counts: Tensor, capacity: int) -> KVCache:
        """A cache with room for `capacity` tokens that holds row i of this one counts[i] times. counts (B,)"""
        more = object.__new__(KVCache)
        more.length, more.capacity = self.length, capacity

        def copied(old: Tensor, batch_axis: int, time_axis: int) -> Tensor:
            filled = old.narrow(time_axis, 0, self.length).repeat_interleave(counts, dim=batch_axis)
            shape = list(filled.shape)
            shape[time_axis] = capacity
            room = filled.new_empty(shape)
            room.narrow(time_axis, 0, self.length).copy_(filled)
            return room

        more._keys, more._values = copied(self._keys, 1, 3), copied(self._values, 1, 3)
        more._tokens = copied(self._tokens, 0, 1)
        return more

    def of_layer(self, index: int) -> LayerCache:
        return LayerCache(self._keys[index], self._values[index], self.length)


class LayerCache:
    """Keys and values of one layer: each (B, heads, capacity, D), of which `length` tokens are filled."""

    def __init__(self, keys: Tensor, values: Tensor, length: int) -> None:
        self._keys, self._values, self._length = keys, values, length

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add k, v (B, heads, T, D) of the newest tokens; returns those of all tokens so far.

        Raises ValueError for more tokens, or other rows, than there is room for.
        """
        end = self._length + k.shape[2]
        _check_room(k, end, len(self._keys), self._keys.shape[2])
        self._keys[:, :, self._length : end], self._values[:, :, self._length : end] = k, v
        return self._keys[:, :, :end], self._values[:, :, :end]


def _check_room(new: Tensor, end: int, rows: int, capacity: int) -> None:
    if end > capacity or len(new) != rows:
        raise ValueError(f"{len(new)} rows of {end} tokens do not fit a cache of {rows} rows of {capacity}")
