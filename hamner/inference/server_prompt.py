"""Prompt of a request: its token ids, with the oldest exchanges left out where that is allowed, and room for a reply.

Data in: a ReplyRequest. Data out: ids for the model. Text that spells a reserved token stays text.
"""

from __future__ import annotations

from typing import NamedTuple

from hamner.data.tokenizer import Tokenizer
from hamner.inference.chat_context import chat_context
from hamner.inference.conversation import MAX_REPLY
from hamner.inference.generate import LEAST_REPLY, too_long
from hamner.inference.server_requests import CHAT, TEXT, ApiError, ReplyRequest


class Prompt(NamedTuple):
    """What a model reads, and how much it may write then."""

    ids: list[int]
    max_new_tokens: int
    dropped: int  # messages that were left out


def read_prompt(tokenizer: Tokenizer, request: ReplyRequest, longest: int) -> Prompt:
    """The prompt of a request for a model that reads `longest` tokens. Raises ApiError where no reply has room."""
    if isinstance(request.prompt, str):
        what, ids, dropped = TEXT, tokenizer.encode(request.prompt), 0
    else:
        room = longest - min(request.max_tokens, MAX_REPLY) if request.may_drop else None
        what, (ids, dropped) = CHAT, chat_context(tokenizer, request.prompt, room)
    if len(ids) > longest - LEAST_REPLY:
        is_newest = request.is_chat and request.may_drop
        line = too_long("the newest message" if is_newest else "the prompt", len(ids), longest)
        if request.is_chat and len(request.prompt) > 1 and not request.may_drop:
            line += ', or send "truncation": "auto", which leaves out the oldest messages'
        raise ApiError(400, line, "context_length_exceeded", param=what)
    return Prompt(ids, min(request.max_tokens, longest - len(ids)), dropped)
