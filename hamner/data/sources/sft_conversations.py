"""sft: conversations. Two record formats are read: {"messages": [{"role", "content"}]}, and {"text"} with
`<|system|>`, `<|user|>`, `<|assistant|>` tags in plain text. Both end up in the one chat template.
"""

from __future__ import annotations

import random
import re
from typing import Any

from hamner.config.special_tokens import ROLES
from hamner.data.sources.source import Document, Source

TAG = re.compile(r"<\|(system|user|assistant)\|>\n?")


def conversation(messages: list[tuple[str, str]]) -> Document:
    """Raises ValueError for a conversation without a user's and an assistant's turn."""
    roles = [role for role, _ in messages]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ValueError(f"unknown role '{unknown[0]}'")
    if "user" not in roles or "assistant" not in roles:
        raise ValueError("no turn of a user or of the assistant")
    return Document("\n".join(content for _, content in messages), tuple(messages))


def parse(record: Any) -> Document:
    """One JSON record of either format. Raises ValueError when it is neither."""
    if isinstance(record, dict) and isinstance(record.get("messages"), list):
        try:
            return conversation([(str(m["role"]), m["content"].strip()) for m in record["messages"]])
        except (TypeError, KeyError, AttributeError):
            raise ValueError("a message without role or content") from None
    if isinstance(record, dict) and isinstance(record.get("text"), str):
        before, *rest = TAG.split(record["text"])
        if before.strip() or not rest:
            raise ValueError("text without role tags")
        return conversation([(r, c.strip()) for r, c in zip(rest[::2], rest[1::2], strict=True)])
    raise ValueError("neither 'messages' nor 'text' in the record")


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import dialogues

    return conversation([(m["role"], m["content"]) for m in dialogues.conversation(rng)])


SFT = Source(name="sft", builtin=_builtin, parse=parse)
