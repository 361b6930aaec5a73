"""Context of a chat (context window): the messages that a model reads before it replies, without the oldest.

Data in: messages, and how many tokens they may take. Data out: ids up to where the reply begins, and how many of the
messages are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, takewhile
from typing import NamedTuple

from hamner.config.special_tokens import Message
from hamner.data.tokenizer import Tokenizer


class Context(NamedTuple):
    """What a model reads before it replies."""

    ids: list[int]
    dropped: int  # messages that are left out, the oldest


def chat_context(tokenizer: Tokenizer, messages: Sequence[Message], room: int | None) -> Context:
    """The context of messages, the last of them of the user, in `room` tokens (None: without a limit).

    System messages at the beginning stay, and so does the newest message, whether it fits or not; where something is
    left out, what follows the system messages begins with a message of the user.
    """
    system = list(takewhile(lambda message: message[0] == "system", messages))
    opening = tokenizer.encode_chat([], reply=True)
    begin = [token for message in system for token in _turn(tokenizer, message)]
    left = math.inf if room is None else room - len(begin) - len(opening)
    turns, kept = list[list[int]](), 1  # the newest first
    for message in reversed(messages[len(system) :]):
        turns.append(_turn(tokenizer, message))
        left -= len(turns[-1])
        if left < 0:
            break
        if message[0] == "user":
            kept = len(turns)
    else:
        kept = len(turns)
    ids = [*begin, *chain.from_iterable(reversed(turns[:kept])), *opening]
    return Context(ids, len(messages) - len(system) - kept)


def _turn(tokenizer: Tokenizer, message: Message) -> list[int]:
    """A message in the template, without the end of the text."""
    return tokenizer.encode_chat([message])[:-1]
