"""Votes of an arena (pairwise preference, human evaluation): which of two friends' replies somebody preferred, blind.

    RESULTS/arena/votes.jsonl    a vote a line, mode 600; neither the message nor the replies

    {"format": 1, "time": ..., "left": "friend", "right": "other", "left_weights": "1f…", "right_weights": "9a…",
     "choice": "left"}

Data in: votes. Data out: that file, or its votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hamner.config.formats import VOTE, stamped
from hamner.runs.json_lines import add_line, read_lines, values_of

CHOICES = ("left", "right", "tie")
FIELDS = dict.fromkeys(("left", "right", "left_weights", "right_weights", "choice", "time"), str)


@dataclass(frozen=True)
class Vote:
    """Two friends as they were shown, and which reply was preferred."""

    left: str
    right: str
    left_weights: str  # the beginning of their file's sha256: another training under one name is another friend
    right_weights: str
    choice: str
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        """Raises ValueError for what is no vote."""
        if self.choice not in CHOICES:
            raise ValueError(f"choice '{self.choice}' is none of {', '.join(CHOICES)}")
        if (self.left, self.left_weights) == (self.right, self.right_weights):
            raise ValueError(f"'{self.left}' is on both sides")


def votes_file(results: Path) -> Path:
    return results / "arena" / "votes.jsonl"


def add_vote(path: Path, vote: Vote) -> None:
    """Write one vote. Raises OSError."""
    add_line(path, stamped(VOTE, asdict(vote)))


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file; [] where there is none. Raises BadInput naming every broken line."""
    return read_lines(path, _vote, "a vote") if path.exists() else []


def labels(votes: Sequence[Vote]) -> dict[tuple[str, str], str]:
    """Of each friend, by name and weights, what it is called: its name, with its weights where several have it."""
    friends = dict.fromkeys(f for v in votes for f in ((v.left, v.left_weights), (v.right, v.right_weights)))
    names = [name for name, _ in friends]
    return {(name, weights): name if names.count(name) == 1 else f"{name}@{weights[:6]}" for name, weights in friends}


def _vote(record: Any) -> Vote:
    return Vote(**values_of(record, VOTE, FIELDS))
