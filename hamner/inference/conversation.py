"""Chat: a conversation of several turns with a model, in its chat template; messages in, streamed replies out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from hamner.config.special_tokens import Message
from hamner.inference.find_model import LoadedModel
from hamner.inference.generate import Sampling, stream

MAX_REPLY = 256  # tokens


class Conversation:
    """A conversation with a model. All of it that fits is read again for each reply."""

    def __init__(self, loaded: LoadedModel, *, system: str | None = None, seed: int = 0, **sampling: Any) -> None:
        """system: the message before all others. sampling: fields of generate.Sampling, such as temperature."""
        self._hamner, self._tokenizer = loaded.model, loaded.tokenizer
        self._sampling, self._generator = Sampling(**sampling), torch.Generator().manual_seed(seed)
        self._system: list[Message] = [("system", system)] if system else []
        self._turns: list[Message] = []

    def reply(self, message: str) -> str:
        """The model's reply to the next message."""
        return "".join(self.stream_reply(message))

    def stream_reply(self, message: str) -> Iterator[str]:
        """Yield the reply to the next message piece by piece."""
        self._turns.append(("user", message))
        ids, pieces = self._context(), []
        new = stream(self._hamner, ids, MAX_REPLY, self._sampling, self._generator)
        for piece in self._tokenizer.stream(new):
            pieces.append(piece)
            yield piece
        self._turns.append(("assistant", "".join(pieces)))

    def _context(self) -> list[int]:
        """The conversation's ids, without its oldest exchanges where it would leave no room for a reply."""
        room = self._hamner.config.max_seq_len - MAX_REPLY
        while True:
            ids = self._tokenizer.encode_chat([*self._system, *self._turns], reply=True)
            if len(ids) <= room or len(self._turns) <= 1:
                return ids
            del self._turns[:2]
