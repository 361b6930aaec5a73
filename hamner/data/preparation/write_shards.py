"""The second reading of a part: kept documents -> token ids -> shards.

<source>.<part>.<shard>.train.bin           documents in reading order, each closed by <|endoftext|>
<source>.<part>.<shard>.heldout.bin         the same for the held-out documents
<source>.<part>.<shard>.heldout.ends.bin    int64 positions just after each held-out document, within the shard

A shard ends with the document that fills it, both sides together, so that a killed preparation repeats at most one.
Its record in unfinished/ is written last: what has none was not finished.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.schema import Config
from hamner.data.preparation.part import WORK, Advance, Part, batches, generator
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey import unchanged_documents
from hamner.data.sources import Document, Tally
from hamner.data.tokenizer import Tokenizer

SHARD_TOKENS = 2**26
TRAIN, HELD_OUT, EXACT_DUPLICATE, NEAR_DUPLICATE, BEYOND_TOKENS = range(5)  # verdicts on a document
DROPPED = {EXACT_DUPLICATE: "exact_duplicates", NEAR_DUPLICATE: "near_duplicates", BEYOND_TOKENS: "beyond_tokens"}
SIDES = {TRAIN: "train", HELD_OUT: "heldout"}

Verdicts = npt.NDArray[np.uint8]


@dataclass
class Side:
    """One side of the shard being filled."""

    ids: bytearray = field(default_factory=bytearray)  # grows in place: a list of arrays would be copied twice
    ends: list[int] = field(default_factory=list)
    tokens: int = 0
    characters: int = 0
    utf8_bytes: int = 0

    def add(self, document: Document, ids: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.ids += np.asarray(ids, dtype=dtype).tobytes()
        self.tokens += len(ids)
        self.ends.append(self.tokens)
        self.characters += len(document.text)
        self.utf8_bytes += len(document.text.encode())


def encode(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[list[int]]:
    """Token ids of each document, conversations in the chat template, each closed by <|endoftext|>."""
    return tokenizer.encode_documents([document.messages or document.text for document in documents])


def token_type(vocab_size: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocab_size <= 65_536 else np.uint32)


def write_part(
    store: Store,
    part: Part,
    config: Config,
    tokenizer: Tokenizer,
    verdicts: Verdicts,
    shard_tokens: int,
    advance: Advance,
    *,
    apart: bool,
) -> None:
    """Write the part's missing shards. Raises BadInput when its files are not those that were surveyed.

    apart: held-out conversations go without their system prompt, which stands in training too.
    """
    dtype = token_type(tokenizer.vocab_size)
    records = list(shard_records(store, part))
    done, number = (records[-1]["documents_read"], len(records)) if records else (0, 0)
    if records and records[-1]["last"]:
        advance(part.size)
        return
    tally, told = Tally(), 0
    with closing(generator(unchanged_documents(store, part, config, tally))) as stream:
        for _ in itertools.islice(stream, done):
            pass
        sides = {side: Side() for side in SIDES}
        for batch in batches(stream):
            if apart:
                batch = [
                    document.without_system() if verdict == HELD_OUT else document
                    for document, verdict in zip(batch, verdicts[done:], strict=False)
                ]
            kept = [d for d, verdict in zip(batch, verdicts[done:], strict=False) if verdict in SIDES]
            ids = iter(encode(tokenizer, kept))
            for document in batch:
                side = int(verdicts[done])
                done += 1
                if side in SIDES:
                    sides[side].add(document, next(ids), dtype)
                    if sum(s.tokens for s in sides.values()) >= shard_tokens and done < len(verdicts):
                        _write_shard(store, part, number, sides, done, last=False)
                        sides, number = {side: Side() for side in SIDES}, number + 1
            advance(tally.bytes_read - told if part.files else sum(len(d.text) for d in batch))
            told = tally.bytes_read
        _write_shard(store, part, number, sides, done, last=True)


def _write_shard(
    store: Store, part: Part, number: int, sides: dict[int, Side], documents_read: int, *, last: bool
) -> None:
    """The shard's files, then its record."""
    record: dict[str, Any] = {"documents_read": documents_read, "last": last, "files": []}
    for side, filled in sides.items():
        if not filled.tokens:
            continue
        name = f"{part.name}.{number:03}.{SIDES[side]}"
        store.write(f"{name}.bin", filled.ids)
        told = {
            "file": f"{name}.bin",
            "side": SIDES[side],
            "documents": len(filled.ends),
            "tokens": filled.tokens,
            "characters": filled.characters,
            "text_bytes": filled.utf8_bytes,
            "bytes": len(filled.ids),
            "sha256": hashlib.sha256(filled.ids).hexdigest(),
        }
        if side == HELD_OUT:
            ends = np.asarray(filled.ends, dtype=np.int64).tobytes()
            store.write(f"{name}.ends.bin", ends)
            told |= {"ends": f"{name}.ends.bin", "ends_sha256": hashlib.sha256(ends).hexdigest()}
        record["files"].append(told)
    store.write_json(f"{WORK}/{part.name}.{number:03}.shard.json", record)


def shard_records(store: Store, part: Part) -> Iterator[dict[str, Any]]:
    """What was written of the part so far, in order."""
    for number in itertools.count():
        record = store.read_json(f"{WORK}/{part.name}.{number:03}.shard.json")
        if record is None:
            return
        yield record
