"""Text source: what its documents look like, its Hugging Face Hub dataset, and what reading it counted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hamner.data.sources.records import no_shape

MAX_LISTED = 1000  # malformed records that are listed one by one; the rest are only counted


@dataclass(frozen=True)
class Document:
    """One text. A conversation also keeps its messages, which are written in the chat template.

    cut_from: the whole that the text is a piece of. Other pieces of it may say the same, so all of them are on one
    side of the split.
    """

    text: str
    messages: tuple[tuple[str, str], ...] = ()  # role, content
    cut_from: str = ""

    def without_system_prompt(self) -> Document:
        """A conversation without its system prompt, which thousands share; any other text unchanged."""
        turns = tuple((role, content) for role, content in self.messages if role != "system")
        return replace(self, text="\n".join(content for _, content in turns), messages=turns) if turns else self


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the Hugging Face Hub: the arguments of `datasets.load_dataset`, and the column that is read.

    way_out: what to use where the hub cannot be reached. speakers: a column that says who speaks each text of `field`;
    empty where there is none.
    """

    dataset: str
    config: str | None
    split: str
    field: str
    license: str
    way_out: str = "use --data DIR or --data builtin"
    speakers: str = ""


@dataclass
class Tally:
    """Counts of one reading of a source. Malformed records are skipped, counted and listed, never hidden."""

    records: int = 0  # read, whatever became of them
    too_short: int = 0
    malformed: int = 0
    skipped: list[str] = field(default_factory=list)  # "file:line: why" of the first malformed ones
    bytes_read: int = 0  # of the files, as they lie on disk

    def skip(self, where: str, why: str) -> None:
        self.malformed += 1
        if len(self.skipped) < MAX_LISTED:
            self.skipped.append(f"{where}: {why}")

    def add(self, other: Tally) -> None:
        """Add the counts of another part; bytes are each part's own."""
        self.records += other.records
        self.too_short += other.too_short
        self.malformed += other.malformed
        self.skipped += other.skipped[: MAX_LISTED - len(self.skipped)]


def plain_document(record: Any) -> Document:
    """The document of a record {"text": ...}. Raises ValueError, with the keys it has, for any other record."""
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise no_shape(record, "text")
    return Document(record["text"])


@dataclass(frozen=True)
class Source:
    """A named source of text, or of items that are drawn while training."""

    name: str
    builtin: Callable[[random.Random], Document] | None = None  # draws one document of the project's own text
    hub: HubDataset | None = None
    min_characters: int = 1  # a shorter text is not a document
    parse: Callable[[Any], Document] = plain_document  # of one JSON record
    keys: tuple[str, ...] = ("text",)  # of a record that `parse` looks at: the columns read of a parquet file
    is_text: bool = True  # False: there are no documents to prepare
