"""Chat / SFT conversations (JSONL messages, ShareGPT, Alpaca, prompt and completion), or text with role tags.

The tags are `<|system|>`, `<|user|>` and `<|assistant|>` in plain text. Every format is written in the one chat
template. records.py knows the shapes.
"""

from __future__ import annotations

import random
import re
from typing import Any

from hamner.data.sources.records import CONVERSATION_KEYS, checked, listed_messages, no_shape, paired_messages
from hamner.data.sources.source import Document, Source, plain_document

TAG = re.compile(r"<\|(system|user|assistant)\|>\n?")
WANTED = ("messages", "conversations", "instruction", "prompt", "question", "text")


def conversation(messages: list[tuple[str, str]]) -> Document:
    """The document of a conversation. Raises ValueError for one that lacks a side, or has an empty answer."""
    return Document("\n".join(content for _, content in checked(messages)), tuple(messages))


def parse(record: Any) -> Document:
    """The conversation of a record of any shape. Raises ValueError, with the keys it has, for any other record."""
    messages = listed_messages(record)
    text = record.get("text") if isinstance(record, dict) else None
    before, *rest = TAG.split(text) if isinstance(text, str) else [""]
    if messages is None and rest and not before.strip():
        messages = [(role, content.strip()) for role, content in zip(rest[::2], rest[1::2], strict=True)]
    if messages is None:
        messages = paired_messages(record)
    if messages is not None:
        return conversation(messages)
    raise ValueError("text without role tags") if isinstance(text, str) else no_shape(record, *WANTED)


def parse_any(record: Any) -> Document:
    """The conversation of a record with messages, else its text, else its question and answer. Raises ValueError."""
    messages = listed_messages(record)
    if messages is None and not (isinstance(record, dict) and isinstance(record.get("text"), str)):
        messages = paired_messages(record)
    return plain_document(record) if messages is None else conversation(messages)


def _builtin(rng: random.Random) -> Document:
    from hamner.data.builtin_text import dialogues

    return _drawn(dialogues.conversation(rng))


def _habits(rng: random.Random) -> Document:
    from hamner.data.builtin_text import habits

    return _drawn(habits.conversation(rng))


def _drawn(messages: list[dict[str, str]]) -> Document:
    return conversation([(message["role"], message["content"]) for message in messages])


SFT = Source(name="sft", builtin=_builtin, parse=parse, keys=("text", *CONVERSATION_KEYS))
HABITS = Source(name="habits", builtin=_habits, parse=parse, keys=SFT.keys)
