"""What a source is: how its documents look, and the three ways of getting them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

LISTED = 1000  # malformed records told one by one; of more only the number is kept


@dataclass(frozen=True)
class Document:
    """One text. A conversation also keeps its messages, which are written in the chat template.

    cut_from: names the whole of which it is a piece, where another piece may say the same: all are on one side of the
    split.
    """

    text: str
    messages: tuple[tuple[str, str], ...] = ()  # role, content
    cut_from: str = ""

    def without_system(self) -> Document:
        """A conversation without the system's turn, which thousands share; another text as it is."""
        said = tuple((role, content) for role, content in self.messages if role != "system")
        return replace(self, text="\n".join(content for _, content in said), messages=said) if said else self


@dataclass(frozen=True)
class HubDataset:
    """Where a source stands on the hub."""

    dataset: str
    config: str | None
    split: str
    field: str
    licence: str


@dataclass
class Tally:
    """What was met while reading one source. Malformed records are passed over, counted and reported, never hidden."""

    records: int = 0  # read, whatever became of them
    too_short: int = 0
    malformed: int = 0
    skipped: list[str] = field(default_factory=list)  # "file:line: why" of the first malformed ones
    bytes_read: int = 0  # of the files, as they lie on disk

    def skip(self, where: str, why: str) -> None:
        self.malformed += 1
        if len(self.skipped) < LISTED:
            self.skipped.append(f"{where}: {why}")

    def add(self, other: Tally) -> None:
        """Count what was met in another part too."""
        self.records += other.records
        self.too_short += other.too_short
        self.malformed += other.malformed
        self.skipped += other.skipped[: LISTED - len(self.skipped)]


def plain_document(record: Any) -> Document:
    """A record {"text": ...}. Raises ValueError when it is not one."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise ValueError("no 'text' in the record")
    return Document(record["text"])


@dataclass(frozen=True)
class Source:
    """A named source. `builtin` draws one document; None for a source whose items are drawn in training."""

    name: str
    builtin: Callable[[random.Random], Document] | None
    hub: HubDataset | None = None
    min_characters: int = 1  # shorter documents are no documents
    parse: Callable[[Any], Document] = plain_document  # of one JSON record
