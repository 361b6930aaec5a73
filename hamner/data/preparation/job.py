"""A preparation job: its parts, settings and tokenizer, as every process that takes part sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hamner.config.schema import Config
from hamner.data.preparation.part import WORK, Advance, Part
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import survey_part
from hamner.data.preparation.write_shards import SHARD_TOKENS, Verdicts, write_part
from hamner.data.tokenizer import Tokenizer

Inputs = dict[str, list[list[Any]]]  # of each source read from a folder: path below DIR/<source>/, size

PART_BYTES = 2**23  # small files are read together up to this size
Work = Callable[[Part, Advance], None]
Runner = Callable[[str, Work, Sequence[Part]], None]  # does the work on every part; the word says what it is


@dataclass(frozen=True)
class Job:
    """Everything a process needs to work on a part. Travels to other machines."""

    config: Config
    place: str  # where the shards go
    parts: tuple[Part, ...]  # in SOURCE_NAMES order
    names: tuple[str, ...]  # sources that are written; others are read to train the tokenizer
    origins: dict[str, dict[str, Any]]  # of each source: origin, revision, licence
    trains_tokenizer: bool
    tokens: int | None = None  # of each source, about; None: all
    shard_tokens: int = SHARD_TOKENS
    inputs: Inputs = field(default_factory=dict)

    def survey(self, part: Part, advance: Advance) -> None:
        survey_part(Store(self.place), part, self.config, near=self.drops_duplicates(part), advance=advance)

    def write(self, part: Part, advance: Advance) -> None:
        store = Store(self.place)
        write_part(
            store,
            part,
            self.config,
            _stored_tokenizer(store),
            _verdicts(store, part),
            self.shard_tokens,
            advance,
            apart=self.drops_duplicates(part),
        )

    def drops_duplicates(self, part: Part) -> bool:
        """Not in text of our own: what its grammar repeats is part of it."""
        return bool(part.files) and self.config.data.duplicates == "drop"

    def of(self, name: str) -> list[Part]:
        return [part for part in self.parts if part.source == name]

    @property
    def written(self) -> list[Part]:
        return [part for part in self.parts if part.source in self.names]


def settings(config: Config, names: Sequence[str], tokens: int | None, shard_tokens: int) -> dict[str, Any]:
    """What decides the shards' bytes, beside the text and the tokenizer themselves."""
    streamed = config.data.path == "hub" and tokens is None  # as far as hub_tokens says
    return {
        "data": config.data.model_dump(
            mode="json", exclude={"hub_deadline", "own"} | (set() if streamed else {"hub_tokens"})
        ),
        "seed": config.seed,
        "vocab_size": config.size.vocab_size,
        "sources": list(names),
        "seq_len": [config.tournament.seq_len, config.curriculum.seq_len],
        "tokens": tokens,
        "shard_tokens": shard_tokens,
    }


def _stored_tokenizer(store: Store) -> Tokenizer:
    """The tokenizer beside the shards; parsed once a process, unless it is another one by now."""
    return _tokenizer_of((store.read("tokenizer.json") or b"").decode())


@lru_cache(maxsize=1)
def _tokenizer_of(json: str) -> Tokenizer:
    return Tokenizer.from_json(json)


def parts_of(name: str, files: Sequence[Path], folder: Path) -> list[Part]:
    """Files of `folder` in order; each a part of its own, small neighbours together."""
    parts: list[Part] = []
    here: list[Path] = []
    size = 0
    for path in files:
        more = path.stat().st_size
        if here and size + more > PART_BYTES:
            parts.append(Part(name, len(parts), tuple(here), size, folder))
            here, size = [], 0
        here.append(path)
        size += more
    return [*parts, Part(name, len(parts), tuple(here), size, folder)]


def _verdicts_name(part: Part) -> str:
    return f"{WORK}/{part.name}.verdicts.bin"


def _verdicts(store: Store, part: Part) -> Verdicts:
    return np.frombuffer(store.read(_verdicts_name(part)) or b"", dtype=np.uint8)


def inputs_of(files: Sequence[Path], folder: Path) -> list[list[Any]]:
    """What the manifest keeps of a source's files: a copy of them elsewhere, of another time, is the same."""
    return [[path.relative_to(folder).as_posix(), path.stat().st_size] for path in files]
