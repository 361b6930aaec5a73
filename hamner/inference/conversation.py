"""Chat: a conversation of several turns with a model, in its chat template; messages in, streamed replies out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch

from hamner.config.errors import BadInput
from hamner.config.special_tokens import Message
from hamner.inference.chat_context import Context, chat_context
from hamner.inference.find_model import LoadedModel
from hamner.inference.generate import LEAST_REPLY, Sampling, stream, too_long
from hamner.inference.prompt_cache import PromptCache

MAX_REPLY = 256  # tokens
Exchange = tuple[Message, Message]  # of the user and the assistant
Reply = Generator[str, None, None]  # piece by piece; closed or forgotten before its end it is broken off, and stays so


class Conversation:
    """A conversation with a model: all of it that fits is its context, and only what is new of that is computed."""

    def __init__(self, loaded: LoadedModel, *, system: str | None = None, seed: int = 0, **sampling: Any) -> None:
        """system: the message before all others, which stays however long the conversation becomes.

        sampling: fields of generate.Sampling, such as temperature. Raises BadInput for a system message that leaves no
        room for a conversation, and for impossible sampling.
        """
        self.sampling = Sampling(**sampling)  # may be changed between replies
        self.dropped = 0  # exchanges that the newest reply was given without
        self._hamner, self._tokenizer = loaded.model, loaded.tokenizer
        self._generator = torch.Generator().manual_seed(seed)
        self._longest = loaded.model.config.max_seq_len
        self._exchanges: list[Exchange] = []
        self._cache: PromptCache | None = None
        self.system = system

    @property
    def system(self) -> str | None:
        """The system message. Setting it raises BadInput for one that leaves no room for a conversation."""
        return self._system[0][1] if self._system else None

    @system.setter
    def system(self, text: str | None) -> None:
        messages: list[Message] = [("system", text)] if text else []
        if messages:
            self._check_length("the system message", chat_context(self._tokenizer, [*messages, ("user", "")], None).ids)
        self._system = messages

    @property
    def messages(self) -> list[Message]:
        """The whole conversation, with what no longer fits the context."""
        return [*self._system, *(message for exchange in self._exchanges for message in exchange)]

    @property
    def last_message(self) -> str | None:
        """The user's newest message."""
        return self._exchanges[-1][0][1] if self._exchanges else None

    @property
    def last_reply(self) -> str | None:
        """The newest reply."""
        return self._exchanges[-1][1][1] if self._exchanges else None

    def correct(self, reply: str) -> None:
        """Put another reply in the place of the last one. Raises BadInput where there is none."""
        self._required_last()
        self._exchanges[-1] = (self._exchanges[-1][0], ("assistant", reply))

    def clear(self) -> None:
        """Forget all exchanges; the system message stays."""
        self._exchanges, self.dropped = [], 0

    def load(self, messages: Sequence[Message]) -> None:
        """Go on with another conversation. Raises BadInput, and changes nothing, where it is none of such turns."""
        has_system = bool(messages) and messages[0][0] == "system"
        turns = list(messages[has_system:])
        for place, (role, _) in enumerate(turns):
            if role != ("assistant" if place % 2 else "user"):
                raise BadInput(f"message {place + 1 + has_system} is of the {role}: use turns of user and assistant")
        if len(turns) % 2:
            raise BadInput("the last message is of the user: end with a reply of the assistant")
        self.system = messages[0][1] if has_system else None
        self._exchanges, self.dropped = list(zip(turns[::2], turns[1::2], strict=True)), 0

    def reply(self, message: str) -> str:
        """The model's reply to the next message. Raises BadInput for one that is longer than the context."""
        return "".join(self.stream_reply(message))

    def stream_reply(self, message: str) -> Reply:
        """The reply to the next message, piece by piece. Raises BadInput at once for one longer than the context."""
        return self._stream(message, len(self._exchanges))

    def retry(self) -> Reply:
        """Another reply to the last message, in the place of the last one. Raises BadInput where there is none."""
        return self.edit(self._required_last())

    def edit(self, message: str) -> Reply:
        """The reply to another message in the place of the last one.

        Raises BadInput as stream_reply does, and where there is no last message.
        """
        self._required_last()
        return self._stream(message, len(self._exchanges) - 1)

    def prompt(self, message: str, exchanges: int | None = None) -> Context:
        """What the model reads to reply to a message: without the oldest exchanges, so that a whole reply has room.

        exchanges: how many come before it (None: all). Raises BadInput where the system message and this one alone
        leave no room for the shortest reply.
        """
        turns = [turn for exchange in self._exchanges[:exchanges] for turn in exchange]
        messages = [*self._system, *turns, ("user", message)]
        context = chat_context(self._tokenizer, messages, self._longest - MAX_REPLY)
        self._check_length("the message", context.ids)
        return context

    def _stream(self, message: str, place: int) -> Reply:
        """The pieces of a reply to a message that becomes exchange `place`, of which what was there is replaced."""
        prompt = self.prompt(message, place)
        self.dropped = prompt.dropped // 2
        return self._pieces(prompt.ids, message, place)

    def _pieces(self, ids: list[int], message: str, place: int) -> Reply:
        self._cache = self._cache or PromptCache(self._hamner, self._longest)
        most = min(MAX_REPLY, self._longest - len(ids))
        new = stream(self._hamner, ids, most, self.sampling, self._generator, self._cache)
        turn, reply = ("user", message), ""
        if place == len(self._exchanges) or self._exchanges[place][0] != turn:  # else the old reply stays for now
            self._exchanges[place:] = [(turn, ("assistant", ""))]
        for piece in self._tokenizer.stream(new):  # which may be broken off after any piece
            reply += piece
            self._exchanges[place:] = [(turn, ("assistant", reply))]
            yield piece

    def _required_last(self) -> str:
        if self.last_message is None:
            raise BadInput("there is no message yet: type one first")
        return self.last_message

    def _check_length(self, what: str, ids: list[int]) -> None:
        if len(ids) > self._longest - LEAST_REPLY:
            with_system = ", with the system message" if what == "the message" and self._system else ""
            raise BadInput(too_long(f"{what}{with_system}", len(ids), self._longest))
