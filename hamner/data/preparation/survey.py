"""Survey, the first reading of a part: hashes, MinHash bands and lengths of every document, to decide from.

A block is a run of a part's documents, stored when it is whole: a killed survey continues after the last block.

unfinished/<source>.<part>.<block>.survey.npz     texts (n,) hash of each whole text; draws (n,), and of what it is a
                                                  piece of, whole_draws and narrow_draws (n,); characters (n,);
                                                  bands (n, BANDS), or (n, 0) where near-duplicates stay
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.errors import BadInput
from hamner.data import split
from hamner.data.preparation.deduplicate import BANDS, band_keys
from hamner.data.preparation.part import Advance, Part, part_documents, read_part
from hamner.data.preparation.plan import Plan
from hamner.data.preparation.store import UNFINISHED, Store
from hamner.data.preparation.wholes import wholes
from hamner.data.sources import Document, Tally

BLOCK_CHARACTERS, BLOCK_DOCUMENTS = 2**26, 200_000  # a block ends with whichever comes first
DRAWS = ("draws", "whole_draws", "narrow_draws")

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Block:
    """Survey of n documents in order, and of the records they came from."""

    texts: npt.NDArray[np.uint64]
    draws: npt.NDArray[np.float64]
    whole_draws: npt.NDArray[np.float64]  # as draws, where a document is not a piece of anything
    narrow_draws: npt.NDArray[np.float64]  # of the narrower whole, see wholes.py
    characters: npt.NDArray[np.int64]
    bands: npt.NDArray[np.uint64]
    tally: Tally
    is_last: bool


def survey_part(plan: Plan, part: Part, advance: Advance, block_documents: int = BLOCK_DOCUMENTS) -> None:
    """Write the part's missing blocks."""
    tally = Tally()
    writer = BlockWriter(plan, part, tally, block_documents)
    read_part(part, part_documents(part, tally), tally, writer, advance)


class BlockWriter:
    """Surveys batches of documents and stores them block by block."""

    def __init__(self, plan: Plan, part: Part, tally: Tally, block_documents: int) -> None:
        """tally: of the reading; each block gets what has come to it since the block before."""
        self._store, self._part, self._tally, self._block_documents = plan.store, part, tally, block_documents
        self._finds_near_duplicates, self._is_builtin = plan.drops_duplicates(part), not part.files
        self._number, self._before, self.documents_read, self.is_complete = 0, Tally(), 0, False
        for block in blocks(self._store, part):
            self._number += 1
            self._before.add(block.tally)
            self.documents_read += len(block.texts)
            self.is_complete = block.is_last
        self._batches: list[Columns] = []
        self._documents = self._characters = 0

    def add(self, batch: list[Document]) -> None:
        self._batches.append(_columns(batch, self._finds_near_duplicates, self._is_builtin))
        self._documents += len(batch)
        self._characters += sum(len(document.text) for document in batch)
        if self._characters >= BLOCK_CHARACTERS or self._documents >= self._block_documents:
            self._store_block(is_last=False)

    def close(self) -> None:
        self._store_block(is_last=True)

    def _store_block(self, *, is_last: bool) -> None:
        batches = self._batches or [_columns([], True, False)]
        columns = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
        counts = {"tally": asdict(_difference(self._tally, self._before)), "is_last": is_last}
        buffer = io.BytesIO()
        np.savez(
            buffer, allow_pickle=False, counts=np.frombuffer(json.dumps(counts).encode(), dtype=np.uint8), **columns
        )
        self._store.write(_block_name(self._part, self._number), buffer.getvalue())
        self._number += 1
        self._before = Tally(**asdict(self._tally))
        self._batches, self._documents, self._characters = [], 0, 0


def _columns(batch: Sequence[Document], finds_near_duplicates: bool, is_builtin: bool) -> Columns:
    """The survey of a batch, one array a column: a tuple a document would take ten times as much memory."""
    near = finds_near_duplicates
    draws = np.array([_draws(d, is_builtin) for d in batch], dtype=np.float64).reshape(-1, 3)
    return {
        "texts": np.array([_hash(d.text) for d in batch], dtype=np.uint64),
        "draws": draws[:, 0],
        "whole_draws": draws[:, 1],
        "narrow_draws": draws[:, 2],
        "characters": np.array([len(d.text) for d in batch], dtype=np.int64),
        "bands": band_keys(batch) if near and batch else np.zeros((len(batch), BANDS if near else 0), dtype=np.uint64),
    }


def _draws(document: Document, is_builtin: bool) -> tuple[float, float, float]:
    """Draws of a document and of the wholes that it is a piece of; builtin conversations are each drawn anew."""
    draw = split.unit_hash(document.text)
    whole, narrow = ("", "") if is_builtin else wholes(document)
    return draw, split.unit_hash(whole) if whole else draw, split.unit_hash(narrow) if narrow else draw


def _hash(text: str) -> int:
    """Another hash than the split's: which of a cluster stays must not say on which side."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=b"document").digest(), "big")


def _difference(tally: Tally, before: Tally) -> Tally:
    return Tally(
        tally.records - before.records,
        tally.too_short - before.too_short,
        tally.malformed - before.malformed,
        tally.skipped[len(before.skipped) :],
    )


def blocks(store: Store, part: Part) -> Iterator[Block]:
    """The blocks of a part that are stored, in order."""
    for number in itertools.count():
        data = store.read(_block_name(part, number))
        if data is None:
            return
        with np.load(io.BytesIO(data)) as file:
            counts = json.loads(file["counts"].tobytes())
            columns = {key: file[key] for key in ("texts", *DRAWS, "characters", "bands")}
        yield Block(**columns, tally=Tally(**counts["tally"]), is_last=counts["is_last"])


def _block_name(part: Part, number: int) -> str:
    return f"{UNFINISHED}/{part.name}.{number:03}.survey.npz"


def unchanged_documents(store: Store, part: Part, tally: Tally) -> Iterator[Document]:
    """The documents of a surveyed part, read again.

    Raises BadInput where one is not the text that was surveyed: what was decided would be applied to another.
    """
    texts = itertools.chain.from_iterable(block.texts.tolist() for block in blocks(store, part))
    for document, text in itertools.zip_longest(part_documents(part, tally), texts):
        if document is None or text is None or _hash(document.text) != text:
            raise BadInput(
                f"source '{part.source}': {part.files[0] if part.files else 'builtin text'} or what is read with it "
                "has changed since it was first read: prepare again into another --out"
            )
        yield document
