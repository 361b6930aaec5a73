"""Feedback (preference data): replies that somebody marked as good or bad, corrected, or had written again.

    DATA/feedback/MODEL.jsonl    of the replies of one model, a record a line, mode 600, written where it is asked for

    {"format": 1, "id": "5f0c12ab", "time": "2026-11-29T20:15:00+00:00", "model": "friend", "kind": "fix",
     "context": [{"role": "user", "content": ...}], "reply": what it said, "better": what it should have said}

Data in: feedback of the chat and of the page. Data out: those files, their records, and the corrections among them with
the side of the split that each is on.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.formats import FEEDBACK, stamped
from hamner.config.special_tokens import ROLES, Message
from hamner.config.toml_file import is_text
from hamner.data.split import unit_hash
from hamner.runs.json_lines import add_line, drop_lines, read_lines, values_of

FIX = "fix"
KINDS = {  # what somebody said of a reply
    "good": "marked as good",
    "bad": "marked as bad",
    FIX: "corrected",
    "again": "had written again",
}
HELD_OUT = 0.25  # share of the messages whose corrections are never trained on
FIELDS = {"id": str, "time": str, "model": str, "kind": str, "context": list, "reply": str}


@dataclass(frozen=True)
class Feedback:
    """What somebody said of one reply."""

    model: str
    kind: str
    context: tuple[Message, ...]  # up to the message of the user that was replied to
    reply: str
    better: str = ""  # of a correction: what the reply should have been
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        """Raises ValueError for what is no feedback."""
        words = [self.id, self.model, self.reply, self.better, *(text for _, text in self.context)]
        if self.kind not in KINDS:
            raise ValueError(f"kind '{self.kind}' is none of {', '.join(KINDS)}")
        if not self.context or self.context[-1][0] != "user":
            raise ValueError("its context does not end with a message of the user")
        if bool(self.better.strip()) != (self.kind == FIX):
            raise ValueError("'better' is what a correction has, and nothing else")
        if self.better and self.better.strip() == self.reply.strip():
            raise ValueError("its correction is the reply itself")
        if not all(map(is_text, words)):
            raise ValueError("it has half of a surrogate pair, which is no character")

    @property
    def message(self) -> str:
        """What was replied to."""
        return self.context[-1][1]

    @property
    def group(self) -> str:
        """The message without capitals and extra spaces: its corrections are on one side of the split."""
        return " ".join(self.message.casefold().split())

    @property
    def is_held_out(self) -> bool:
        """Whether it is only measured: so by the project's hash, today and when there is more feedback."""
        return unit_hash(self.group) < HELD_OUT

    def record(self) -> dict[str, Any]:
        context = [{"role": role, "content": text} for role, text in self.context]
        values = {"model": self.model, "kind": self.kind, "context": context, "reply": self.reply}
        better = {"better": self.better} if self.better else {}
        record: dict[str, Any] = stamped(FEEDBACK, {"id": self.id, "time": self.time, **values, **better})
        return record


def feedback_file(folder: Path, model: str) -> Path:
    """The file of a model's feedback."""
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', model).strip('.') or 'model'}.jsonl"


def add_feedback(folder: Path, feedback: Feedback) -> Path:
    """Write one record; returns its file. Raises OSError."""
    path = feedback_file(folder, feedback.model)
    add_line(path, feedback.record())
    return path


def read_feedback(folder: Path) -> list[Feedback]:
    """All feedback in a folder, the oldest first; [] where there is none. Raises BadInput naming every broken line."""
    found, problems = [], []
    for path in _files(folder):
        try:
            found += read_feedback_file(path)
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)
    return sorted(found, key=lambda feedback: feedback.time)


def read_feedback_file(path: Path) -> list[Feedback]:
    """The records of one file. Raises BadInput naming every broken line."""
    return read_lines(path, _feedback, "feedback")


def forget_feedback(folder: Path, ids: Sequence[str] | None) -> int:
    """Remove the records with these ids, or all files (None); returns how many records. Raises OSError."""
    if ids is None:
        count = 0
        for path in _files(folder):
            count += sum(1 for line in path.read_bytes().splitlines() if line.strip())
            path.unlink()
        return count
    return sum(drop_lines(path, lambda record: record["id"] in ids) for path in _files(folder))


def corrections(feedback: Sequence[Feedback]) -> list[Feedback]:
    """The corrections, of several of one chat the newest. feedback: the oldest first."""
    return list({each.context: each for each in feedback if each.kind == FIX}.values())


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else []


def _feedback(record: Any) -> Feedback:
    values = values_of(record, FEEDBACK, FIELDS)
    context = [(m.get("role"), m.get("content")) for m in values.pop("context") if isinstance(m, dict)]
    if not all(role in ROLES and isinstance(text, str) for role, text in context):
        raise ValueError("a message of its context has another role than system, user, assistant, or no text")
    return Feedback(**values, context=tuple((str(role), str(text)) for role, text in context), better=_better(record))


def _better(record: dict[str, Any]) -> str:
    value = record.get("better", "")
    if not isinstance(value, str):
        raise ValueError("'better' is no text")
    return value
