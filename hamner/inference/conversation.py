"""Chat: a conversation of several turns with a model, in its chat template; messages in, streamed replies out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from hamner.config.errors import BadInput
from hamner.config.special_tokens import Message
from hamner.inference.find_model import LoadedModel
from hamner.inference.generate import LEAST_REPLY, Sampling, stream, too_long

MAX_REPLY = 256  # tokens


class Conversation:
    """A conversation with a model. All of it that fits is read again for each reply."""

    def __init__(self, loaded: LoadedModel, *, system: str | None = None, seed: int = 0, **sampling: Any) -> None:
        """system: the message before all others, which stays however long the conversation becomes.

        sampling: fields of generate.Sampling, such as temperature. Raises BadInput for a system message that leaves no
        room for a conversation, and for impossible sampling.
        """
        self._hamner, self._tokenizer = loaded.model, loaded.tokenizer
        self._sampling, self._generator = Sampling(**sampling), torch.Generator().manual_seed(seed)
        self._system: list[Message] = [("system", system)] if system else []
        self._exchanges: list[tuple[Message, Message]] = []  # of the user and the assistant
        self._longest = loaded.model.config.max_seq_len
        self._check_length("the system message", self._ids(("user", "")) if system else [])

    def reply(self, message: str) -> str:
        """The model's reply to the next message. Raises BadInput for one that is longer than the context."""
        return "".join(self.stream_reply(message))

    def stream_reply(self, message: str) -> Iterator[str]:
        """Yield the reply to the next message piece by piece. Raises BadInput for one longer than the context."""
        asked, pieces = ("user", message), list[str]()
        ids = self._context(asked)
        new = stream(self._hamner, ids, min(MAX_REPLY, self._longest - len(ids)), self._sampling, self._generator)
        try:
            for piece in self._tokenizer.stream(new):
                pieces.append(piece)
                yield piece
        finally:  # a reply that is broken off is one too
            self._exchanges.append((asked, ("assistant", "".join(pieces))))

    def _context(self, asked: Message) -> list[int]:
        """The conversation's ids, without its oldest exchanges where these would leave no room for a whole reply.

        Raises BadInput where the system message and the newest one alone leave none for the shortest.
        """
        self._check_length("the message", self._ids(asked, with_exchanges=False))
        while len(ids := self._ids(asked)) > self._longest - MAX_REPLY and self._exchanges:
            del self._exchanges[0]
        return ids

    def _ids(self, asked: Message, *, with_exchanges: bool = True) -> list[int]:
        turns = [message for exchange in self._exchanges for message in exchange] if with_exchanges else []
        return self._tokenizer.encode_chat([*self._system, *turns, asked], reply=True)

    def _check_length(self, what: str, ids: list[int]) -> None:
        if len(ids) > self._longest - LEAST_REPLY:
            with_system = ", with the system message" if self._system and what == "the message" else ""
            raise BadInput(too_long(f"{what}{with_system}", len(ids), self._longest))
