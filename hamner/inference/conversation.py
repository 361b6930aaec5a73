"""A conversation (multi-turn chat) with a model: messages in, a streamed reply out."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from hamner.config.special_tokens import Message
from hamner.data.tokenizer import Tokenizer
from hamner.inference.generate import Sampling, stream
from hamner.model.transformer import Hamner
from hamner.training.checkpoint import Checkpoint

MAX_REPLY = 256  # tokens


class Friend:
    """A conversation with a model. The whole of it is read again for each answer."""

    def __init__(self, found: Checkpoint, system: str | None, sampling: Sampling, seed: int) -> None:
        self._tokenizer: Tokenizer = found.tokenizer()
        self._hamner: Hamner = found.build()
        self._sampling, self._generator = sampling, torch.Generator().manual_seed(seed)
        self._head: list[Message] = [("system", system)] if system else []
        self._turns: list[Message] = []

    def answer(self, message: str) -> Iterator[str]:
        """Yield the reply piece by piece."""
        self._turns.append(("user", message))
        ids, pieces = self._context(), []
        pieces_of = self._tokenizer.stream(stream(self._hamner, ids, MAX_REPLY, self._sampling, self._generator))
        for piece in pieces_of:
            pieces.append(piece)
            yield piece
        self._turns.append(("assistant", "".join(pieces)))

    def _context(self) -> list[int]:
        """The conversation, without its oldest exchanges where it would leave no room for a reply."""
        room = self._hamner.config.max_seq_len - MAX_REPLY
        while True:
            ids = self._tokenizer.encode_chat([*self._head, *self._turns], reply=True)
            if len(ids) <= room or len(self._turns) <= 1:
                return ids
            del self._turns[:2]
