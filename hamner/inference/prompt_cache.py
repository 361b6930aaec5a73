"""Prompt cache (prefix caching): the KV cache of a conversation, of which a next prompt's beginning is not read again.

Data in: the ids of a prompt, then tokens one at a time. Data out: what is left to read of it, and hidden states. What
is kept are the tokens that the last context and the next one begin with alike; everything after them is read anew.

T tokens, C hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hamner.inference.decode import next_hidden_states
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import Hamner


class PromptCache:
    """Keys and values of one row of tokens. Weights, device and dtype of the model must stay what they are."""

    def __init__(self, hamner: Hamner, capacity: int) -> None:
        """capacity: tokens; at most as many as the model reads."""
        self._hamner, self._device = hamner, hamner.embedding.weight.device
        self._kv = KVCache(hamner.config, capacity, device=self._device, dtype=hamner.dtype)
        self._ids: list[int] = []  # the first `length` of them are read; a reading that was broken off leaves more

    @property
    def length(self) -> int:
        """How many tokens have been read."""
        return self._kv.length

    def unread(self, context: Sequence[int]) -> list[int]:
        """Keep what `context` begins with, drop the rest, and return what is to be read: at least its last token."""
        most = min(self.length, len(context) - 1)
        differ = (index for index in range(most) if self._ids[index] != context[index])
        self._kv.length = next(differ, most)
        return list(context[self.length :])

    def read(self, tokens: Sequence[int]) -> Tensor:
        """The last hidden states (T, C) of the next tokens."""
        self._ids[self.length :] = tokens
        return next_hidden_states(self._hamner, torch.tensor([tokens], device=self._device), self._kv)[0]
