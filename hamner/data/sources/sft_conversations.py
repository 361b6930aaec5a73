"""Chat / SFT conversations (JSONL messages): {"messages": [{"role", "content"}]}, or {"text"} with role tags.

The tags are `<|system|>`, `<|user|>` and `<|assistant|>` in plain text. Both formats are written in the one chat
template.
"""

from __future__ import annotations

import random
import re
from typing import Any

from hamner.config.special_tokens import ROLES
from hamner.data.sources.source import Document, Source, plain_document

TAG = re.compile(r"<\|(system|user|assistant)\|>\n?")


def conversation(messages: list[tuple[str, str]]) -> Document:
    """The document of a conversation. Raises ValueError for one without a turn of the user and of the assistant."""
    roles = [role for role, _ in messages]
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise ValueError(f"unknown role '{unknown[0]}'")
    if "user" not in roles or "assistant" not in roles:
        raise ValueError("no turn of a user or of the assistant")
    return Document("\n".join(content for _, content in messages), tuple(messages))


def parse(record: Any) -> Document:
    """The conversation of a JSON record of either format. Raises ValueError for any other record."""
    if _has_messages(record):
        return _from_messages(record)
    if isinstance(record, dict) and isinstance(record.get("text"), str):
        before, *rest = TAG.split(record["text"])
        if before.strip() or not rest:
            raise ValueError("text without role tags")
        return conversation([(r, c.strip()) for r, c in zip(rest[::2], rest[1::2], strict=True)])
    raise ValueError("neither 'messages' nor 'text' in the record")


def parse_any(record: Any) -> Document:
    """The conversation of a record with messages, the text of any other. Raises ValueError for one without either."""
    return _from_messages(record) if _has_messages(record) else plain_document(record)


def _has_messages(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("messages"), list)


def _from_messages(record: dict[str, Any]) -> Document:
    try:
        return conversation([(str(m["role"]), m["content"].strip()) for m in record["messages"]])
    except (TypeError, KeyError, AttributeError):
        raise ValueError("a message without role or content") from None


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import dialogues

    return conversation([(m["role"], m["content"]) for m in dialogues.conversation(rng)])


SFT = Source(name="sft", builtin=_builtin, parse=parse)
