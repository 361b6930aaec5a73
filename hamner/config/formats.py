"""File formats (schema versions, checksums) of what runs leave on disk: what is written, what is read, what is refused.

Data in: an object of a JSON file and its kind, which is the file's name. Data out: the object with its number, or
without it; or a BadInput of one line. The number stands under the key `format`; a file of before there were numbers is
of format 0. Each kind is read in its newest format and in the one before, or further back where FORMATS_BACK says so;
docs/formats.md says how one is raised. Files whose numbers a run is continued or judged by also end with a checksum of
themselves: a flipped bit in a digit would otherwise be another number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, shortened

KEY, CHECKSUM = "format", "checksum"
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
    "concepts.json": 1,  # of concept experiments
    # of a curriculum, a fine-tuning, and what is made of them
    "stages.json": 1,
    "skills.json": 1,
    "choice.json": 1,
    "conversations.json": 1,  # of a fine-tuning's text
    "finetuning.json": 1,
    "feedback.json": 1,  # what corrections have changed
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
# kinds that end with a checksum; a checkpoint's state.json has one of its own (training/checkpoint.py)
CHECKED = (
    *("config.json", "manifest.json", "bracket.json", "bracket.jsonl", "documents_*.json", "standings.json"),
    *("winner.json", "learning_rate.json", "memory_fallbacks.json", "stages.json", "skills.json"),
    *("conversations.json", "finetuning.json", "unfinished/*.json"),  # the last: of a preparation
)


class OtherFormat(BadInput):
    """A file is whole, and of a format that this version does not read."""


class Altered(BadInput):
    """A file is not what was written."""


def stamped(kind: str, value: Any) -> Any:
    """The value as it is written: an object with the format and the checksum of its kind, any other value as it is."""
    if not isinstance(value, Mapping):
        return value
    document = dict(value)
    if kind in FORMATS:
        document = {KEY: FORMATS[kind]} | {key: part for key, part in value.items() if key != KEY}
    return document | {CHECKSUM: checksum(document)} if is_checked(kind) else document


def is_checked(kind: str) -> bool:
    """Whether a file of this name ends with a checksum."""
    return any(fnmatchcase(kind, name) for name in CHECKED)


def checksum(document: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal digits, of all that an object holds beside its checksum, in its order."""
    rest = {key: part for key, part in document.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, separators=(",", ":")).encode()).hexdigest()


def format_of(value: Any) -> int:
    """The format of an object as its file has it. Raises ValueError for what is no number of a format."""
    number = value.get(KEY, 0) if isinstance(value, Mapping) else 0
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"its format {shortened(repr(number))} is not a whole number")
    return number


def unstamped(kind: str, value: Any, where: Path | str) -> Any:
    """The value as it was given to `stamped`. where: the file, for the message.

    Raises Altered where the checksum, if there is one, does not agree, OtherFormat for a file that is too new or too
    old, and ValueError where the format is no number.
    """
    if not isinstance(value, Mapping):
        return value
    if CHECKSUM in value and is_checked(kind) and value[CHECKSUM] != checksum(value):
        raise Altered(
            f"{where} was altered since it was written: its checksum does not agree; restore it from a copy, or, where "
            f'you have changed it yourself, delete its key "{CHECKSUM}"'
        )
    rest = {key: part for key, part in value.items() if key != CHECKSUM or not is_checked(kind)}
    if kind not in FORMATS:
        return rest
    number, newest = format_of(value), FORMATS[kind]
    oldest = newest - FORMATS_BACK.get(kind, 1)
    if number > newest:
        raise OtherFormat(f"{where} has format {number}, written by a newer Hamner; this one reads {newest}: {UPDATE}")
    if number < oldest:
        raise OtherFormat(
            f"{where} has format {number}, written by an older Hamner; this one reads {oldest} to {newest}: "
            "use the version that wrote it"
        )
    return {key: part for key, part in rest.items() if key != KEY}
