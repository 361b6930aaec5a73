"""File formats (schema versions) of what runs leave on disk: what is written, what is read, what is refused.

Data in: an object of a JSON file and its kind, which is the file's name. Data out: the object with its number, or
without it; or a BadInput of one line. The number stands under the key `format`; a file of before there were numbers is
of format 0. Each kind is read in its newest format and in the one before, or further back where FORMATS_BACK says so;
docs/formats.md says how one is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, shortened

KEY = "format"
UPDATE = "update this one with `git pull` and `make install`"
CONVERSATION = "conversation"  # kind of a file that /save of a chat writes, whatever its name
FEEDBACK, VOTE = "feedback", "vote"  # kinds of a line: of data/feedback/*.jsonl, of arena/votes.jsonl
FORMATS: Mapping[str, int] = {  # kind: the format that is written
    # of every run
    "config.json": 1,
    "state.json": 1,  # of a checkpoint, and of text that is streamed from the hub
    "manifest.json": 1,  # of prepared text
    "report.json": 1,
    # of a league and its contestants
    "bracket.json": 2,
    "bracket.jsonl": 1,  # each of its lines
    "standings.json": 1,
    "winner.json": 1,
    "timing.json": 1,
    "mixes.json": 1,
    "learning_rate.json": 1,
    "memory_fallbacks.json": 1,
    # of a curriculum, a fine-tuning, and what is made of them
    "stages.json": 1,
    "skills.json": 1,
    "choice.json": 1,
    "conversations.json": 1,  # of a fine-tuning's text
    "finetuning.json": 1,
    "friend.json": 1,
    "friend_card.json": 1,
    "hamner.json": 1,  # of an exported folder
    CONVERSATION: 1,
    FEEDBACK: 1,
    VOTE: 1,
    "pack.json": 1,  # of a packed run
}
# how many formats back a kind is read, where it is more than one: what came later was only added
FORMATS_BACK: Mapping[str, int] = {"bracket.json": 2}


class OtherFormat(BadInput):
    """A file is whole, and of a format that this version does not read."""


def stamped(kind: str, value: Any) -> Any:
    """The value as it is written: an object of a known kind with its format first, any other as it is."""
    if kind not in FORMATS or not isinstance(value, Mapping):
        return value
    return {KEY: FORMATS[kind]} | {key: part for key, part in value.items() if key != KEY}


def format_of(value: Any) -> int:
    """The format of an object as its file has it. Raises ValueError for what is no number of a format."""
    number = value.get(KEY, 0) if isinstance(value, Mapping) else 0
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"its format {shortened(repr(number))} is not a whole number")
    return number


def unstamped(kind: str, value: Any, where: Path | str) -> Any:
    """The value as it was given to `stamped`. where: the file, for the message.

    Raises OtherFormat for one that is too new or too old, and ValueError where the format is no number.
    """
    if kind not in FORMATS or not isinstance(value, Mapping):
        return value
    number, newest = format_of(value), FORMATS[kind]
    oldest = newest - FORMATS_BACK.get(kind, 1)
    if number > newest:
        raise OtherFormat(f"{where} has format {number}, written by a newer Hamner; this one reads {newest}: {UPDATE}")
    if number < oldest:
        raise OtherFormat(
            f"{where} has format {number}, written by an older Hamner; this one reads {oldest} to {newest}: "
            "use the version that wrote it"
        )
    return {key: part for key, part in value.items() if key != KEY}
