"""The first reading of a part of the text: what the decisions about all of it need to know of each document.

A part is one input file, or several small ones; it is one task on a cluster. A block is a run of its documents,
saved when it is whole: a killed survey reads from the last block on.

unfinished/<source>.<part>.<block>.survey.npz     texts (n,) hash of each whole text; draws (n,), and of what it was
                                                  cut from, whole_draws (n,); characters (n,);
                                                  bands (n, BANDS), or (n, 0) where near-duplicates stay
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.data import split
from hamner.data.preparation.deduplicate import BANDS, band_keys
from hamner.data.preparation.part import WORK, Advance, Part, batches, documents, generator
from hamner.data.preparation.store import Store
from hamner.data.sources import Document, Tally

BLOCK_CHARACTERS, BLOCK_DOCUMENTS = 2**26, 200_000  # a block ends with whichever comes first

Columns = dict[str, npt.NDArray[Any]]


@dataclass
class Survey:
    """Of n documents in order, and of the records they came from."""

    texts: npt.NDArray[np.uint64]
    draws: npt.NDArray[np.float64]
    whole_draws: npt.NDArray[np.float64]  # the same where a document is no piece of anything
    characters: npt.NDArray[np.int64]
    bands: npt.NDArray[np.uint64]
    tally: Tally


def survey_part(store: Store, part: Part, config: Config, *, near: bool, advance: Advance) -> None:
    """Write the part's missing blocks. near: whether near-duplicates are to be found."""
    done, block, last = 0, 0, False
    while (found := _read_block(store, part, block)) is not None:
        done, block, last = done + len(found[0].texts), block + 1, found[1]
    if last:
        advance(part.size)
        return
    tally = Tally()
    with closing(generator(documents(part, config, tally))) as stream:
        for _ in itertools.islice(stream, done):
            pass
        seen, told = Tally(**asdict(tally)) if done else Tally(), 0
        columns: list[Columns] = []
        count = size = 0
        for batch in itertools.chain(batches(stream), [None]):
            if batch is not None:
                columns.append(_columns(batch, near))
                characters = sum(len(d.text) for d in batch)
                count, size = count + len(batch), size + characters
                advance(tally.bytes_read - told if part.files else characters)
                told = tally.bytes_read
            if batch is None or size >= BLOCK_CHARACTERS or count >= BLOCK_DOCUMENTS:
                _write_block(store, part, block, columns, _since(tally, seen), last=batch is None)
                seen, columns, count, size, block = Tally(**asdict(tally)), [], 0, 0, block + 1


def _columns(batch: Sequence[Document], near: bool) -> Columns:
    """What is kept of each document of a batch, one array a kind: a tuple a document would take ten times as much."""
    return {
        "texts": np.array([_hash(d.text) for d in batch], dtype=np.uint64),
        "draws": np.array([split.unit_hash(d.text) for d in batch], dtype=np.float64),
        "whole_draws": np.array([split.unit_hash(d.cut_from or d.text) for d in batch], dtype=np.float64),
        "characters": np.array([len(d.text) for d in batch], dtype=np.int64),
        "bands": band_keys(batch) if near and batch else np.zeros((len(batch), BANDS if near else 0), dtype=np.uint64),
    }


def _hash(text: str) -> int:
    """Another hash than the split's: which of a cluster stays must not say on which side."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=b"document").digest(), "big")


def _since(tally: Tally, before: Tally) -> Tally:
    return Tally(
        tally.records - before.records,
        tally.too_short - before.too_short,
        tally.malformed - before.malformed,
        tally.skipped[len(before.skipped) :],
    )


def _write_block(store: Store, part: Part, block: int, found: Sequence[Columns], tally: Tally, *, last: bool) -> None:
    found = found or [_columns([], True)]
    columns = {key: np.concatenate([batch[key] for batch in found]) for key in found[0]}
    told = np.frombuffer(json.dumps({"tally": asdict(tally), "last": last}).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, told=told, **columns)
    store.write(f"{WORK}/{part.name}.{block:03}.survey.npz", buffer.getvalue())


def _read_block(store: Store, part: Part, block: int) -> tuple[Survey, bool] | None:
    data = store.read(f"{WORK}/{part.name}.{block:03}.survey.npz")
    if data is None:
        return None
    with np.load(io.BytesIO(data)) as file:
        told = json.loads(file["told"].tobytes())
        return Survey(
            file["texts"], file["draws"], file["whole_draws"], file["characters"], file["bands"], Tally(**told["tally"])
        ), told["last"]


def unchanged_documents(store: Store, part: Part, config: Config, tally: Tally) -> Iterator[Document]:
    """The documents of a surveyed part, read anew. Raises BadInput where one is not the text that was surveyed: what
    was decided would be applied to another."""
    texts = itertools.chain.from_iterable(survey.texts.tolist() for survey in surveyed(store, part))
    for document, text in itertools.zip_longest(documents(part, config, tally), texts):
        if document is None or text is None or _hash(document.text) != text:
            raise BadInput(
                f"source '{part.source}': {part.files[0] if part.files else 'builtin text'} or what is read with it "
                "has changed since it was first read: prepare again into another --out"
            )
        yield document


def surveyed(store: Store, part: Part) -> Iterator[Survey]:
    """The blocks of a surveyed part, in order."""
    for block in itertools.count():
        found = _read_block(store, part, block)
        if found is None:
            return
        yield found[0]
