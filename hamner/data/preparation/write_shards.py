"""Tokenization into shards, the second reading of a part: kept documents -> token ids -> files of token ids.

<source>.<part>.<shard>.train.bin           documents in reading order, each closed by <|endoftext|>
<source>.<part>.<shard>.heldout.bin         the same for the held-out documents
<source>.<part>.<shard>.heldout.ends.bin    int64 positions just after each held-out document, within the shard

A shard ends with the document that fills it, both sides together, so that a killed preparation repeats at most one.
Its record in unfinished/ is written last: a shard without one is written again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat
from hamner.data.corpus import altered_shards
from hamner.data.preparation.dispositions import HELD_OUT, SIDES, read_dispositions
from hamner.data.preparation.part import Advance, Part, read_part
from hamner.data.preparation.plan import Plan
from hamner.data.preparation.store import UNFINISHED, Store
from hamner.data.preparation.survey import unchanged_documents
from hamner.data.sources import Document, Tally
from hamner.data.tokenizer import Ids, Tokenizer
from hamner.runs.output import print_error


@dataclass
class Side:
    """One side of the shard being filled."""

    ids: bytearray = field(default_factory=bytearray)  # grows in place: a list of arrays would be copied twice
    ends: list[int] = field(default_factory=list)
    tokens: int = 0
    characters: int = 0
    utf8_bytes: int = 0

    def add(self, document: Document, ids: Ids, dtype: np.dtype[Any]) -> None:
        self.ids += ids.astype(dtype).tobytes()
        self.tokens += len(ids)
        self.ends.append(self.tokens)
        self.characters += len(document.text)
        self.utf8_bytes += len(document.text.encode())


def write_part(plan: Plan, part: Part, advance: Advance) -> None:
    """Write the part's missing shards. Raises BadInput when its files are not those that were surveyed."""
    tally = Tally()
    documents = unchanged_documents(plan.store, part, tally)
    read_part(part, documents, tally, ShardWriter(plan, part, stored_tokenizer(plan.store)), advance)


class ShardWriter:
    """Tokenizes batches of documents and stores them shard by shard."""

    def __init__(self, plan: Plan, part: Part, tokenizer: Tokenizer) -> None:
        records = _whole_shards(plan.store, part)
        self.documents_read: int = records[-1]["documents_read"] if records else 0
        self.is_complete: bool = bool(records) and records[-1]["is_last"]
        self._store, self._part, self._tokenizer, self._shard_tokens = plan.store, part, tokenizer, plan.shard_tokens
        self._dispositions = read_dispositions(plan.store, part)
        # a system prompt stands in many conversations, so in training too
        self._strip_system_prompt = plan.drops_duplicates(part)
        self._dtype = token_type(tokenizer.vocab_size)
        self._number, self._sides = len(records), {side: Side() for side in SIDES}

    def add(self, batch: list[Document]) -> None:
        dispositions = self._dispositions[self.documents_read : self.documents_read + len(batch)].tolist()
        if self._strip_system_prompt:
            batch = [
                document.without_system_prompt() if disposition == HELD_OUT else document
                for document, disposition in zip(batch, dispositions, strict=True)
            ]
        ids = iter(encode(self._tokenizer, [d for d, side in zip(batch, dispositions, strict=True) if side in SIDES]))
        for document, side in zip(batch, dispositions, strict=True):
            self.documents_read += 1
            if side in SIDES:
                self._sides[side].add(document, next(ids), self._dtype)
                if self._is_full() and self.documents_read < len(self._dispositions):
                    self._store_shard(is_last=False)

    def close(self) -> None:
        self._store_shard(is_last=True)

    def _is_full(self) -> bool:
        return sum(side.tokens for side in self._sides.values()) >= self._shard_tokens

    def _store_shard(self, *, is_last: bool) -> None:
        """Write the shard's files, then its record."""
        files = [
            self._store_side(f"{self._part.name}.{self._number:03}.{SIDES[code]}", code, side)
            for code, side in self._sides.items()
            if side.tokens
        ]
        record = {"documents_read": self.documents_read, "is_last": is_last, "files": files}
        self._store.write_json(_record_name(self._part, self._number), record)
        self._number, self._sides = self._number + 1, {side: Side() for side in SIDES}

    def _store_side(self, name: str, code: int, side: Side) -> dict[str, Any]:
        """Write one side of the shard; returns what the manifest says of it."""
        self._store.write(f"{name}.bin", side.ids)
        entry = {
            "file": f"{name}.bin",
            "side": SIDES[code],
            "documents": len(side.ends),
            "tokens": side.tokens,
            "characters": side.characters,
            "text_bytes": side.utf8_bytes,
            "bytes": len(side.ids),
            "sha256": hashlib.sha256(side.ids).hexdigest(),
        }
        if code == HELD_OUT:
            ends = np.asarray(side.ends, dtype=np.int64).tobytes()
            self._store.write(f"{name}.ends.bin", ends)
            entry |= {"ends": f"{name}.ends.bin", "ends_sha256": hashlib.sha256(ends).hexdigest()}
        return entry


def encode(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[Ids]:
    """Token ids of each document, conversations in the chat template, each closed by <|endoftext|>."""
    return tokenizer.encode_documents([document.messages or document.text for document in documents])


def token_type(vocab_size: int) -> np.dtype[Any]:
    return np.dtype(np.uint16 if vocab_size <= 65_536 else np.uint32)


def shard_records(store: Store, part: Part) -> Iterator[dict[str, Any]]:
    """The records of the part's shards that are stored, in order."""
    for number in itertools.count():
        record = store.read_json(_record_name(part, number))
        if record is None:
            return
        yield record


def _whole_shards(store: Store, part: Part) -> list[dict[str, Any]]:
    """The records of the part's shards that are stored, up to the first that is damaged: from there it is written anew.

    Files of an object store are not read back: it keeps checksums of its own.
    """
    records: list[dict[str, Any]] = []
    problem = ""
    try:
        for record in shard_records(store, part):
            damaged = altered_shards(store.local, record["files"]) if store.local else []
            if damaged:
                problem = f"{store.local}/{damaged[0]} is damaged"
                break
            records.append(record)
    except OtherFormat:
        raise
    except (BadInput, KeyError, TypeError) as error:
        problem = str(error).partition(";")[0]
    if problem:
        print_error(f"{problem}: writing it again")
    return records


def _record_name(part: Part, number: int) -> str:
    return f"{UNFINISHED}/{part.name}.{number:03}.shard.json"


def stored_tokenizer(store: Store) -> Tokenizer:
    """The tokenizer beside the shards; parsed once a process, unless it is another one by now."""
    return _tokenizer_of((store.read("tokenizer.json") or b"").decode())


@lru_cache(maxsize=1)
def _tokenizer_of(json: str) -> Tokenizer:
    return Tokenizer.from_json(json)
