"""Saved conversations: JSON lines of chat messages, written whole or not at all, and read back strictly.

Data in: messages, or a file of one line. Data out: that file, in the format of conversations that fine-tuning reads
(data/sources/sft_conversations.py), or its messages; a BadInput of one line for any other file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.config.formats import CONVERSATION, OtherFormat, stamped, unstamped
from hamner.config.special_tokens import Message
from hamner.config.toml_file import is_text, utf8_text
from hamner.data.sources.records import is_blank
from hamner.data.sources.sft_conversations import parse
from hamner.runs.files import write_bytes

LARGEST = 16 << 20  # bytes
OWN_FORMAT = "give a file that /save has written"


def write_conversation(path: Path, messages: Sequence[Message]) -> int:
    """Write a conversation, readable by its owner alone; returns how many exchanges it holds.

    One without words is left out: it would teach silence. Raises BadInput where no other is left, or no file can be.
    """
    system, turns = messages[: len(messages) % 2], messages[len(messages) % 2 :]
    exchanges = [
        pair for pair in zip(turns[::2], turns[1::2], strict=True) if not any(is_blank(text) for _, text in pair)
    ]
    if not exchanges:
        raise BadInput("there is nothing to save yet: say something first")
    record = stamped(CONVERSATION, _record([*system, *chain.from_iterable(exchanges)]))
    try:
        write_bytes(path, f"{json.dumps(record, ensure_ascii=False)}\n".encode(), mode=0o600)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; name another file") from None
    return len(exchanges)


def _record(messages: Sequence[Message]) -> dict[str, list[dict[str, str]]]:
    return {"messages": [{"role": role, "content": content.strip()} for role, content in messages]}


def read_conversation(path: Path) -> list[Message]:
    """The messages of a file with one conversation. Raises BadInput for any other file."""
    text = _text(path)
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) != 1:
        raise BadInput(f"{path} has {len(lines):,} lines, where a saved conversation has one: {OWN_FORMAT}")
    try:
        record = unstamped(CONVERSATION, json.loads(lines[0]), path)
        messages = list(parse(record).messages)
    except OtherFormat:
        raise
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadInput(f"{path} holds no conversation: {reason}; {OWN_FORMAT}") from None
    if record != _record(messages):  # what it says beside would be lost with the next /save
        raise BadInput(f"{path} holds more than role and content of messages: {OWN_FORMAT}")
    if not all(is_text(content) for _, content in messages):
        raise BadInput(f"{path} holds half of a surrogate pair, which is not a character: {OWN_FORMAT}")
    return messages


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "does not exist"
            raise BadInput(f"{path} {what}: {OWN_FORMAT}")
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path} has {path.stat().st_size:,} bytes, above {LARGEST:,}: {OWN_FORMAT}")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}; {OWN_FORMAT}") from None
    return utf8_text(data, str(path), OWN_FORMAT)
